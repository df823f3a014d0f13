#!/bin/sh
# openmp.sh WEFT SOURCE: an OpenMP target program of GCC's offloading compiler on the soft GPU, with
# no way back to the host. Breaks when libgomp's plugin misses a driver call, or its device library
# no longer links.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if ! command -v gcc-12 >/dev/null || ! gcc-12 -print-prog-name=accel/nvptx-none/mkoffload | grep -q / ||
    ! ls /usr/lib/*/libgomp-plugin-nvptx.so.1 >/dev/null 2>&1; then
    echo "needs gcc-12-offload-nvptx and libgomp-plugin-nvptx1"
    exit 77
fi
gcc-12 -O2 -fopenmp -foffload=nvptx-none -foffload-options=-misa=sm_75 "$2" -o "$folder/program" 2>"$folder/log" ||
    { cat "$folder/log"; exit 1; }
"$1" run --gpu soft -- env OMP_TARGET_OFFLOAD=MANDATORY "$folder/program"
