#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: show that the search for bad crash states has teeth: engines with one
# mistake each (mutants/*.patch), in the order in which they write, are caught.
#
# Each patch says of which chain the search may begin; it is the same search
# that has to find nothing in the engine itself. Where it takes long to come to
# the place, the patch names a sequence that does.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
obj=build/obj
work=build/mutants
engine=arch/um/drivers/cow
CC=${CC:-gcc}

if [ ! -f $obj/tests/crash/test_sequences.o ]; then
	echo "1..0 # SKIP no objects: make check"
	exit 0
fi

# build NAME PATCH: its engine and the search, or the reason why not
build()
{
	dir=$work/$1
	rm -rf "$dir"
	mkdir -p "$dir"
	cp $engine/*.[ch] "$dir"
	patch -s -p1 -d "$dir" <"$2" >&2 || return 1
	objects=
	for o in "$obj/$engine"/*.o; do
		part=$(basename "$o" .o)
		if ! cmp -s "$dir/$part.c" "$engine/$part.c"; then
			"$CC" -std=gnu11 -O2 -D_GNU_SOURCE \
				-D_FILE_OFFSET_BITS=64 -I"$dir" \
				-c -o "$dir/$part.o" "$dir/$part.c" || return 1
			o=$dir/$part.o
		fi
		objects="$objects $o"
	done
	for o in "$obj"/tests/crash/*.o "$obj/tests/engine/rig.o"; do
		case $o in
		*/test_crash.o) ;;
		*) objects="$objects $o" ;;
		esac
	done
	# shellcheck disable=SC2086
	"$CC" -o "$dir/search" $objects -luring -laio -lpthread
}

# caught NAME PATCH: the search ends with a violation of a promise
caught()
{
	chain=$(sed -n 's/^Chain: //p' "$2")
	sequence=$(sed -n 's/^Sequence: //p' "$2")
	if [ -n "$sequence" ]; then
		SEQUENCE=$sequence STOP=1 SUBSETS=8 ORDERS=6 \
			"$work/$1/search" >"$work/$1/out" || :
		sed -n 's/^not ok 1 - /# SEQUENCE=/p' "$work/$1/out" |
			cut -c 1-160 >"$work/$1/found"
	else
		JOBS=1 STATES=0 STOP=1 CHAIN=$chain PAIRS=1 SUBSETS=8 \
			ORDERS=6 SEARCH_SECONDS=300 \
			"$work/$1/search" >"$work/$1/out" || :
		grep '^# SEQUENCE=' "$work/$1/out" |
			cut -c 1-160 >"$work/$1/found"
	fi
	grep -q '^not ok 1 ' "$work/$1/out" && [ -s "$work/$1/found" ] &&
		! grep -q 'hangs\|memory are lost' "$work/$1/found"
}

n=0
bad=0
for patch in tests/crash/mutants/*.patch; do
	name=$(basename "$patch" .patch)
	n=$((n + 1))
	not=
	if ! build "$name" "$patch" 2>"$work.err"; then
		not="not "
		bad=1
		sed 's/^/# /' "$work.err"
	elif ! caught "$name" "$patch"; then
		not="not "
		bad=1
		sed 's/^/# /' "$work/$name/out"
	fi
	echo "${not}ok $n - caught: $(sed -n 1p "$patch")"
	sed -n '1s/^#* */# /p' "$work/$name/found" 2>/dev/null || :
done
echo "1..$n"
exit $bad
