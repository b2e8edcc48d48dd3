#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: files on a file system that has no holes, no links, no rights, no extended
# attributes and no lasting inode numbers: FAT, or exFAT in user space where the
# host has no FAT. What is there works, and what can not be is refused in one
# line.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo
[ "$(id -u)" -eq 0 ] || skip_all "only root can mount"

mkdir fat
truncate -s 192M fat.image

# fat_up: mount it (again): the inode numbers are others then
fat_up()
{
	case $kind in
	vfat) mount -t vfat -o loop fat.image fat 2>mount.log ;;
	exfat) mount.exfat-fuse "$loop" fat >mount.log 2>&1 ;;
	esac
}

fat_down()
{
	umount "$T/fat" 2>/dev/null || umount -l "$T/fat" 2>/dev/null || :
}

fat_end()
{
	fat_down
	[ -z "${loop:-}" ] || losetup -d "$loop"
}
boot_on_exit=fat_end

kind=vfat
loop=
if ! { command -v mkfs.vfat >/dev/null && mkfs.vfat fat.image >/dev/null &&
	fat_up; }; then
	kind=exfat
	need mkfs.exfat mount.exfat-fuse losetup
	mkfs.exfat fat.image >/dev/null
	loop=$(losetup -f --show fat.image) || skip_all "no loop device here"
	fat_up || skip_all "neither FAT nor exFAT can be mounted here"
fi
diag "$kind"

# whole FILE: it has room for all of its bytes
whole()
{
	test $(($(stat -c '%b * 512' "$1"))) -ge "$(stat -c %s "$1")"
}

shorter()
{
	test "$(stat -c %s "$1")" -lt "$2"
}

truncate -s 1M fat/hole
holds "the file system has no holes" whole fat/hole
pattern base.img BASE 131072
pattern raw.img RAWW 16384
pattern raw3.img RAWW 16384
pattern fat/raw.img FATT 4096
cp raw.img twin.img

# On FAT: a V4 file, a V3 one, a raw one; elsewhere disks that get a snapshot
start one ubd0V4=fat/v4.cow,base.img ubd1V3=fat/v3.cow,raw.img \
	ubd2=fat/raw.img ubd3=twin.img ubd4=raw3.img <<'EOF'
for d in a b c d e; do sect put /dev/ubd$d AAAA 8 8; done
sect put /dev/ubda AAAA 65537 5
sect put /dev/ubda AAAA 131000 72
for d in a b c d e; do sect flush /dev/ubd$d; done
point a
for d in a b c d e; do sect put /dev/ubd$d BBBB 12 8; done
sect trim /dev/ubdb 100 50
sect trim /dev/ubdc 100 50
EOF
await one a
holds "V4's size follows the data" shorter fat/v4.cow 200000
holds "and it needs no holes" whole fat/v4.cow
holds "V3 is as large as the disk" whole fat/v3.cow
# refused WORDS: a snapshot, in one line; and no file
refused()
{
	text=$(mconsole one snapshot "$1") || :
	is "$(printf '%s\n' "$text" | sed '/^$/d' | wc -l)" 1 \
		"$1: a top on FAT is not frozen: one line"
	like "$text" "^ERR .*/fat/.*numbers its files anew.*keep the disk on" \
		"$1: which says why"
	fails "$1: no file" test -e "$T/new.cow"
}
refused "ubda=$T/new.cow"
refused "ubdb=$T/new.cow"
refused "ubdc=$T/new.cow V3"
like "$(mconsole one snapshot "ubdd=$T/fat/snap4.cow")" "^OK " "V4 onto FAT"
like "$(mconsole one snapshot "ubde=$T/fat/snap3.cow V3")" "^OK " "V3 onto FAT"
holds "whose state has a file of its own" test -e fat/snap3.cow.moo
fails "which V4 needs not" test -e fat/snap4.cow.moo
like "$(mconsole one snapshot "ubdd=$T/new.cow")" "^ERR .*numbers its files" \
	"on top of these there is none"
go a
ended_well one "the guest ended"
quietly()
{
	"$@" >quiet.log 2>&1
}
sum()
{
	(cd fat && cksum ./*.cow ./*.img)
}
sum >sums
fat_down
fat_up
is "$(sum)" "$(cat sums)" "all of it is there when it is mounted again"
is "$(find fat -name '.*' ! -name . | wc -l)" 0 "no temporary file is left"
for cow in v4 v3 snap4 snap3; do
	holds "moo check $cow.cow" quietly moo check fat/$cow.cow
done

forget_points
start two ubd0V4=fat/v4.cow,base.img ubd1V3=fat/v3.cow,raw.img \
	ubd2=fat/raw.img ubd3=twin.img ubd4=raw3.img <<'EOF'
sect map /dev/ubda 0 131072 512
for d in b c d e; do sect map /dev/ubd$d 0 24; done
for d in d e; do sect put /dev/ubd$d CCCC 16 8; done
point here
for d in d e; do sect map /dev/ubd$d 0 24; done
EOF
await two here
is "$(out two | sed -n 1p)" "0+8=BASE 8+4=AAAA 12+8=BBBB 20+65517=BASE \
65537+5=AAAA 65542+65458=BASE 131000+72=AAAA" "the V4 file has its data"
is "$(out two | sed -n 2,5p)" "0+8=RAWW 8+4=AAAA 12+8=BBBB 20+4=RAWW
0+8=FATT 8+4=AAAA 12+8=BBBB 20+4=FATT
0+8=RAWW 8+4=AAAA 12+8=BBBB 20+4=RAWW
0+8=RAWW 8+4=AAAA 12+8=BBBB 20+4=RAWW" \
	"so has all else, and the old names lead to the snapshots"
for d in d e; do
	like "$(mconsole two unsnapshot ubd$d delete)" "is the top again" \
		"ubd$d: it comes back from FAT"
done
like "$(mconsole two unsnapshot ubda force)" "base.img is the top again" \
	"and so does the V4 file"
go here
ended_well two "the guest ended"
is "$(out two | sed -n 6,7p)" "0+8=RAWW 8+4=AAAA 12+4=BBBB 16+8=CCCC
0+8=RAWW 8+4=AAAA 12+4=BBBB 16+8=CCCC" "with all data"
fails "nothing is left of the snapshots" sh -c 'ls fat/snap* 2>/dev/null'
holds "an emptied V4 file is short" shorter fat/v4.cow 40000

# moo makes files there, too
holds "moo create" moo create -V 4 fat/made.cow twin.img
fails "replaces nothing" quietly moo create fat/made.cow twin.img
holds "but with -f" moo create -f fat/made.cow twin.img
holds "moo merge" moo merge fat/made.cow fat/out.img
holds "the same bytes" cmp fat/out.img twin.img
is "$(find fat -name '.*' ! -name . | wc -l)" 0 "no temporary file is left"
finish
