#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D12: no file is written by two disks, and no chain goes round in a circle.
. "${0%/*}/lib.sh"
need uml_mconsole

pattern a.img AAAA 2048
pattern b.img BBBB 2048
pattern base.img BASE 2048
# Its own base, and size and time are as they should be.
cow self.cow base="$T/self.cow" size=1048576 mtime=1000000000 length=1048576
touch -d @1000000000 self.cow

boot twice ubd0=a.img ubd1=a.img ubd2=d1.cow,base.img ubd3=d2.cow,base.img \
	ubd4=self.cow <<'EOF'
disks | tr ' ' '\n'
EOF
ended_well twice "the guest came up"
holds "the first disk is there" grep -q ubda share/twice.out
fails "D12: the second disk on the same file is not" grep -q ubdb share/twice.out
is "$(grep -c 'ubd[cd]' share/twice.out)" 2 "two COW files share one base"
fails "D12: A on A is refused" grep -q ubde share/twice.out
for f in a.img self.cow; do
	holds "D12: the host is told of $f" host_says twice "$f"
done

start first ubd0=a.img <<'EOF'
# Stock 6.1 holds the lock of a disk only while the disk is open.
exec 3</dev/ubda
point up
! sect info /dev/ubdb >/dev/null 2>&1 || :
point closed
EOF
await first up
boot second ubd0=a.img <<'EOF'
disks
EOF
fails "another machine can not have it" grep -q ubda share/second.out
answer=$(mconsole first config "ubdb=$T/a.img") || :
like "$answer" "^ERR" "D12: nor a second disk by mconsole"
go up
await first closed
mconsole first remove ubdb >/dev/null || :
boot third ubd0=a.img <<'EOF'
disks
EOF
fails "D12: the lock is still held after that" grep -q ubda share/third.out
go closed
ended_well first "the first machine ended"
finish
