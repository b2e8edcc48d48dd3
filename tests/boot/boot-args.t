#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: the boot line and mconsole's config, as stock has them; and what this
# driver adds. On a stock kernel the second part is left out.
. "${0%/*}/lib.sh"
need uml_mconsole

for f in A B C D F G P; do
	pattern "$f.img" "$f" 2048
done
pattern base.img BASE 2048
truncate -s 4M part.img
# A table with two partitions of type 83: 2048+2048 and 4096+4096.
perl -e 'print "\0" x 446, map({ pack("x4 C x3 VV", 131, @$_) }
	[2048, 2048], [4096, 4096]), "\0" x 32, "\x55\xaa"' |
	"$SECT" raw part.img 0
"$SECT" put part.img PART 2048 2048
cow old.cow base="$T/base.img" own=3
cp old.cow plain.cow

start guest ubd=sync ubd0=A.img ubdb=B.img ubd2r=C.img ubd3=D.img,,SERIAL \
	ubde=e.cow,base.img,COWSER ubd5:x=F.img ubd5sct=F.img ubd6d=plain.cow \
	ubd7=old.cow ubd8=h.cow:base.img ubd9=part.img ubd15=P.img \
	ubd16=A.img ubd=3 <<'EOF'
disks
for d in a b c d f p; do
	sect map /dev/ubd$d 0 2048
done
echo --
sect info /dev/ubda
sect info /dev/ubdc
echo $(cat /sys/block/ubdd/serial)
echo $(cat /sys/block/ubde/serial)
sect map /dev/ubdg 0 1
sect map /dev/ubdh 0 8 1
cat /sys/block/ubdf/queue/discard_max_bytes
[ "$(cat /sys/block/ubda/queue/discard_max_bytes)" -gt 0 ] && echo discard
cat /sys/block/ubdj/ubdj1/size /sys/block/ubdj/ubdj2/size
sect map /dev/ubdj1 0 2048
exec 3</dev/ubda
cat /proc/devices | grep ubd
point up
sect map /dev/ubdk 0 4
exec 3<&-
point closed
disks
EOF
await guest up
out guest >lines
is "$(sed -n 1p lines)" \
	"ubda ubdb ubdc ubdd ubde ubdf ubdg ubdh ubdi ubdj ubdp " \
	"numbers and letters from 0 to 15"
is "$(sed -n 2,7p lines | tr '\n' ' ')" \
	"0+2048=A 0+2048=B 0+2048=C 0+2048=D 0+2048=F 0+2048=P " \
	"each on its own file"
sed -n '/^--$/,$p' lines >rest
is "$(sed -n 2p rest)" "bytes=1048576 ro=0 heads=128 sectors=32 cylinders=0" \
	"size and geometry"
like "$(sed -n 3p rest)" " ro=1 " "flag r"
is "$(sed -n 4,5p rest | tr '\n' ' ')" "SERIAL COWSER " "serial numbers"
is "$(sed -n 6p rest)" "0+1=junk" "flag d: a COW file as a raw disk"
is "$(sed -n 7p rest)" "0+3=BASE 3+1=CCCC 4+4=BASE" "a COW file by one name"
is "$(sed -n 8p rest)" 0 "flag t: no discard"
is "$(sed -n 9p rest)" discard "without it there is"
is "$(sed -n 10,11p rest | tr '\n' ' ')" "2048 4096 " "partitions"
like "$(sed -n 12p rest)" "^0\+2048=PART@\+2048" "and what is in them"
like "$(sed -n 13p rest)" "^ *98 ubd$" "the major number"
holds "a fresh COW file by ':'" test -s h.cow

is "$(mconsole guest config ubda)" "OK A.img" "config shows a file"
like "$(mconsole guest config ubde)" "^OK e.cow,($T/)?base.img$" "or two"
is "$(mconsole guest config ubdk)" "OK " "or none"
like "$(mconsole guest config "ubdk=$T/G.img")" "^OK" "config adds a disk"
is "$(mconsole guest config ubdk)" "OK $T/G.img" "and shows it"
like "$(mconsole guest config "ubdk=$T/F.img")" "^ERR" "but not twice"
like "$(mconsole guest config ubdb)" "^OK B.img" "nor is another changed"
like "$(mconsole guest remove ubda)" "^ERR" "an open disk is not removed"
go up
await guest closed
like "$(mconsole guest remove ubdk)" "^OK" "remove removes a disk"
is "$(mconsole guest config ubdk)" "OK " "and config shows none"
go closed
ended_well guest "the guest ended well"
is "$(out guest | tail -n 2 | head -n 1)" "0+4=G" "the added disk was there"
is "$(out guest | tail -n 1)" \
	"ubda ubdb ubdc ubdd ubde ubdf ubdg ubdh ubdi ubdj ubdp " \
	"and is gone when removed"
like "$(cat guest.console guest.host)" "expected a device|out of range" \
	"a device number out of range is told"

! is_stock || finish

boot own ubd0V3=v3.cow,base.img ubd1V4=v4.cow,base.img \
	ubd2=stack.cow,old.cow ubd3V3=no.cow,old.cow ubd4=stack4.cow,v5.cow \
	<<'EOF'
disks
sect put /dev/ubda AAAA 1 1
sect put /dev/ubdb BBBB 1 1
sect put /dev/ubdc CCCC 1 1
sect map /dev/ubda 0 8
sect map /dev/ubdb 0 8
sect map /dev/ubdc 0 8
EOF
ended_well own "a boot with formats chosen"
out own >lines
is "$(sed -n 1p lines)" "ubda ubdb ubdc " \
	"no V3 on a COW file, and nothing on a file that is missing"
version()
{
	od -A n -t u1 -j 7 -N 1 "$1" | tr -d ' '
}
is "$(version v3.cow) $(version v4.cow) $(version stack.cow)" "3 4 4" \
	"the flags V3 and V4, and V4 on a COW file by itself"
is "$(sed -n 2p lines)" "0+1=BASE 1+1=AAAA 2+6=BASE" "V3 holds data"
is "$(sed -n 3p lines)" "0+1=BASE 1+1=BBBB 2+6=BASE" "V4 holds data"
is "$(sed -n 4p lines)" "0+1=BASE 1+1=CCCC 2+1=BASE 3+1=CCCC 4+4=BASE" \
	"a stack of two holds both"
for f in no.cow stack4.cow v5.cow; do
	fails "$f, which was refused, is not created" test -e "$f"
done

boot again ubd0=v4.cow ubd1=stack.cow,old.cow <<'EOF'
sect map /dev/ubda 0 8
sect map /dev/ubdb 0 8
EOF
ended_well again "a second boot, V4 by one name and a stack by two"
is "$(out again)" "$(sed -n 3,4p lines)" "finds the same"
finish
