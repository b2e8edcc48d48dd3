#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: file systems at work are frozen for a snapshot, so that what it froze
# mounts clean: ext4 on a whole disk, xfs, btrfs on a partition, one on two
# disks. With "crash" they are not.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole mkfs.ext4 mkfs.xfs mkfs.btrfs dumpe2fs e2fsck xfs_repair btrfs
need_moo
BOOT_MEM=320M

truncate -s 64M ext4.img
truncate -s 320M xfs.img
truncate -s 160M part.img
truncate -s 128M one.img two.img ro.img
mkfs.ext4 -q -F ext4.img
mkfs.ext4 -q -F ro.img
mkfs.xfs -q xfs.img
# One partition, from sector 2048 to the end
{
	printf '\0\0\0\0\203\0\0\0\0\010\0\0\0\370\004\0'
	printf '%048d' 0 | tr 0 '\0'
	printf '\125\252'
} | dd of=part.img bs=1 seek=446 conv=notrunc status=none

start guest ubd0=ext4.img ubd1=xfs.img ubd2=part.img ubd3=one.img \
	ubd4=two.img ubd5=ro.img <<'EOF'
mkfs.btrfs -q /dev/ubdc1
mkfs.btrfs -q -d single -m raid1 /dev/ubdd /dev/ubde
mkdir /mnt/c /mnt/d /mnt/e
mount -t ext4 /dev/ubda /mnt/a
mount -t xfs /dev/ubdb /mnt/b
mount -t btrfs /dev/ubdc1 /mnt/c
mount -t btrfs /dev/ubdd /mnt/d
mount -t ext4 -o ro /dev/ubdf /mnt/e
for m in a b c d; do
	while [ ! -e "$S/go.stop" ]; do
		for i in 1 2 3 4 5 6 7 8; do
			date >"/mnt/$m/f$i" && rm -f "/mnt/$m/f$((9 - i))"
		done
		dd if=/dev/urandom of="/mnt/$m/data" bs=64k count=4 2>/dev/null
		: >"$S/alive.$m"
	done &
done
point work
wait
for m in a b c d e; do
	umount "/mnt/$m"
done
EOF
await guest work
go work

held="writes held [0-9]+\.[0-9]{2} ms, swapped in [0-9]+\.[0-9]{2} ms"

# works: each file system is written to
works()
{
	rm -f share/alive.*
	until_true 30 test -e share/alive.a -a -e share/alive.b \
		-a -e share/alive.c -a -e share/alive.d
}

# frozen FILE: as an image
frozen()
{
	rm -f frozen.img
	moo merge "$1" frozen.img >/dev/null
}

ext4_is_clean()
{
	! dumpe2fs -h frozen.img 2>/dev/null | grep -q needs_recovery &&
		e2fsck -fn frozen.img >fsck.log 2>&1
}

btrfs_is_clean()
{
	btrfs inspect-internal dump-super "$1" |
		grep -Eq '^log_root[[:space:]]+0$' &&
		btrfs check --readonly "$1" >fsck.log 2>&1
}

btrfs_part_is_clean()
{
	dd if=frozen.img of=part1.img bs=1M skip=1 status=none
	btrfs_is_clean part1.img
}

holds "all of them are written to" works
text=$(mconsole guest snapshot "ubda=a1.cow ubdb=b1.cow" \
	"ubdc=c1.cow ubdd=d1.cow ubde=e1.cow ubdf=f1.cow" | tr '\n' '/')
like "$text" "^OK ubda: $T/a1.cow on $T/ext4.img, $held/.*/\
ubdf: $T/f1.cow on $T/ro.img, $held/$" "a snapshot of all of them"
holds "and they work again" works
text=$(mconsole guest snapshot "ubda=a2.cow ubdb=b2.cow crash" | tr '\n' '/')
like "$text" "^OK ubda: $T/a2.cow on .*, paused [0-9.]+ ms/" \
	"one without a freeze"
like "$(mconsole guest snapshot ubdd=d2.cow)" "$held" \
	"of one of the two disks of a file system"
like "$(mconsole guest snapshot ubde=e2.cow)" "$held" "of the other one"
mconsole guest snapshot ubdd=d3.cow >both.d &
other=$!
mconsole guest snapshot ubde=e3.cow >both.e || :
wait "$other" || :
is "$(cat both.d both.e | grep -Ec "$held")" 2 "of both at the same time, apart"
like "$(mconsole guest snapshot ubdf=f2.cow)" "paused" \
	"a read-only file system is not frozen"
holds "and all of them work again" works

n=3
while [ $n -le 12 ]; do
	mconsole guest snapshot "ubda=a$n.cow ubdb=b$n.cow ubdc=c$n.cow" \
		>>answers || : >refused
	n=$((n + 1))
done
fails "ten more under load: none is refused" test -e refused
diag "$(sed -n 's/.*a\([0-9]*\).cow on.*,\(.*\),.*/\1\2/p' answers | head -n 3)"
go stop
ended_well guest "the guest ended well"

holds "ext4" frozen ext4.img
holds "is clean, without its journal" ext4_is_clean
holds "ext4, with crash" frozen a1.cow
fails "is not" ext4_is_clean
for n in 5 9 11; do
	holds "ext4, snapshot $n" frozen "a$n.cow"
	holds "is clean, too" ext4_is_clean
done
holds "btrfs on a partition" frozen part.img
holds "is clean, without a log" btrfs_part_is_clean
for n in 5 9 11; do
	holds "the same, snapshot $n" frozen "c$n.cow"
	holds "is clean, too" btrfs_part_is_clean
done
# A frozen xfs leaves its superblock's counters in the log, and nothing else: what
# mounts it reads those there. Without its log it can be read, too.
moo merge b9.cow b9.img >/dev/null
boot after ubd0r=one.img ubd1r=two.img ubd3r=b9.img <<'EOF'
btrfs device scan /dev/ubda /dev/ubdb >/dev/null
btrfs check --readonly /dev/ubda >/dev/null 2>&1 && echo btrfs is right
mount -t xfs -o ro,norecovery /dev/ubdd /mnt/a
cat /mnt/a/* >/dev/null && echo xfs can be read
umount /mnt/a
xfs_repair -n /dev/ubdd 2>&1 | grep -E '^(sb_|bad|would|[a-z]* unlinked)' |
	grep -v '^sb_fdblocks' || echo xfs is right but for its counters
EOF
is "$(out after)" "btrfs is right
xfs can be read
xfs is right but for its counters" \
	"so are the two disks of a btrfs, and xfs, whose log has its counters"
finish
