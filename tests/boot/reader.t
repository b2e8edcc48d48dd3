#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: a reader on the host sees one commit's index of a top that a guest writes
# as fast as it can, again and again, and keeps nothing from being used again
# afterwards.
. "${0%/*}/lib.sh"
ours_only
need fio
need_moo

truncate -s 1G base.img
moo create -V 4 top.cow base.img

start load ubd0=top.cow <<'EOF'
cat >/tmp/job <<'JOB'
[load]
filename=/dev/ubda
direct=1
ioengine=io_uring
iodepth=16
rw=randwrite
bs=4k
fsync=64
time_based
runtime=12
verify=0
JOB
point ready
fio --minimal /tmp/job >/dev/null
EOF
await load ready
go ready

looks=0
bad=0
faults=0
states=
while alive load; do
	moo map -U --output=json top.cow >map.json 2>map.err || {
		bad=$((bad + 1))
		diag "$(cat map.err)"
	}
	moo check -U --output=json top.cow >check.json 2>check.err || :
	if ! grep -q '"corruptions": 0' check.json; then
		faults=$((faults + 1))
		diag "$(head -n 3 check.err)"
	fi
	seen=$(grep -c '"depth": 0' map.json) || :
	states="$states $seen"
	looks=$((looks + 1))
done
ended_well load "the guest ended"
is "$bad" 0 "$looks looks at a running top, none of them failed"
is "$faults" 0 "and check found no fault in any of them"
holds "many of them" test "$looks" -ge 10
# Each look has at least what the one before had.
grown=$(echo "$states" | tr ' ' '\n' | uniq | wc -l)
holds "and saw it grow: $grown states" test "$grown" -ge 5
status=0
moo check top.cow >check.out || status=$?
is "$status" 0 "moo finds no fault, and nothing has leaked"
diag "$(cat check.out)"
finish
