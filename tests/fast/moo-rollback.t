#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo rollback: what was written since a snapshot is dropped, the parent takes the
# writes again; refusals; what is left of a roll back that was stopped.
set -eu
. "${0%/*}/lib.sh"

state()
{
	moo info --output=json "$1" >json
	json json format-specific data state
}

# frozen_under VERSION: "low" under "top.cow", as a snapshot leaves them
frozen_under()
{
	rm -rf ./*
	noise base 1048576
	cp base img
	fill img 3 10 T
	fill img 2000 40 T
	if [ "$1" = 4 ]; then
		moo create -V 4 low base
	else
		mv base low
	fi
	cp img want
	moo convert -V "$1" -b low img top.cow
	if [ "$1" = 4 ]; then
		v4 low freeze "$PWD/top.cow"
	else
		v4 low record "$PWD/top.cow" >low.moo
	fi
	moo merge low was
	cksum low top.cow >before
}

for v in 3 4; do
	frozen_under $v
	refused 1 "top.cow: 25 KiB .*--discard" "V$v: without a word" \
		moo rollback top.cow
	is "$(cksum low top.cow)" "$(cat before)" "V$v: nothing is changed"
	moo merge -f top.cow out
	holds "V$v: it reads as before" cmp out want
	holds "V$v: it is dropped" moo rollback --discard top.cow
	is "$(state top.cow)" drained "V$v: it is a name for its parent"
	fails "V$v: a record is left beside the parent" test -e low.moo
	moo info low >said
	fails "V$v: the parent is frozen" grep -q frozen said
	holds "V$v: it gave its room back" test "$(size top.cow)" -lt 40000
	holds "V$v: it has no faults" moo check top.cow
	moo merge -f low out
	holds "V$v: the parent reads as it was" cmp out was
	rm -f low2
	holds "V$v: a layer can be put over it" moo create -V 4 low2 low
	holds "V$v: once more there is nothing to do" \
		moo rollback --discard top.cow
	holds "V$v: and then it is deleted" moo rollback --delete top.cow
	fails "V$v: it is there" test -e top.cow
	is "$(find . -name '*.moo')" "" "V$v: with its record"

	frozen_under $v
	holds "V$v: dropped and deleted" moo rollback --discard --delete top.cow
	fails "V$v: it is gone" test -e top.cow
	moo merge -f low out
	holds "V$v: its parent reads as it was" cmp out was
done

# A layer that owns nothing is no loss.
frozen_under 4
rm top.cow
moo create -V 4 top.cow low
holds "nothing to be lost" moo rollback top.cow

# Stock looks at the time, and at nothing else.
frozen_under 3
moo rollback --discard top.cow
is "$(od -An -tx1 -j8 -N4 top.cow | tr -d ' ')" 00000000 \
	"programs that know no records refuse it"

# Chains that do not open, and that no machine could drop the top of.
frozen_under 4
mv base gone
fails "it does not open without the base" moo merge -f top.cow out 2>why
holds "it is dropped without it" moo rollback --discard top.cow
mv gone base
moo merge -f top.cow out
holds "and reads as its parent" cmp out was
frozen_under 3
touch -d '2021-01-01' low
fails "nor over a parent with another time" moo merge -f top.cow out 2>why
holds "it is dropped" moo rollback --discard top.cow
frozen_under 4
moo resize top.cow 4M
holds "one that was made larger is dropped" moo rollback --discard top.cow
moo merge -f low out
holds "and its parent reads as it was" cmp out was

# Of the parent nothing but the header is written.
frozen_under 4
moo seal low
moo rollback --discard top.cow
like "$(moo info low)" "sealed: yes" "the parent keeps its seal"
holds "which is right" moo check --data low

# Who is in the way.
frozen_under 4
moo create -V 4 clone.cow low
refused 1 "low: .*-f.*/clone.cow" "another layer over the parent" \
	moo rollback --discard top.cow
rm clone.cow
moo create -V 4 over.cow top.cow
refused 1 "top.cow: .*-f.*/over.cow" "a layer over it" \
	moo rollback --discard top.cow
is "$(cksum low top.cow)" "$(cat before)" "neither changes anything"
holds "forced" moo rollback --discard -f top.cow

frozen_under 4
moo protect low
refused 1 "low: protected" "a protected parent" moo rollback --discard -f top.cow
moo protect --off low
moo protect top.cow
refused 1 "top.cow: protected" "a protected top" \
	moo rollback --discard -f top.cow
moo protect --off top.cow
rm -f next.cow
v4 top.cow freeze "$PWD/next.cow"
refused 1 "top.cow: frozen" "one that is frozen itself" \
	moo rollback --discard top.cow

frozen_under 4
v4 top.cow set state 4
refused 1 "top.cow: .*being merged" "one that is being merged" \
	moo rollback --discard top.cow

frozen_under 3
moo create -V 4 other.cow low
refused 1 "other.cow: is not what a snapshot put over .*/low" \
	"not the successor" moo rollback --discard other.cow
refused 1 "low: has no parent" "a base" moo rollback low
rm low.moo
refused 1 "top.cow: is not what a snapshot put over" "a parent not frozen" \
	moo rollback --discard top.cow
moo create --header head.cow low
refused 1 "head.cow: .*no layer" "a header" moo rollback head.cow
mv low gone
refused 1 "low: can not be opened" "no parent" moo rollback --discard top.cow
finish
