#!/bin/sh
# threads.sh TEST: the face's boot scenarios under the thread sanitizer. It needs fixed addresses, which not every system
# lets a program ask for.
set -u
output=$(mktemp)
trap 'rm -f "$output"' EXIT
if ! setarch "$(uname -m)" -R true 2>/dev/null; then
    echo "this system does not let a program turn off address randomisation, which the thread sanitizer needs"
    exit 77
fi
TSAN_OPTIONS=halt_on_error=1:exitcode=66 setarch "$(uname -m)" -R "$1" >"$output" 2>&1
status=$?
cat "$output"
if grep -q 'FATAL: ThreadSanitizer' "$output"; then
    echo "the thread sanitizer does not work on this system: $(grep 'FATAL: ThreadSanitizer' "$output" | head -n 1)"
    exit 77
fi
exit $status
