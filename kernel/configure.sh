#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: configure.sh TREE BUILD
#
# Makes BUILD/.config out of kernel/config and checks that each option came
# out as asked: Kconfig drops silently what it does not know or what lacks a
# dependency.  Keeps .config where neither kernel/config nor the tree changed;
# starts from nothing where TREE is another kernel than the one last built.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
tree=$1
build=$2

cmp -s "$tree/.origin" "$build/.origin" || rm -rf "$build"
if [ -f "$build/.config" ] &&
	cmp -s "$top/kernel/config" "$build/.configured"; then
	exit 0
fi

mkdir -p "$build"
build=$(cd "$build" && pwd)
make -s -C "$tree" ARCH=um O="$build" \
	KCONFIG_ALLCONFIG="$top/kernel/config" allnoconfig

lost=$(grep '^CONFIG_' "$top/kernel/config" | while IFS= read -r line; do
	case $line in
	*=n) grep "^${line%=n}=" "$build/.config" || : ;;
	*) grep -qxF "$line" "$build/.config" || echo "$line" ;;
	esac
done)
if [ -n "$lost" ]; then
	rm -f "$build/.config"
	echo "configure.sh: kernel/config: not possible in this kernel:" \
		"$lost" | tr '\n' ' ' >&2
	echo >&2
	exit 1
fi
cp "$tree/.origin" "$build/.origin"
cp "$top/kernel/config" "$build/.configured"
