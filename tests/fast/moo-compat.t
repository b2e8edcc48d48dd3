#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Called as uml_moo and uml_mkcow: the old arguments, exit codes and bytes.
set -eu
. "${0%/*}/lib.sh"

uml_moo()
{
	"$bin/uml_moo" "$@"
}

uml_mkcow()
{
	"$bin/uml_mkcow" "$@"
}

# exits STATUS NAME COMMAND...
exits()
{
	want=$1
	name=$2
	shift 2
	status=0
	"$@" >stdout 2>stderr || status=$?
	is "$status" "$want" "$name"
}

noise base 1048576
exits 0 "uml_mkcow makes a file" uml_mkcow delta.cow base
cowhdr hand.cow "base=$PWD/base"
holds "that is V3" cmp delta.cow hand.cow
exits 1 "uml_mkcow on a name that is taken" uml_mkcow delta.cow base
cowhdr delta.cow "base=$PWD/base" own=1,2,2047
moo merge delta.cow expect
exits 0 "uml_mkcow -f replaces it" uml_mkcow -f delta.cow base
holds "by an empty one" cmp delta.cow hand.cow
exits 2 "uml_mkcow without arguments" uml_mkcow
like "$(head -n 1 stderr)" "^Usage: uml_mkcow" "tells its usage"
exits 2 "uml_mkcow with one" uml_mkcow new.cow
exits 1 "uml_mkcow without a base" uml_mkcow new.cow missing
fails "makes nothing" test -e new.cow
exits 0 "uml_mkcow --help" uml_mkcow --help
exits 0 "uml_mkcow --version" uml_mkcow --version

cowhdr delta.cow "base=$PWD/base" own=1,2,2047
exits 0 "uml_moo COW OUT" uml_moo delta.cow out
holds "merges" cmp out expect
exits 0 "uml_moo replaces OUT" uml_moo delta.cow out
exits 1 "uml_moo does not replace the base" uml_moo delta.cow base
exits 1 "uml_moo without arguments" uml_moo
like "$(head -n 1 stderr)" "^Usage: uml_moo" "tells its usage"
exits 1 "uml_moo with three files" uml_moo delta.cow out more
exits 1 "uml_moo -d with two" uml_moo -d delta.cow out
exits 1 "uml_moo -x" uml_moo -x delta.cow out
exits 0 "uml_moo --help" uml_moo --help
exits 0 "uml_moo -h" uml_moo -h
exits 0 "uml_moo --version" uml_moo --version
exits 1 "uml_moo of a raw file in place" uml_moo -d base

cp -p base keep
mv base moved
exits 1 "uml_moo without the base" uml_moo delta.cow out2
like "$(cat stderr)" "^uml_moo: .*base" "names it"
exits 0 "uml_moo -b" uml_moo -b moved delta.cow out2
holds "merges the same" cmp out2 expect

# In place, in each order of the options.
n=0
while read -r args; do
	n=$((n + 1))
	cp -p keep base
	rm -f delta.cow.moo delta.cow
	cowhdr delta.cow "base=$PWD/base" own=1,2,2047
	# shellcheck disable=SC2086
	exits 0 "uml_moo $args" uml_moo $args
	holds "uml_moo $args: the base has it" cmp base expect
done <<'END'
-d delta.cow
-d -b base delta.cow
-b base -d delta.cow
delta.cow -d
END

cp -p keep base
cp -p base elsewhere
rm -f delta.cow
cowhdr delta.cow "base=$PWD/base" own=1,2,2047
rm base
exits 0 "uml_moo -d -b" uml_moo -d -b elsewhere delta.cow
holds "merges into the file named" cmp elsewhere expect

# Side by side with the originals.
if [ -x /usr/bin/uml_moo ] && [ -x /usr/bin/uml_mkcow ]; then
	for bytes in 512 32768 1000448 33554432; do
		rm -f ./*
		noise base $bytes $bytes
		touch -d '2020-02-02' base
		/usr/bin/uml_mkcow theirs.cow base
		uml_mkcow ours.cow base
		holds "$bytes bytes: uml_mkcow's bytes" cmp theirs.cow ours.cow
		cowhdr theirs.cow "base=$PWD/base" \
			own=0,$((bytes / 1024)),$((bytes / 512 - 1))
		cp theirs.cow ours.cow
		/usr/bin/uml_moo theirs.cow theirs
		uml_moo ours.cow ours
		holds "$bytes bytes: uml_moo's bytes" cmp theirs ours
		moo convert -V 4 ours.cow v4.cow
		moo convert -V 3 -f v4.cow v3.cow
		/usr/bin/uml_moo v3.cow fromv4
		holds "$bytes bytes: what was V4 can be read by uml_moo" \
			cmp theirs fromv4
		cp -p base base2
		/usr/bin/uml_moo -d theirs.cow >log
		cp -p base theirbase
		cp -p base2 base
		refused 1 "base: .*v4.cow, .*v3.cow" "$bytes bytes: siblings" \
			uml_moo -d ours.cow
		rm v3.cow v4.cow
		uml_moo -d ours.cow
		holds "$bytes bytes: uml_moo -d's bytes" cmp theirbase base
	done
else
	skip "no uml-utilities"
fi
finish
