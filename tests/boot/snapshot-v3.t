#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: a V3 snapshot of a raw disk under load is a file that stock's kernel and
# uml_moo can use; its merge, refusals, and kill -9 in the midst of it.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole fio
need_moo
OURS=$UML

pattern disk.img BASE 131072
pattern cow.img BASE 64
pattern named.img BASE 64

# fio's part of the disk is 1 MiB to 25 MiB; what is there is verified later.
job="--name=v --filename=/dev/ubda --offset=1m --size=24m --rw=randwrite"
job="$job --bs=4k --direct=1 --ioengine=libaio --iodepth=16 --verify=crc32c"

start guest ubd0=disk.img ubd1=delta.cow,cow.img ubd2=named.img <<EOF
sect put /dev/ubda AAAA 0 64
point up
fio $job --do_verify=0 --rate_iops=1500 --end_fsync=1 --output=\$S/fio
sect put /dev/ubda BBBB 32 8
sect flush /dev/ubda
EOF

# refused WORDS REGEX WHAT: one line, and no file
refused()
{
	text=$(mconsole guest "$1") || :
	is "$(printf '%s\n' "$text" | sed '/^$/d' | wc -l)" 1 "$3: one line"
	like "$text" "^ERR .*$2" "$3: which says why"
	fails "$3: no file" test -e new.cow
}

await guest up
refused "snapshot ubdb=new.cow V3" "needs a raw file .*choose V4" "V3 over V3"
refused "snapshot ubda=new.cow V5" "V5: no format .*V3 or V4" "V5"
like "$(mconsole guest "snapshot ubdc=my V3 V3")" "^OK ubdc: $T/my V3 on " \
	"a name that ends like a version"
like "$(mconsole guest snapshot ubdc)" "0  $T/my V3 +V3 " \
	"can be told from one"
go up
sleep 1
text=$(mconsole guest "snapshot ubda=v3.cow V3") || :
like "$text" "^OK ubda: $T/v3.cow on $T/disk.img, paused [0-9]+\.[0-9]{2} ms" \
	"a V3 snapshot under load"
is "$(chain guest ubda)" "v3.cow V3 top
disk.img raw frozen" "the list"
refused "snapshot ubda=new.cow V3" "needs a raw file .*choose V4" "V3 over it"
cksum <disk.img >frozen
ended_well guest "the guest ended" 90
is "$(cksum <disk.img)" "$(cat frozen)" "the old top has not changed since"
is "$("$SECT" map disk.img 0 64)" "0+64=AAAA" "it has what was written before"

is "$(od -A n -t x1 -N 8 v3.cow | tr -d ' ')" 4f4f4f4d00000003 "version 3"
holds "moo check finds nothing" moo check v3.cow
holds "moo merges it" moo merge v3.cow ours.img
if command -v uml_moo >/dev/null; then
	holds "uml_moo merges it" uml_moo v3.cow theirs.img
	holds "to the same bytes" cmp theirs.img ours.img
else
	skip "uml_moo is not installed"
fi
wanted="0+32=AAAA 32+8=BBBB 40+24=AAAA"
is "$("$SECT" map ours.img 0 64)" "$wanted" "with what was written after it"

if [ -x "$STOCK" ]; then
	cp -a v3.cow copy.cow
	UML=$STOCK
	boot stock ubd0=copy.cow <<EOF
fio $job --verify_only --output=\$S/fio.stock
sect map /dev/ubda 0 64
sect put /dev/ubda STCK 4 4
EOF
	UML=$OURS
	ended_well stock "stock's kernel boots on it, and fio verifies all"
	is "$(out stock)" "$wanted" "and sees both sides of the snapshot"
	boot again ubd0=copy.cow <<'EOF'
sect map /dev/ubda 0 16
EOF
	is "$(out again)" "0+4=AAAA 4+4=STCK 8+8=AAAA" \
		"what stock wrote is read by ours"
else
	skip "$STOCK: no stock kernel here"
fi

# By the old name, and back
forget_points
start back ubd0=disk.img <<EOF
fio $job --verify_only --output=\$S/fio.back
sect map /dev/ubda 0 64
point here
fio $job --verify_only --output=\$S/fio.merged
EOF
await back here
is "$(out back)" "$wanted" "the old name leads to it"
like "$(mconsole back unsnapshot ubda delete)" "ubda: $T/disk.img is the top" \
	"it is merged without force"
go here
ended_well back "fio verified all before and after"
fails "and is gone" test -e v3.cow
holds "the disk is what it was" cmp disk.img ours.img

# Killed: at once when the answer is there, and at any time before
pattern killed.img BASE 8192
verified()
{
	"$SECT" verify "$1" share/log "$round" 0 4096 BASE >verified || {
		diag "$(cat verified)"
		return 1
	}
}
round=0
in_time=0
for wait in 0 0.003 0.006 0.012 answer; do
	round=$((round + 1))
	forget_points
	start kill$round ubd0=killed.img <<EOF
sect storm /dev/ubda \$S/log $round 0 4096 &
point on
EOF
	await kill$round on
	sleep 0.3
	MCONSOLE_TIMEOUT=5 mconsole kill$round "snapshot ubda=k$round.cow V3" \
		>answer 2>&1 &
	boot_asked=$!
	if [ $wait = answer ]; then
		wait $boot_asked || :
	else
		sleep $wait
	fi
	kill9 kill$round
	wait $boot_asked 2>/dev/null || :
	grep -q "^OK" answer || in_time=$((in_time + 1))
	BOOT_PATIENCE=30 boot look$round ubd0=killed.img <<'EOF'
dd if=/dev/ubda of="$S/seen" bs=1M count=2 2>/dev/null
EOF
	if [ $status -eq 0 ] && verified share/seen; then
		ok 0 "killed ($wait): all that was flushed is there"
	else
		ok 1 "killed ($wait): all that was flushed is there"
		show look$round
	fi
	if host_says look$round "using its successor"; then
		moo merge --in-place --delete k$round.cow >/dev/null
	else
		rm -f k$round.cow
	fi
	# The next round begins from a pattern that it can tell.
	"$SECT" put killed.img BASE 0 4096 2048
done
diag "$in_time of $round were killed before the answer"
finish
