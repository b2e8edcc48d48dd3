#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D7: a malformed header leaves a disk out, harms nothing, and says so.
. "${0%/*}/lib.sh"

pattern base.img BASE 2048

# tried NAME LABEL FILE...: none of the files becomes a disk, the guest lives
tried()
{
	tried_name=$1
	tried_label=$2
	shift 2
	n=0
	tried_args=
	for f; do
		n=$((n + 1))
		tried_args="$tried_args ubd$n=$f"
	done
	# shellcheck disable=SC2086
	boot "$tried_name" ubd0=base.img $tried_args <<'EOF'
disks
for d in /dev/ubd[b-p]; do
	sect put "$d" OVER 1990 16 || :
	sect put "$d" OVER 0 16 || :
done 2>/dev/null
sect map /dev/ubda 0 16
EOF
	survived "$tried_name" "D7: the guest survives $tried_label"
	is "$(out "$tried_name" | sed -n 1p)" "ubda " \
		"D7: no disk is made of $tried_label"
	for f; do
		holds "D7: the host is told of $f" host_says "$tried_name" "$f"
	done
}

cow align0.cow base="$T/base.img" align=0
cow sector0.cow base="$T/base.img" ss=0
tried zero "a header that divides by zero" align0.cow sector0.cow

cow sector30.cow base="$T/base.img" ss=1073741824
cow nonul.cow base="$T/base.img" nonul=1
cow nonul1.cow version=1 base="$T/base.img" nonul=1
cow cutbits.cow base="$T/base.img" length=8200
cow huge.cow base="$T/base.img" size=9223372036854775807
cow nopath.cow base= size=1048576 mtime=1
tried table "a bad value" sector30.cow nonul.cow nonul1.cow cutbits.cow \
	huge.cow nopath.cow
is "$("$SECT" map base.img 0 2048)" "0+2048=BASE" "the base is unharmed"
finish
