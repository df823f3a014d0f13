#!/bin/sh
# alone.sh COMMAND…: runs it with a weftd, and so with soft devices, of its own: what is free there nobody else changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset XDG_RUNTIME_DIR WEFT_SOCKET
TMPDIR=$work "$@"
