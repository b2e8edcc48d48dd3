#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo diff: ranges that differ by ownership and by content, in both forms, and
# the exit codes of cmp.
set -eu
. "${0%/*}/lib.sh"

# ranges FILE: "start length depth other-depth" of each range
ranges()
{
	perl -MJSON::PP -e '
		local $/;
		open my $f, "<", $ARGV[0] or die "$ARGV[0]: $!\n";
		for (@{JSON::PP->new->utf8->decode(<$f>)}) {
			printf "%d %d %s %s\n", @$_{qw(start length)},
				map { $_ // "none" } @$_{qw(depth other-depth)};
		}' "$1"
}

# differ STATUS RANGES NAME ARGUMENT...
differ()
{
	want=$1
	list=$2
	name=$3
	shift 3
	status=0
	moo diff --output=json "$@" >json 2>stderr || status=$?
	is "$status" "$want" "$name: exit status"
	is "$(ranges json)" "$list" "$name: ranges"
	is "$(cat stderr)" "" "$name: no complaint"
}

# A base, two children of it in V3 and V4, and a layer over the second one.
noise base 1048576
cp base img
fill img 10 4 A
fill img 100 1 A
moo convert -V 3 -b base img one.cow
cp base img
fill img 12 4 A
fill img 1000 8 C
moo convert -V 4 -b base img two.cow
cp img img3
fill img3 1000 2 D
moo convert -V 4 -b two.cow img3 three.cow

differ 0 "" "a file and itself" one.cow one.cow
differ 0 "" "a base and itself" base base
differ 1 "5120 2048 0 0
51200 512 0 0" "a layer and its base" one.cow base
differ 1 "5120 2048 0 0
51200 512 0 0" "a base and its layer" base one.cow
differ 1 "512000 1024 0 0" "a layer and its parent" three.cow two.cow
differ 1 "6144 2048 1 0
512000 1024 0 0
513024 3072 1 0" "a layer and what is two below it" three.cow base

# Of siblings both sides count, though both have an A in sector 12.
differ 1 "5120 1024 0 1
6144 1024 0 0
7168 1024 1 0
51200 512 0 1
512000 4096 1 0" "siblings" one.cow two.cow
differ 1 "5120 1024 0 1
7168 1024 1 0
51200 512 0 1
512000 4096 1 0" "siblings by content" --data one.cow two.cow

differ 0 "" "a chain and what it reads as" --data three.cow img3
differ 1 "512000 1024 0 0" "a chain and another image" --data three.cow img
differ 0 "" "a copy by content" --data img3 img3
for v in 1 2; do
	cowhdr old.cow "base=$PWD/base" version=$v own=10,11
	differ 1 "5120 1024 0 0" "V$v" old.cow base
	moo merge -f old.cow out
	differ 0 "" "V$v by content" --data old.cow out
done

# What is written with the same bytes differs by ownership alone.
cp base same
moo convert -V 4 base disk.cow
differ 0 "" "a disk without parent by content" --data disk.cow base
cowhdr same.cow "base=$PWD/base" own=
dd if=base of=same.cow bs=512 skip=4 seek=$((24 + 4)) count=1 conv=notrunc \
	2>/dev/null
put same.cow 8192 10
differ 1 "2048 512 0 0" "the same bytes again" same.cow base
differ 0 "" "which by content are no difference" --data same.cow base

# The table.
moo diff three.cow base >table && status=0 || status=$?
is "$status" 1 "the table: exit status"
is "$(tr -s ' ' <table)" "Offset Length A B
0x1800 0x800 1 0
0x7d000 0x400 0 0
0x7d400 0xc00 1 0" "the table"
moo diff --output=json one.cow base >json || status=$?
is "$(column json zero) $(column json other-zero)" "0 0 0 0" "data is no zero"

# Sizes.
cp base longer
truncate -s 1052672 longer
differ 1 "1048576 4096 0 none" "a longer disk" --data longer base
differ 1 "1048576 4096 none 0" "a shorter disk" --data base longer

# Zeros are looked for in both, and holes are not read.
truncate -s 64G hole
moo create -V 4 hole.cow hole
moo create -V 4 --size=64G empty
differ 0 "" "a large disk of zeros" --data hole.cow empty
fill hole 1000000 8 Z
differ 1 "512000000 4096 0 0" "data in a hole" --data hole empty
like "$(perl -MJSON::PP -e 'local $/; open my $f, "<", "json";
	my ($r) = @{decode_json(<$f>)};
	print $r->{zero} ? 1 : 0, $r->{"other-zero"} ? 1 : 0')" "^01$" \
	"which says who has it"

# Trouble.
cp base other
refused 2 "other: has no layer in common with base; .*--data" "strangers" \
	moo diff other base
refused 2 "none: " "a missing file" moo diff base none
refused 2 "none: " "a missing file first" moo diff none base
touch -d 2001-02-03 base
refused 2 "one.cow: .*changed" "a changed base" moo diff one.cow two.cow
put base 0 4f4f4f4d00000009
refused 2 "base" "an unknown version" moo diff --data base img
differ 1 "0 512 0 0" "--raw takes it as data" --raw --data base same
for args in base "base a b" "--frob base base" "--output=xml base base"; do
	status=0
	# shellcheck disable=SC2086 # words
	moo diff $args >stdout 2>stderr || status=$?
	is "$status" 2 "diff $args: exit status"
	is "$(wc -c <stdout)" 0 "diff $args: no output"
done
if [ -w /dev/full ]; then
	status=0
	moo diff img img >/dev/full 2>stderr || status=$?
	is "$status" 2 "standard output is full"
else
	skip "no /dev/full"
fi
finish
