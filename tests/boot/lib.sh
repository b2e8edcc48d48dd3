# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Duty: boot User Mode Linux for a test and talk to it.
#
# The guest's root is the host's "/", read-only, by hostfs, so a guest script
# can use every program of the host. A test is a .t file that sources this
# one; it runs in a fresh directory $T, of which $T/share is the guest's
# /mnt/share ($S in guest scripts). A guest script comes on standard input:
#
#	boot NAME ubd0=delta.cow,base.img <<'EOF'
#	sect put /dev/ubda AAAA 0 8
#	EOF
#
# or, beside the test, with start NAME ... and wait_guest NAME. The two sides
# meet with "point X" in the guest and "await NAME X" / "go X" in the test.
#
# Environment: UML (kernel, default build/linux), BOOT_KEEP=1 (keep $T),
# BOOT_MEM, BOOT_TIMEOUT (seconds for one test), BOOT_BUILD.
#
# Invariants: every process that a test starts is gone when it ends, killed by
# the process groups it started itself; no test outlives its timeout.

boot_dir=$(cd "$(dirname "$0")" && pwd)
boot_top=$(cd "$boot_dir/../.." && pwd)

if [ -z "${BOOT_LIMITED:-}" ]; then
	BOOT_LIMITED=1
	export BOOT_LIMITED
	exec timeout -k 10 "${BOOT_TIMEOUT:-170}" sh "$boot_dir/${0##*/}" "$@"
fi

. "$boot_dir/tap.sh"

UML=${UML:-$boot_top/build/linux}
STOCK=${STOCK:-/usr/bin/linux.uml}
MOO=${MOO:-$boot_top/build/moo}
BOOT_BUILD=${BOOT_BUILD:-$boot_top/build/tests/boot}
case $UML in
/*) ;;
*) UML=$PWD/$UML ;;
esac

boot_groups=
boot_on_exit=

boot_end()
{
	boot_status=$?
	trap '' INT TERM HUP
	set +e
	for boot_pid in $boot_groups; do
		kill -s KILL -- "-$boot_pid" 2>/dev/null
	done
	wait 2>/dev/null
	[ -z "$boot_on_exit" ] || $boot_on_exit
	cd /
	if [ -n "${BOOT_KEEP:-}" ]; then
		diag "kept: $T"
	else
		rm -rf "$T"
	fi
	trap - EXIT
	exit "$boot_status"
}

# compile SOURCE OUTPUT FLAGS...: once for all tests, whoever comes first
compile()
{
	compile_src=$boot_dir/$1
	compile_out=$BOOT_BUILD/$2
	shift 2
	[ "$compile_out" -nt "$compile_src" ] && return
	mkdir -p "$BOOT_BUILD"
	"${CC:-gcc}" -O2 -Wall -Wextra "$@" -o "$compile_out.$$" "$compile_src"
	mv "$compile_out.$$" "$compile_out"
}

# need PROGRAM...: the test is skipped without them
need()
{
	for need_program; do
		command -v "$need_program" >/dev/null ||
			skip_all "$need_program is not installed"
	done
}

boot_setup()
{
	[ -x "$UML" ] || skip_all "$UML: no such kernel (make kernel)"
	PATH=$PATH:/usr/sbin:/sbin
	export PATH
	T=$(mktemp -d "${TMPDIR:-/tmp}/boot.XXXXXX")
	trap boot_end EXIT
	trap 'exit 143' INT TERM HUP
	compile guest/init.c init -static
	compile guest/sect.c sect -static
	mkdir -p "$T/share/bin" "$T/.uml"
	cp "$BOOT_BUILD/init" "$BOOT_BUILD/sect" "$T/share/bin"
	SECT=$T/share/bin/sect
	S=$T/share
	compile host/xstate.c xstate.so -shared -fPIC
	cd "$T"
}

is_stock()
{
	! grep -q ubd-io "$UML"
}

# ours_only: the test is about what stock does not have
ours_only()
{
	! is_stock || skip_all "$UML is not this driver's kernel"
}

# start NAME ARGUMENTS... <<guest script
start()
{
	name=$1
	shift
	{
		cat "$boot_dir/guest/prologue.sh" -
	} >"share/$name.sh"
	rm -f "share/$name.exit" "share/$name.out"
	# Debian's 6.1 can not start where the CPU state is large (AMX).
	boot_preload=
	! is_stock || boot_preload=$BOOT_BUILD/xstate.so
	[ -z "$boot_args" ] || set -- "$boot_args" "$@"
	# shellcheck disable=SC2086
	LD_PRELOAD=$boot_preload HOME=$T setsid $boot_wrap "$UML" \
		"mem=${BOOT_MEM:-192M}" root=/dev/root rootfstype=hostfs \
		rootflags=/ ro "init=$T/share/bin/init" "share=$T/share" \
		"script=$name" con=null con0=null,fd:1 ssl=null \
		"uml_dir=$T/.uml" "umid=$name" "$@" \
		</dev/null >"$name.console" 2>"$name.host" 3>&- &
	echo $! >"$name.pid"
	boot_groups="$boot_groups $!"
}

# What goes before the kernel (a wrapper), and first on its command line
boot_wrap=
boot_args=

# io_on_threads: outside tools see every operation of the driver
io_on_threads()
{
	is_stock || boot_args=ubd=threads,noinline
}

guest_pid()
{
	cat "$1.pid"
}

alive()
{
	kill -0 "$(guest_pid "$1")" 2>/dev/null
}

# until_true SECONDS COMMAND...
until_true()
{
	until_left=$(($1 * 20))
	shift
	until "$@"; do
		until_left=$((until_left - 1))
		[ "$until_left" -gt 0 ] || return 1
		sleep 0.05
	done
}

reap()
{
	kill -s KILL -- "-$(guest_pid "$1")" 2>/dev/null || :
	wait "$(guest_pid "$1")" 2>/dev/null || :
}

gone()
{
	! alive "$1"
}

# wait_guest NAME [SECONDS]: the script's status; 124 too long, 99 it crashed
wait_guest()
{
	if ! until_true "${2:-60}" gone "$1"; then
		diag "$1: the guest did not end in ${2:-60} seconds"
		reap "$1"
		return 124
	fi
	reap "$1"
	[ -s "share/$1.exit" ] || return 99
	return "$(cat "share/$1.exit")"
}

boot_bad='BUG:|WARNING:|Oops|Kernel panic|Call Trace|blocked for more than'
boot_bad="$boot_bad|Kernel mode (fault|signal)|UBSAN|KASAN"

# complaints NAME: what the guest's kernel complained of
complaints()
{
	grep -nE "$boot_bad" "$1.console" "$1.host"
}

show()
{
	for show_file in "$1.console" "$1.host" "share/$1.out"; do
		[ -s "$show_file" ] || continue
		diag "--- $show_file"
		diag "$(tail -n 25 "$show_file")"
	done
}

# ended_well NAME POINT [SECONDS]: status 0 and no complaints
ended_well()
{
	ended=0
	wait_guest "$1" "${3:-60}" || ended=$?
	if [ "$ended" -eq 0 ] && ! complaints "$1" >/dev/null; then
		ok 0 "$2"
	else
		ok 1 "$2"
		diag "$1: status $ended"
		show "$1"
	fi
}

# boot NAME ARGUMENTS... <<guest script: start and wait, the result in $status
boot()
{
	start "$@"
	status=0
	wait_guest "$1" "${BOOT_PATIENCE:-60}" || status=$?
}

# survived NAME POINT: the guest ended by itself, whatever its script said
survived()
{
	if [ "$status" -lt 99 ] && ! complaints "$1" >/dev/null; then
		ok 0 "$2"
	else
		ok 1 "$2"
		diag "$1: status $status"
		diag "$(complaints "$1" | head -n 5)"
	fi
}

# host_says NAME REGEX: the driver told the host's administrator
host_says()
{
	grep -Eq -- "$2" "$1.host"
}

# out NAME: what the guest's script printed
out()
{
	cat "share/$1.out" 2>/dev/null
}

# await NAME POINT [SECONDS]: until the guest has come to its point
await()
{
	until_true "${3:-60}" at_or_gone "$1" "$2" && [ -e "share/at.$2" ] &&
		return
	diag "$1: the guest never came to point $2"
	show "$1"
	return 1
}

at_or_gone()
{
	[ -e "share/at.$2" ] || gone "$1"
}

go()
{
	: >"share/go.$1"
}

# points again, for a guest started a second time
forget_points()
{
	rm -f share/at.* share/go.*
}

# mconsole NAME WORDS...: prints the answer, returns the client's status
mconsole()
{
	mconsole_name=$1
	shift
	HOME=$T timeout "${MCONSOLE_TIMEOUT:-60}" \
		uml_mconsole "$mconsole_name" "$*" 2>&1
}

mconsole_up()
{
	mconsole "$1" version >/dev/null
}

# kill9 NAME: as a power cut of the guest, its host goes on
kill9()
{
	kill -s KILL "$(guest_pid "$1")" 2>/dev/null || :
	until_true 10 gone "$1"
	reap "$1"
}

is_helper()
{
	case $(cat "/proc/$1/comm" 2>/dev/null) in
	ubd-io*) return 0 ;;
	esac
	is_stock || return 1
	# Stock's are the untraced children, waiting in read() or poll(),
	# which a tracer that left has turned into restart_syscall().
	grep -q '^TracerPid:[[:space:]]*0$' "/proc/$1/status" 2>/dev/null &&
		grep -Eq '^(0|7|219) ' "/proc/$1/syscall" 2>/dev/null
}

# helper_tids NAME: the threads that do the guest's disk I/O
helper_tids()
{
	main=$(guest_pid "$1")
	for helper in "/proc/$main/task"/*; do
		helper=${helper##*/}
		[ "$helper" = "$main" ] || ! is_helper "$helper" ||
			echo "$helper"
	done
	tr ' ' '\n' <"/proc/$main/task/$main/children" |
		while read -r helper; do
			! is_helper "$helper" || echo "$helper"
		done
}

need_strace()
{
	need strace
	strace -o /dev/null true 2>/dev/null ||
		skip_all "strace can not trace here"
}

has_helpers()
{
	trace_tids=$(helper_tids "$1")
	[ -n "$trace_tids" ]
}

attached()
{
	[ -e "$trace_file.err" ] &&
		[ "$(grep -c attached "$trace_file.err")" -ge \
			"$(echo "$trace_tids" | wc -l)" ]
}

# trace NAME FILE OPTIONS...: strace on the helpers, returns when attached
trace()
{
	until_true 10 has_helpers "$1" || {
		diag "no I/O helper thread found"
		return 1
	}
	trace_file=$2
	shift 2
	for tid in $trace_tids; do
		set -- -p "$tid" "$@"
	done
	rm -f "$trace_file.err"
	setsid strace -o "$trace_file" "$@" 2>"$trace_file.err" &
	trace_pid=$!
	boot_groups="$boot_groups $trace_pid"
	until_true 10 attached || diag "strace did not attach to all helpers"
}

# Between two waits strace does not hear it, and threads that are idle do not
# end its wait: so it is told again.
untraced()
{
	kill -s INT "$trace_pid" 2>/dev/null || return 0
	grep -qs '^State:[[:space:]]*Z' "/proc/$trace_pid/status"
}

untrace()
{
	until_true 20 untraced || kill -s KILL "$trace_pid"
	wait "$trace_pid" 2>/dev/null || :
}

# Whatever name the system call has that a driver uses for the job
READS=pread64,preadv,preadv2
WRITES=pwrite64,pwritev,pwritev2
SYNCS=fsync,fdatasync,sync_file_range,syncfs

# calls FILE NAMES: how many of these calls a trace holds
calls()
{
	grep -cE "(^|[^a-z_0-9])($(echo "$2" | tr , '|'))\(" "$1" || :
}

# pattern FILE TAG SECTORS: an image in which every sector says what it is
pattern()
{
	truncate -s "$(($3 * 512))" "$1"
	"$SECT" put "$1" "$2" 0 "$3" 2048
}

# cow FILE KEY=VALUE...: a COW file of any version, made by hand
cow()
{
	perl "$boot_dir/host/cowhdr.pl" "$@"
}

# need_moo: the test is skipped without the offline tool
need_moo()
{
	[ -x "$MOO" ] || skip_all "$MOO: not there (make moo)"
}

# moo VERB ...: the offline tool
moo()
{
	"$MOO" "$@"
}

# chain NAME DEVICE: "file format state" of each layer, the top first
chain()
{
	mconsole "$1" snapshot "$2" |
		awk '$1 ~ /^[0-9]+$/ {
			sub(".*/", "", $2)
			print $2, $3, $6
		}'
}

# no_faults ARGUMENTS...: moo check finds none
no_faults()
{
	moo check "$@" >check.log || {
		diag "$(cat check.log)"
		return 1
	}
}

# held NAME DEVICE: how many requests of it are held
held()
{
	mconsole "$1" snapshot "$2" --json |
		sed -n 's/^ *"held": \([0-9]*\),*$/\1/p'
}

holding()
{
	[ "$(held "$1" "$2")" -gt 0 ]
}

set -eu
boot_setup
