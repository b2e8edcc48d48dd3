#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo protect: what is marked is read and built on, and never written, whatever is
# forced; the mark comes and goes and leaves all else as it is.
set -eu
. "${0%/*}/lib.sh"

protected()
{
	moo info "$1" | sed -n 's/^protected: //p'
}

# As the machine and moo know a parent: by its bytes and its time.
seen()
{
	cksum <"$1"
	stat -c '%Y %y %s' "$1"
}

begin()
{
	rm -rf ./*
	noise base 1048576
	touch -d '2020-02-02' base
	cp base img
	fill img 5 20 N
	case $1 in
	raw)
		cp -p base low ;;
	3)
		moo convert -V 3 -b base img low ;;
	4)
		moo convert -V 4 -b base img low ;;
	flat)
		moo create -V 4 --flat --size=1M low ;;
	esac
	moo merge low was
	cp was img
	fill img 100 3 T
	moo convert -V 4 -b low img top.cow
}

for kind in raw 3 4 flat; do
	begin $kind
	seen low >before
	holds "$kind: it is marked" moo protect low
	is "$(protected low)" yes "$kind: info says so"
	moo info --output=json low >json
	is "$(json json format-specific data protected)" 1 "$kind: in JSON, too"
	holds "$kind: once more" moo protect low
	[ $kind = 4 ] || [ $kind = flat ] ||
		is "$(seen low)" "$(cat before)" "$kind: bytes and time stay"
	moo merge -f top.cow out
	holds "$kind: what is over it reads as before" cmp out img
	holds "$kind: a layer can be put over it" moo create -V 4 new.cow low
	moo seal top.cow
	rm new.cow

	cksum low top.cow >before
	refused 1 "low: .*protected" "$kind: a merge into it" \
		moo merge --in-place top.cow
	refused 1 "low: .*protected" "$kind: of which none is forced" \
		moo merge --in-place -f top.cow
	refused 1 "low: protected" "$kind: it is not replaced" \
		moo create -f -V 4 --size=1M low
	[ $kind = 3 ] || refused 1 "low: protected" "$kind: resize" \
		moo resize low 2M
	is "$(cksum low)" "$(head -n 1 before)" "$kind: nothing was written"
	holds "$kind: the mark is lifted" moo protect --off low
	is "$(protected low)" "" "$kind: info says no more of it"
	holds "$kind: and again" moo protect --off low
	is "$(find . -name '*.moo')" "" "$kind: no record is left"
	holds "$kind: now it is merged" moo merge --in-place top.cow
	moo merge -f low out
	holds "$kind: with all" cmp out img
done

# As a layer.
begin 4
moo protect low
refused 1 "low: .*read-only" "a protected layer is not merged away" \
	sh -c "$bin/moo merge -i -f low 2>&1 | tail -n 1 >&2; exit 1"
refused 1 "low: protected" "compact" moo compact low
refused 1 "low: protected" "rebase" moo rebase -u -b base low
refused 1 "low: protected" "adopt" moo adopt low
holds "it can be sealed" moo seal low
holds "its seal is right" sh -c "$bin/moo check --data low >checked"
is "$(protected low)" yes "it stays protected"
moo dump low text
moo restore text back
is "$(protected back)" yes "its text has the mark"
cp low copy
is "$(protected copy)" yes "a copy has it, too"

# A state that was there before stays.
begin raw
v4 low record "$PWD/top.cow" >low.moo
moo protect low
like "$(moo info low)" "frozen; $PWD/top.cow" "a frozen file stays frozen"
like "$(moo info low)" "protected: yes" "and is protected"
moo protect --off low
like "$(moo info low)" "frozen; $PWD/top.cow" "it is so afterwards"

# What can not be marked.
begin 4
v4 low set state 4
refused 1 "low: .*being merged" "one that is being merged" moo protect low
moo create --header head.cow base
refused 1 "head.cow: the header of" "a header" moo protect head.cow
refused 1 "missing: can not be opened" "no file" moo protect missing
refused 1 "missing: can not be opened" "no file, and others" \
	moo protect missing base
is "$(protected base)" yes "which are marked all the same"
finish
