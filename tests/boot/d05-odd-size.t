#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D5: behind the end of a file that does not fill its last sector are zeros.
. "${0%/*}/lib.sh"

pattern odd.img TAIL 1954
truncate -s 1000100 odd.img
cp odd.img base.img
dd if=odd.img of=wanted bs=512 skip=1952 2>/dev/null
truncate -s 1024 wanted

boot guest ubd0=odd.img ubd1=delta.cow,base.img <<'EOF'
for d in a b; do
	dd if=/dev/ubd$d of="$S/tail.$d" bs=1024 skip=976 iflag=direct
done
sect info /dev/ubda
EOF
ended_well guest "the guest read to the end"
like "$(out guest)" "^bytes=1000448 " "the disk has a whole last sector"
holds "D5: the tail of a raw disk" cmp wanted share/tail.a
holds "D5: the tail of a base under a COW file" cmp wanted share/tail.b
finish
