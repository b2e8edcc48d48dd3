#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D16: the management console believes what a datagram says of itself, and
# anybody may send one.
#
# Whatever must not be carried out is a "log" of some mark, so that the guest's
# own log tells.
. "${0%/*}/lib.sh"
need uml_mconsole perl stat
MCONSOLE_TIMEOUT=10
FLOOD=${FLOOD:-5}

send()
{
	perl "$boot_dir/host/mcsend.pl" "$T/.uml/guest/mconsole" "$@"
}

# said MARK: how often it stands in the guest's log
said()
{
	cat guest.console guest.host | grep -o -- "$1" | wc -l
}

# Both are there before the guest sees the first of them.
# together DATAGRAM , DATAGRAM: the answers
together()
{
	kill -s STOP "$(guest_pid guest)"
	send send "$@" >together &
	sender=$!
	until_true 10 grep -q sent together
	kill -s CONT "$(guest_pid guest)"
	wait "$sender"
	sed 1d together
}

ticks()
{
	wc -l <share/ticks
}

ticked()
{
	[ "$(ticks)" -gt "$ticks" ]
}

# goes_on WHY: the guest runs and the console answers
goes_on()
{
	ticks=$(ticks)
	holds "D16: the guest runs $1" until_true 10 ticked
	holds "D16: the console answers $1" mconsole_up guest
}

pattern disk.img DISK 2048
cow delta.cow base="$T/disk.img"
rmdir .uml
umask 0
start guest ubd0=delta.cow,disk.img <<'EOF'
sect put /dev/ubda DELTA 8 8
while :; do
	echo >>$S/ticks
	sleep 0.1
done &
point up
sect map /dev/ubda 0 2048
EOF
umask 022
await guest up
mconsole guest snapshot ubda >before || :

is "$(stat -c %a .uml/guest/mconsole) $(stat -c %a .uml/guest)" "600 700" \
	"D16: others can not open the console"
is "$(stat -c %a .uml)" 755 "D16: nor put another in its place"

is "$(send send text='log SOUND\n')" "sent
OK " "a sound datagram is answered"
is "$(said SOUND)" 1 "and carried out"

send send text='log VERSION\n' version=3 >answer
is "$(said VERSION)" 0 "D16: the wrong version is not carried out"
send send text=version , hex= >answer
is "$(grep -c Linux answer)" 1 \
	"D16: an empty datagram does not repeat the last one"
send send text='log LENGTH\n' cut=3 , text='log LENGTH\n' cut=12 >answer
is "$(said LENGTH)" 0 "nothing is added to a short one"
send send text='log TWICE\n' , len=10 >answer
is "$(said TWICE)" 1 "D16: nor one that says it is longer"
send send text='say BEHIND\n' , text=log >answer
send send text='logxWORD\n' >answer
is "$(said BEHIND)" 0 "D16: a log of nothing is one of nothing"
is "$(said WORD)" 0 "D16: half a word is no command"

is "$(together text="proc nothing" , text=version | sed 's/^\(...\).*/\1/')" \
	"ERR
OK " "D16: the first is answered first"
like "$(together text=snap , text=version)" "OK Linux" \
	"D16: a malformed one does not hold up the next"

send unbound text=version
send gone text=version
send gone text="proc cpuinfo"
goes_on "after those who can not be answered"
mconsole guest stop >answer || :
is "$(cat answer)" "OK stopped" "the machine stops"
setsid perl "$boot_dir/host/mcsend.pl" "$T/.uml/guest/mconsole" \
	deaf text='log DEAF\n' >/dev/null &
deaf=$!
boot_groups="$boot_groups $deaf"
until_true 10 [ -e ".uml/guest/mconsole.$deaf" ] || :
mconsole guest go >answer || :
is "$(cat answer)" "OK " "D16: nobody has to read for the machine to go on"
kill "$deaf"
goes_on "after a client that does not read"

diag "$(send flood "$FLOOD")" || :
goes_on "after a flood"
is "$(said CANARY)" 0 "D16: nothing of the flood was carried out"
mconsole guest snapshot ubda >after || :
is "$(cat after)" "$(cat before)" "D16: the chain is as it was"
go up
wait_guest guest 10 || :
is "$(out guest)" "0+8=DISK 8+8=DELTA 16+2032=DISK" "D16: so is the disk"
fails "D16: the guest complains of nothing" complaints guest
finish
