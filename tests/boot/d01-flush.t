#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D1: a flush of the guest reaches the file on the host, and the right one.
. "${0%/*}/lib.sh"
need_strace
io_on_threads

pattern raw.img RAWW 2048
pattern base.img BASE 2048

start guest ubd0=raw.img ubd1=delta.cow,base.img <<'EOF'
echo $(cat /sys/block/ubd[ab]/queue/write_cache)
point ready
for i in 0 1 2 3 4; do
	sect put /dev/ubda FLSH $((i * 8)) 8
	sect flush /dev/ubda
	sect put /dev/ubdb FLSH $((i * 8)) 8
	sect flush /dev/ubdb
done
point flushed
EOF
await guest ready
trace guest syncs -y -e trace=$SYNCS
go ready
await guest flushed
untrace
go flushed
ended_well guest "the guest wrote and flushed"
is "$(out guest)" "write back write back" "the disks say that they have a cache"
for f in raw.img delta.cow; do
	holds "D1: five flushes of the disk on $f sync it five times" \
		test "$(grep -c "/$f>" syncs)" -ge 5
done
finish
