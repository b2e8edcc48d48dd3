#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: the harness itself, on any kernel: status, points, console, kill -9.
. "${0%/*}/lib.sh"
need uml_mconsole

pattern base.img BASE 2048

start one ubd0=base.img <<'EOF'
sect map /dev/ubda 0 2048 >"$S/map"
sect put /dev/ubda WROTE 5 3 1
sect map /dev/ubda 0 16
point written
EOF
holds "the guest comes to its point" await one written
is "$(cat share/map)" "0+2048=BASE" "a file in the shared directory"
like "$(mconsole one version)" "Linux" "mconsole answers"
go written
ended_well one "a guest that does its work ends well"
is "$(out one)" "0+5=BASE 5+3=WROTE 8+8=BASE" "its output"
is "$("$SECT" map base.img 0 16)" "0+5=BASE 5+3=WROTE 8+8=BASE" \
	"its writes are in the image"

boot two ubd0=base.img <<'EOF'
exit 7
EOF
is "$status" 7 "the status of a script comes back"

boot three ubd0=base.img <<'EOF'
echo c >/proc/sysrq-trigger
EOF
is "$status" 99 "a crash is told from an end"
like "$(complaints three)" "sysrq triggered crash" "and the console shows it"

forget_points
start four ubd0=base.img <<'EOF'
sect storm /dev/ubda "$S/log" 42 0 2048 &
until [ -s "$S/log" ]; do sleep 0.1; done
point storming
EOF
holds "a writer runs" await four storming
kill9 four
holds "kill -9 leaves no process" gone four
like "$("$SECT" verify base.img share/log 42 0 2048 BASE)" \
	"flushed up to step [0-9]" "the log of the writer is on the host"

# A test that is cut short leaves no process behind.
cat >hang.t <<EOF
BOOT_LIMITED=1
. "$boot_dir/lib.sh"
pattern hang.img HANG 64
start hang ubd0=hang.img <<'GUEST'
point hanging
GUEST
await hang hanging
guest_pid hang >$T/hanging
wait_guest hang
EOF
cp "$boot_dir/tap.sh" .
mkdir guest host && cp "$boot_dir"/guest/* guest && cp "$boot_dir"/host/* host
UML=$UML BOOT_BUILD=$BOOT_BUILD BOOT_LIMITED=1 sh "$T/hang.t" &
hang=$!
holds "a second test hangs" until_true 30 test -s hanging
group=$(cat hanging)
holds "in a process group of its own" kill -s 0 -- "-$group"
kill "$hang"
wait "$hang" || :
no_group()
{
	! kill -s 0 -- "-$group" 2>/dev/null
}
holds "its guest went with it" until_true 5 no_group
finish
