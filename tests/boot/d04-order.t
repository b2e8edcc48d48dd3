#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D4: data is durable before the bitmap says so. What may stand on the disk
# after a power cut is proven by tests/crash; this sees that the barriers are
# there, in the order of the calls.
. "${0%/*}/lib.sh"
need_strace
io_on_threads

pattern base.img BASE 2048

start guest ubd0=delta.cow,base.img <<'EOF'
sect put /dev/ubda BOOT 1024 1
sect flush /dev/ubda
point ready
for i in 0 1 2 3; do
	sect put /dev/ubda DATA $((i * 200)) 4
	sect flush /dev/ubda
done
point flushed
EOF
await guest ready
trace guest calls -y -s 0 -e trace=$WRITES,$SYNCS
go ready
await guest flushed
untrace
go flushed
ended_well guest "the guest wrote and flushed"
report=$(perl "$boot_dir/host/order.pl" delta.cow 12288 calls)
diag "$report"
like "$report" "data=[1-9].* meta=[1-9]" "data and bitmap were both written"
like "$report" "early=0 " "D4: no bitmap is written before its data is synced"
like "$report" "open=0$" "D4: the last bitmap written is synced too"
finish
