#!/bin/sh
# chain.sh WEFT PROBE DRIVER NVML: a program on two of four cards, in an order that is not the driver's, under a memory limit:
# command, daemon, face, limit and native backend together, over a driver without hardware. Breaks if the program sees other
# cards than it was given, or in another order, or gets more memory than its limit.
set -eu
weft=$(realpath "$1") probe=$2
work=$(mktemp -d)
trap 'rm -rf "$work" 2>/dev/null || :' EXIT # the daemon may still be writing there
export WEFT_NATIVE_LIBCUDA="$3" WEFT_NATIVE_LIBNVML="$4" XDG_RUNTIME_DIR="$work"
unset CUDA_VISIBLE_DEVICES WEFT_SOCKET WEFT_LOG WEFT_TRACE
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0:detect_leaks=0"

# expect LINE…: each was printed; shows what was where not.
expect() {
    for line in "$@"; do
        grep -qx "$line" "$work/printed" || { echo "not printed: $line; but:"; cat "$work/printed"; exit 1; }
    done
}

cat >"$work/expected" <<END
2 devices
0: card 2, 67108864 bytes
1: card 0, 67108864 bytes
device 1 is current
64 MiB, then CUDA_ERROR_OUT_OF_MEMORY
0 of 67108864 bytes free
67108864 of 67108864 bytes free
END
"$weft" run --gpu 1,GPU-10101010-1010-1010-1010-101010101010 --memory 64M -- "$probe" >"$work/printed"
diff "$work/expected" "$work/printed"

# The program's own choice works on top of what it was given, and names it by its place there or by UUID.
CUDA_VISIBLE_DEVICES=1 "$weft" run --gpu 1,GPU-10101010-1010-1010-1010-101010101010,2 -- "$probe" >"$work/printed" 2>&1 || true
expect '1 devices'
expect '0: card 0, 1073741824 bytes'
CUDA_VISIBLE_DEVICES=GPU-11,0 "$weft" run --gpu 1,2 -- "$probe" >"$work/printed"
expect 'the driver is shown GPU-11111111-1111-1111-1111-111111111111,GPU-12121212-1212-1212-1212-121212121212'
expect '0: card 1, 1073741824 bytes'
expect '1: card 2, 1073741824 bytes'
CUDA_VISIBLE_DEVICES= "$weft" run --gpu 1 -- "$probe" >"$work/printed" 2>&1 && exit 1
grep -q 'cuInit(0)' "$work/printed"

# Without a limit the whole cards, all of them.
"$weft" run -- "$probe" >"$work/printed"
expect '4 devices'
expect '0: card 3, 1073741824 bytes'
expect '1024 MiB, then CUDA_ERROR_OUT_OF_MEMORY'

# Without weft's session nothing, and never without a limit.
status=0
LD_LIBRARY_PATH=$(dirname "$weft")/lib WEFT_SOCKET="$work/none" "$probe" >"$work/printed" || status=$?
[ $status = 1 ] && expect 'cuInit(0): CUDA_ERROR_SYSTEM_NOT_READY'
