#!/bin/sh
# names.sh ARCHIVE NAMES: the archive is one object, whose global names are those and no others.
set -eu
[ "$(ar t "$1" | wc -l)" = 1 ] || { echo "$1 holds more than one object"; exit 1; }
nm -g --defined-only "$1" | awk 'NF == 3 { print $3 }' | LC_ALL=C sort -u | diff "$2" - || { echo "other names than CUDA's"; exit 1; }
