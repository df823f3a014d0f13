#!/bin/sh
# refused.sh WEFT CASE: programs that cannot run on the soft GPU, as nvcc builds them: NVIDIA's static runtime, machine code alone,
# cuBLAS. `weft check` says why, with status 1; under `weft run` the reason is told, and the program ends itself, with its own
# error. Skipped where nvcc, or the library, is not there.
set -eu
weft=$1 case=$2
nvcc=${NVCC:-nvcc}
here=$(dirname "$0")
command -v "${nvcc%% *}" >/dev/null 2>&1 || { echo "nvcc is not installed"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
program=$folder/program
PROGRAM_STATUS=3

build() {
    $nvcc "$@" -o "$program" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
}

case $case in
static)
    build -cudart static -arch=sm_75 "$here/refused.cu"
    reason="relink with -cudart shared" said="NVIDIA's CUDA runtime inside" error=.
    ;;
cubin)
    build -cudart shared -gencode arch=compute_75,code=sm_75 "$here/refused.cu"
    reason="no PTX, only machine code" said="holds no PTX" error=cudaErrorNoKernelImageForDevice
    ;;
cublas)
    printf '#include <cublas_v2.h>\nint main() {}\n' >"$folder/try.cu"
    $nvcc -cudart shared "$folder/try.cu" -lcublas -o "$folder/try" >/dev/null 2>&1 || { echo "cuBLAS is not installed"; exit 77; }
    build -cudart shared -DUSE_CUBLAS -arch=sm_75 "$here/refused.cu" -lcublas
    reason="needs libcublas.so" said="NVIDIA's CUDA runtime inside" error=cublas
    ;;
esac

status=0
"$weft" check --gpu soft "$program" >"$folder/check" || status=$?
if [ $status != 1 ] || ! grep -q "$reason" "$folder/check"; then
    echo "weft check: status $status, and not 1, or without \"$reason\":"
    cat "$folder/check"
    exit 1
fi
status=0
"$weft" run --gpu soft -- "$program" >"$folder/run" 2>&1 || status=$?
if [ $status != $PROGRAM_STATUS ] || ! grep -q "$said" "$folder/run" || ! grep -q "^the program: .*$error" "$folder/run"; then
    echo "weft run: status $status, and not $PROGRAM_STATUS, or without \"$said\":"
    cat "$folder/run"
    exit 1
fi
