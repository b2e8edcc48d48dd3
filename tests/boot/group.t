#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: several disks are snapshotted as one: what was frozen of them is one
# instant, all or none get a new top, and answers say so.
#
# The guest writes increasing numbers to three disks in turn, each one when the
# one before was written. Of any instant, the newest number says what the
# others are.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo

rounds=20
for disk in a b c; do
	truncate -s 1M "$disk.img"
done
truncate -s 1M base.img fixed.img shared.img
mkdir all

start guest ubd0=a.img ubd1=b.img ubd2=c.img ubd3=delta.cow,base.img \
	ubd4r=fixed.img ubd5c=shared.img <<'EOF'
for every in 1 7; do
	sect turns "$S/go.stop.$every" $every /dev/ubda /dev/ubdb /dev/ubdc &
	point $every
	wait
done
point end
EOF

# frozen DISK N: the file that snapshot number N froze
frozen()
{
	if [ "$2" -eq 1 ]; then
		echo "$1.img"
	else
		echo "$1$(($2 - 1)).cow"
	fi
}

# value FILE: the number in the first sector of a layer and those below it
value()
{
	rm -f value.img
	case $1 in
	*.img) cp "$1" value.img ;;
	*) moo merge "$1" value.img >/dev/null ;;
	esac
	od -An -t u8 -N 8 value.img | tr -d ' '
}

# is_cut A B C: numbers that the disks may have held at one time
is_cut()
{
	newest=$1
	[ "$2" -le "$newest" ] || newest=$2
	[ "$3" -le "$newest" ] || newest=$3
	disk=0
	for number; do
		want=$newest
		while [ "$want" -gt 0 ] && [ $((want % 3)) -ne $disk ]; do
			want=$((want - 1))
		done
		[ "$number" -eq "$want" ] || return 1
		disk=$((disk + 1))
	done
}

# snapshots FIRST LAST: while the numbers grow
snapshots()
{
	round=$1
	while [ "$round" -le "$2" ]; do
		mconsole guest snapshot "ubda=a$round.cow" \
			"ubdb=b$round.cow ubdc=c$round.cow" >>answers ||
			: >refused
		round=$((round + 1))
	done
}

# cuts FIRST LAST WHAT: what these snapshots froze is of one instant each
cuts()
{
	torn=0
	for round in $(seq "$1" "$2"); do
		a=$(value "$(frozen a "$round")")
		b=$(value "$(frozen b "$round")")
		c=$(value "$(frozen c "$round")")
		if ! is_cut "$a" "$b" "$c"; then
			torn=$((torn + 1))
			diag "snapshot $round: $a $b $c"
		fi
	done
	diag "the last one froze $a $b $c"
	is "$torn" 0 "$3: each set is of one instant"
}

for every in 1 7; do
	await guest "$every"
	go "$every"
	if [ "$every" -eq 1 ]; then
		snapshots 1 $rounds
	else
		snapshots $((rounds + 1)) $((2 * rounds))
	fi
	go "stop.$every"
done
await guest end
fails "none was refused" test -e refused
ms="paused [0-9]+\.[0-9]{2} ms"
like "$(head -n 3 answers | tr '\n' '/')" "^OK ubda: $T/a1.cow on $T/a.img, $ms/\
ubdb: $T/b1.cow on $T/b.img, $ms/ubdc: $T/c1.cow on $T/c.img, $ms/$" \
	"a line for each disk"

# All or none
before=$(mconsole guest snapshot)
: >there.cow
refused()
{
	status=0
	text=$(mconsole guest "snapshot $1") || status=$?
	holds "$3: the client's exit code tells" test "$status" -ne 0
	is "$(printf '%s\n' "$text" | sed '/^$/d' | wc -l)" 1 "$3: one line"
	like "$text" "^ERR .*$2" "$3: which says why"
	is "$(mconsole guest snapshot)" "$before" "$3: nothing changed"
	fails "$3: no file is left" test -e x.cow
}
refused "ubda=x.cow ubdb=there.cow" "there.cow.*exists" "one file exists"
refused "ubdb=there.cow ubda=x.cow" "there.cow.*exists" "in another order"
refused "ubda=x.cow ubdb=x.cow" "x.cow.*exists" "two with one name"
refused "ubda=x.cow ubde=y.cow" "fixed.img.*read-only" "one is read-only"
refused "ubda=x.cow ubdf=y.cow" "shared.img.*flag c" "one is shared"
refused "ubda=x.cow ubdg=y.cow" "ubdg: it is not configured" "one is no disk"
refused "ubda=x.cow ubdz=y.cow" "ubdz" "one is no device"
refused "ubda=x.cow ubda=y.cow" "ubda: it is named twice" "one is named twice"
refused "ubda=x.cow ubdb=nodir/y.cow" "nodir/y.cow" "one has no directory"
refused "ubda=x.cow ubdd=y.cow V3" "x.cow.*V3" "one can not be V3"
refused "all=$T/nodir" "nodir" "there is no such directory"
refused "all=$T/all ubda=x.cow" "all: no other" "all, and another one"

# Names with blanks, and all disks
text=$(mconsole guest "snapshot ubda=my disk.cow ubdb=your disk.cow V4" |
	tr '\n' '/')
like "$text" "^OK ubda: $T/my disk.cow on .*/ubdb: $T/your disk.cow on " \
	"names with blanks"
text=$(mconsole guest "snapshot all=$T/all" | tr '\n' '/') || :
new()
{
	echo "ubd$1: $T/all/ubd$1-[0-9]{8}-[0-9]{6}.cow on"
}
like "$text" "^OK $(new a) $T/my disk.cow, $ms/$(new b) $T/your disk.cow, $ms/\
$(new c) $T/c[0-9]+.cow, $ms/$(new d) $T/delta.cow, $ms/\
ubde: left out, it is read-only/\
ubdf: left out, it is shared with other machines \(flag c\)/$" \
	"all disks, and why not those"
is "$(echo all/*.cow | wc -w)" 4 "a file for each"
go end
ended_well guest "the guest ended well"
cuts 1 $rounds "a flush after each number"
cuts $((rounds + 1)) $((2 * rounds)) "after some"
finish
