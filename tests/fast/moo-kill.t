#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Verbs that change a file in place, killed before each of their writes: the
# file reads as before, and the same command does it.
set -eu
# Only what reaches the files counts here, not the disk below them.
[ ! -w /dev/shm ] || export TMPDIR="${TMPDIR:-/dev/shm}"
. "${0%/*}/lib.sh"

strace -o /dev/null true 2>/dev/null || skip_all "no strace"
calls=pwrite64,pwritev,pwritev2,fsync,fdatasync,ftruncate,fallocate

# killed FILE COMMAND...: from a copy, with each call in turn as the last one;
# then judge is asked for its opinion, which it adds to $bad
killed()
{
	file=$1
	shift
	n=0
	bad=
	status=1
	cp "$file" kept
	while [ "$status" != 0 ] && [ "$n" -lt 80 ]; do
		n=$((n + 1))
		cp kept "$file"
		status=0
		strace -o /dev/null -e trace=$calls \
			-e inject=$calls:signal=KILL:when=$n \
			"$bin/moo" "$@" 2>stderr || status=$?
		judge "$@"
	done
	holds "$name: it was killed, and was not" test "$n" -gt 2 -a "$n" -lt 80
	is "$bad" "" "$name: whatever kills it"
}

# reads FILE IMAGE
reads()
{
	moo merge -f "$1" out 2>why || return 1
	cmp -s out "$2"
}

noise base 1048576
cp base new
fill new 50 10 N
fill new 500 1 M
cp base img
fill img 10 4 A
fill img 55 1 A
long=$(perl -e 'print "d" x 200 . "/" . "e" x 200 . "/" . "f" x 200')
mkdir -p "$long"
cp new "$long/new"

# A header of V2, or one of V3 with a long name, in which the name was changed
# and the time was not, is refused: nothing is compared for a second time.
judge()
{
	if ! reads d.cow img; then
		[ "$torn" = yes ] || bad="$bad $n: $(cat why)"
		set -- rebase -u -b "$to" d.cow
	fi
	moo "$@" 2>>why && reads d.cow img || bad="$bad again $n: $(cat why)"
}

for v in 2 3 4; do
	for to in new "$long/new"; do
		name="rebase, V$v, a name of ${#to} bytes"
		torn=yes
		[ "$v-$to" != 3-new ] && [ $v != 4 ] || torn=no
		rm -f d.cow
		if [ $v = 2 ]; then
			cowhdr d.cow "base=$PWD/base" version=2 own=10,11
			moo merge -f d.cow img2
			mv img img3
			mv img2 img
		else
			moo convert -V $v -b base img d.cow
		fi
		killed d.cow rebase -b "$to" d.cow
		[ $v != 2 ] || mv img3 img
	done
done

# What moves blocks: the file reads as before, has no faults, and what has
# leaked is found by the same command.
judge()
{
	reads d.cow "$want" || bad="$bad $n: $(cat why)"
	moo check d.cow >checked 2>why || [ $? -eq 3 ] ||
		bad="$bad $n: $(cat why)"
	moo "$@" 2>why && reads d.cow "$want" &&
		moo check d.cow >checked 2>why ||
		bad="$bad again $n: $(cat why)"
}

# Late blocks for the first sectors: these are copied in from a parent, and the
# others, which have the early ones, are cut off then.
truncate -s 4M empty
cp empty below
fill below 0 80 B
cp below img
fill img 4096 4096 A
moo convert -f -V 4 -b below img d.cow
moo rebase -b empty d.cow
moo resize --shrink d.cow 2M
head -c 2M below >img
want=img
name=compact
was=$(size d.cow)
killed d.cow compact d.cow
holds "it was larger" test "$was" -gt $(($(size d.cow) * 5))
cp empty img
fill img 5 2000 C
fill img 6000 2000 D
moo convert -f -V 4 -b empty img d.cow

# A seal is there as a whole or not at all, and data is never written; whoever
# writes has given it up before.
judge()
{
	reads d.cow "$want" || reads d.cow "$other" || bad="$bad $n: $(cat why)"
	moo check d.cow >checked 2>why || [ $? -eq 3 ] ||
		bad="$bad $n: $(cat why)"
	moo info d.cow >said
	! grep -q sealed: said || moo check --data d.cow >checked 2>why ||
		[ $? -eq 3 ] || bad="$bad data $n: $(cat why)"
	moo seal d.cow 2>why && moo check --data d.cow >checked 2>why ||
		[ $? -eq 3 ] || bad="$bad again $n: $(cat why)"
}

want=img
other=img
cp d.cow unsealed.cow
moo create -V 4 --flat --size=64K flat.cow
for file in unsealed.cow flat.cow; do
	cp $file d.cow
	moo merge -f d.cow content
	want=content
	name="seal $file"
	killed d.cow seal d.cow
done
cp unsealed.cow d.cow
want=img
moo seal d.cow
cp d.cow sealed.cow
name="compact what is sealed"
killed d.cow compact d.cow
cp sealed.cow d.cow
name="a rebase of what is sealed"
cp empty under
fill under 3000 10 U
killed d.cow rebase -b under d.cow
cp unsealed.cow d.cow
other=img

# Of a smaller and a larger size both are right.
judge()
{
	moo merge -f d.cow out
	[ "$(size out)" = "$(size "$want")" ] || [ "$(size out)" = "$other" ] ||
		bad="$bad $n: $(size out) bytes"
	cmp -s -n 1000000 out "$want" || bad="$bad $n: something else"
	moo check d.cow >checked 2>why || [ $? -eq 3 ] ||
		bad="$bad $n: $(cat why)"
	moo "$@" 2>why && reads d.cow "$want" ||
		bad="$bad again $n: $(cat why)"
}

other=4194304
head -c 1000448 img >part
for file in d.cow flat.cow; do
	want=part
	if [ $file = flat.cow ]; then
		moo create -V 4 --flat --size=4M d2.cow
		dd if=img of=d2.cow bs=4096 seek=8 conv=notrunc 2>/dev/null
		mv d2.cow d.cow
	fi
	name="resize --shrink $file"
	killed d.cow resize --shrink d.cow 1000448
	cp part larger
	truncate -s 4M larger
	want=larger
	other=1000448
	name="resize $file"
	killed d.cow resize d.cow 4M
	other=4194304
done

# What is dropped reads as before or as its parent, which stays what it was; the
# same command does what is left. A file of V3 on its way to be deleted loses its
# record first; without it, it is refused.
calls=$calls,fsetxattr,fremovexattr,renameat,unlinkat

# low, frozen, with top.cow on it
put_frozen()
{
	rm -f low top.cow low.moo top.cow.moo
	cp kept.low low
	cp kept.top top.cow
	if [ "$v" = 4 ]; then
		v4 low freeze "$PWD/top.cow"
		return
	fi
	touch -d '2020-02-02' low
	v4 low record "$PWD/top.cow" >low.moo
}

judge_drop()
{
	reads low was || bad="$bad $n: low: $(cat why)"
	[ -e top.cow ] || return 0
	[ "$(od -An -tx1 -N4 -j8 top.cow)" = " 00 00 00 00" ] &&
		! moo info top.cow | grep -q emptied && return 0
	reads top.cow was || { [ "$1" = again ] || reads top.cow top.img; } ||
		bad="$bad $n $1: $(cat why)"
	[ "$1" = again ] || moo rollback --discard $how top.cow 2>why ||
		bad="$bad $n again: $(cat why)"
}

for v in 3 4; do
	rm -f low top.cow low.moo top.cow.moo
	noise low 65536 $v
	cp low top.img
	fill top.img 3 20 T
	[ $v = 3 ] || { moo convert -V 0 low raw; rm low
		moo create -V 4 low raw; }
	touch -d '2020-02-02' low
	moo convert -V $v -b low top.img top.cow
	cp low kept.low
	cp top.cow kept.top
	moo merge -f low was
	for how in "" --delete; do
		name="rollback $how of V$v"
		n=0
		bad=
		status=1
		while [ $status != 0 ] && [ $n -lt 80 ]; do
			n=$((n + 1))
			put_frozen
			status=0
			# shellcheck disable=SC2086
			strace -o /dev/null -e trace=$calls \
				-e inject=$calls:signal=KILL:when=$n \
				"$bin/moo" rollback --discard $how top.cow \
				2>stderr || status=$?
			judge_drop once
			judge_drop again
			! moo info low | grep -q frozen ||
				bad="$bad $n: low is frozen"
		done
		holds "$name: it was killed, and was not" \
			test "$n" -gt 2 -a "$n" -lt 80
		is "$bad" "" "$name: whatever kills it"
	done
done
finish
