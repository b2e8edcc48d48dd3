#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D15: a disk whose file is slow does not hold up another disk.
. "${0%/*}/lib.sh"
need_strace
io_on_threads

pattern slow.img SLOW 2048
pattern fast.img FAST 2048

any_stopped()
{
	for tid in $trace_tids; do
		! grep -q '^State:[[:space:]]*t' "/proc/$tid/status" || return 0
	done
	return 1
}

# held: a helper stands still in the tracer's hands, not just in passing
held()
{
	for look in 1 2 3 4; do
		any_stopped || return 1
		sleep 0.02
	done
}

# fast_alone: its answer is there while the slow disk still has none
fast_alone()
{
	grep -q '^fast' share/order && ! grep -q '^slow' share/order
}

start guest ubd0=slow.img ubd1=fast.img <<'EOF'
point ready
(sect map /dev/ubda 0 8; echo slow) >>"$S/order" &
point asked
(sect map /dev/ubdb 0 8; echo fast) >>"$S/order"
wait
EOF
await guest ready
trace guest reads -y -P "$T/slow.img" -e trace=$READS \
	-e "inject=$READS:delay_enter=8000000"
go ready
await guest asked
holds "the slow disk is being read" until_true 10 held
go asked
holds "D15: the fast disk did not wait" until_true 5 fast_alone
ended_well guest "the guest read both"
is "$(sort share/order | tr '\n' ' ')" \
	"0+8=FAST 0+8=SLOW fast slow " "both disks were read"
finish
