#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D8: a COW file over a base of 32 KiB or less can be written.
. "${0%/*}/lib.sh"

pattern base.img BASE 32
pattern tiny.img TINY 1

BOOT_PATIENCE=20
boot guest ubd0=delta.cow,base.img ubd1=tiny.cow,tiny.img <<'EOF'
sect put /dev/ubda SMAL 3 2
sect map /dev/ubda 0 32 32
sect put /dev/ubdb SMAL 0 1
sect map /dev/ubdb 0 1
EOF
survived guest "D8: the guest survives the first write"
is "$(out guest | sed -n 1p)" "0+3=BASE 3+2=SMAL 5+27=BASE" \
	"D8: a base of 16 KiB"
is "$(out guest | sed -n 2p)" "0+1=SMAL" "D8: a base of one sector"
finish
