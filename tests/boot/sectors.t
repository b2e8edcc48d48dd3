#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: flag B: the guest sees sectors of that size, can not write less, and makes
# file systems for it; the files keep it where they have a place for it, and what
# contradicts them is refused. And P of V3, with stock.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole mkfs.ext4 mkfs.xfs blockdev
need_moo
OURS=$UML

truncate -s 256M ext4.img
truncate -s 512M xfs.img
pattern raw.img BASE 8192
pattern odd.img BASE 8193
pattern plain.img BASE 8192

cat >share/look.sh <<'EOF'
# look DISK...: logical and physical size of a sector, by ioctl and in sysfs
look()
{
	for d; do
		echo "$d $(blockdev --getss /dev/$d)" \
			"$(blockdev --getpbsz /dev/$d)" \
			"$(cat /sys/block/$d/queue/logical_block_size)"
	done
}

# direct DISK BYTES: can so much be read and written at once?
direct()
{
	dd if=/dev/$1 of=/dev/null bs=$2 count=1 iflag=direct 2>/dev/null &&
		r=read || r=-
	dd if=/dev/zero of=/dev/$1 bs=$2 count=1 seek=8 oflag=direct \
		conv=notrunc 2>/dev/null && w=write || w=-
	echo "$1 $2 $r $w"
}
EOF

start one ubd0B4096V4=ext4.cow,ext4.img ubd1B4096V4=xfs.cow,xfs.img \
	ubd2B2048=raw.img ubd3B4096=odd.img ubd4B1000=plain.img \
	ubd5=plain.img <<'EOF'
. "$S/look.sh"
look ubda ubdb ubdc ubdf
for n in 512 2048 4096; do direct ubda $n; direct ubdc $n; done
disks
mkfs.ext4 -q /dev/ubda
mkfs.xfs -q -f /dev/ubdb
for d in a b; do
	mount /dev/ubd$d /mnt/$d
	dd if=/dev/urandom of=/mnt/$d/file bs=5000 count=700 2>/dev/null
	(cd /mnt/$d && sha256sum file) >"$S/sum.$d"
done
xfs_info /mnt/b | grep -o 'sectsz=[0-9]*' | sort -u
sync
point made
for d in a b; do
	dd if=/dev/urandom of=/mnt/$d/more bs=5000 count=70 2>/dev/null
	(cd /mnt/$d && sha256sum more) >>"$S/sum.$d"
	umount /mnt/$d
done
look ubda ubdb
EOF
await one made
like "$(mconsole one snapshot ubda=snap.cow)" "^OK " "a snapshot"
like "$(mconsole one snapshot ubdc=raw.cow)" "^OK " "of a raw disk"
go made
ended_well one "file systems were made and used"
out one >lines
is "$(sed -n 1,4p lines)" "ubda 4096 4096 4096
ubdb 4096 4096 4096
ubdc 2048 2048 2048
ubdf 512 512 512" "B: the size of a sector, by ioctl and in sysfs"
is "$(sed -n 5,10p lines)" "ubda 512 - -
ubdc 512 - -
ubda 2048 - -
ubdc 2048 read write
ubda 4096 read write
ubdc 4096 read write" "the guest can neither read nor write less"
is "$(sed -n 11p lines)" "ubda ubdb ubdc ubdf " "what makes no sense: no disk"
holds "a size that is no multiple" host_says one \
	"odd.img: its 4194816 bytes are no multiple of the sector size 4096"
holds "no power of two" host_says one "plain.img: a sector can not have 1000"
is "$(sed -n 12p lines)" "sectsz=4096" "mkfs.xfs takes it"
is "$(sed -n 13,14p lines)" "ubda 4096 4096 4096
ubdb 4096 4096 4096" "a snapshot leaves it alone"

size_of()
{
	moo info --output=json "$1" |
		sed -n 's/^ *"sector-size": \([0-9]*\).*/\1/p'
}
is "$(size_of ext4.cow) $(size_of snap.cow) $(size_of raw.cow)" \
	"4096 4096 2048" "the files keep it, the snapshot has the device's"

# The same line again; without the flag; with another one
cat >share/again.sh <<'EOF'
. "$S/look.sh"
look ubda ubdb
for d in a b; do
	mount /dev/ubd$d /mnt/$d
	(cd /mnt/$d && sha256sum --quiet -c "$S/sum.$d")
	umount /mnt/$d
done
EOF
boot two ubd0B4096V4=ext4.cow,ext4.img ubd1B4096V4=xfs.cow,xfs.img <<'EOF'
. "$S/again.sh"
EOF
ended_well two "the same line: all files are there"
is "$(out two)" "$(sed -n 13,14p lines)" "and the sectors have their size"
boot three ubd0=ext4.cow ubd1=xfs.cow ubd2=raw.img <<'EOF'
. "$S/again.sh"
look ubdc
EOF
ended_well three "without the flag, too"
is "$(out three)" "$(sed -n 13,14p lines)
ubdc 2048 2048 2048" "since the files say it"

start four ubd0=ext4.cow ubd1B512=xfs.cow ubd2B4096=raw.img <<'EOF'
disks
point here
EOF
await four here
is "$(out four)" "ubda " "a flag that contradicts a file: no disk"
holds "and the host is told" host_says four \
	"xfs.cow: its header says that sectors have 4096 bytes, not 512"
like "$(mconsole four config "ubd5B512V4=new.cow,xfs.cow")" \
	"ERR .*its parent $T/xfs.cow has sectors of 4096 bytes" \
	"nor can a layer over it have another"
like "$(mconsole four config "ubd5B4096=new.cow,odd.img")" \
	"ERR .*no multiple of the sector size" "nor one of an odd size"
fails "and no file is left" test -e new.cow
like "$(mconsole four unsnapshot ubda delete)" "ext4.cow is the top" "merged"
go here
ended_well four "the guest ended"
is "$(size_of ext4.cow)" 4096 "with the same size"

# Headers say it for raw images
moo create --header --sector-size=4096 head.moo plain.img
boot heads ubd0=head.moo <<'EOF'
. "$S/look.sh"
look ubda
EOF
is "$(out heads)" "ubda 4096 4096 4096" "a header of a raw image"
boot contrary ubd0B512=head.moo <<'EOF'
disks
EOF
is "$(out contrary)" "" "a flag that contradicts it: no disk"
holds "the header is named" host_says contrary "head.moo: its header says"

# V3: nothing of B is in the file; P is, and stock reads it
boot v3 ubd0B4096P65536V3=padded.cow,plain.img <<'EOF'
. "$S/look.sh"
look ubda
sect put /dev/ubda PADD 16 8
EOF
ended_well v3 "a V3 file with both flags"
is "$(out v3)" "ubda 4096 4096 4096" "B is the device's alone"
moo create --padding=64K twin.cow plain.img
is "$(od -A n -t u4 --endian=big -j 24 -N 4 padded.cow | tr -d ' ')" 65536 \
	"P is the file's alignment"
holds "as moo create --padding makes it" cmp -n 4128 padded.cow twin.cow
boot without ubd0=padded.cow <<'EOF'
. "$S/look.sh"
look ubda
EOF
is "$(out without)" "ubda 512 512 512" "without the flag B: 512"
if [ -x "$STOCK" ]; then
	UML=$STOCK
	boot stock ubd0=padded.cow <<'EOF'
sect map /dev/ubda 0 32
sect put /dev/ubda STCK 24 8
EOF
	UML=$OURS
	ended_well stock "stock takes the file"
	is "$(out stock)" "0+16=BASE 16+8=PADD 24+8=BASE" "and reads it"
	boot back ubd0=padded.cow <<'EOF'
sect map /dev/ubda 0 32
EOF
	is "$(out back)" "0+16=BASE 16+8=PADD 24+8=STCK" "and writes it"
else
	skip "$STOCK: no stock kernel here"
fi
finish
