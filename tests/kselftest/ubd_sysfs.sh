#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What stands in /sys/block/<disk> of a guest. Output is TAP; README.rst has the
# environment. Nothing is written.

count=0
failed=0
skipped=0

# point STATUS NAME
point()
{
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		failed=1
	fi
}

# is FILE WANTED NAME
is()
{
	got=$(cat "$1" 2>&1)
	[ "$got" = "$2" ]
	point $? "$3"
	[ "$got" = "$2" ] || echo "# got '$got', not '$2'"
}

# above FILE LEAST NAME
above()
{
	[ "$(cat "$1")" -gt "$2" ]
	point $? "$3"
}

# disk VARIABLE: its directory is $dir, or its tests are skipped
disk()
{
	eval "dir=\${$1:-}"
	if [ -n "$dir" ]; then
		dir=/sys/block/$dir
		return
	fi
	count=$((count + 1))
	skipped=$((skipped + 1))
	echo "ok $count - # SKIP $1 is not set"
	return 1
}

number()
{
	grep -qx '[0-9][0-9]*' "$1"
}

echo "TAP version 13"

if disk UBD_SCRATCH; then
	is "$dir/ro" 0 "it can be written"
	is "$dir/queue/write_cache" "write back" "a write cache"
	is "$dir/queue/fua" 1 "FUA"
	is "$dir/queue/logical_block_size" 512 "sectors of 512 bytes"
	is "$dir/queue/max_hw_sectors_kb" 1024 "requests of up to 1 MiB"
	is "$dir/queue/max_segments" 256 "of up to 256 pieces"
	above "$dir/queue/discard_max_bytes" 0 "discard"
	above "$dir/queue/write_zeroes_max_bytes" 0 "write zeroes"
	is "$dir/serial" "" "no serial number"
	is "$dir/ubd/state" idle "state: idle"
	is "$dir/ubd/progress" "" "progress: of nothing"
	above "$dir/ubd/depth" 0 "depth: a layer at least"
	for name in snapshots merges held errors; do
		number "$dir/ubd/$name"
		point $? "$name: a number"
	done
	! cat "$dir"/ubd/* | grep -q '[^0-9a-z]'
	point $? "nothing but tokens and numbers"
	# shellcheck disable=SC2012
	[ "$(ls "$dir/ubd" | tr '\n' ' ')" = \
		"depth errors held merges progress snapshots state " ]
	point $? "no file that is not documented"
	! find "$dir/ubd" -type f ! -perm 444 | grep -q .
	point $? "none can be written"
fi
if disk UBD_READONLY; then
	is "$dir/ro" 1 "flag R: read-only"
fi
if disk UBD_SECTOR; then
	is "$dir/queue/logical_block_size" 4096 "flag B: sectors of 4096 bytes"
fi
if disk UBD_NO_TRIM; then
	is "$dir/queue/discard_max_bytes" 0 "flag t: no discard"
fi
if disk UBD_SERIAL; then
	is "$dir/serial" ABC-1 "the serial number"
fi

echo "1..$count"
[ "$count" -ne "$skipped" ] || exit 4
exit $failed
