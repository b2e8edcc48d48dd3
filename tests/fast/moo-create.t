#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo create: new layers and raw disks, and what is never overwritten.
set -eu
. "${0%/*}/lib.sh"

noise base 1000100
holds "a layer over a raw file" moo create v3.cow base
moo info --output=json v3.cow >json
is "$(json json format-specific data version)" 3 "is V3"
is "$(json json backing-filename)" "$(realpath base)" \
	"names its parent in full"
cowhdr hand.cow "base=$(realpath base)"
holds "the bytes are those made by hand" cmp v3.cow hand.cow

holds "a layer over a COW" moo create v4.cow v3.cow
moo info --output=json v4.cow >json
is "$(json json format-specific data version)" 4 "is V4"
is "$(json json backing-filename-format)" cow "knows its parent"
holds "V4 over a raw file" moo create -V 4 v4raw.cow base
moo info --output=json v4raw.cow >json
is "$(json json format-specific data version)" 4 "is V4, too"
is "$(json json backing-filename-format)" raw "knows its raw parent"
refused 1 "v3.cow" "V3 over a COW" moo create -V 3 no.cow v3.cow
fails "nothing is left of it" test -e no.cow

for cow in v3.cow v4.cow v4raw.cow; do
	moo merge "$cow" "$cow.raw"
	holds "$cow reads as the base does" cmp base "$cow.raw"
done

# A geometry, and a header that is nothing else
holds "a geometry" moo create --geometry=100/16/63 geo.cow base
moo info --output=json geo.cow >json
is "$(json json format-specific data version)" 4 "makes it V4"
is "$(json json format-specific data heads)" 16 "is kept"
is "$(json json format-specific data kind)" cow "of a layer"
refused 1 "V3 has no room" "not by V3" moo create -V 3 --geometry=1/2/3 no.cow base
fails "a geometry without sense is refused" \
	moo create --geometry=1/2/256 no.cow base
holds "a header" moo create --header --geometry=9/8/7 head.moo base
moo info --output=json head.moo >json
is "$(json json format-specific data kind)" header "is one"
is "$(json json format-specific data cylinders)" 9 "and says how many"
moo merge head.moo head.raw
holds "it reads as its image" cmp base head.raw
refused 1 "raw" "a header of a COW" moo create --header no.cow v4.cow
refused 1 "leave --size out" "a header of nothing" \
	moo create --header --size 1M no.cow
holds "a disk with a geometry" moo create --geometry=2/16/63 --size 1M geo.disk
moo info --output=json geo.disk >json
is "$(json json format-specific data version)" 4 "is V4"

# What the guest takes for a sector
sector_size()
{
	moo info --output=json "$1" >json
	json json format-specific data sector-size
}
truncate -s 1M whole
holds "a sector size" moo create --sector-size=4096 sect.cow whole
is "$(sector_size sect.cow)" 4096 "is kept"
like "$(moo info sect.cow)" "sector size: 4096 bytes" "and shown"
holds "a layer over it" moo create over.cow sect.cow
is "$(sector_size over.cow)" 4096 "has the same"
is "$(sector_size v4.cow)" 512 "which else is 512"
refused 1 "over.cow|sect.cow has sectors of 4096" "another one over it" \
	moo create --sector-size=512 no.cow sect.cow
refused 1 "1000100|no multiple of the sector size 4096" "of an odd size" \
	moo create --sector-size=4096 no.cow base
refused 1 "V3 has no room" "not by V3" \
	moo create -V 3 --sector-size=4096 no.cow whole
for n in 0 256 1000 8192 4G x; do
	fails "a sector has not $n bytes" \
		moo create --sector-size=$n no.cow whole
done
holds "of a header" moo create --header --sector-size=2048 sect.head whole
is "$(sector_size sect.head)" 2048 "it is kept, too"
holds "of a disk" moo create --flat --sector-size=4096 --size 1M sect.disk
refused 1 "4096 bytes" "whose size stays a multiple" \
	moo resize sect.disk +512
holds "as does" moo resize sect.disk +4096
moo convert -V 4 sect.cow again.cow
is "$(sector_size again.cow)" 4096 "moo convert keeps it"
moo dump sect.cow text
moo restore text restored.cow
is "$(sector_size restored.cow)" 4096 "and so do moo dump and restore"
fails "nothing is left of what was refused" test -e no.cow
moo create -V 4 small.cow whole
moo rebase -u -b small.cow over.cow
refused 1 "small.cow: its sectors have 512 bytes" "a merge that would change it" \
	moo merge --in-place over.cow

# Data in place
holds "a flat disk" moo create --flat --padding=64K --size 1000K flat.disk
is "$(size flat.disk)" $((65536 + 1024000)) "is padding and data"
moo info --output=json flat.disk >json
is "$(json json format-specific data kind)" disk "is a disk"
holds "it is sound" moo check flat.disk
put flat.disk $((65536 + 512)) 6d6f6f
moo convert -V 0 flat.disk flat.raw
is "$(dd if=flat.raw bs=512 skip=1 count=1 2>/dev/null | head -c 3)" moo \
	"what stands in place is read"
is "$(size flat.raw)" 1024000 "all of it"
put flat.disk 4200 74
holds "a torn header of it is mended" moo check -r all flat.disk
moo convert -f -V 0 flat.disk mended.raw
holds "which touches none of its data" cmp flat.raw mended.raw
truncate -s -1 flat.disk
refused 1 "flat.disk: it ends before" "a flat disk that is cut short" \
	moo convert -f -V 0 flat.disk flat.raw
refused 1 "no parent" "a flat layer" moo create --flat no.cow base
refused 1 "multiple of 512" "odd padding" \
	moo create --flat --padding=1000 --size=1M no.cow
refused 1 "no padding" "padding of V4" \
	moo create -V 4 --padding=64K no.cow base
holds "padding of V3" moo create --padding=64K pad.cow base
moo info --output=json pad.cow >json
is "$(json json format-specific data data-offset)" 131072 "aligns the data"

# Every byte of a size counts, to the largest.
holds "a disk of 2^63 - 512 bytes" \
	moo create -V 4 --size=9223372036854775296 large.cow
moo info --output=json large.cow >json
is "$(json json virtual-size)" 9223372036854775296 "is as large as that"
rm large.cow
for n in 9223372036854775808 8E 9223372036854774785 18446744073709551616; do
	fails "$n bytes are refused" moo create -V 4 --size=$n large.cow
done
fails "of none of them there is a file" test -e large.cow
holds "a disk of its own" moo create --size=1.5M disk
is "$(size disk)" 1572864 "has its size"
refused 1 "disk: exists already" "a name that is taken" moo create disk base
is "$(size disk)" 1572864 "is left alone"
holds "-f replaces it" moo create -f disk base
moo info --output=json disk >json
is "$(json json format)" cow "by a layer"

refused 1 "base: .*made of it" "a parent over itself" moo create -f base base
refused 1 "base: .*made of it" "a base over its child" moo create -f base v4.cow
refused 1 "no-parent: " "a missing parent" moo create new.cow no-parent
fails "leaves no layer" test -e new.cow
: >empty
refused 1 "empty" "an empty parent" moo create new.cow empty
refused 1 "new.cow: .*--size" "neither parent nor size" moo create new.cow
refused 1 "new.cow: .*--size" "both" moo create --size 1M new.cow base
refused 1 "no/dir/new.cow" "a missing directory" moo create no/dir/new.cow base
ln -s dangling link
refused 1 "link: exists" "a dangling link is a name" moo create link base

# What begins like a COW is one, unless the administrator says otherwise.
cp base looks
put looks 0 4f4f4f4d00000009
refused 1 "looks" "a parent of an unknown version" moo create new.cow looks
holds "--raw takes it as data" moo create --raw raw.cow looks
moo merge --raw raw.cow out
holds "and remembers that" cmp looks out

for n in 0 1 2 5 x; do
	status=0
	moo create -V "$n" new.cow base >stdout 2>&1 || status=$?
	is "$status" 1 "-V $n is refused"
done
fails "and makes nothing" test -e new.cow
is "$(find . -name '.*' ! -name . | wc -l)" 0 "no temporary file is left"
finish
