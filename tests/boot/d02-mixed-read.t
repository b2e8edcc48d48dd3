#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D2: one read over sectors of both files returns each sector's own content.
. "${0%/*}/lib.sh"

pattern base.img BASE 2048

boot guest ubd0=delta.cow,base.img <<'EOF'
sect put /dev/ubda COW1 8 1
sect map /dev/ubda 0 64 64
sect put /dev/ubda COW2 100 3
sect put /dev/ubda COW3 105 1
sect put /dev/ubda COW4 127 1
sect map /dev/ubda 96 32 32
sect put /dev/ubda COW5 2040 2
sect map /dev/ubda 2016 32 32
EOF
ended_well guest "the guest wrote and read"
is "$(out guest | sed -n 1p)" "0+8=BASE 8+1=COW1 9+55=BASE" \
	"D2: one sector of the COW file in the midst of the base's"
is "$(out guest | sed -n 2p)" "96+4=BASE 100+3=COW2 103+2=BASE 105+1=COW3 \
106+21=BASE 127+1=COW4" "D2: five changes of owner in one read"
is "$(out guest | sed -n 3p)" "2016+24=BASE 2040+2=COW5 2042+6=BASE" \
	"D2: at the end of the disk"
finish
