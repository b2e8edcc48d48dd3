#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D13: an interrupted or partial call on the host is continued, the guest
# never learns of it.
. "${0%/*}/lib.sh"
need_strace
io_on_threads

pattern disk.img DISK 2048

start guest ubd0=disk.img <<'EOF'
try()
{
	"$@" 2>/dev/null || echo failed
}
point a
try sect map /dev/ubda 0 16 16
point b
try sect put /dev/ubda EINT 0 8
point c
try sect put /dev/ubda SHRT 32 1
point d
try sect put /dev/ubda SHRT 32 16 16
point e
try sect map /dev/ubda 64 16 16
point f
sect map /dev/ubda 0 64 1
EOF

# during POINT NAMES FAULT: the guest's next step meets the fault once
during()
{
	await guest "$1"
	trace guest "faults.$1" -e "trace=$2" -e "inject=$2:$3:when=1"
	go "$1"
	await guest "$4"
	untrace
	holds "the fault of step $1 happened" grep -q INJECTED "faults.$1"
}

during a $READS error=EINTR b
during b $WRITES error=EINTR c
await guest c
go c
# The first sector already holds what a partial write claims to have written.
during d $WRITES retval=512 e
during e $READS retval=512 f
go f
ended_well guest "the guest went on"
out guest >lines
is "$(sed -n 1p lines)" "0+16=DISK" "D13: a read meets EINTR"
fails "D13: a write meets EINTR or comes up short" grep -q failed lines
tail -n 1 lines >map
is "$(cat map)" "0+8=EINT 8+24=DISK 32+16=SHRT 48+16=DISK" \
	"D13: all of both writes is there"
# What the pretended read left out is not looked at.
like "$(sed -n 2p lines)" "65\\+15=DISK$" \
	"D13: a short read is continued where it stopped"
finish
