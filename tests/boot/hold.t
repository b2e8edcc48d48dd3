#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: a device that holds what the host refuses: nothing fails in the guest
# while the host's disk is full, and with room and "resume" all of it is written;
# what can not be mended by that is reported.
. "${0%/*}/lib.sh"
. "$boot_dir/asked.sh"
. "$boot_dir/small.sh"
ours_only
need uml_mconsole
need_moo

small_disk 3
small_layers
cp --sparse=always small/base3.img small/raw.img

says()
{
	mconsole guest "$@"
}

told()
{
	grep -c "$1 holds requests of the guest" guest.host
}

told_again()
{
	[ "$(told "$1")" -gt "$2" ]
}

start_asked ubd0W=small/delta3.cow ubd1W=small/delta4.cow \
	ubd2=small/raw.img

# finished JOB NAME: it has come to a good end
finished()
{
	ending=$(ended_with "$1")
	is "$ending" 0 "$2"
	[ "$ending" = 0 ] || diag "$(cat "share/said.$1")"
}

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
		until_true 20 holding guest ubd$d
	like "$(says snapshot ubd$d)" \
		" 0 .* top, held: no space left on the host, [0-9]+ requests?" \
		"ubd$d: and the list says so"
	holds "ubd$d: and the host is told" until_true 20 told_again ubd$d 0
	is "$(guest_does "cat /sys/block/ubd$d/ubd/held")" "$(held guest ubd$d)" \
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

room 32
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
until_true 20 holding guest ubda || :
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
until_true 20 holding guest ubdb || :
status=0
text=$(MCONSOLE_TIMEOUT=20 says unsnapshot ubdb force) || status=$?
diag "$text"
fails "a merge while requests are held comes to an answer" \
	test "$status" -eq 124
room 32
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
holds "then it is held" until_true 20 holding guest ubdc
like "$(says hold ubdc off)" "^OK ubdc: .* fail, [1-9][0-9]* requests? did" \
	"hold off"
until_true 20 ended "$job" || :
like "$(cat "share/said.$job")" "No space" "what was held fails then"
is "$(held guest ubdc)" 0 "and nothing is held"
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
