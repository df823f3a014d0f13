#!/bin/sh
# clang.sh PARSER SOURCE: what clang makes of SOURCE for several architectures and levels is taken by our parser.
# Breaks when the parser refuses what clang emits. Skipped where clang or its NVPTX back end is missing.
set -u
parser=$1 source=$2
command -v clang >/dev/null || { echo "clang is not installed"; exit 77; }
clang --print-targets | grep -q nvptx64 || { echo "clang was built without its NVPTX back end"; exit 77; }
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
for architecture in sm_35 sm_70 sm_80; do
    for level in 0 2; do
        clang --target=nvptx64-nvidia-cuda -Xclang -target-cpu -Xclang "$architecture" "-O$level" -w -S "$source" \
            -o "$folder/$architecture.$level.ptx" || exit 1
    done
done
"$parser" "$folder"/*.ptx
