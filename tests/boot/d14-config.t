#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# D14: a failed config leaves nothing behind, and a base may stand in "/".
. "${0%/*}/lib.sh"
need uml_mconsole

pattern base.img BASE 2048
pattern first.img BASE 64
cow delta.cow base="$T/base.img" own=3

start guest ubd0=first.img <<'EOF'
point up
sect map /dev/ubdb 0 8
sect info /dev/ubdb
cat /sys/block/ubdb/queue/discard_max_bytes
EOF
await guest up
answer=$(mconsole guest config "ubdbrdt=$T/missing.img") || :
like "$answer" "^ERR" "a config of a missing file fails"
is "$(mconsole guest config ubdb)" "OK " "and leaves the disk unconfigured"
answer=$(mconsole guest config "ubdb=$T/delta.cow") || :
like "$answer" "^OK" "the next config succeeds"
go up
ended_well guest "the guest used the disk"
is "$(out guest | sed -n 1p)" "0+3=BASE 3+1=CCCC 4+4=BASE" \
	"D14: the flag d of the failed config is forgotten"
like "$(out guest | sed -n 2p)" "ro=0" "the flag r is, too"
holds "D14: and the flag t" test "$(out guest | sed -n 3p)" -gt 0

# A root directory of our own, with a base in it, in a mount namespace.
if unshare -m true 2>/dev/null; then
	mkdir root
	cat >in_root <<'EOF'
set -eu
mount -t tmpfs root "$1"
for d in /*; do
	[ -d "$d" ] && [ ! -L "$d" ] || continue
	mkdir "$1$d"
	mount --rbind "$d" "$1$d"
done
for d in /*; do
	[ ! -L "$d" ] || cp -a "$d" "$1"
done
cp "$2/base.img" "$1/base.img"
shift 2
exec chroot "$T/root" env -C "$T" "$@"
EOF
	export T
	boot_wrap="unshare -m sh $T/in_root $T/root $T"
	boot inroot ubd0=inroot.cow,/base.img <<'EOF'
sect map /dev/ubda 0 8
EOF
	ended_well inroot "D14: the guest had the disk with a base in /"
	is "$(out inroot)" "0+8=BASE" "D14: and read it"
else
	skip "no mount namespaces here"
fi
finish
