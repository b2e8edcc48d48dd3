# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Duty: a file system of the host, "small", that runs full and gets room again.

# small_disk MIB
small_disk()
{
	mkdir small
	mount -t tmpfs -o "size=$1m" small small 2>/dev/null ||
		skip_all "no tmpfs can be mounted here"
	boot_on_exit="umount $T/small"
}

# small_layers: V3 and V4 on it, of 8 MiB, of which only the first part is there
small_layers()
{
	for disk in 3 4; do
		pattern small/base$disk.img BASE 512
		truncate -s 8M small/base$disk.img
		moo create -V $disk small/delta$disk.cow small/base$disk.img
	done
}

full()
{
	dd if=/dev/zero of=small/fill bs=4k 2>/dev/null || :
}

# room MIB
room()
{
	rm -f small/fill
	mount -o "remount,size=$1m" small small
}
