#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: what a flush of the guest costs on the host, counted by strace: one sync
# of the file that takes the writes, and one more where it only now comes to own
# what is flushed. The base is never synced. And what a write of one sector costs:
# a write of one sector, and nothing is read for it.
. "${0%/*}/lib.sh"
ours_only
need_strace
need_moo
io_on_threads

pattern raw.img RAWW 8192
pattern base.img BASE 8192
moo create -V 3 v3.cow base.img
moo create -V 4 v4.cow base.img

start guest ubd0=raw.img ubd1=v3.cow ubd2=v4.cow <<'EOF'
# flushed TAG: a hundred times a write that is flushed, on each disk
flushed()
{
	for d in a b c; do
		i=0
		while [ $i -lt 100 ]; do
			sect put /dev/ubd$d "$1" $((i * 64)) 8
			sect flush /dev/ubd$d
			i=$((i + 1))
		done
	done
}
point first
flushed FRST
point over
flushed OVER
point end
EOF
for way in first over; do
	await guest $way
	trace guest $way.syncs -y -e trace=$SYNCS
	go $way
	case $way in
	first) await guest over ;;
	over) await guest end ;;
	esac
	untrace
done
go end
ended_well guest "the guest wrote and flushed"

# syncs WAY FILE MOST: its file is synced 100 times or more, and not more than that
syncs()
{
	n=$(grep -c "/$2>" "$1.syncs")
	diag "100 flushes, $1: $n syncs of $2"
	holds "$1: $2 is synced at each flush" test "$n" -ge 100
	holds "$1: and at most $3 times" test "$n" -le "$3"
}

syncs first raw.img 100
# What a second without a flush commits by itself comes on top.
syncs first v3.cow 210
syncs first v4.cow 210
syncs over raw.img 100
syncs over v3.cow 100
syncs over v4.cow 100
for way in first over; do
	fails "$way: the base is not synced" grep -q "/base.img>" $way.syncs
done

# A sector in a block of V4 that nobody had, and the next but one in it
moo create -V 3 one3.cow base.img
moo create -V 4 one4.cow base.img
start single ubd0=one3.cow ubd1=one4.cow <<'EOF'
point ready
for d in a b; do
	sect put /dev/ubd$d ONCE 1003 1
	sect put /dev/ubd$d ONCE 1005 1
done
point written
for d in a b; do sect map /dev/ubd$d 1000 8; done
EOF
await single ready
trace single calls -y -e "trace=$READS,$WRITES"
go ready
await single written
untrace
go written
ended_well single "the guest wrote single sectors"
is "$(calls calls "$READS")" 0 "nothing is read to write a sector"
for file in one3.cow one4.cow; do
	# What a second without a flush commits comes behind the data.
	is "$(grep "/$file>" calls | head -n 2 | grep -c ') = 512$')" 2 \
		"$file: a sector is written as one"
done
is "$(out single | sort -u)" \
	"1000+3=BASE 1003+1=ONCE 1004+1=BASE 1005+1=ONCE 1006+2=BASE" \
	"and read so"
finish
