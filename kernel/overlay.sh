#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: overlay.sh TREE WORK
#
# Brings our files and patches into the kernel tree at TREE, which is private
# to us.  WORK keeps the stock version of every file that we touch.
#
# The result is first made complete in WORK/new, always from the stock
# versions, and checked there; only files that differ are then copied.  Hence
# running it twice equals running it once, a failure leaves TREE as it was,
# and make compiles just what has changed.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
tree=$1
mkdir -p "$2"
work=$(cd "$2" && pwd)
stock=$work/stock
new=$work/new

die() {
	echo "overlay.sh: $*" >&2
	exit 1
}

# keep PATH: put the stock version of PATH aside, once.
keep() {
	[ ! -e "$stock/$1" ] || return 0
	[ -e "$tree/$1" ] || return 1
	mkdir -p "$stock/$(dirname "$1")"
	cp -p "$tree/$1" "$stock/$1"
}

# A stock file that is replaced must be the one that ours was written against.
check_replaced() {
	sums=$top/kernel/replaced.sha256
	sed -n 's/^[0-9a-f]*  //p' "$sums" | sort -u >"$work/replaced"
	while read -r path; do
		keep "$path" || die "$path: not in this kernel; use 6.12"
		sum=$(sha256sum <"$stock/$path")
		grep -qxF "${sum%-}$path" "$sums" ||
			die "$path: not the version that ours replaces;" \
				"compare them, then add its checksum to" \
				"kernel/replaced.sha256"
	done <"$work/replaced"
}

# patched_by PATCH: the files that it changes.
patched_by() {
	sed -n 's,^+++ b/,,p' "$1"
}

apply_patches() {
	for patch in "$top"/patches/*.patch; do
		patched_by "$patch" >"$work/patched"
		while read -r path; do
			[ ! -e "$new/$path" ] || continue
			keep "$path" || die "$path: not in this kernel, but" \
				"${patch##*/} changes it"
			mkdir -p "$new/$(dirname "$path")"
			cp "$stock/$path" "$new/$path"
		done <"$work/patched"
		patch -s -p1 -F0 --no-backup-if-mismatch -d "$new" \
			<"$patch" >"$work/patch.log" 2>&1 ||
			die "${patch##*/}: does not apply to this kernel," \
				"see $work/patch.log"
	done
}

# Ours: everything below arch/um, and the KUnit suites.
add_files() {
	(cd "$top" && find arch/um -type f) | while read -r path; do
		mkdir -p "$new/$(dirname "$path")"
		cp "$top/$path" "$new/$path"
	done
	mkdir -p "$new/arch/um/drivers/kunit"
	cp "$top"/tests/kunit/Makefile "$new/arch/um/drivers/kunit/"
	for path in "$top"/tests/kunit/*.[ch]; do
		[ ! -e "$path" ] || cp "$path" "$new/arch/um/drivers/kunit/"
	done
}

# What an earlier run brought and this one does not: back to stock, or away.
restore() {
	[ -e "$work/list" ] || return 0
	comm -23 "$work/list" "$work/list.new" | while read -r path; do
		rm -f "$tree/$path"
		[ ! -e "$stock/$path" ] || cp -p "$stock/$path" "$tree/$path"
	done
}

install_changed() {
	while read -r path; do
		if [ ! -e "$new/$path" ]; then
			rm -f "$tree/$path"
		elif ! cmp -s "$new/$path" "$tree/$path"; then
			mkdir -p "$tree/$(dirname "$path")"
			cp "$new/$path" "$tree/$path"
		fi
	done <"$work/list.new"
}

# The stock versions belong to one tree: forget them with it.
if ! cmp -s "$tree/.origin" "$work/origin"; then
	rm -rf "$work"
	mkdir -p "$work"
	cp "$tree/.origin" "$work/origin"
fi
rm -rf "$new"
mkdir -p "$new" "$stock"

check_replaced
apply_patches
add_files
(cd "$new" && find . -type f | sed 's,^\./,,') |
	sort -u - "$work/replaced" >"$work/list.new"
restore
install_changed
mv "$work/list.new" "$work/list"
