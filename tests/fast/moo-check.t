#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo check: every fault that is made by hand is found, sound files are called
# so, and nothing is ever written.
set -eu
. "${0%/*}/lib.sh"

# check STATUS REGEX NAME FILE: the exit status, and a line of the report
check()
{
	status=0
	cksum "$4" >before
	moo check "$4" >stdout 2>stderr || status=$?
	is "$status" "$1" "$3: exit status"
	like "$(cat stdout stderr)" "$2" "$3: says so"
	is "$(cksum "$4")" "$(cat before)" "$3: is not written"
	status=0
	moo check --output=json "$4" >json 2>/dev/null || status=$?
	is "$status" "$1" "$3: the same with JSON"
}

noise base 100000
path=$(realpath base)

# V1 to V3.
for v in 1 2 3; do
	cowhdr "v$v.cow" "base=$path" version=$v own=0,7,195
	truncate -s +352 "v$v.cow"
	check 0 "^No errors" "a sound V$v" "v$v.cow"
	is "$(json json corruptions)" 0 "V$v: no corruption"
	is "$(json json allocated-clusters)" 3 "V$v: sectors owned"
	is "$(json json total-clusters)" 196 "V$v: sectors"
	is "$(json json check-errors)" 0 "V$v: could be looked at"

	cp "v$v.cow" cut.cow
	truncate -s 20000 cut.cow
	check 2 "ends before the data of sector 195" "V$v cut short" cut.cow
done
cp v3.cow past.cow
put past.cow $((8192 + 24)) f8
check 2 "bits past the last sector" "bits of no sector" past.cow
cp v3.cow bad.cow
put bad.cow 24 00000000
check 2 "alignment is 0" "an alignment of 0" bad.cow
cp v3.cow bad.cow
put bad.cow 4 00000009
check 63 "bad.cow: " "an unknown version" bad.cow
check 63 "raw file" "a raw file" base
: >empty
check 63 "raw file" "an empty file" empty
refused 1 "missing" "a missing file" moo check missing

# The parents.
mv base gone
check 2 "base" "a missing parent" v3.cow
cp gone base
touch -d '2001-02-03' base
check 2 "base.*changed" "a changed parent" v3.cow
mv gone base
check 0 "^No errors" "the parent is back" v3.cow
cowhdr loop.cow "base=$PWD/loop.cow" size=100000
check 2 "loop.cow" "its own parent" loop.cow

# V4: one leaf, with data at sectors 0 to 99 and 120.
cp base img
fill img 0 100 X
fill img 120 1 Y
moo convert -V 4 -b base img v4.cow
check 0 "^No errors" "a sound V4" v4.cow
is "$(json json total-clusters)" 25 "V4: blocks"
is "$(json json allocated-clusters)" 14 "V4: blocks with data"
is "$(json json image-end-offset)" "$(size v4.cow)" "V4: where it ends"

damage()
{
	cp v4.cow bad.cow
	"$@"
}
block=$(($(v4 v4.cow entry 0) >> 16))
root=$(v4 v4.cow get root)
end=$(v4 v4.cow get end)

damage v4 bad.cow entry 1 $((block << 16 | 0x5555))
check 2 "used twice" "a block used twice" bad.cow
damage v4 bad.cow entry 1 $((root << 16 | 0x5555))
check 2 "used twice" "data in the index" bad.cow
damage v4 bad.cow entry 1 $((end << 16 | 0x5555))
check 2 "outside" "a block behind the end" bad.cow
damage v4 bad.cow entry 1 $((3 << 16 | 0x5555))
check 2 "outside" "a block in the header" bad.cow
damage v4 bad.cow entry 0 $((block << 16 | 0x5557))
check 2 "sector 0 has a state" "a reserved state" bad.cow
damage v4 bad.cow entry 20 $((0x5555))
check 2 "has data but no block" "data without a block" bad.cow
damage v4 bad.cow entry 24 $((0xaaaa))
check 2 "past its last" "sectors past the last one" bad.cow
damage v4 bad.cow entry 20 $((0x00aa))
check 2 "owns 105 sectors, but its header says 101" "a wrong count" bad.cow
damage v4 bad.cow set end $((end + 9))
v4 bad.cow entry 20 $(((end + 7) << 16 | 1))
v4 bad.cow set owned 102
check 2 "ends before the data of sector 160" "data behind the file" bad.cow
damage v4 bad.cow set end $((end + 9))
check 0 "^No errors" "room that was never used" bad.cow
damage put bad.cow $((root * 4096 + 4000)) ff
check 2 "index page 0 .*damaged" "a damaged index page" bad.cow
damage v4 bad.cow set root $((root - 1))
check 2 "index page 0 .*damaged" "data as index" bad.cow
damage v4 bad.cow set incompatible 1
check 63 "bad.cow" "a feature of the future" bad.cow
damage put bad.cow 0 00000000
put bad.cow 4096 00000000
check 63 "raw file" "no header at all" bad.cow
damage put bad.cow 100 ff
put bad.cow 4196 ff
check 2 "checksum" "both slots torn" bad.cow

# Entries that lose a block leave it to nobody.
damage v4 bad.cow entry 0 0
v4 bad.cow set owned 93
check 3 "1 blocks are used by nothing" "a leak" bad.cow
is "$(json json leaks)" 1 "a leak: counted"
is "$(json json corruptions)" 0 "a leak: no corruption"

# A torn slot is what a crash leaves; the other one is in force.
damage put bad.cow $((($(v4 v4.cow get generation) + 1) % 2 * 4096 + 100)) ff
check 0 "^No errors" "the older slot is torn" bad.cow
moo convert -V 0 v4.cow right
moo convert -V 0 bad.cow out
holds "and the content is there" cmp out right

# A reserved block is not lost.
damage v4 bad.cow entry 0 $((block << 16))
v4 bad.cow set owned 93
check 0 "^No errors" "a reservation" bad.cow

# Hostile: an index that leads back to itself, in a file of two levels.
truncate -s 8M big
moo create -V 4 deep.cow big
is "$(v4 deep.cow get levels)" 2 "a file of two levels"
cp big img
fill img 0 8 D
touch -r big img
moo convert -V 4 -f -b big img deep.cow
check 0 "^No errors" "two levels" deep.cow
v4 deep.cow entry 1 $(($(v4 deep.cow get root) << 16))
check 2 "used twice" "a loop in the index" deep.cow
v4 deep.cow entry 1 $((8 << 16 | 5))
check 2 "is not one" "states above the leaves" deep.cow
finish
