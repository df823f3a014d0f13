#!/bin/sh
# run.sh WEFT ARCH PROFILE KIND SOURCE…: builds a program of the CUDA runtime with nvcc, and runs it on the soft GPU.
# KIND: shared   with -cudart shared; NVCC names another nvcc, with options
#       static   with our static runtime inside, of CUDA 13
#       cuda11   with -cudart shared and CUDA 11.8, whose folder WEFT_CUDA names (tools/fetch-samples); WEFT_CXX is its compiler
# Skipped where the compiler is not there. A line `// nvcc: OPTIONS` in the first source is for nvcc, one `// gpu: …xN` for weft.
set -eu
weft=$1 arch=$2 profile=$3 kind=$4
shift 4
libraries=$(dirname "$weft")/lib/cudart
nvcc=${NVCC:-nvcc}
runtime="-cudart shared"
case $kind in
static) runtime="-cudart static -L$libraries" ;;
cuda11)
    [ -n "${WEFT_CUDA:-}" ] || { echo "WEFT_CUDA does not name the folder of CUDA 11.8"; exit 77; }
    nvcc="$WEFT_CUDA/bin/nvcc -ccbin ${WEFT_CXX:-g++-11}"
    command -v "${WEFT_CXX:-g++-11}" >/dev/null 2>&1 || { echo "CUDA 11.8 needs ${WEFT_CXX:-g++-11}, which is not installed"; exit 77; }
    ;;
esac
command -v "${nvcc%% *}" >/dev/null 2>&1 || { echo "nvcc is not installed"; exit 77; }
if [ "$kind" = static ] && ! $nvcc --version | grep -q "release 13"; then
    echo "our static runtime beside the shared ones is of CUDA 13, nvcc is of another"
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
options=$(sed -n 's|^// nvcc: ||p' "$1")
count=$(sed -n 's|^// gpu: .*\(x[0-9]\)$|\1|p' "$1")
[ $# -eq 1 ] || options="$options -rdc=true"
# shellcheck disable=SC2086 # options are words
$nvcc -std=c++17 $runtime -arch="$arch" $options -o "$folder/program" "$@" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
"$weft" check --gpu "soft=$profile$count" "$folder/program"
"$weft" run --gpu "soft=$profile$count" -- "$folder/program"
