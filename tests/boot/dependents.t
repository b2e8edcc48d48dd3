#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: a merge that would tear what else is built on the parent is refused, with
# the names, until it is forced; into a protected base none is made.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo

pattern base.img BASE 2048

start one ubd0=delta.cow,base.img <<'EOF'
sect put /dev/ubda AAAA 0 8
sect flush /dev/ubda
point a
sect put /dev/ubda BBBB 4 8
sect flush /dev/ubda
point b
sect put /dev/ubda CCCC 8 8
sect flush /dev/ubda
point c
sect map /dev/ubda 0 20
EOF
await one a
like "$(moo info base.img)" "^known to be built on it: .*/delta.cow$" \
	"a base knows the delta that a boot made over it"
like "$(mconsole one snapshot ubda=one.cow)" "^OK " "a snapshot"
go a
await one b

holds "a clone of the frozen layer, which is closed" \
	moo create clone.cow delta.cow
like "$(mconsole one unsnapshot ubda)" \
	"^ERR .*/delta.cow: say force if .*/clone.cow" \
	"unsnapshot is refused with its name"
is "$(chain one ubda)" "one.cow V4 top
delta.cow V3 frozen
base.img raw frozen" "and nothing has begun"
start two ubd0=clone.cow <<'EOF'
point running
EOF
await two running
like "$(mconsole one unsnapshot ubda force)" \
	"^ERR .*/delta.cow: it is in use elsewhere; stop the machines on .*/clone.cow," \
	"while a machine runs on it, its name is told, and force is no word"
go running
ended_well two "that machine ended"
rm clone.cow
like "$(mconsole one unsnapshot ubda delete)" "delta.cow is the top again" \
	"once it is gone nothing is in the way"
go b
await one c

holds "another layer over the base" moo create -V 4 other.cow base.img
like "$(mconsole one unsnapshot ubda)" "^ERR .*say force" \
	"the delta of the start needs force anyway"
holds "the base is protected, while it is read" moo protect base.img
like "$(mconsole one unsnapshot ubda force)" \
	"^ERR .*/base.img: it is protected" "force is no word against that"
holds "the protection is lifted" moo protect --off base.img
like "$(mconsole one unsnapshot ubda force)" "base.img is the top again" \
	"forced, it goes into the base"
go c
ended_well one "the guest ended"
is "$(out one)" "0+4=AAAA 4+4=BBBB 8+8=CCCC 16+4=BASE" "and saw its data"
refused=0
moo check other.cow >/dev/null 2>why || refused=$?
is "$refused" 2 "the other layer is refused from then on"
like "$(cat why)" "base.img has changed since" "and says why"

# A protected disk.
pattern disk.img DISK 2048
moo protect disk.img
cksum <disk.img >before
boot two ubd0=disk.img ubd1=over.cow,disk.img <<'EOF'
sect map /dev/ubda 0 8
cat /sys/block/ubda/ro
sect put /dev/ubdb OVER 0 8
sect map /dev/ubdb 0 16
EOF
ended_well two "a boot with a protected disk"
is "$(out two)" "0+8=DISK
1
0+8=OVER 8+8=DISK" "it is read, and built on"
holds "the host is told" host_says two \
	"disk.img is opened read-only: it is protected"
is "$(cksum <disk.img)" "$(cat before)" "and was not written"
finish
