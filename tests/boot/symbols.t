#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Host-side objects are linked into a kernel that has functions of its own. One
# with a name of the C library would silently take its place: getrusage() is
# the guest's system call there.  What host-side code calls is either not in the
# kernel, or is listed here because it does the same in both. So with what other
# libraries are called by: io_submit() and its like.
set -eu

cd "$(dirname "$0")/../.."
map=build/kernel/System.map
drivers=build/kernel/arch/um/drivers
objects="$drivers/cow $drivers/ubd_host.o $drivers/ubd_json.o"
same='mem(cmp|cpy|move|set)|strn?(len|cmp)|v?snprintf|kernel_strrchr'

[ -e "$map" ] || { echo "1..0 # SKIP no $map: make kernel"; exit 0; }

echo 1..1
list=$(mktemp)
ours=$(mktemp)
trap 'rm -f "$list" "$ours"' EXIT
sed -n 's/^[0-9a-f]* [TtWwDdBbRr] //p' "$map" | sort -u >"$list"
# shellcheck disable=SC2086
objects=$(find $objects -name '*.o' ! -name built-in.o)
# shellcheck disable=SC2086
nm $objects | sed -n 's/^[0-9a-f]* [TWDBR] //p' | sort -u >"$ours"
# shellcheck disable=SC2086
taken=$(nm -u $objects | sed -n 's/^ *U //p' | sort -u |
	grep -Evx "$same" | comm -23 - "$ours" | comm -12 - "$list")
if [ -z "$taken" ]; then
	echo "ok 1 - no call of the C library ends up in the guest's kernel"
else
	echo "not ok 1 - no call of the C library ends up in the guest's kernel"
	echo "$taken" | sed 's/^/# /'
fi
