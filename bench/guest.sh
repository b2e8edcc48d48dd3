#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: the first process of a benchmark's guest. Reads the numbers of jobs
# from its console, runs each job from the shared directory, says its status.
#
# The boot line gives "share=" (a directory of the host) as environment. The
# root file system is the host's own, read-only.
#
# Invariants: it sleeps while it has no job, so that an idle guest takes no time
# from the others; it powers off when its console is closed, so that no guest
# outlives the driver.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
HOME=/tmp
export PATH HOME

off()
{
	sync
	echo o >/proc/sysrq-trigger
	sleep 60
}

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
for dir in /mnt /tmp /run; do
	mount -t tmpfs tmp "$dir"
done
mkdir /mnt/share
# shellcheck disable=SC2154
mount -t hostfs -o "$share" share /mnt/share
cd /mnt/share || off

exec </dev/tty1 >/dev/tty1
stty -echo -opost
echo ready
while read -r job && [ "$job" != off ]; do
	sh "./job.$job" >"out.$job" 2>"err.$job"
	echo "done $job $?"
done
off
