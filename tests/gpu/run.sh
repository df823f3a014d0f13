#!/bin/sh
# run.sh BUILD: on a machine with an NVIDIA card, runs programs without weft and under `weft run --gpu 0`, and compares what they
# print. Needs no network. Prints date, device, driver and a line a program; ends with the counts.
#
# The programs are built by nvcc where there is one, else taken from GPU_PROGRAMS (default BUILD/gpu-programs), where
# build.sh put them on another machine. PYTHON names the interpreter that has PyTorch (default python3). 0: all passed,
# 1: something differs, 77: nothing could be compared; the last line says why.
set -u
if [ $# != 1 ]; then
    echo "usage: $0 BUILD" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd) || exit 2
programs=${GPU_PROGRAMS:-$build/gpu-programs}
python=${PYTHON:-python3}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
TIMEOUT_S=300
LIMIT_MIB=1024
unset CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER WEFT_SOCKET WEFT_LOG WEFT_TRACE

skip_all() {
    echo "$1"
    exit 77
}

report() { # report RESULT NAME TEXT…
    case $1 in
    ok) passed=$((passed + 1)) ;;
    FAIL) failed=$((failed + 1)) ;;
    skip) skipped=$((skipped + 1)) ;;
    esac
    printf '%-5s %s\n' "$1" "$2${3:+: $3}"
}

# The first card in the order of the bus is what --gpu 0 means, and all that a program then sees.
without_weft() {
    CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0 timeout "$TIMEOUT_S" "$@"
}

under_weft() {
    timeout "$TIMEOUT_S" "$build/weft" run --gpu 0 "$@"
}

# Runs a command both ways; equal output and equal status are a pass. Timings are on stderr and only shown.
compare() { # compare NAME COMMAND…
    name=$1
    shift
    without_weft "$@" >"$work/without" 2>"$work/without.err"
    status=$?
    if [ $status != 0 ]; then
        report skip "$name" "does not run without weft either ($status): $(tail -n 1 "$work/without" "$work/without.err" | tr '\n' ' ')"
        return
    fi
    under_weft -- "$@" >"$work/with" 2>"$work/with.err"
    status=$?
    if [ $status != 0 ]; then
        report FAIL "$name" "status $status under weft: $(cat "$work/with" "$work/with.err" | tail -n 3 | tr '\n' ' ')"
    elif ! diff "$work/without" "$work/with" >"$work/diff"; then
        report FAIL "$name" "prints something else under weft"
        sed 's/^/      /' "$work/diff"
    else
        report ok "$name" "$(wc -l <"$work/with") equal lines"
        grep -h ' ns ' "$work/without.err" | sed 's/^/      without weft: /'
        grep -h ' ns ' "$work/with.err" | sed 's/^/      with weft:    /'
    fi
}

# A program that allocates until it is refused gets no more than its limit, and most of it.
check_limit() {
    name="memory limit"
    if ! got=$(under_weft --memory "${LIMIT_MIB}M" -- "$programs/runtime_program" fill 2>"$work/limit.err"); then
        report FAIL "$name" "$(tail -n 1 "$work/limit.err")"
        return
    fi
    case $got in
    *cudaErrorMemoryAllocation) ;;
    *) report FAIL "$name" "refused with '$got'" && return ;;
    esac
    mebibytes=${got%% *}
    if [ "$mebibytes" -le "$LIMIT_MIB" ] && [ "$mebibytes" -gt 0 ]; then
        report ok "$name" "$mebibytes MiB of $LIMIT_MIB MiB, then out of memory"
    else
        report FAIL "$name" "$mebibytes MiB of $LIMIT_MIB MiB"
    fi
}

# The profile of the soft GPU that is nearest to the card: of no later compute capability.
soft_profile() {
    case $(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1) in
    9.* | 1?.*) echo h100-80g ;;
    8.*) echo a100-40g ;;
    *) echo small ;;
    esac
}

# The card, without weft, and the soft GPU compute the same: bit by bit, and where nobody is that exact, within the stated error.
compare_with_soft() {
    name="soft GPU's results"
    if ! command -v python3 >/dev/null; then
        report skip "$name" "python3, which compares them, is missing"
        return
    fi
    if ! without_weft "$programs/results" >"$work/native" 2>"$work/native.err"; then
        report skip "$name" "does not run without weft either: $(tail -n 1 "$work/native" "$work/native.err" | tr '\n' ' ')"
        return
    fi
    profile=$(soft_profile)
    if ! timeout "$TIMEOUT_S" "$build/weft" run --gpu "soft=$profile" -- "$programs/results_shared" >"$work/soft" 2>"$work/soft.err"; then
        report FAIL "$name" "does not run on soft=$profile: $(cat "$work/soft" "$work/soft.err" | tail -n 3 | tr '\n' ' ')"
    elif python3 "$here/compare.py" "$work/native" "$work/soft" >"$work/compared" 2>&1; then
        report ok "$name" "soft=$profile, $(tail -n 1 "$work/compared")"
    else
        report FAIL "$name" "soft=$profile computes something else"
        sed 's/^/      /' "$work/compared"
    fi
}

command -v nvidia-smi >/dev/null || skip_all "no NVIDIA driver here (nvidia-smi is missing)"
nvidia-smi -L >"$work/devices" 2>&1 && grep -q . "$work/devices" || skip_all "no NVIDIA card here: $(head -n 1 "$work/devices")"
[ -x "$build/weft" ] || skip_all "$build/weft is not built"

date -u '+%Y-%m-%d %H:%M UTC'
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
uname -sr

if command -v "${NVCC:-nvcc}" >/dev/null; then
    "$here/build.sh" "$programs" >"$work/build" 2>&1 || { cat "$work/build"; report FAIL "nvcc" "cannot build the programs"; }
fi
if [ -x "$programs/driver_program" ]; then
    compare "driver API" "$programs/driver_program" "$programs/kernels.fatbin"
    compare "runtime, static" "$programs/runtime_program"
    compare "runtime, shared" "$programs/runtime_program_shared"
    compare_with_soft
    if "$programs/runtime_program" >/dev/null 2>&1; then
        check_limit
    else
        report skip "memory limit" "the program does not run without weft either"
    fi
else
    report skip "compiled programs" "no nvcc here, and none were brought to $programs"
fi
if "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' >/dev/null 2>&1; then
    compare "PyTorch training" "$python" "$here/train.py"
else
    report skip "PyTorch training" "$python has no PyTorch that sees a card"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] || exit 1
[ $passed != 0 ] || skip_all "nothing could be compared on this machine"
