#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D11: naming another base for a file of an old version does not destroy it.
. "${0%/*}/lib.sh"

pattern a.img BASE 2048
cp -a a.img b.img
cow v2.cow version=2 base="$T/a.img" own=5,70 tag=OWND
cow v1.cow version=1 endian=little magic=MOOO \
	base="$T/a.img" own=5,70 tag=OWND

wanted="0+5=BASE 5+1=OWND 6+64=BASE 70+1=OWND 71+25=BASE"
boot control ubd0r=v2.cow ubd1r=v1.cow <<'EOF'
sect map /dev/ubda 0 96 1
sect map /dev/ubdb 0 96 1
EOF
ended_well control "files of version 2 and 1 are read"
is "$(out control)" "$wanted
$wanted" "with what they hold"

boot switch ubd0=v2.cow,b.img ubd1=v1.cow,b.img <<'EOF'
disks
EOF
ended_well switch "the guest came up with another base named"

boot after ubd0r=v2.cow ubd1r=v1.cow <<'EOF'
for d in a b; do
	sect map "/dev/ubd$d" 0 96 1 || echo absent
done
EOF
ended_well after "the guest came up again"
is "$(out after | sed -n 1p)" "$wanted" "D11: the version 2 file is whole"
is "$(out after | sed -n 2p)" "$wanted" "D11: the version 1 file is whole"
finish
