#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: fold, and the control of merges, of a running guest: what the guest reads
# never changes, and pause, cancel, stop and restart leave the chain right.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo

# Big enough that a merge at 1 MiB a second is still under way when asked.
pattern base.img BASE 262144
pattern clean.img BASE 65536

start guest ubd0=delta.cow,base.img ubd1=other.cow,clean.img <<'EOF'
sect put /dev/ubda AAAA 0 50000 2048
sect put /dev/ubdb OTHR 0 100
point a
sect put /dev/ubda BBBB 10 100
point b
sect put /dev/ubda CCCC 20 50000 2048
point c
sect storm /dev/ubda "$S/log" 11 200000 2048 999999999 "$S/go.end" &
storm=$!
point d
point end
wait $storm
sect map /dev/ubda 0 100000 2048
sync
point map
EOF

content="0+10=AAAA 10+10=BBBB 20+50000=CCCC 50020+49980=BASE"

# refused WORDS REGEX WHAT: an error, and the chain is unchanged
refused()
{
	before=$(chain guest ubda)
	status=0
	# shellcheck disable=SC2086
	text=$(mconsole guest $1) || status=$?
	holds "$3: the client's exit code tells" test "$status" -ne 0
	like "$text" "^ERR .*$2" "$3: which says why"
	is "$(chain guest ubda)" "$before" "$3: nothing changed"
}

# table NAME: the layers of ubda
table()
{
	mconsole "$1" snapshot ubda
}

percent()
{
	table guest | sed -n 's/.*\(folding\|draining\) \([0-9]*\) %.*/\2/p'
}

merging()
{
	[ -n "$(percent)" ]
}

at_rest()
{
	! merging
}

is_paused()
{
	table "$1" | grep -q ', paused$'
}

layers_left()
{
	[ "$(chain "$1" ubda | wc -l)" -eq "$2" ]
}

await guest a
mconsole guest snapshot ubda=one.cow >/dev/null
go a
await guest b
mconsole guest snapshot ubda=two.cow >/dev/null
go b
await guest c
mconsole guest snapshot ubda=top.cow >/dev/null
go c
await guest d
holds "four layers over a base" layers_left guest 5

# What can not be folded
refused "merge ubda=none.cow" "none.cow.*no layer" "a layer that there is not"
refused "merge ubda=top.cow" "is the top" "the top"
refused "merge ubda=base.img" "no layer below it" "the base"
refused "merge ubda=delta.cow" "force" "a layer that no snapshot made"
refused "merge ubda quickly" "quickly" "an unknown word"
refused "merge ubda pause" "no merge is under way" "nothing to pause"
refused "merge ubda auto=1" "2 or more" "a depth that can not be"
refused "merge" "say which" "no device"
refused "merge ubdq" "ubdq" "no such device"
refused "unsnapshot ubda discard" "in use" "a disk in use to be discarded"

# One layer, named, under a load
like "$(mconsole guest merge ubda=two.cow delete)" \
	"ubda: $T/two.cow folded into $T/one.cow, [0-9]+ MiB" \
	"one layer is folded into its parent"
is "$(chain guest ubda)" "top.cow V4 top
one.cow V4 frozen
delta.cow V3 frozen
base.img raw frozen" "and is gone from the chain"
fails "and deleted" test -e two.cow

# Pause, resume, cancel
mconsole guest merge ubda speed=1 >/dev/null
like "$(mconsole guest merge ubda nowait force)" \
	"^OK ubda: merging in the background" "all layers, in the background"
until_true 20 merging || :
like "$(table guest)" "delta.cow .*folding [0-9]+ %" \
	"the list shows how far it is"
for words in "snapshot ubda=x.cow" "unsnapshot ubda" "merge ubda"; do
	like "$(mconsole guest "$words")" "^ERR .*under way" \
		"$words meanwhile is refused"
done
like "$(mconsole guest merge ubda pause)" "^OK ubda: the merge pauses" "pause"
until_true 20 is_paused guest || :
holds "the list shows it" is_paused guest
now=$(percent)
sleep 0.5
is "$(percent)" "$now" "and it stands still"
like "$(mconsole guest merge ubda resume)" "^OK ubda: the merge goes on" "resume"
like "$(mconsole guest merge ubda cancel)" "^OK ubda: the merge is given up" \
	"cancel"
until_true 20 at_rest || :
is "$(chain guest ubda)" "top.cow V4 top
one.cow V4 frozen
delta.cow V3 frozen
base.img raw frozen" "the chain has all its layers"
holds "the host is told" host_says guest "delta.cow: the merge .* was given up"
holds "and its file is right without an excuse" no_faults delta.cow

# Another disk does not wait
like "$(mconsole guest unsnapshot ubdb force)" "clean.img is the top again" \
	"another disk is merged meanwhile"

# A machine that is killed in the middle, paused
mconsole guest merge ubda nowait force >/dev/null
until_true 20 merging || :
mconsole guest merge ubda pause >/dev/null
until_true 20 is_paused guest || :
go d
await guest end
go end
await guest map
is "$(tail -n 1 share/guest.out)" "$content" "the guest reads what it has written"
kill9 guest
forget_points

truncate -s 128M slow.img
start again ubd0=delta.cow,base.img ubd1=clean.img ubd2=slow.cow,slow.img <<'EOF'
sect put /dev/ubdc SLOW 0 50000 2048
point a
sect map /dev/ubda 0 100000 2048
sect storm /dev/ubda "$S/log2" 12 200000 2048 999999999 "$S/go.stop" &
storm=$!
point b
wait $storm
sect map /dev/ubda 0 100000 2048
sect map /dev/ubdb 0 200
point c
sect put /dev/ubdb MORE 0 10
sect map /dev/ubdb 0 20
point d
sect map /dev/ubdb 0 20
EOF
await again a
until_true 20 is_paused again || :
holds "after kill -9 the merge is paused, as it was" is_paused again
go a
await again b
is "$(sed -n 1p share/again.out)" "$content" "with the same content"
mconsole again merge ubda resume >/dev/null
until_true 60 layers_left again 3 || :
is "$(chain again ubda)" "top.cow V4 top
one.cow V4 frozen
base.img raw frozen" "resumed, it comes to its end"
like "$(mconsole again merge ubda)" \
	"ubda: 1 layer folded into $T/base.img, [0-9]+ MiB" \
	"all the others are folded"
holds "two layers are left" layers_left again 2
like "$(mconsole again merge ubda)" "there is nothing to fold" "and no more"
go stop
go b
await again c
is "$(sed -n 2p share/again.out)" "$content" \
	"the guest reads the same through all of that"
is "$(sed -n 3p share/again.out)" "0+100=OTHR 100+100=BASE" \
	"the other disk was merged"

# A disk that is removed while it is merged
slow_layers()
{
	[ "$(chain again ubdc | wc -l)" -eq "$1" ]
}
slow_merges()
{
	mconsole again snapshot ubdc | grep -q 'draining [0-9]'
}
mconsole again merge ubdc speed=1 >/dev/null
mconsole again unsnapshot ubdc force nowait >/dev/null
until_true 20 slow_merges || :
like "$(mconsole again remove ubdc)" "^OK" "a disk is removed while it is merged"
like "$(moo info slow.cow)" "state: being merged into its backing file" \
	"and its merge is not forgotten"
like "$(mconsole again config ubdc=slow.cow)" "^OK" "configured anew"
until_true 60 slow_layers 1 || :
is "$(chain again ubdc)" "slow.img raw top" "it goes on by itself, to the end"
is "$("$SECT" map slow.img 0 50001 2048)" "0+50000=SLOW 50000+1=zero" \
	"with all that was written"

# Folding by itself
disk_layers()
{
	[ "$(chain again ubdb | wc -l)" -eq "$1" ]
}
like "$(mconsole again merge ubdb auto=2 delete)" \
	"^OK ubdb: speed 0 MiB/s \(no limit\), folds by itself from 2 layers on" \
	"a depth from which on to fold"
mconsole again snapshot ubdb=x1.cow >/dev/null
mconsole again snapshot ubdb=x2.cow >/dev/null
until_true 20 disk_layers 2 || :
is "$(chain again ubdb)" "x2.cow V4 top
clean.img raw frozen" "is kept"
fails "and what was folded is deleted" test -e x1.cow
mconsole again merge ubdb auto=0 >/dev/null
mconsole again unsnapshot ubdb delete >/dev/null

# Back to the snapshot, while nobody has the disk open
mconsole again snapshot ubdb=back.cow >/dev/null
go c
await again d
is "$(sed -n 4p share/again.out)" "0+10=MORE 10+10=OTHR" "a write after a snapshot"
like "$(mconsole again unsnapshot ubdb discard delete)" \
	"^OK ubdb: $T/clean.img is the top again, what $T/back.cow held is dropped" \
	"is discarded"
fails "with its file" test -e back.cow
mconsole again snapshot ubdb=back3.cow V3 >/dev/null
mconsole again unsnapshot ubdb discard >/dev/null
is "$(od -An -tx1 -j8 -N4 back3.cow | tr -d ' ')" 00000000 \
	"a V3 file that is kept: programs that know no records refuse it"
go d
ended_well again "the guest ended well"
is "$(sed -n 5p share/again.out)" "0+20=OTHR" "and the guest is back"

moo check -r leaks top.cow >/dev/null || :
holds "the chain is right" no_faults top.cow
for name in one.cow delta.cow; do
	like "$(moo info $name)" "a name for its backing file" \
		"$name is a name for its parent"
done
sums=$(sha256sum <base.img)
start third ubd0=delta.cow,base.img <<'EOF'
sect map /dev/ubda 0 100000 2048
EOF
ended_well third "the first name of all leads to the top"
is "$(out third)" "$content" "and shows the same"
is "$(sha256sum <base.img)" "$sums" "and nothing was written below the top"
finish
