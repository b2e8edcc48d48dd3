#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: commands of all kinds in any order, also while others are under way: each
# works or is refused with a reason, the guest loses nothing, and in the end every
# chain can be merged to its base.
#
# HOT_SEED=n: the same order again. HOT_ROUNDS=n (120).
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo

seed=${HOT_SEED:-$(date +%s)}
rounds=${HOT_ROUNDS:-120}
diag "HOT_SEED=$seed"

pattern a.img BASE 65536
pattern b.img BASE 65536
pattern c.img BASE 4096

start guest ubd0=a.cow,a.img ubd1V4=b.cow,b.img ubd2=c.cow,c.img <<'EOF'
sect storm /dev/ubda "$S/log.a" 11 32768 2048 999999999 "$S/go.end" &
a=$!
sect storm /dev/ubdb "$S/log.b" 12 32768 2048 999999999 "$S/go.end" &
b=$!
point running
wait $a $b
sync
point written
EOF

pick()
{
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	picked=$((seed / 65536 % $1))
}

# Words for a disk in use, or for the one that nobody has open
words()
{
	pick 2
	disk=ubda
	[ "$picked" -eq 0 ] || disk=ubdb
	n=$((n + 1))
	pick 16
	case $picked in
	0 | 1) echo "snapshot $disk=s$n.cow" ;;
	2) echo "snapshot $disk=s$n.cow crash" ;;
	3) echo "snapshot ubda=g$n.cow ubdb=h$n.cow" ;;
	4 | 5) echo "unsnapshot $disk nowait" ;;
	6) echo "unsnapshot $disk nowait delete" ;;
	7) echo "merge $disk nowait" ;;
	8) echo "merge $disk nowait delete force" ;;
	9) echo "merge $disk pause" ;;
	10) echo "merge $disk resume" ;;
	11) echo "merge $disk cancel" ;;
	12) echo "merge $disk speed=40" ;;
	13) echo "remove ubdc" ;;
	14) echo "config ubdc=$T/c.cow" ;;
	15) echo "snapshot --json" ;;
	esac
}

n=0
worked=0
strange=
await guest running
go running
while [ "$n" -lt "$rounds" ]; do
	# Not by $(...): what was picked has to be known here
	words >word
	said=$(cat word)
	status=0
	# shellcheck disable=SC2086
	text=$(mconsole guest $said) || status=$?
	case $text in
	OK*) worked=$((worked + 1)) ;;
	ERR*) ;;
	*) strange="$strange
$said: status $status: $text" ;;
	esac
done
is "$strange" "" "each command is answered, well or with a reason"
holds "and many of them worked ($worked of $rounds)" \
	test "$worked" -gt $((rounds / 4))

# merged DISK: down to its base, whatever is under way
merged()
{
	mconsole guest merge "$1" speed=0 >/dev/null || :
	mconsole guest merge "$1" resume >/dev/null || :
	mconsole guest merge "$1" force >/dev/null || :
	mconsole guest unsnapshot "$1" force >/dev/null || :
	[ "$(chain guest "$1" | wc -l)" -eq 1 ]
}
for disk in ubda ubdb; do
	holds "$disk comes to its base" until_true 60 merged $disk
done
go end
await guest written
go written
ended_well guest "the guest ended well"
for disk in a b; do
	seed_of=11
	[ $disk = a ] || seed_of=12
	like "$("$SECT" verify $disk.img share/log.$disk $seed_of 32768 2048 BASE)" \
		"^0 of 2048 " "ubd$disk: all that was written is in the base"
done
finish
