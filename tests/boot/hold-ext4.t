#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: a file system on a disk that holds what the host refuses: the host's disk
# runs full under it, and it has not noticed.
. "${0%/*}/lib.sh"
. "$boot_dir/small.sh"
ours_only
need uml_mconsole mkfs.ext4
need_moo

small_disk 6

# The base is elsewhere; what is written has to find room.
truncate -s 64M base.img
mkfs.ext4 -q -F base.img
moo create -V 4 small/delta.cow base.img
dd if=/dev/urandom of=share/data bs=64k count=256 2>/dev/null

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
holds "the host's disk runs full, and requests are held" until_true 30 holding guest ubda
# Once more, with a little room only
room 10
mconsole guest resume ubda >answer
like "$(cat answer)" "^OK ubda: [1-9]" "resume"
holds "it runs full again" until_true 30 holding guest ubda
is "$(out guest)" "" "nothing has come to its end"
room 32
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
