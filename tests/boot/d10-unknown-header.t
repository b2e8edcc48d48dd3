#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D10: a COW file that is not understood is not a raw disk.
. "${0%/*}/lib.sh"

pattern base.img BASE 2048
cow version9.cow base="$T/base.img" own=1
printf '\0\0\0\011' | dd of=version9.cow bs=1 seek=4 conv=notrunc 2>/dev/null
cow cut.cow base="$T/base.img" length=512
printf OOOM >magic.cow
truncate -s 1M magic.cow
cat ./*.cow | cksum >before

boot guest ubd0=base.img ubd1=version9.cow ubd2=cut.cow ubd3=magic.cow <<'EOF'
disks
for d in b c d; do
	sect put "/dev/ubd$d" OVER 0 1 || :
done
EOF
ended_well guest "the guest came up"
is "$(out guest)" "ubda " "D10: none of them is a disk"
is "$(cat ./*.cow | cksum)" "$(cat before)" "D10: none of them was written"
for f in version9.cow cut.cow magic.cow; do
	holds "D10: the host is told of $f" host_says guest "$f"
done
finish
