#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D6: the guest can not make the host open a file that the guest named, and
# learns nothing of the host's files from the kernel's log.
. "${0%/*}/lib.sh"

for f in a b c flag; do
	pattern $f.img BASE 2048
done
pattern secret.img SECR 2048
cow share/head base="$T/secret.img"
truncate -s 8192 share/head
cow delta.cow base="$T/secret.img"
mtime=$(stat -c %Y secret.img)
touch -d @1000000007 secret.img

boot write ubd0=a.img ubd1=b.img ubd2=c.img ubd3d=flag.img <<'EOF'
try()
{
	if "$@" 2>/dev/null; then echo written; else echo refused; fi
}
sect put /dev/ubda MINE 0 4
sect map /dev/ubda 0 8
printf OOOM | try sect raw /dev/ubda 0
printf MOOO | try sect raw /dev/ubdb 0
try sect raw /dev/ubdc 0 <"$S/head"
try sect raw /dev/ubdd 0 <"$S/head"
EOF
ended_well write "the guest tried"
out write >lines
is "$(sed -n 1p lines)" "0+4=MINE 4+4=BASE" "sector 0 can be written"
is "$(sed -n 2p lines)" refused "D6: but not with a magic"
is "$(sed -n 3p lines)" refused "D6: nor with the one of the other byte order"
is "$(sed -n 4p lines)" refused "D6: nor with a whole header"
is "$(sed -n 5p lines)" written "the flag d allows it"

boot changed ubd0=a.img ubd4=delta.cow <<'EOF'
disks
dmesg | grep -v -i 'kernel command line' >"$S/dmesg"
EOF
ended_well changed "D6: the guest starts without the disk whose base has changed"
is "$(out changed)" "ubda " "D6: that one is refused"
fails "D6: which tells the guest no path" grep -q secret share/dmesg
fails "D6: nor a time" grep -q 1000000007 share/dmesg
holds "D6: but tells the host which file" host_says changed "delta.cow|secret.img"

touch -d "@$mtime" secret.img
boot next ubd0=c.img ubd1d=flag.img <<'EOF'
sect map /dev/ubda 16 8
sect map /dev/ubdb 16 8
EOF
ended_well next "the guest booted again"
is "$(out next | sed -n 1p)" "16+8=BASE" "D6: the disk is the disk that it was"
is "$(out next | sed -n 2p)" "16+8=BASE" "with the flag d, too"
finish
