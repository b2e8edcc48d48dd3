#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: a file system on a disk that holds what the host refuses: the host's disk
# runs full under it, and it has not noticed.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole mkfs.ext4
need_moo

mkdir small
mount -t tmpfs -o size=6m small small 2>/dev/null ||
	skip_all "no tmpfs can be mounted here"
boot_on_exit="umount $T/small"

# The base is elsewhere; what is written has to find room.
truncate -s 64M base.img
mkfs.ext4 -q -F base.img
moo create -V 4 small/delta.cow base.img
dd if=/dev/urandom of=share/data bs=64k count=256 2>/dev/null

held()
{
	mconsole guest snapshot ubda --json |
		sed -n 's/^ *"held": \([0-9]*\),*$/\1/p'
}

holding()
{
	[ "$(held)" -gt 0 ]
}

clean()
{
	e2fsck -fn "$1" >checked 2>&1
}

start guest ubd0W=small/delta.cow <<'EOF'
mount -t ext4 /dev/ubda /mnt/a
point mounted
dd if="$S/data" of=/mnt/a/data bs=64k conv=fsync 2>&1
sync
cmp "$S/data" /mnt/a/data && echo same
: >/mnt/a/more && sync && echo writable
cat /sys/block/ubda/ubd/errors
umount /mnt/a
EOF
await guest mounted
go mounted
holds "the host's disk runs full, and requests are held" until_true 30 holding
# Once more, with a little room only
mount -o remount,size=10m small small
mconsole guest resume ubda >answer
like "$(cat answer)" "^OK ubda: [1-9]" "resume"
holds "it runs full again" until_true 30 holding
is "$(out guest)" "" "nothing has come to its end"
mount -o remount,size=32m small small
mconsole guest resume ubda >answer
ended_well guest "with room the guest comes to its end"
like "$(out guest | tail -n 3 | tr '\n' ' ')" "^same writable 0 $" \
	"the data is there, the file system writable, nothing has failed"
fails "the guest's log has no error" grep -Eq "EXT4-fs (error|warning)|I/O error" \
	guest.console
moo check small/delta.cow >checked 2>&1 || diag "$(cat checked)"
moo merge small/delta.cow out.img
holds "e2fsck finds nothing" clean out.img
finish
