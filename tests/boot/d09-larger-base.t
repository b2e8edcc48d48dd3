#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D9: a disk is never larger than its COW header says.
. "${0%/*}/lib.sh"

pattern base.img BASE 2048
truncate -s 64M big.img
cow delta.cow base="$T/base.img" own=7

BOOT_PATIENCE=20
boot guest ubd0=delta.cow,big.img <<'EOF'
sect info /dev/ubda || echo absent
sync
sect put /dev/ubda PAST 131000 8 || echo refused
EOF
survived guest "D9: the guest survives a write past the end"
like "$(out guest | sed -n 1p)" "^(absent$|bytes=1048576 )" \
	"D9: the disk is absent, or as large as the header says"

boot alone ubd0=delta.cow <<'EOF'
sect map /dev/ubda 0 16 1
EOF
ended_well alone "the COW file still opens with its own base"
is "$(out alone)" "0+7=BASE 7+1=CCCC 8+8=BASE" "and holds what it held"
finish
