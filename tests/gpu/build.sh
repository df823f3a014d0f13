#!/bin/sh
# build.sh FOLDER: builds the programs of tests/gpu with nvcc, so that a machine without a toolkit can be brought them. They hold
# code for every architecture that this nvcc knows and that we mean, and PTX for later ones.
set -eu
here=$(dirname "$0")
out=$1
nvcc=${NVCC:-nvcc}
mkdir -p "$out"
targets=
for arch in 75 80 86 89 90 100 120; do
    if "$nvcc" --list-gpu-code | grep -qx "sm_$arch"; then
        targets="$targets -gencode arch=compute_$arch,code=sm_$arch"
    fi
done
targets="$targets -gencode arch=compute_75,code=compute_75"
stubs=$(dirname "$(command -v "$nvcc")")/../lib64/stubs
"$nvcc" -O2 $targets -fatbin "$here/kernels.cu" -o "$out/kernels.fatbin"
"$nvcc" -O2 -cudart none -Xcompiler -Wall "$here/driver_program.c" -o "$out/driver_program" -L"$stubs" -lcuda
"$nvcc" -O2 $targets "$here/runtime_program.cu" -o "$out/runtime_program"
"$nvcc" -O2 $targets -cudart shared "$here/runtime_program.cu" -o "$out/runtime_program_shared"
"$nvcc" -O2 $targets "$here/results.cu" -o "$out/results"
"$nvcc" -O2 $targets -cudart shared "$here/results.cu" -o "$out/results_shared"
