#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: scripts/demo.sh
#
# The main job from end to end, with a verdict: a guest that works on a database
# is snapshotted, backed up and merged back while it runs, and what is left is
# compared with what it was told. Needs no root. Everything happens in a
# temporary directory, which is removed at the end, or kept with KEEP=1.
#
# Environment: UML (default build/linux), MOO (build/moo), TMPDIR, KEEP.
#
# Invariants: the guest is gone when this ends, however it ends. Every check
# counts; the exit status is 0 only if all of them were made and held.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
UML=${UML:-$top/build/linux}
MOO=${MOO:-$top/build/moo}
PATH=$PATH:/usr/sbin:/sbin
export PATH

guest=
failed=0
checks=0

# ---- words -----------------------------------------------------------------

step()
{
	printf '\n%s\n' "$*"
}

say()
{
	printf '   %s\n' "$*"
}

show()
{
	printf '   $ %s\n' "$*"
}

die()
{
	printf '\ndemo: %s\n' "$*" >&2
	exit 1
}

# check WHAT COMMAND...
check()
{
	what=$1
	shift
	checks=$((checks + 1))
	if "$@" >check.out 2>&1; then
		say "ok: $what"
	else
		failed=$((failed + 1))
		say "FAILED: $what"
		sed 's/^/           /' check.out
	fi
}

# until_true SECONDS COMMAND...
until_true()
{
	left=$(($1 * 20))
	shift
	until "$@"; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		sleep 0.05
	done
}

# ---- beginning and end -----------------------------------------------------

# Programs that the demo asks for, and who has them.
need()
{
	command -v "$1" >/dev/null ||
		die "$1 is not installed: run ./bootstrap demo, or install $2"
}

end()
{
	status=$?
	trap '' INT TERM HUP
	set +e
	if [ -n "$guest" ]; then
		kill -s KILL -- "-$guest" 2>/dev/null
		wait "$guest" 2>/dev/null
	fi
	cd /
	if [ -n "${KEEP:-}" ]; then
		echo "The files are in $dir."
	else
		rm -rf "$dir"
	fi
	trap - EXIT
	exit "$status"
}

set_up()
{
	[ -x "$UML" ] || die "$UML: there is no kernel: run make kernel"
	[ -x "$MOO" ] || die "$MOO: it is missing: run make moo"
	need sqlite3 sqlite3
	need mke2fs e2fsprogs
	need uml_mconsole uml-utilities
	need busybox busybox-static
	dir=$(mktemp -d "${TMPDIR:-/tmp}/moo-demo.XXXXXX")
	trap end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	cd "$dir"
	dir=$(pwd -P)
}

# ---- the guest's disk ------------------------------------------------------

libraries()
{
	ldd "$1" | grep -o '/[^ ]*'
}

make_base()
{
	sqlite=$(command -v sqlite3)
	mkdir -p root/bin root/sbin root/dev root/proc root/run root/data \
		root/log
	cp "$(command -v busybox)" root/bin/busybox
	for applet in sh mount umount echo sleep sync poweroff; do
		ln -s busybox "root/bin/$applet"
	done
	cp "$sqlite" root/bin/sqlite3
	for library in $(libraries "$sqlite"); do
		mkdir -p "root${library%/*}"
		cp -L "$library" "root$library"
	done
	cp "$top"/scripts/demo/*.sql root/
	cp "$top/scripts/demo/init" root/sbin/init
	chmod 755 root/sbin/init
	truncate -s 256M base.img
	mke2fs -q -t ext4 -E root_owner=0:0 -d root base.img
	truncate -s 32M log.img
	mke2fs -q -t ext4 log.img
}

# ---- the guest -------------------------------------------------------------

start_guest()
{
	: >acknowledged
	: >checker
	HOME=$dir setsid "$UML" mem=192M ubd0=delta.cow,base.img ubd1=log.img \
		root=/dev/ubda rootfstype=ext4 rw con=null con0=null,fd:1 \
		con1=null,fd:3 con2=null,fd:4 ssl=null uml_dir="$dir/.uml" \
		umid=guest </dev/null >console 2>host 3>>acknowledged \
		4>>checker &
	guest=$!
}

# The number of the last transaction that the guest was told is durable.
acknowledged()
{
	awk '/^[0-9]+\r$/ { n = $1 + 0 } END { print n + 0 }' acknowledged
}

acknowledged_at_least()
{
	alive || return 0
	[ "$(acknowledged)" -ge "$1" ]
}

# work TRANSACTIONS: let the guest do that many more
work()
{
	until_true 60 acknowledged_at_least $(($(acknowledged) + $1)) ||
		guest_failed "it does not get on with its work"
	alive || guest_failed "it has stopped"
}

alive()
{
	kill -0 "$guest" 2>/dev/null
}

gone()
{
	! alive
}

guest_failed()
{
	tail -n 15 console host checker >&2
	die "the guest failed: $*"
}

# What the checker in the guest has found: rounds, and whether all were sound
rounds()
{
	grep -c . checker || :
}

all_sound()
{
	rounds | grep -qx '[1-9][0-9]*' && ! grep -v '^sound [0-9]*.$' checker
}

# mconsole WORDS: the answer in $answer, shown; anything but OK ends the demo
mconsole()
{
	show "uml_mconsole guest $1"
	HOME=$dir timeout 100 uml_mconsole guest "$1" >answer 2>&1 ||
		die "it answered: $(cat answer)"
	sed 's/^/   /' answer
}

# ---- the parts -------------------------------------------------------------

# snapshot N WORDS: between low.N and high.N transactions are in what it froze
snapshot()
{
	acknowledged >"low.$1"
	mconsole "snapshot $2"
	# One may be durable and not acknowledged as yet.
	echo $(($(acknowledged) + 1)) >"high.$1"
	sed -n '1s/.*, paused //p; 1s/.*, writes held \([^,]*\),.*/\1/p' \
		answer >>pauses
}

# count DATABASE: its rows if it is sound, or what is wrong
count()
{
	sqlite3 -bail "$1" <"$top/scripts/demo/check.sql" 2>&1 |
		sed 's/^sound //'
}

# extract IMAGE NAME: the database out of a file system that is not mounted
extract()
{
	rm -f "$2" "$2-wal"
	debugfs -R "dump /data/demo.db $2" "$1" 2>/dev/null
	debugfs -R "dump /data/demo.db-wal $2-wal" "$1" 2>/dev/null
	[ -s "$2-wal" ] || rm -f "$2-wal"
}

between()
{
	echo "rows: $2, expected: $1 to $3"
	case $2 in
	'' | *[!0-9]*) return 1 ;;
	esac
	[ "$2" -ge "$1" ] && [ "$2" -le "$3" ]
}

# check_database FILE LOW HIGH
check_database()
{
	rows=$(count "$1")
	check "its database is sound; rows acknowledged: $2, found: $rows" \
		between "$2" "$rows" "$3"
}

# Journal and orphans, as the next mount would; status 1 says that it did
replay()
{
	e2fsck -p "$1" || [ $? -eq 1 ]
}

# backup N LAYER: a copy of what was frozen, in backupN.img
backup()
{
	show "moo merge $2 backup$1.img"
	"$MOO" merge "$2" "backup$1.img"
}

# check_backup N IMAGE: what is in it
check_backup()
{
	check "e2fsck -fn finds nothing wrong" e2fsck -fn "$2"
	extract "$2" "backup$1.db"
	check_database "backup$1.db" "$(cat "low.$1")" "$(cat "high.$1")"
}

has_no_journal()
{
	! dumpe2fs -h "$1" 2>/dev/null | grep -q needs_recovery
}

# Rows were counted before they were written down; both disks are of one instant.
check_clerk()
{
	written=$(debugfs -R "cat /rows" "$1" 2>/dev/null | tail -n 1)
	check "rows written down on the other disk: ${written:-none}, no more than there were" \
		between 1 "${written:-0}" "$rows"
}

unsnapshot()
{
	from=$(acknowledged)
	mconsole "unsnapshot ubda delete"
	say "The guest committed $(($(acknowledged) - from)) transactions meanwhile."
}

chain_is()
{
	awk '$1 ~ /^[0-9]+$/ { sub(".*/", "", $2); print $2, $3, $6 }' answer |
		tr '\n' ' ' >chain
	cat chain
	[ "$(cat chain)" = "$1" ]
}

# ---- the story -------------------------------------------------------------

part_boot()
{
	step "1. A disk image: ext4, with busybox and sqlite3 in it."
	make_base
	say "$dir/base.img, 256 MiB"
	step "2. A guest that runs on a COW file over it, so that the image stays as it is."
	show "linux ubd0=delta.cow,base.img ..."
	start_guest
	work 50
	say "It runs. A writer in it commits one transaction after the other to a"
	say "database, each with fsync, and says the number of each that is durable."
	say "A checker in it reads the whole database again and again."
}

part_snapshots()
{
	step "3. Three snapshots, while the guest works."
	say "Of both disks at one instant, their file systems frozen for that;"
	say "then of one of them; then of that one as a power cut would leave it."
	work 300
	snapshot 1 "ubda=one.cow ubdb=log1.cow"
	work 300
	snapshot 2 ubda=two.cow
	work 300
	snapshot 3 "ubda=three.cow crash"
	work 300
	mconsole "snapshot ubda"
	check "the chain has five layers, and the newest is the top" chain_is \
		"three.cow V4 top two.cow V4 frozen one.cow V4 frozen delta.cow V3 frozen base.img raw frozen "
}

part_backup()
{
	step "4. A backup of each snapshot, while the guest works."
	say "All rows acknowledged before the snapshot have to be in it."
	from=$(acknowledged)
	backup 1 delta.cow
	check "its ext4 has nothing to recover" has_no_journal backup1.img
	check_backup 1 backup1.img
	show "moo merge log.img backuplog.img"
	"$MOO" merge log.img backuplog.img
	check_clerk backuplog.img
	backup 2 one.cow
	check "its ext4 has nothing to recover" has_no_journal backup2.img
	check_backup 2 backup2.img
	backup 3 two.cow
	cp --sparse=always backup3.img copy.img
	check "its ext4 is recovered from its journal" replay copy.img
	check_backup 3 copy.img
	rm copy.img
	say "The guest committed $(($(acknowledged) - from)) transactions meanwhile."
	"$MOO" merge delta.cow again.img
	check "the first frozen file has not changed since" \
		cmp backup1.img again.img
	rm again.img
}

part_unsnapshot()
{
	step "5. The snapshots merged back, while the guest works."
	unsnapshot
	work 50
	unsnapshot
	work 50
	unsnapshot
	work 50
	mconsole "snapshot ubda"
	check "the chain is what it was at the beginning" chain_is \
		"delta.cow V3 top base.img raw frozen "
}

part_shutdown()
{
	step "6. The guest shuts down."
	show "uml_mconsole guest cad"
	HOME=$dir timeout 60 uml_mconsole guest cad >/dev/null ||
		guest_failed "it does not answer"
	until_true 60 gone || guest_failed "it does not shut down"
	ended=0
	wait "$guest" || ended=$?
	guest=
	[ "$ended" -eq 0 ] || guest_failed "its exit status is $ended"
	say "It was told that $(acknowledged) transactions are durable."
	check "the checker in the guest read the database $(rounds) times and found nothing wrong" \
		all_sound
	check "its kernel had nothing to complain of" no_complaints
}

no_complaints()
{
	! grep -E 'BUG|WARNING|Oops|panic|I/O error|EXT4-fs error' console host
}

part_offline()
{
	step "7. Merged offline: into a new file, and in place."
	show "moo check delta.cow"
	check "delta.cow has no faults" "$MOO" check delta.cow
	show "moo merge delta.cow merged.img"
	"$MOO" merge delta.cow merged.img
	if command -v uml_moo >/dev/null; then
		show "uml_moo delta.cow other.img"
		uml_moo delta.cow other.img >/dev/null
		check "Debian's uml_moo makes the same image of it" \
			cmp merged.img other.img
		rm other.img
	fi
	show "moo merge --in-place --delete delta.cow"
	"$MOO" merge --in-place --delete delta.cow
	check "base.img is then the same, byte for byte" \
		cmp merged.img base.img
	check "e2fsck -fn finds nothing wrong" e2fsck -fn base.img
	extract base.img base.db
	check_database base.db "$(acknowledged)" "$(acknowledged)"
}

verdict()
{
	step "The three snapshots held the guest's writes for" \
		"$(sed 'N;N;s/\n/, /g' pauses)."
	if [ "$failed" -eq 0 ]; then
		echo "Verdict: GOOD. All $checks checks held, nothing was lost."
	else
		echo "Verdict: BAD. $failed of $checks checks FAILED."
		exit 1
	fi
}

set_up
part_boot
part_snapshots
part_backup
part_unsnapshot
part_shutdown
part_offline
verdict
