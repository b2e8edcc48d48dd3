#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: system calls of a running guest's helper threads that fail: the error
# reaches whom it concerns, and no one else; a sync that failed stays failed
# until the disk is opened again; a snapshot or merge that failed left nothing,
# and can be had.
. "${0%/*}/lib.sh"
. "$boot_dir/asked.sh"
ours_only
need uml_mconsole
need_strace
io_on_threads

pattern base.img BASE 4096

start_asked ubd0=delta.cow,base.img

# during CALLS ERROR WHEN COMMAND: in the guest, while these calls fail
during()
{
	trace guest met -e "trace=$1" -e "inject=$1:error=$2:when=$3"
	said=$(guest_does "$4")
	untrace
}

map="sect map /dev/ubda 0 64 16"
is "$(guest_does "sect put /dev/ubda OLDD 0 32; sect flush /dev/ubda; $map")" \
	"0+32=OLDD 32+32=BASE" "a guest at work"

# One request's own
during $READS EIO 1 "$map"
holds "a read meets EIO" grep -q INJECTED met
like "$said" "failed" "who reads is told"
is "$(guest_does "$map")" "0+32=OLDD 32+32=BASE" "the next read is good"
during $WRITES EIO 1 "sect put /dev/ubda LOST 16 8"
holds "a write meets EIO" grep -q INJECTED met
like "$said" "failed" "who writes is told"
is "$(guest_does "sect flush /dev/ubda; $map")" "0+32=OLDD 32+32=BASE" \
	"flushes go on, and what could not be written is as before"

# A snapshot, then its merge, with the Nth call of each kind failing for want of
# room. Syncs are not among them: what a sync could not write is lost.
CALLS="openat linkat ftruncate pwrite64 pwritev fsetxattr copy_file_range"
runs=0
failures=0
wrong=0

# amiss WHAT: one more, and why
amiss()
{
	wrong=$((wrong + 1))
	diag "$1"
}

# goes_on WHAT: the guest writes and flushes, and sees the rest as it was
goes_on()
{
	runs=$((runs + 1))
	tag=$(printf 'T%03d' "$runs")
	said=$(guest_does "sect put /dev/ubda $tag 0 8; sect flush /dev/ubda
		$map")
	[ "$said" = "0+8=$tag 8+24=OLDD 32+32=BASE" ] ||
		amiss "$1: then it says $said"
}

# verb CALL N WORDS: while that call fails; false if it was not met
verb()
{
	what="$3, $1 $2"
	trace guest met -e "trace=$1" -e "inject=$1:error=ENOSPC:when=$2"
	shift 2
	status=0
	text=$(mconsole guest "$*") || status=$?
	untrace
	[ "$status" -eq 0 ] || refused_well
	grep -q INJECTED met
}

# One line says why, after those that tell how far it is.
refused_well()
{
	failures=$((failures + 1))
	case $text in
	"ERR "*) ;;
	*) amiss "$what: $text" ;;
	esac
	[ "$(printf '%s\n' "$text" | grep -cv -e '^$' -e ' MiB$')" -eq 1 ] ||
		amiss "$what: $text"
}

top_is()
{
	chain guest ubda | grep -q "^$1 .* top"
}

sound()
{
	text=$(mconsole guest "$*") || amiss "$*: $text"
}

snapshot_with()
{
	met=0
	verb "$1" "$2" snapshot ubda=new.cow || met=1
	goes_on "$what"
	if [ "$status" -eq 0 ]; then
		sound unsnapshot ubda delete
	elif [ -e new.cow ]; then
		amiss "$what: it left its file"
		rm -f new.cow
	fi
	return "$met"
}

merge_with()
{
	met=0
	sound snapshot ubda=new.cow
	goes_on "before a merge"
	verb "$1" "$2" unsnapshot ubda delete || met=1
	goes_on "$what"
	top_is delta.cow || sound unsnapshot ubda delete
	top_is delta.cow || amiss "$what: it does not end"
	rm -f new.cow
	goes_on "after $what"
	return "$met"
}

# each VERB: with every call that it makes
each()
{
	calls=0
	failures=0
	wrong=0
	for call in $CALLS; do
		n=1
		while [ $n -lt 20 ] && "$1_with" "$call" $n; do
			n=$((n + 1))
		done
		calls=$((calls + n - 1))
		[ $n -lt 20 ] || amiss "$1, $call: there is no end to them"
	done
	is "$wrong" 0 \
		"$1, $calls calls failed: nothing is left, the guest goes on"
	holds "$1: and $failures times it failed" test "$failures" -gt 0
}

each snapshot
each merge
like "$(guest_does "$map")" " 8\+24=OLDD 32\+32=BASE$" \
	"nothing else was touched"

# A sync
during fdatasync EIO 1 "sect put /dev/ubda SYNC 0 8; sect flush /dev/ubda"
holds "a sync meets EIO" grep -q INJECTED met
like "$said" "failed" "the guest that syncs is told"
like "$(guest_does "sect flush /dev/ubda")" "failed" \
	"the host's next sync is good, but the guest's is not"
is "$(guest_does "sect put /dev/ubda MORE 8 8; sect map /dev/ubda 0 16 16")" \
	"0+8=SYNC 8+8=MORE" "reads and writes go on"
like "$(guest_does "sect flush /dev/ubda")" "failed" "a sync does not"
like "$(mconsole guest remove ubda)" "^OK" "the disk is closed"
like "$(mconsole guest config "ubda=delta.cow")" "^OK" "and opened again"
is "$(guest_does "sect put /dev/ubda DONE 0 8; sect flush /dev/ubda
	sect map /dev/ubda 16 48 16")" "16+16=OLDD 32+32=BASE" \
	"then a sync succeeds, and what was durable is there"
go end
ended_well guest "the guest ended well"

boot again ubd0=delta.cow <<'EOF'
sect map /dev/ubda 0 64 16
EOF
ended_well again "it boots again"
like "$(out again)" \
	"^0\+8=DONE (8\+8=MORE 16\+16|8\+24)=OLDD 32\+32=BASE$" \
	"with all that was flushed"
finish
