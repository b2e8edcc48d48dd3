#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: a device that holds what the host refuses does not hold what can not be
# mended: after a sync that failed, flushes and durable writes are reported, and
# nothing waits for a "resume". An error of a write alone is held, a durable one
# too, and so is a flush that found no room; a read is reported.
. "${0%/*}/lib.sh"
. "$boot_dir/asked.sh"
ours_only
need uml_mconsole
need_strace
io_on_threads

pattern raw.img BASE 4096
pattern base.img BASE 4096
need_moo
moo create -V 4 delta.cow base.img

start_asked ubd0W=raw.img ubd1W=delta.cow

# result: 0, or what the guest was told
result()
{
	if [ "$(ended_with "$job")" = 0 ]; then
		echo 0
	else
		sed 's/.*: //' "share/said.$job" | tail -n 1
	fi
}

durable()
{
	echo "dd if=/dev/zero of=/dev/ubd$1 bs=4k count=1 seek=${2:-8} \
		oflag=direct,dsync conv=notrunc status=none"
}

guest_begins "sect put /dev/ubda OLDD 0 8; sect put /dev/ubdb OLDD 0 8
	sect flush /dev/ubda; sect flush /dev/ubdb"
is "$(result)" 0 "a guest at work"

# A write of data that fails
for d in a b; do
	trace guest met -e "trace=$WRITES" \
		-e "inject=$WRITES:error=EIO:when=1"
	guest_begins "$(durable $d)"
	holds "ubd$d: a durable write whose data meets EIO is held" \
		until_true 20 holding guest ubd$d
	untrace
	like "$(mconsole guest snapshot ubd$d)" \
		"held: the host can not read or write, 1 request$" \
		"ubd$d: the list says why"
	fails "ubd$d: nobody is answered" ended "$job"
	mconsole guest resume ubd$d >/dev/null
	is "$(result)" 0 "ubd$d: after resume it is written"
	is "$(held guest ubd$d)" 0 "ubd$d: nothing is held"
done

trace guest met -e "trace=$READS" -e "inject=$READS:error=EIO:when=1"
guest_begins "sect map /dev/ubda 0 8"
said=$(result)
untrace
is "$said" "Input/output error" "a read is reported"

# A flush that a snapshot can not answer yet, for want of room: what is written to
# the new file by its name is written after the swap.
trace guest met -P "$T/snap.cow" -e trace=pwrite64,pwritev \
	-e inject=pwrite64,pwritev:error=ENOSPC
mconsole guest snapshot ubdb=snap.cow >answer &
asker=$!
until_true 20 host_says guest "can not be made durable yet" || :
guest_begins "sect put /dev/ubdb SNAP 64 8; sect flush /dev/ubdb"
holds "a flush that finds no room is held" until_true 20 holding guest ubdb
fails "and nobody is answered" ended "$job"
untrace
wait $asker
like "$(cat answer)" "snap.cow on " "with room the snapshot comes to its end"
mconsole guest resume ubdb >/dev/null
is "$(result)" 0 "and after resume the flush does"

# A sync that fails: what follows is lost, and can not be had by waiting
for d in a b; do
	trace guest met -e "trace=$SYNCS" -e "inject=$SYNCS:error=ENOSPC:when=1"
	guest_begins "sect put /dev/ubd$d NEWW 16 8; sect flush /dev/ubd$d"
	said=$(result)
	untrace
	holds "ubd$d: a sync met an error" grep -q INJECTED met
	is "$said" "No space left on device" "ubd$d: the flush is reported"
	guest_begins "$(durable $d)"
	is "$(result)" "No space left on device" \
		"ubd$d: and so is a durable write"
	is "$(held guest ubd$d)" 0 "ubd$d: nothing is held"
done
go end
ended_well guest "the guest ended"

# Without durability nothing was lost; the next start is a good one.
boot again ubd0W=raw.img ubd1W=delta.cow <<'EOF'
for d in a b; do
	sect put /dev/ubd$d LAST 24 8
	sect flush /dev/ubd$d
	sect map /dev/ubd$d 0 8
	cat /sys/block/ubd$d/ubd/errors
done
EOF
ended_well again "and starts again"
is "$(out again | tr '\n' ' ')" "0+8=OLDD 0 0+8=OLDD 0 " "with sound disks"
finish
