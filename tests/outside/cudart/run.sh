#!/bin/sh
# run.sh WEFT ARCH PROFILE SOURCE…: builds a program of the CUDA runtime with nvcc and -cudart shared, and runs it on the soft
# GPU. NVCC names another nvcc, with options; skipped where there is none.
set -eu
weft=$1 arch=$2 profile=$3
shift 3
nvcc=${NVCC:-nvcc}
command -v "${nvcc%% *}" >/dev/null 2>&1 || { echo "nvcc is not installed"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
separate=
[ $# -eq 1 ] || separate=-rdc=true
# shellcheck disable=SC2086 # options are words
$nvcc -std=c++17 -cudart shared -arch="$arch" $separate -o "$folder/program" "$@" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
"$weft" check --gpu "soft=$profile" "$folder/program"
"$weft" run --gpu "soft=$profile" -- "$folder/program"
