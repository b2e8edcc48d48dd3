#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo map: every byte of a disk once, from the layer that owns it.
set -eu
. "${0%/*}/lib.sh"

truncate -s 1M base
fill base 128 128 B
path=$(realpath base)
cowhdr low.cow "base=$path" own=130,131,200
moo map --output=json low.cow >json
data=12288
is "$(extents json)" "0 65536 1 pz- 0
65536 1024 1 p-d 65536
66560 1024 0 p-d $((data + 66560))
67584 34816 1 p-d 67584
102400 512 0 p-d $((data + 102400))
102912 28160 1 p-d 102912
131072 917504 1 pz- 131072" "runs, holes and neighbours"

cp base changed
fill changed 131 1 X
fill changed 1000 2 Y
moo convert -V 4 -b low.cow changed top.cow
moo map --output=json top.cow >json
extents json >list
is "$(awk '$1 <= 512000 && $1 + $2 > 512000 { print $3 }' list)" 0 \
	"the top owns its own"
is "$(awk '$1 != end { print "gap at " end } { end = $1 + $2 }
	END { print end }' list)" 1048576 "the map has no gap"

# Each extent with an offset holds what the merged disk has there.
moo merge top.cow out
bad=0
while read -r start length depth flags offset; do
	case $depth in
	0) file=top.cow ;;
	1) file=low.cow ;;
	2) file=base ;;
	esac
	if [ "$offset" = none ]; then
		is "$flags" pz- "what has no offset is zero"
	elif ! cmp -s -n "$length" out "$file" "$start" "$offset"; then
		bad=$((bad + 1))
	fi
done <list
is "$bad" 0 "every offset leads to the data"
holds "the list was not empty" test "$(wc -l <list)" -gt 5

like "$(moo map low.cow | sed -n 2p)" "^0x10000 +0x400 +1 +0x10000 +$path" \
	"the table"
is "$(moo map low.cow | wc -l)" 6 "has the data only"

if command -v qemu-img >/dev/null; then
	qemu-img map --output=json base >qemu
	moo map --output=json base >json
	is "$(extents json)" "$(extents qemu)" "a raw file as qemu-img has it"
else
	skip "no qemu-img"
fi

put changed 0 4f4f4f4d00000009
refused 1 "changed" "an unknown version" moo map changed
like "$(moo map --raw changed)" "^0 .*changed$" "--raw takes it as data"
finish
