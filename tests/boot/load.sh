# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Duty: a file system of a real guest under load, snapshots and merges all the
# while; then the offline tools fold it, and the file system's own checker and
# the sums of all files must find nothing wrong.

# load FSTYPE MKFS CHECK: MKFS and CHECK are commands that take an image
load()
{
	ours_only
	need uml_mconsole fio sha256sum "${2%% *}" "${3%% *}"
	need_moo
	truncate -s 512M base.img
	holds "mkfs" mkfs_quietly "$2"
	chmod a-w base.img
	BOOT_MEM=320M

	load_guest "$1"
	load_snapshots
	ended_well guest "fio verified all it wrote" 90
	find_top
	diag "$rounds snapshots under load, $top is the top"
	holds "snapshots were taken" test "$rounds" -ge 3
	fails "none of them was refused" test -s refusals
	[ ! -s refusals ] || diag "$(cat refusals)"
	load_check "$1" "$3"
	finish
}

mkfs_quietly()
{
	$1 base.img >mkfs.log 2>&1
}

load_guest()
{
	start guest ubd0=delta.cow,base.img <<EOF
mount -t $1 /dev/ubda /mnt/a
point mounted
fio --name=v --directory=/mnt/a --rw=randrw --rwmixread=30 --size=48m \\
	--bsrange=4k-64k --bs_unaligned=0 --direct=1 --ioengine=libaio \\
	--iodepth=16 --verify=crc32c --verify_backlog=512 --verify_fatal=1 \\
	--fsync=64 --time_based --runtime=12 --output=/mnt/share/fio &
fio=\$!
i=0
while kill -0 \$fio 2>/dev/null; do
	i=\$((i + 1))
	dd if=/dev/urandom of=/mnt/a/small.\$((i % 40)) bs=5000 count=7 2>/dev/null
	[ \$((i % 10)) -ne 0 ] || sync
done
wait \$fio
sync
(cd /mnt/a && sha256sum v.0.0 small.*) >\$S/sums
umount /mnt/a
EOF
}

# Deltas on deltas; one in each turn is kept when it is empty.
load_snapshots()
{
	rounds=0
	: >refusals
	await guest mounted || return 0
	go mounted
	while load_turn; do
		:
	done
}

load_turn()
{
	load_snapshot && load_snapshot &&
		load_ask unsnapshot ubda &&
		load_snapshot && load_snapshot &&
		load_ask unsnapshot ubda delete &&
		load_ask unsnapshot ubda delete &&
		load_ask unsnapshot ubda delete
}

load_snapshot()
{
	sleep 0.2
	rounds=$((rounds + 1))
	load_ask snapshot "ubda=s$rounds.cow"
}

# The guest may have ended when a merge was done, and before that was told.
find_top()
{
	next=delta.cow
	while [ -n "$next" ]; do
		top=${next##*/}
		next=$(moo info "$top" |
			sed -n 's/^state: frozen; \(.*\) takes the writes$/\1/p')
	done
}

# A guest that has just ended refuses nothing; one
# that goes on is asked again, so that a refusal does not end the load.
load_ask()
{
	: >unanswered
	until mconsole guest "$@" >answer; do
		alive guest && [ ! -s share/sums ] || return 1
		echo "$*: $(cat answer)" >>refusals
		[ "$(wc -l <refusals)" -lt 20 ] || return 1
		sleep 0.1
	done
	rm unanswered
	[ ! -s share/sums ]
}

load_check()
{
	holds "moo merges the chain from $top" moo merge "$top" folded.img
	holds "$2 finds nothing wrong" load_fsck "$2"
	holds "no layer is damaged" load_intact
	boot after ubd0=delta.cow,base.img ubd1=folded.img <<EOF
for d in a b; do
	mount -t $1 /dev/ubd\$d /mnt/a
	(cd /mnt/a && sha256sum --quiet -c \$S/sums)
	umount /mnt/a
done
EOF
	ended_well after "every file is there, in the chain and in the image"
}

# Neither damage nor, after a clean shutdown, space that nothing uses; but a halt in
# the middle of a snapshot or merge leaves that, as a crash would.
load_intact()
{
	status=0
	moo check "$top" >check.log || status=$?
	[ "$status" -ne 3 ] || [ ! -e unanswered ] || status=0
	[ "$status" -eq 0 ] || diag "$(cat check.log)"
	return "$status"
}

load_fsck()
{
	$1 folded.img >fsck.log 2>&1 || {
		diag "$(tail -n 20 fsck.log)"
		return 1
	}
}
