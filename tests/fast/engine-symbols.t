#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The engine's core is plain C: it asks for nothing but its own functions and
# the few of the C library that are listed here.  Only the back ends (io_*.c)
# may call the host.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
objects=$top/build/obj/arch/um/drivers/cow
allowed='cow_[a-z0-9_]*|common_[a-z_]*|mem(cmp|cpy|move|set)|str(n?len|n?cmp)'
# The table through which position-independent code finds its own functions.
allowed="$allowed|vsnprintf|_GLOBAL_OFFSET_TABLE_"

echo 1..2
core=$(find "$objects" -name '*.o' ! -name 'io_*.o')
[ -n "$core" ] || { echo "Bail out! build/moo first"; exit 1; }
# shellcheck disable=SC2086
foreign=$(nm -u $core | sed -n 's/^ *U //p' | sort -u |
	grep -Evx "$allowed" || true)
if [ -z "$foreign" ]; then
	echo "ok 1 - the core calls only what it may"
else
	echo "not ok 1 - the core calls only what it may"
	echo "$foreign" | sed 's/^/# /'
fi

# State would be shared between chains: the core has none but constants, and
# what crc32c.c found out about the processor.
# shellcheck disable=SC2086
state=$(size -A $core | awk '/:$/ { file = $1 }
	/^\.bss / && $2 == 4 && file ~ /\/crc32c\.o$/ { next }
	/^\.(data|bss) / && $2 { print file, $1, $2 }')
if [ -z "$state" ]; then
	echo "ok 2 - the core has no variables of its own"
else
	echo "not ok 2 - the core has no variables of its own"
	echo "$state" | sed 's/^/# /'
fi
