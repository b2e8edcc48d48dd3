#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The engine against its naive twin with every file past the host's cache, on a
# disk: what lives in memory takes any place for aligned.
set -eu

twin=$(cd "$(dirname "$0")/../.." && pwd)/build/tests/engine/test_twin
disk=${DISKDIR:-/var/tmp}

[ -x "$twin" ] || { echo "1..0 # SKIP no $twin: make check-fast"; exit 0; }
probe=$(mktemp "$disk/moo-probe.XXXXXX")
trap 'rm -f "$probe"' EXIT
truncate -s 4096 "$probe"
dd if="$probe" of=/dev/null bs=512 count=1 iflag=direct 2>/dev/null || {
	echo "1..0 # SKIP no direct I/O in $disk: name a directory with DISKDIR"
	exit 0
}
DIRECT=1 TMPDIR=$disk SEQUENCES=${SEQUENCES:-60} "$twin"
