#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: what the flags in upper case on a ubd argument do, seen from inside the
# guest or on the host's files; and that a flag that makes no sense leaves the
# device unconfigured.
. "${0%/*}/lib.sh"
ours_only
need_strace
need_moo

pattern a.img AAAA 40320
pattern b.img BBBB 40320
pattern base.img BASE 40320
ln -s base.img link.img
cow fake.cow base="$T/base.img"

# Geometry: of the arguments, and of the file that they made
boot geometry ubd0C5H128S63V4=delta.cow,base.img ubd1H16S63=a.img \
	ubd2R=b.img ubd3V0=fake.cow ubd4LV4=keep.cow,link.img \
	ubd5LV3=keep3.cow,"$T/link.img" ubd6V4=resolved.cow,link.img \
	ubd7P65536=padded.cow,base.img <<'EOF'
for d in a b c; do sect info /dev/ubd$d; done
sect map /dev/ubdd 0 1
EOF
ended_well geometry "the guest ended"
out geometry >lines
like "$(sed -n 1p lines)" "heads=128 sectors=63 cylinders=5" "C, H and S"
like "$(sed -n 2p lines)" "heads=16 sectors=63 cylinders=40" \
	"without C the cylinders follow from the size"
like "$(sed -n 3p lines)" " ro=1 " "R: read-only"
is "$(sed -n 4p lines)" "0+1=junk" "V0: a COW file as a raw disk"

parent_of()
{
	moo info --output=json "$1" | sed -n 's/^ *"backing-filename": "\(.*\)".*/\1/p'
}

is "$(parent_of keep.cow)" "$T/link.img" "L: the link's name is stored, V4"
is "$(parent_of keep3.cow)" "$T/link.img" "and V3"
is "$(parent_of resolved.cow)" "$T/base.img" "without L the file's"
like "$(moo info --output=json padded.cow)" '"data-offset": 131072' \
	"P: the V3 file is aligned to it"

moo create --header --geometry=40/16/63 head.moo a.img
moo create --flat --geometry=16/4/32 --size=1M flat.moo
boot kept ubd0=delta.cow ubd1C3H2S1=keep.cow ubd2=head.moo ubd3=flat.moo <<'EOF'
sect info /dev/ubda
sect info /dev/ubdb
sect info /dev/ubdc
sect map /dev/ubdc 0 16 16
sect put /dev/ubdd FLAT 8 8
sect info /dev/ubdd
EOF
like "$(out kept | sed -n 1p)" "heads=128 sectors=63 cylinders=5" \
	"the V4 file has kept its geometry"
like "$(out kept | sed -n 2p)" "heads=2 sectors=1 cylinders=3" \
	"the arguments come first"
like "$(out kept | sed -n 3p)" "heads=16 sectors=63 cylinders=40" \
	"the header of a raw image gives it a geometry"
is "$(out kept | sed -n 4p)" "0+16=AAAA" "the image is the disk"
like "$(out kept | sed -n 5p)" "heads=4 sectors=32 cylinders=16" \
	"so does that of a flat disk"
moo convert -V 0 flat.moo flat.img
is "$("$SECT" map flat.img 0 16 16)" "0+8=zero 8+8=FLAT" "with its data in place"

# S: the host's disk has it before the guest hears of it
io_on_threads
start durable ubd0S=a.img ubd1=b.img <<'EOF'
point up
sect put /dev/ubda SSSS 8 8
sect put /dev/ubdb SSSS 8 8
point written
EOF
await durable up
trace durable syncs -y -e trace="$SYNCS"
go up
await durable written
untrace
go written
ended_well durable "the guest wrote"
holds "S: a write is synced before it is answered" grep -q '/a.img>' syncs
fails "without S nobody has asked for that" grep -q '/b.img>' syncs

# What makes no sense
bad='C H M0 P P0 P1048577 S0 H256 C65536 C5C6 V3V4 V5 V MaM1 B4097 Sx'
set --
unit=1
for flag in $bad; do
	set -- "$@" "ubd${unit}$flag=b.img"
	unit=$((unit + 1))
done
boot wrong ubd0=a.img "$@" ubd14C400H255S63=base.img <<'EOF'
disks
dmesg | grep -c 'ubd: expected'
EOF
ended_well wrong "the guest starts without them"
is "$(out wrong | sed -n 1p)" "ubda " "flags that make no sense: no disk"
is "$(out wrong | sed -n 2p)" 16 "each is told in the guest's log"
holds "a geometry beyond the disk is told to the host" host_says wrong \
	"400 cylinders of 255 heads and 63 sectors are more than the 40320 sectors"

start hot <<'EOF'
point ready
disks
sect info /dev/ubda
EOF
await hot ready
# M: what is set aside for the index of a disk
set_aside()
{
	before=$(mapped)
	mconsole hot config "ubd2$1=delta.cow" >/dev/null
	echo $(($(mapped) - before))
	mconsole hot remove ubd2 >/dev/null
}
mapped()
{
	sed -n 's/^VmSize:[[:space:]]*\([0-9]*\) kB/\1/p' \
		"/proc/$(guest_pid hot)/status"
}
one=$(set_aside M1)
much=$(set_aside M512)
diag "M1: $one KiB, M512: $much KiB"
holds "M512 sets 508 MiB and more aside beyond M1" \
	test $((much - one)) -ge $((508 * 1024))
holds "but not more than 511" test $((much - one)) -le $((511 * 1024))
# Ma: what all of it may need, if that is not too much
all=$(set_aside Ma)
diag "Ma: $all KiB"
holds "Ma sets less aside than M512, for a small disk" test "$all" -le "$one"
truncate -s 64G huge.img
moo create -V 4 huge.cow huge.img
like "$(mconsole hot config ubd2Ma=huge.cow)" \
	"ERR .*huge.cow: all of its index may need 2[78][0-9] MiB of memory, and at most 4[0-9] are" \
	"Ma: what needs more than a quarter of the guest's memory is refused"
like "$(mconsole hot config ubd2M4=huge.cow)" "^OK" "with a bound it is not"
like "$(mconsole hot remove ubd2)" "^OK" "nothing sticks"
like "$(mconsole hot config ubd0C5C6=a.img)" "ERR expected" "refused by config too"
like "$(mconsole hot config ubd1P1000=new.cow,b.img)" \
	"ERR .*multiple of 512" "P: 1000 bytes are no padding"
like "$(mconsole hot config ubd1P65536V4=new.cow,b.img)" \
	"ERR .*V4 layer has no padding" "P: nor has V4 one"
fails "P: and no file is left" test -e new.cow
like "$(mconsole hot config ubd0=a.img)" "^OK" "of which nothing sticks"
go ready
ended_well hot "the guest ended"
like "$(out hot | sed -n 2p)" "heads=128 sectors=32 cylinders=9" \
	"the geometry is the usual one"

# Each is told of where people look
"$UML" --help >help 2>&1
for flag in R S W c d t A V3 L 'C<n>' 'H<n>' 'S<n>' 'M<n>' Ma 'P<n>' 'B<n>'; do
	holds "--help says what $flag is" grep -qE "^ {6}([^ ]+, )*${flag}[ ,]" help
	holds "and so does ubd.rst" \
		grep -qF "\`\`$flag\`\`" "$boot_top/Documentation/ubd.rst"
done
finish
