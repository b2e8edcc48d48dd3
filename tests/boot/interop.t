#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: stock's kernel and tools and ours read what the other has written, as
# V3 on a raw base.
. "${0%/*}/lib.sh"
ours_only
need uml_moo uml_mkcow
need_moo
[ -x "$STOCK" ] || skip_all "$STOCK: no stock kernel here"
OURS=$UML

pattern base.img BASE 4096
look="sect map /dev/ubda 0 4096 1"

boot made ubd0=delta.cow,base.img <<EOF
sect put /dev/ubda OURS 10 3
sect put /dev/ubda OURS 1000 64
sect put /dev/ubda OURS 4090 6
$look
EOF
ended_well made "ours makes a COW file"
is "$(od -A n -t x1 -N 8 delta.cow | tr -d ' ')" 4f4f4f4d00000003 \
	"of version 3"

UML=$STOCK
boot read ubd0=delta.cow <<EOF
$look
sect put /dev/ubda STCK 20 5
sect put /dev/ubda STCK 1010 5
$look
EOF
ended_well read "stock boots on it"
is "$(out read | sed -n 1p)" "$(out made)" "stock reads what ours wrote"

UML=$OURS
boot back ubd0=delta.cow,base.img <<EOF
$look
EOF
ended_well back "ours boots on it again"
is "$(out back)" "$(out read | sed -n 2p)" "ours reads what stock wrote"

holds "uml_moo merges it" uml_moo delta.cow theirs.img
holds "moo merges it" moo merge delta.cow ours.img
holds "to the same bytes" cmp theirs.img ours.img
is "$("$SECT" map ours.img 0 4096 1)" "$(out back)" \
	"which are what the guest saw"

uml_mkcow tool.cow base.img >/dev/null
boot tool ubd0=tool.cow ubd1=stock.cow,base.img <<EOF
sect put /dev/ubda TOOL 7 9
$look
EOF
ended_well tool "a file of uml_mkcow is taken"
is "$(out tool)" "0+7=BASE 7+9=TOOL 16+4080=BASE" "and written"
UML=$STOCK
boot tool2 ubd0=tool.cow <<EOF
$look
EOF
is "$(out tool2)" "$(out tool)" "and stock reads that"
cp -a delta.cow inplace.cow
cp -a base.img inplace.img
holds "uml_moo -d merges in place what ours wrote" \
	uml_moo -d -b inplace.img inplace.cow
is "$("$SECT" map inplace.img 0 4096 1)" "$(out back)" "with the same result"

# V4 is none of stock's: refused under a second name; alone it is a raw disk, which
# is why it must not be named so (ubd.rst, "Stock kernels and V4").
moo create -V 4 four.cow base.img
sums=$(cksum four.cow base.img)
boot pair ubd0=four.cow,base.img <<'EOF'
disks
EOF
is "$(out pair)" "" "stock refuses V4 with its parent's name"
boot bare ubd0r=four.cow <<'EOF'
dd if=/dev/ubda bs=8 count=1 2>/dev/null | od -A n -t x1 | tr -d ' '
EOF
is "$(out bare)" 4f4f4f4d00000004 "alone it is taken for a raw disk"
is "$(cksum four.cow base.img)" "$sums" "neither of which has written"
finish
