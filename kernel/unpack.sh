#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: unpack.sh SOURCE TREE
#
# Lays a private copy of the kernel source at TREE.  SOURCE is a tarball or a
# directory, which is only read.  Does nothing where TREE is already a copy of
# the same source.
set -eu

source=$1
tree=$2

die() {
	echo "unpack.sh: $*" >&2
	exit 1
}

# Big subtrees that no UML configuration compiles.  Their Kconfig files stay,
# since the menus include them.
unused() {
	cat <<-'LIST'
		./arch/[!ux]*/*.[chS]
		./arch/[!ux]*/*.dts*
		./arch/[!ux]*/*defconfig
		./arch/xtensa/*.[chS]
		./Documentation/*.rst
		./Documentation/*.txt
		./Documentation/*.yaml
		./drivers/accel/*.[ch]
		./drivers/gpu/*.[ch]
		./drivers/infiniband/*.[ch]
		./drivers/media/*.[ch]
		./drivers/net/*/*.[ch]
		./drivers/staging/*.[ch]
		./sound/*.[ch]
		./tools/perf/*
		./tools/testing/*
	LIST
}

# What a build inside a source directory leaves behind: Kbuild refuses to
# build elsewhere from a tree that has any of it.
leftovers() {
	cat <<-'LIST'
		./.git
		./.config*
		./include/config
		./include/generated
		./arch/*/include/generated
		*.o
		*.a
		*.cmd
	LIST
}

[ -e "$source" ] || die "$source: no kernel source there; install" \
	"linux-source-6.12 or name a source directory with KDIR="
[ ! -d "$source" ] || [ -f "$source/arch/um/Kconfig" ] ||
	die "$source: not a kernel source directory"
identity="$source $(stat -Lc '%s %Y' "$source")"

if [ -f "$tree/.origin" ] && [ "$(cat "$tree/.origin")" = "$identity" ]; then
	exit 0
fi

echo "Unpacking $source"
rm -rf "$tree"
mkdir -p "$tree"
if [ -d "$source" ]; then
	{ unused; leftovers; } >"$tree/.skip"
	tar -C "$source" -c --wildcards --anchored -X "$tree/.skip" . |
		tar -C "$tree" -x
else
	top=$(tar -tf "$source" | head -n 1 | cut -d/ -f1)
	unused | sed "s/^\./$top/" >"$tree/.skip"
	tar -C "$tree" -x --strip-components=1 --wildcards --anchored \
		-X "$tree/.skip" -f "$source"
fi
[ -f "$tree/arch/um/Kconfig" ] || die "$source: has no arch/um"
echo "$identity" >"$tree/.origin"
