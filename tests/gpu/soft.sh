#!/bin/sh
# soft.sh WEFT: what run.sh compares between a card and the soft GPU, without a card: the program's results on two soft devices of
# other compute capabilities are alike, and compare.py finds a wrong bit and a value beyond its error. Skipped without nvcc.
set -eu
weft=$1
here=$(dirname "$0")
nvcc=${NVCC:-nvcc}
command -v "${nvcc%% *}" >/dev/null 2>&1 || { echo "nvcc is not installed"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
$nvcc -O2 -cudart shared -gencode arch=compute_75,code=compute_75 -gencode arch=compute_90,code=compute_90 "$here/results.cu" \
    -o "$folder/results" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
"$weft" run --gpu soft=small -- "$folder/results" >"$folder/first"
"$weft" run --gpu soft=h100-80g -- "$folder/results" >"$folder/second"
"$here/compare.py" "$folder/first" "$folder/second"

must_differ() {
    sed "$1" "$folder/first" >"$folder/wrong"
    if "$here/compare.py" "$folder/first" "$folder/wrong"; then
        echo "compare.py did not see $1"
        exit 1
    fi
}
must_differ 's/^exact warps ./exact warps x/'
must_differ 's/^\(near sinf 4 \)......../\13f4ceff8/'
must_differ '/^near erff/d'
must_differ 's/^done/failed/'
