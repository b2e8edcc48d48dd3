#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo on a disk of nearly 16 TiB with a few pieces of data: what it costs
# follows the data, not the disk. Counted are system calls and the bytes that
# they read; memory has a bound.
set -eu
. "${0%/*}/lib.sh"

command -v strace >/dev/null || skip_all "no strace"

# 16 TiB less what lets a V3 layer fit into a file of ext4.
disk=16376G
pieces=16
piece=65536

# A piece has a page of bits, a leaf and two pages above it, and two ends. Each
# layer and each new file is gone through a few times.
most_calls=3000
most_bytes=$((16 * pieces * piece))
most_memory=262144

truncate -s "$disk" base 2>/dev/null ||
	skip_all "no file can be so large here"

# scatter FILE SHIFT: a piece in each of $pieces TiB, SHIFT pieces into it
scatter()
{
	perl -e '
		my ($file, $shift, $pieces, $piece) = @ARGV;
		open my $f, "+<", $file or die "$file: $!\n";
		for (0 .. $pieces - 1) {
			sysseek $f, ($_ << 40) + $shift * $piece, 0;
			syswrite $f, chr(65 + $shift) x $piece;
		}' "$1" "$2" "$pieces" "$piece"
}

# cheap NAME STATUS ARGUMENT...: moo with these does not cost too much
cheap()
{
	name=$1
	want=$2
	shift 2
	status=0
	(
		# shellcheck disable=SC3045
		ulimit -v "$most_memory"
		exec strace -f -qq -o trace "$bin/moo" "$@" >stdout 2>stderr
	) || status=$?
	is "$status" "$want" "$name"
	[ "$status" = "$want" ] || diag "$(cat stderr)"
	calls=$(wc -l <trace)
	bytes=$(perl -ne '$n += $1 if /\bp?readv?(?:64)?\(.* = (\d+)$/;
		END { print $n + 0 }' trace)
	holds "$name: $calls system calls" test "$calls" -le "$most_calls"
	holds "$name: $bytes bytes read" test "$bytes" -le "$most_bytes"
}

# alike NAME A B: two files have the same bytes, holes passed over
alike()
{
	status=0
	moo diff --raw --data "$2" "$3" >list || status=$?
	is "$status" 0 "$1: the same content"
}

scatter base 0
cp --sparse=always base image
scatter image 3
cp --sparse=always image image2
scatter image2 5

cheap "convert -V 3 -b" 0 convert -V 3 -b base image d3.cow
cheap "convert -V 4 -b" 0 convert -V 4 -b base image d4.cow
cheap "convert -V 4 -b a COW" 0 convert -V 4 -b d4.cow image2 e4.cow
moo create --flat --size="$disk" flat.cow
moo convert -V 4 image solo.cow

for layer in base d3.cow d4.cow e4.cow solo.cow flat.cow; do
	cheap "info $layer" 0 info "$layer"
	cheap "map $layer" 0 map "$layer"
	cheap "map --output=json $layer" 0 map --output=json "$layer"
done
for layer in d3.cow d4.cow e4.cow solo.cow flat.cow; do
	cheap "check $layer" 0 check "$layer"
	cheap "dump $layer" 0 dump "$layer" text
	cheap "restore $layer" 0 restore text again
	cheap "convert -V 4 $layer" 0 convert -V 4 "$layer" new
	cheap "convert -V 0 $layer" 0 convert -V 0 "$layer" raw
	case $layer in
	d?.cow) alike "convert -V 0 $layer" raw image ;;
	e4.cow) alike "convert -V 0 $layer" raw image2 ;;
	esac
	rm -f text again new raw
done
cheap "convert -V 3" 0 convert -V 3 d4.cow new
cheap "diff" 1 diff d3.cow d4.cow
cheap "diff --data, the same" 0 diff --data d3.cow d4.cow
cheap "diff --data, another" 1 diff --data d3.cow e4.cow
cheap "merge V3" 0 merge d3.cow raw
alike "merge V3" raw image
rm raw
cheap "merge V4 over V4" 0 merge e4.cow raw
alike "merge V4 over V4" raw image2

cheap "compact" 0 compact e4.cow
cp --sparse=always e4.cow low.cow
cheap "rebase" 0 rebase -b base low.cow
cheap "merge what was rebased" 0 merge -f low.cow raw
alike "rebase" raw image2
cheap "merge V4 in place" 0 merge -f --in-place e4.cow
cheap "merge V4 into raw" 0 merge -f --in-place d4.cow
alike "merge in place" base image2
cp --sparse=always image raw
rm low.cow
moo convert -V 3 -b raw image2 low.cow
cheap "merge V3 into raw" 0 merge -f --in-place low.cow
alike "merge V3 into raw" raw image2

finish
