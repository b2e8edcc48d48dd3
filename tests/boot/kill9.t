#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: kill -9 amid snapshots and merges loses nothing that was flushed, and
# the same arguments go on from there.
#
# KILL_SEED makes the times of the kills; each round's is printed.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole

KILL_SEED=${KILL_SEED:-$(($(date +%s) % 100000))}
# A command that the kill cuts off gets no answer.
MCONSOLE_TIMEOUT=5
ROUNDS=${KILL_ROUNDS:-8}
diag "KILL_SEED=$KILL_SEED"

# Round n's writer has the 2048 sectors from n * 2048 on, merges have ballast.
pattern base.img BASE $((131072 + 2048 * (ROUNDS + 1)))

# milliseconds ROUND: from 0 to 499, the same for the same seed
milliseconds()
{
	echo $(((KILL_SEED * 7919 + $1 * 104729) % 500))
}

# round N: checks what former rounds flushed, then writes until killed
round()
{
	forget_points
	start "r$1" ubd0=delta.cow,base.img <<EOF
i=1
while [ \$i -lt $1 ]; do
	sect verify /dev/ubda \$S/log.\$i \$i \$((i * 2048)) 2048 BASE
	i=\$((i + 1))
done
[ $1 -le $ROUNDS ] || exit 0
sect storm /dev/ubda \$S/log.$1 $1 $(($1 * 2048)) 2048 &
sect put /dev/ubda BALAST $((2048 * (ROUNDS + 1))) 65536 2048
point ready
wait
EOF
}

# Live commands one after another until the machine is gone
commands()
{
	n=0
	while :; do
		n=$((n + 1))
		mconsole "r$1" snapshot "ubda=k$1-$n.cow" >>"answers.$1" || return 0
		mconsole "r$1" unsnapshot ubda delete >>"answers.$1" || return 0
	done
}

i=1
while [ "$i" -le "$ROUNDS" ]; do
	round "$i"
	await "r$i" ready || {
		ok 1 "round $i: what was flushed before the kill is there"
		break
	}
	ok 0 "round $i: what was flushed before the kill is there"
	go ready
	mconsole "r$i" snapshot "ubda=k$i.cow" >/dev/null || :
	commands "$i" &
	commands_pid=$!
	ms=$(milliseconds "$i")
	sleep "$(printf '0.%03d' "$ms")"
	kill9 "r$i"
	wait "$commands_pid" || :
	holds "round $i: the writer had flushed" test -s "share/log.$i"
	diag "round $i: killed after $ms ms, $(grep -c OK "answers.$i") commands"
	i=$((i + 1))
done
round "$((ROUNDS + 1))"
ended_well "r$((ROUNDS + 1))" "after the last kill all rounds are there"
finish
