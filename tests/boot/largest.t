#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: the largest disk that there can be, of 2^63 - 512 bytes, as a V4 file of some
# KiB: its last sector can be written, merged, and read again; one more is refused.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo

last=$(((1 << 54) - 2))
moo create --size=$((last * 512 + 512)) -V 4 large.cow
fails "a larger one can not be made" \
	moo create "--size=9223372036854775808" -V 4 larger.cow
fails "and there is no file" test -e larger.cow

start guest ubd0=large.cow <<EOF
cat /sys/block/ubda/size
for at in 0 $((last / 2)) $((last - 2)); do sect put /dev/ubda FAR \$at 1; done
sect flush /dev/ubda
point written
sect put /dev/ubda LAST $last 1
sect map /dev/ubda $((last - 3)) 4
point merged
sect map /dev/ubda $((last - 3)) 4
EOF
await guest written
like "$(mconsole guest snapshot ubda=top.cow)" "^OK " "a snapshot"
go written
await guest merged
like "$(mconsole guest unsnapshot ubda delete)" "large.cow is the top" "a merge"
go merged
ended_well guest "the guest writes to its end"
wanted="$((last - 3))+1=zero $((last - 2))+1=FAR $((last - 1))+1=zero $last+1=LAST"
is "$(out guest)" "$((last + 1))
$wanted
$wanted" "the last sector is there"
holds "in a file of some KiB" test "$(stat -c %s large.cow)" -lt 300000
holds "which is sound" moo check large.cow

boot again ubd0=large.cow <<EOF
sect map /dev/ubda 0 2
sect map /dev/ubda $((last / 2)) 1
sect map /dev/ubda $((last - 3)) 4
EOF
ended_well again "it is opened again"
is "$(out again)" "0+1=FAR 1+1=zero
$((last / 2))+1=FAR
$wanted" "with all that was written"
finish
