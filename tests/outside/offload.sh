#!/bin/sh
# offload.sh WEFT FLAG TARGET SOURCE: an OpenMP or OpenACC program of GCC's offloading compiler on the soft GPU, with no way
# back to the host. FLAG is -fopenmp or -fopenacc, TARGET an architecture as -misa takes it, or "default" for the compiler's
# own. Breaks when libgomp's plugin misses a driver call, its device library no longer links, or the device computes
# something else than the host.
weft=$1 flag=$2 target=$3 source=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if ! command -v gcc-12 >/dev/null || ! gcc-12 -print-prog-name=accel/nvptx-none/mkoffload | grep -q / ||
    ! ls /usr/lib/*/libgomp-plugin-nvptx.so.1 >/dev/null 2>&1; then
    echo "needs gcc-12-offload-nvptx and libgomp-plugin-nvptx1"
    exit 77
fi
# The toolkit's ptxas, where one is installed, no longer knows the default target; it would only verify.
options="-foffload=nvptx-none -foffload-options=-Wa,--no-verify -foffload-options=-latomic -foffload-options=-lm"
# A product and a sum are rounded apart on both sides, so that what is compared is the library and not the compiler.
options="$options -ffp-contract=off -foffload-options=-ffp-contract=off"
[ "$target" = default ] || options="$options -foffload-options=-misa=$target"
# shellcheck disable=SC2086 # the options are words
gcc-12 -O2 "$flag" $options "$source" -o "$folder/program" -lm 2>"$folder/log" || {
    cat "$folder/log"
    exit 1
}
"$weft" run --gpu soft -- env OMP_TARGET_OFFLOAD=MANDATORY ACC_DEVICE_TYPE=nvidia "$folder/program"
