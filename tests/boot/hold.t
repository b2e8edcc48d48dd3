#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: a device that holds what the host refuses: nothing fails in the guest
# while the host's disk is full, and with room and "resume" all of it is written;
# what can not be mended by that is reported.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo

mkdir small
mount -t tmpfs -o size=3m small small 2>/dev/null ||
	skip_all "no tmpfs can be mounted here"
boot_on_exit="umount $T/small"

full()
{
	dd if=/dev/zero of=small/fill bs=4k 2>/dev/null || :
}

room()
{
	rm -f small/fill
	mount -o remount,size=32m small small
}

# 8 MiB each, of which only the first part is there
for disk in 3 4; do
	pattern small/base$disk.img BASE 512
	truncate -s 8M small/base$disk.img
	moo create -V $disk small/delta$disk.cow small/base$disk.img
done
cp --sparse=always small/base3.img small/raw.img

says()
{
	mconsole guest "$@"
}

# held DEVICE: how many requests of it are held
held()
{
	says snapshot "$1" --json | sed -n 's/^ *"held": \([0-9]*\),*$/\1/p'
}

holding()
{
	[ "$(held "$1")" -gt 0 ]
}

holding_nothing()
{
	[ "$(held "$1")" -eq 0 ]
}

told()
{
	grep -c "$1 holds requests of the guest" guest.host
}

told_again()
{
	[ "$(told "$1")" -gt "$2" ]
}

ended()
{
	[ -e "share/ended.$1" ]
}

# The guest does what stands in the next file, beside what it does already.
start guest ubd0W=small/delta3.cow ubd1W=small/delta4.cow \
	ubd2=small/raw.img <<'EOF'
n=1
run()
{
	status=0
	sh -eu "$S/do.$1" >"$S/said.$1" 2>&1 || status=$?
	echo "$status" >"$S/ending.$1"
	mv "$S/ending.$1" "$S/ended.$1"
}
while [ ! -e "$S/go.end" ]; do
	if [ -e "$S/do.$n" ]; then
		run "$n" &
		n=$((n + 1))
	fi
	sleep 0.02
done
EOF
echo 0 >asked

# guest_begins COMMAND: its number is in $job
guest_begins()
{
	job=$(($(cat asked) + 1))
	echo "$job" >asked
	echo "$1" >share/next
	mv share/next "share/do.$job"
}

# guest_does COMMAND: prints what it said
guest_does()
{
	guest_begins "$1"
	until_true 40 ended "$job" || echo "no answer"
	cat "share/said.$job"
}

# finished JOB NAME: it has come to a good end
finished()
{
	until_true 40 ended "$1" || :
	is "$(cat "share/ended.$1" 2>/dev/null)" 0 "$2"
	[ "$(cat "share/ended.$1" 2>/dev/null)" = 0 ] ||
		diag "$(cat "share/said.$1")"
}

until_true 30 mconsole_up guest || diag "the guest does not come up"
for d in a b; do
	guest_does "sect put /dev/ubd$d OLDD 0 64; sect flush /dev/ubd$d" >old
done
full

# ---- held, and resumed ------------------------------------------------------

jobs=
for d in a b; do
	guest_begins "sect put /dev/ubd$d MORE 32 4096 256
		sect flush /dev/ubd$d"
	jobs="$jobs $job"
	holds "ubd$d: a write that finds no room is held" \
		until_true 20 holding ubd$d
	like "$(says snapshot ubd$d)" \
		" 0 .* top, held: no space left on the host, [0-9]+ requests?" \
		"ubd$d: and the list says so"
	holds "ubd$d: and the host is told" until_true 20 told_again ubd$d 0
	is "$(guest_does "cat /sys/block/ubd$d/ubd/held")" "$(held ubd$d)" \
		"ubd$d: the guest can see it"
	is "$(guest_does "sect map /dev/ubd$d 0 32 16")" "0+32=OLDD" \
		"ubd$d: reads go on"
	like "$(says remove ubd$d)" "^ERR .*held" "ubd$d: it is not removed"
done
holds "the line names the file and says what to do" host_says guest \
	"/small/delta3.cow: ubda holds requests of the guest: no space left on the host; make room, then say resume ubda"

# Longer than the block layer waits for a request by itself
sleep 32
for job in $jobs; do
	fails "job $job still waits" ended "$job"
done
for d in a b; do
	is "$(told ubd$d)" 1 "ubd$d: the host was told once"
	like "$(says resume ubd$d)" "^OK ubd$d: [0-9]+ requests? submitted again" \
		"ubd$d: resume without room"
	holds "ubd$d: what is refused again is held again" \
		until_true 20 told_again ubd$d 1
done

room
for d in a b; do
	says resume ubd$d >/dev/null
done
for job in $jobs; do
	finished "$job" "job $job: with room it comes to its end"
done
for d in a b; do
	is "$(guest_does "sect map /dev/ubd$d 0 4200 200")" \
		"0+32=OLDD 32+4096=MORE 4128+72=zero" "ubd$d: with all its data"
	is "$(guest_does "cat /sys/block/ubd$d/ubd/held /sys/block/ubd$d/ubd/errors" |
		tr '\n' ' ')" "0 0 " "ubd$d: nothing is held, nothing has failed"
	like "$(says resume ubd$d)" "^OK ubd$d: 0 requests" \
		"ubd$d: resume where nothing is held"
done

# ---- while something is held ------------------------------------------------

full
guest_begins "sect put /dev/ubda LATE 6000 2048 64; sect flush /dev/ubda"
until_true 20 holding ubda || :
like "$(says snapshot ubda="$T/frozen.cow")" "^ERR .*held" \
	"a snapshot that freezes would have to wait for it, and is refused"
like "$(says snapshot ubda="$T/beside.cow" crash)" "^OK ubda: " \
	"one as a crash leaves it goes where there is room"
says resume ubda >/dev/null
finished "$job" "and the write comes to its end"
is "$(guest_does "sect map /dev/ubda 5900 2300 100")" \
	"5900+100=zero 6000+2048=LATE 8048+152=zero" "with its data"

full
guest_begins "sect put /dev/ubdb LATE 6000 2048 64; sect flush /dev/ubdb"
until_true 20 holding ubdb || :
status=0
text=$(MCONSOLE_TIMEOUT=20 says unsnapshot ubdb force) || status=$?
diag "$text"
fails "a merge while requests are held comes to an answer" \
	test "$status" -eq 124
room
says resume ubdb >/dev/null
finished "$job" "and the write comes to its end"
if [ "$status" -ne 0 ]; then
	like "$text" "^ERR .*space" "the merge said why it stopped"
	like "$(says unsnapshot ubdb force)" "is the top again" \
		"and with room it comes to its end"
fi
is "$(guest_does "sect map /dev/ubdb 4000 4200 8")" \
	"4000+128=MORE 4128+1872=zero 6000+2048=LATE 8048+152=zero" \
	"after which everything is there"

# ---- hold and report, while it runs -----------------------------------------

full
guest_begins "sect put /dev/ubdc NONE 6000 2048 64"
until_true 20 ended "$job" || :
like "$(cat "share/said.$job")" "No space" "without the flag a write fails"
is "$(guest_does "cat /sys/block/ubdc/ubd/held")" 0 "and is not held"
fails "and is counted" test "$(guest_does "cat /sys/block/ubdc/ubd/errors")" -eq 0
like "$(says hold ubdc)" "^OK ubdc: .* are held" "hold"
guest_begins "sect put /dev/ubdc LAST 6000 2048 64"
holds "then it is held" until_true 20 holding ubdc
like "$(says hold ubdc off)" "^OK ubdc: .* fail, [1-9][0-9]* requests? did" \
	"hold off"
until_true 20 ended "$job" || :
like "$(cat "share/said.$job")" "No space" "what was held fails then"
is "$(held ubdc)" 0 "and nothing is held"
guest_begins "sect put /dev/ubdc LAST 6000 2048 64"
until_true 20 ended "$job" || :
like "$(cat "share/said.$job")" "No space" "and the next one fails at once"
like "$(says hold)" "^ERR say which" "hold: without a device"
like "$(says hold ubdz)" "^ERR ubdz: no such device" "hold: none such"
like "$(says resume ubdk)" "^ERR ubdk: it is not configured" "resume: none there"
like "$(says resume ubda off)" "^ERR off: unknown word" "resume has no words"

go end
ended_well guest "the guest ended well"

# ---- the machine ends while something is held -------------------------------

for way in halt panic; do
	rm -f small/fill
	: >small/raw.img
	truncate -s 8M small/raw.img
	full
	case $way in
	halt) last="exit 0" ;;
	panic) last="echo c >/proc/sysrq-trigger" ;;
	esac
	start $way ubd0W=small/raw.img <<EOF
sect put /dev/ubda GONE 6000 2048 64 &
until [ "\$(cat /sys/block/ubda/ubd/held)" -gt 0 ]; do
	sleep 0.05
done
: >"\$S/held.$way"
$last
EOF
	status=0
	wait_guest $way 60 || status=$?
	fails "$way: the machine ends while a write is held" test "$status" -eq 124
	holds "$way: one was" test -e share/held.$way
done
holds "at a halt the host is told" host_says halt \
	"raw.img: the machine halts: what ubda held has failed in the guest"
finish
