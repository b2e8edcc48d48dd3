#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: after a snapshot the old arguments find the newest state, and copies of
# a frozen file are files of their own.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole

pattern base.img BASE 2048
pattern raw.img RAWW 2048

start one ubd0=delta.cow,base.img ubd1=raw.img <<'EOF'
sect put /dev/ubda AAAA 0 8
sect put /dev/ubdb AAAA 0 8
point a
sect put /dev/ubda BBBB 4 8
sect put /dev/ubdb BBBB 4 8
EOF
await one a
mconsole one snapshot ubda=new.cow >/dev/null
mconsole one snapshot ubdb=rawtop.cow >/dev/null
go a
ended_well one "a guest with snapshots of a COW and a raw disk"
cp -a delta.cow copy.cow
cp -a raw.img copy.img
forget_points

wanted="0+4=AAAA 4+8=BBBB 12+4=BASE"
rawwanted="0+4=AAAA 4+8=BBBB 12+4=RAWW"
start two ubd0=delta.cow,base.img ubd1=raw.img <<'EOF'
sect map /dev/ubda 0 16
sect map /dev/ubdb 0 16
sect put /dev/ubda CCCC 100 8
point c
sect put /dev/ubda DDDD 104 8
sect flush /dev/ubda
point d
EOF
await two c
is "$(out two | sed -n 1p)" "$wanted" "the same arguments find the newest state"
is "$(out two | sed -n 2p)" "$rawwanted" "of a raw disk, too"
holds "the host is told" host_says two "new.cow"
is "$(grep -c new.cow two.host)" 1 "in one line"
mconsole two snapshot ubda=newer.cow >/dev/null
go c
await two d
kill9 two

boot three ubd0=delta.cow,base.img <<'EOF'
sect map /dev/ubda 0 16
sect map /dev/ubda 96 24
EOF
ended_well three "a boot after kill -9, two snapshots above the name given"
is "$(out three)" "$wanted
96+4=BASE 100+4=CCCC 104+8=DDDD 112+8=BASE" "has what was flushed"

boot copies ubd0=copy.cow ubd1=copy.img ubd2r=delta.cow <<'EOF'
sect map /dev/ubda 0 16
sect map /dev/ubdb 0 16
sect map /dev/ubdc 0 16
sect put /dev/ubda MINE 0 1
sect map /dev/ubda 0 16
EOF
ended_well copies "a boot on copies of frozen files"
out copies >lines
is "$(sed -n 1p lines)" "0+8=AAAA 8+8=BASE" "a copy is as at the snapshot"
is "$(sed -n 2p lines)" "0+8=AAAA 8+8=RAWW" "a copy of a raw file, too"
is "$(sed -n 3p lines)" "0+8=AAAA 8+8=BASE" "with r, so is the file itself"
is "$(sed -n 4p lines)" "0+1=MINE 1+7=AAAA 8+8=BASE" "a copy can be written"

boot fresh ubd0=fresh.cow,delta.cow ubd1=base.img <<'EOF'
disks
EOF
is "$(out fresh)" "ubdb " "a fresh file over one with a successor is refused"
fails "and not created" test -e fresh.cow
holds "and the host is told" host_says fresh "delta.cow"

mv new.cow away.cow
cksum <delta.cow >before
boot missing ubd0=delta.cow,base.img ubd1r=base.img <<'EOF'
disks
EOF
is "$(out missing)" "ubdb " "a missing successor is refused"
holds "it is named" host_says missing "new.cow"
like "$(grep new.cow missing.host)" "moo|copy|ubd0r|put it back|mv" \
	"with the way out"
is "$(cksum <delta.cow)" "$(cat before)" "and nothing was written"
mv away.cow new.cow

boot back ubd0=delta.cow,base.img <<'EOF'
sect map /dev/ubda 0 16
EOF
is "$(out back)" "$wanted" "with the successor back, all is as before"
finish
