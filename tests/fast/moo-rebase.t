#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo rebase and moo adopt: the layer reads as before over another parent, what
# was asked for over a changed one, and whatever stops the work on its way.
set -eu
. "${0%/*}/lib.sh"

# owned FILE
owned()
{
	moo info --output=json "$1" >said
	json said format-specific data owned
}

# parent FILE
parent()
{
	moo info --output=json "$1" >said
	json said backing-filename
}

# layer VERSION: d.cow over base, which reads as img
layer()
{
	rm -f d.cow img
	if [ "$1" -lt 3 ]; then
		cowhdr d.cow "base=$PWD/base" "version=$1" own=10,11,12,13,55
		moo merge d.cow img
		return
	fi
	cp base img
	fill img 10 4 A
	fill img 55 1 A
	moo convert -V "$1" -b base img d.cow
}

# reads FILE IMAGE: called by name
# shellcheck disable=SC2317
reads()
{
	moo merge -f "$1" out 2>why || return 1
	cmp -s out "$2"
}

# Sector 11 is owned anyway, 50 to 59 but for 55 and 500 have to be copied; 600
# holds data in one parent and zeros in the other.
noise base 1048576
cp base new
fill new 11 1 N
fill new 50 10 N
fill new 500 1 M
dd if=/dev/zero of=new bs=512 seek=600 count=1 conv=notrunc 2>/dev/null
cp base zeros
dd if=/dev/zero of=zeros bs=512 seek=10 count=1000 conv=notrunc 2>/dev/null
for v in 1 2 3 4; do
	layer $v
	cp d.cow kept.cow
	holds "V$v: rebases" moo rebase -b new d.cow
	is "$(parent d.cow)" "$PWD/new" "V$v: has the new parent"
	holds "V$v: reads the same" reads d.cow img
	is "$(owned d.cow)" $(((5 + 9 + 2) * 512)) "V$v: owns what differed"
	moo check d.cow >checked && status=0 || status=$?
	is "$status" 0 "V$v: is sound"
	holds "V$v: to zeros" moo rebase -b zeros d.cow
	holds "V$v: and reads the same" reads d.cow img

	cp kept.cow d.cow
	mv base moved
	fails "V$v: a parent that was moved" reads d.cow img
	holds "V$v: -u" moo rebase -u -b moved d.cow
	holds "V$v: reads the same there" reads d.cow img
	is "$(owned d.cow)" 2560 "V$v: and owns no more"
	mv moved base

	cp -p base kept
	fill base 700 1 T
	fails "V$v: a parent that was written" reads d.cow img
	cp kept.cow d.cow
	holds "V$v: is adopted" moo adopt d.cow
	cp img img2
	fill img2 700 1 T
	holds "V$v: and shines through" reads d.cow img2
	cp d.cow again.cow
	holds "V$v: once more" moo adopt d.cow
	holds "V$v: changes nothing" cmp d.cow again.cow
	mv kept base
done

# A raw parent's time counts to the nanosecond, where the layer has room for that.
cp base early
for v in 3 4; do
	touch -d '2003-03-03 00:00:00.5' early
	moo create -V $v -f early.cow early
	holds "V$v: over a base of a certain time" reads early.cow early
	touch -d '2003-03-03 00:00:00.500000001' early
	case $v in
	3) holds "V3: a nanosecond later it is the same" reads early.cow early ;;
	4) fails "V4: a nanosecond later it is another" reads early.cow early ;;
	esac
	touch -d '2003-03-03 00:00:01.5' early
	fails "V$v: a second later it is another" reads early.cow early
	touch -d '2003-03-03 00:00:00.5' early
	holds "V$v: with the old time it is itself" reads early.cow early
	truncate -s +4096 early
	touch -d '2003-03-03 00:00:00.5' early
	fails "V$v: a larger one is another" reads early.cow early
	truncate -s -4096 early
done

# Zeros of the old parent over data of the new one.
truncate -s 1M hole
moo create -V 4 -f e.cow hole
holds "an empty layer over other data" moo rebase -b new e.cow
holds "reads as zeros" reads e.cow hole

# A chain: onto what is below the parent, and onto a sibling of it.
layer 4
cp img img2
fill img2 12 2 B
fill img2 900 4 B
moo convert -V 4 -b d.cow img2 top.cow
cp top.cow kept.cow
holds "onto an ancestor" moo rebase -b base top.cow
holds "reads the same" reads top.cow img2
is "$(owned top.cow)" $((9 * 512)) "owns both layers' sectors"
moo convert -V 3 -b base new side.cow
cp kept.cow top.cow
holds "onto a sibling" moo rebase -b side.cow top.cow
holds "reads the same there" reads top.cow img2
is "$(parent top.cow)" "$PWD/side.cow" "which is its parent"
holds "back again" moo rebase -b d.cow top.cow
holds "reads the same again" reads top.cow img2
moo check top.cow >checked && status=0 || status=$?
holds "and is sound" test "$status" -eq 0 -o "$status" -eq 3

# A parent of V4 is known by its generation, one in between may be frozen.
cp kept.cow top.cow
refused 1 "d.cow: .*-f.*/top.cow" "a layer that others are built on" \
	moo rebase -b new d.cow
moo rebase -f -b new d.cow
fails "a parent that was written" reads top.cow img2
holds "is adopted" moo adopt top.cow
holds "and reads right" reads top.cow img2
layer 3
rm -f top.cow
moo convert -V 4 -b d.cow img2 top.cow
v4 d.cow record "$PWD/top.cow" >d.cow.moo
touch -d 2003-03-03 base
refused 1 "d.cow: frozen, .*top.cow .*-f" "a frozen layer" moo adopt d.cow
refused 1 "d.cow: frozen, .*top.cow" "of which -u" moo rebase -u -b new d.cow
holds "-f takes it" moo adopt -f d.cow
holds "and what is above need not know" reads top.cow img2
refused 1 "d.cow: .*frozen" "a frozen layer is never written" \
	moo rebase -f -b new d.cow
rm d.cow.moo

# Names that are longer than what is left of the header's first sector.
long=$(perl -e 'print "d" x 200 . "/" . "e" x 200 . "/" . "f" x 200')
mkdir -p "$long"
cp new "$long/new"
for v in 2 3 4; do
	layer $v
	holds "V$v: a long name" moo rebase -b "$long/new" d.cow
	holds "V$v: reads the same" reads d.cow img
	holds "V$v: and back" moo rebase -b base d.cow
	holds "V$v: reads the same" reads d.cow img
done
layer 1
refused 1 "d.cow: has no room for the name .*moo convert" "V1: a long name" \
	moo rebase -b "$long/new" d.cow
holds "V1: reads as before" reads d.cow img

# What is refused changes nothing.
layer 3
cp d.cow v3.cow
moo convert -f -V 4 -b base img d.cow
truncate -s 1M raw
truncate -s 512K short
truncate -s 2M tall
cp base looks
put looks 0 4f4f4f4d00000003
moo create -V 4 disk.cow --size=1M
moo create -V 4 over.cow d.cow
cksum ./* 2>/dev/null >before
while read -r regex command; do
	# shellcheck disable=SC2086 # words
	refused 1 "$regex" "$command" moo $command
done <<'END'
d.cow:.*with.-b rebase d.cow
none: rebase -b none d.cow
none: rebase -b base none
raw:.*no.parent rebase -b base raw
disk.cow:.*no.parent rebase -b base disk.cow
raw:.*no.parent adopt raw
disk.cow:.*no.parent adopt disk.cow
d.cow:.*part.of.d.cow rebase -b d.cow d.cow
d.cow:.*part.of.over.cow rebase -b over.cow d.cow
d.cow:.*part.of.over.cow rebase -u -b over.cow d.cow
d.cow:.short.has.only rebase -b short d.cow
d.cow:.short.has.only rebase -u -b short d.cow
v3.cow:.V3.needs.*1048576 rebase -b short v3.cow
v3.cow:.V3.needs.*1048576 rebase -f -u -b short v3.cow
v3.cow:.V3.needs.*2097152 rebase -b tall v3.cow
v3.cow:.V3.can.only rebase -b over.cow v3.cow
v3.cow:.*begins.like rebase --raw -b looks v3.cow
looks rebase -b looks v3.cow
END
rm -f stdout stderr
is "$(cksum ./* 2>/dev/null | grep -v -e before -e std)" \
	"$(grep -v -e before -e std before)" "nothing was changed"
holds "-f takes a smaller one" moo rebase -f -b short d.cow
holds "which reads the same" reads d.cow img
layer 4
holds "a taller one" moo rebase -b tall d.cow
holds "which reads the same" reads d.cow img

# A file that is in use, and what is on its way into its parent.
layer 4
moo merge -f d.cow img
cat >locked.pl <<'END'
use Fcntl;
open my $f, "+<", shift or die;
# F_OFD_SETLK
my $lock = pack "s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0;
fcntl $f, 37, $lock or die "lock: $!\n";
exit system(@ARGV) >> 8;
END
refused 1 "d.cow: .*in use" "a layer in use" \
	perl locked.pl d.cow "$bin/moo" adopt d.cow
refused 1 "d.cow: .*in use|busy" "of which -u" \
	perl locked.pl d.cow "$bin/moo" rebase -u -b new d.cow
refused 1 "new: .*use" "a parent in use" \
	perl locked.pl new "$bin/moo" rebase -b new d.cow
holds "nothing was changed" reads d.cow img
v4 d.cow set state 4
refused 1 "d.cow: is being merged" "a layer that is being drained" \
	moo rebase -u -b new d.cow
v4 d.cow set state 8
refused 1 "d.cow: was merged" "one that was" moo adopt d.cow

finish
