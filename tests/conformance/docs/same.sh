#!/bin/sh
# same.sh DOCUMENT PROGRAM ARGUMENTS…: passes where the document is what the program writes. Breaks
# when the soft GPU learns or forgets something and the page that says so was not made anew.
document=$1
shift
"$@" | diff -u "$document" - && exit 0
echo "$document is not up to date: run make docs"
exit 1
