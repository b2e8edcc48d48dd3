#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo merge --in-place: the parent becomes what the delta read as, whatever
# stops it on the way; what others depend on is refused.
set -eu
. "${0%/*}/lib.sh"

# state FILE
state()
{
	moo info --output=json "$1" >state
	json state format-specific data state
}

# Each version over a raw base, by itself and by the old tool.
for v in 1 2 3 4; do
	rm -f ./*
	noise base 4194304
	touch -d '2020-02-02' base
	if [ $v = 4 ]; then
		cp base changed
		fill changed 1 3 A
		fill changed 8000 100 B
		moo convert -V 4 -b base changed delta.cow
	else
		cowhdr delta.cow "base=$PWD/base" version=$v own=1,2,3,8000,8191
	fi
	moo merge delta.cow expect
	holds "V$v: merges" moo merge --in-place delta.cow
	holds "V$v: the base has it all" cmp base expect
	is "$(state delta.cow)" drained "V$v: the delta is emptied"
	moo merge delta.cow again
	holds "V$v: and reads as its base" cmp again expect
	cksum base >before
	holds "V$v: a second time" moo merge --in-place delta.cow
	is "$(cksum base)" "$(cat before)" "V$v: changes nothing"
	holds "V$v: --delete" moo merge --in-place --delete delta.cow
	fails "V$v: removes it" test -e delta.cow
	is "$(find . -name '*.moo')" "" "V$v: and its record"
done

# A chain, from the top down.
rm -f ./*
noise base 2097152
cp base img
fill img 10 10 L
moo convert -V 3 -b base img low.cow
cp img img2
fill img2 15 10 M
fill img2 4000 1 M
moo convert -V 4 -b low.cow img2 mid.cow
cp img2 img3
fill img3 4000 96 T
fill img3 12 1 T
moo convert -V 4 -b mid.cow img3 top.cow
moo merge top.cow before
holds "the chain reads right" cmp before img3
holds "the top into the middle" moo merge --in-place --delete top.cow
moo merge -f mid.cow out
holds "reads the same" cmp out img3
status=0
moo check mid.cow >checked || status=$?
holds "the middle is sound, but for leaks" test "$status" -eq 0 -o \
	"$status" -eq 3
holds "the middle into the lower" moo merge --in-place --delete mid.cow
moo merge -f low.cow out
holds "reads the same, too" cmp out img3
moo check low.cow >checked && status=0 || status=$?
is "$status" 0 "the lower is sound"
holds "the lower into the base" moo merge --in-place --delete low.cow
holds "the base is all of it" cmp base img3

# An error in the midst: what can not be written stops it, nothing is lost, and
# the same command goes on.
for v in 3 4; do
	rm -f ./*
	noise base 8388608
	cp base img
	for at in 10 4000 9000 16000; do
		fill img $at 200 E
	done
	moo convert -V $v -b base img delta.cow
	status=0
	(ulimit -f 9000; trap '' XFSZ; moo merge --in-place delta.cow) \
		2>stderr || status=$?
	is $status 1 "V$v: stopped"
	is "$(wc -l <stderr)" 1 "V$v: one line"
	is "$(state delta.cow)" draining "V$v: says that it is being merged"
	moo merge delta.cow out
	holds "V$v: reads the same" cmp out img
	fails "V$v: the base has not everything" cmp -s base img
	holds "V$v: goes on" moo merge --in-place delta.cow
	holds "V$v: to the end" cmp base img
done

# A signal before the first step.
rm -f ./*
noise base 65536
cowhdr delta.cow "base=$PWD/base" own=3,5
moo merge delta.cow expect
status=0
perl -MPOSIX -e '
	sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGINT));
	kill "INT", $$;
	exec @ARGV or die;' "$bin/moo" merge --in-place delta.cow 2>stderr ||
	status=$?
holds "SIGINT ends it" test $status -gt 128
like "$(cat stderr)" "same command goes on" "and says how to go on"
moo merge delta.cow out
holds "nothing is lost" cmp out expect
holds "it goes on" moo merge --in-place delta.cow
holds "to the end" cmp base expect

# What others depend on.
rm -f ./*
noise base 65536
cowhdr delta.cow "base=$PWD/base" own=3
cowhdr other.cow "base=$PWD/base" own=4
cksum base delta.cow >before
v4 delta.cow record "$PWD/new.cow" >delta.cow.moo
refused 1 "delta.cow: .*frozen" "a frozen delta" moo merge --in-place delta.cow
rm delta.cow.moo
v4 base record "$PWD/other.cow" >base.moo
refused 1 "base: .*other.cow" "a base with another child" \
	moo merge --in-place delta.cow
is "$(cksum base delta.cow)" "$(cat before)" "neither changes anything"
v4 base record "$PWD/delta.cow" >base.moo
holds "its own child is no obstacle" moo merge --in-place delta.cow
fails "and is forgotten" test -e base.moo

refused 1 "base: .*no " "no parent" moo merge --in-place base
refused 1 "delta.cow: give either" "OUT as well" \
	moo merge --in-place delta.cow out

# The magic of a header at the start of a raw base.
noise base 65536
cowhdr delta.cow "base=$PWD/base" own=0
put delta.cow 12288 4f4f4f4d
rm -f delta.cow.moo
cksum base >before
refused 1 "delta.cow: .*header" "a header for the base" \
	moo merge --in-place delta.cow
is "$(cksum base)" "$(cat before)" "does not get there"
finish
