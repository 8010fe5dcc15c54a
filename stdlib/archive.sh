#!/bin/sh
# Makes the guests' library: archive.sh COMPILER OUTPUT SOURCE...
set -eu
compiler=$1 output=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for source in "$@"; do
    "$compiler" -c -O2 -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes \
        -Wmissing-prototypes -Wvla -Wpointer-arith -Wcast-qual -Wwrite-strings -Werror \
        -o "$work/$(basename "$source" .c).o" "$source"
done
rm -f "$output"
ar rcsD "$output" "$work"/*.o
