#!/bin/sh
# headers.sh INCLUDE_DIRECTORY COMPILER…: programs in C and C++ compile with <weft/cuda.h> alone, and with its folder on the
# include path in place of NVIDIA's, in both stream modes. Breaks if the header is not self-contained, or is not C++.
set -eu
include=$1
shift
program='#include <cuda.h>
#if CUDA_VERSION != 13000
#error version
#endif
CUresult launch(CUfunction kernel, CUstream stream, void **parameters);
CUresult launch(CUfunction kernel, CUstream stream, void **parameters)
{
    CUdeviceptr address;
    CUDA_MEMCPY2D copy = {0};
    cuMemAlloc(&address, (size_t)1 << 32);
    cuMemcpy2D(&copy);
    cuMemcpyDtoHAsync(parameters, address, 4, stream);
    return cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, stream, parameters, 0);
}'
check() {
    printf '%s\n' "$program" | "$@" -Wall -Werror -I"$include/weft" -fsyntax-only -
    printf '%s\n' "$program" | "$@" -Wall -Werror -DCUDA_API_PER_THREAD_DEFAULT_STREAM -I"$include/weft" -fsyntax-only -
}
check "$@" -std=c99 -xc
check "$@" -std=gnu17 -Wextra -xc
object=$(printf '%s\n' "$program" | "$@" -DCUDA_API_PER_THREAD_DEFAULT_STREAM -I"$include/weft" -S -o - -xc -)
for symbol in cuMemAlloc_v2 cuMemcpy2D_v2_ptds cuMemcpyDtoHAsync_v2_ptsz cuLaunchKernel_ptsz; do
    printf '%s' "$object" | grep -qw "$symbol" || { echo "per-thread mode does not call $symbol"; exit 1; }
done
if command -v c++ >/dev/null; then
    check c++ -std=c++11 -Wno-missing-field-initializers -xc++
fi
