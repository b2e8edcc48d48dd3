#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D3: a write that failed leaves the old content, now and after a reboot.
. "${0%/*}/lib.sh"
need_strace
io_on_threads

pattern base.img BASE 2048

start guest ubd0=delta.cow,base.img <<'EOF'
# Stock 6.1 forgets what it knows of a disk that nobody has open.
exec 3</dev/ubda
sect put /dev/ubda GOOD 0 8
point ready
sect put /dev/ubda LOST 16 8 && echo written || echo refused
point failed
sect map /dev/ubda 0 48 16
sect put /dev/ubda NEXT 24 8
sect flush /dev/ubda
sect map /dev/ubda 0 48 16
EOF
await guest ready
trace guest writes -e trace=$WRITES -e inject=$WRITES:error=ENOSPC
go ready
await guest failed
untrace
go failed
ended_well guest "the guest went on after a full host disk"
holds "the write met ENOSPC" grep -q INJECTED writes
is "$(out guest | sed -n 1p)" refused "the guest was told"
is "$(out guest | sed -n 2p)" "0+8=GOOD 8+40=BASE" \
	"D3: what could not be written still reads as before"
is "$(out guest | sed -n 3p)" "0+8=GOOD 8+16=BASE 24+8=NEXT 32+16=BASE" \
	"D3: also after the next good write"

boot again ubd0=delta.cow,base.img <<'EOF'
sect map /dev/ubda 0 48 16
EOF
ended_well again "the guest booted again"
is "$(out again)" "0+8=GOOD 8+16=BASE 24+8=NEXT 32+16=BASE" \
	"D3: and after a reboot"
finish
