#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: kill -9 of a machine under load, at random moments of a snapshot or an
# unsnapshot, loses nothing that was flushed. Each round starts the machine of
# the last one again, with the arguments that it always had:
#
#  - ubda has a file system, by turns ext4, xfs and btrfs, each with a chain of
#    its own. It is checked, and so are a file that fio wrote and verified once,
#    and one that was being written when the machine was killed. At the bottom are
#    raw files, that of xfs behind a header of its own.
#  - ubdb has no file system: there every sector is accounted for. At the bottom
#    is a V4 disk with the data in place.
#
# What was flushed the guest writes down on the host, synchronously, before it
# goes on. Then merges come to their end, and the next kill follows.
#
# KILLS (50) is the number of rounds, KILL_SEED chooses what is done in each;
# the time of a kill is random. A failure names the round and its seed.
KILLS=${KILLS:-50}
BOOT_TIMEOUT=${BOOT_TIMEOUT:-$((60 + KILLS * 8))}
export BOOT_TIMEOUT
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole fio mkfs.ext4 mkfs.xfs mkfs.btrfs e2fsck xfs_repair btrfs
need_moo

KILL_SEED=${KILL_SEED:-$(($(date +%s) % 100000))}
# A command that the kill cuts off gets no answer.
MCONSOLE_TIMEOUT=20
BOOT_MEM=256M
REGION=1024
REGIONS=4
BALLAST=16384
diag "KILL_SEED=$KILL_SEED"

# ---- chance ----

# random N: sets $random to 0 ... N - 1, the same for the same seed
random()
{
	random_state=$(((random_state * 1103515245 + 12345) % 2147483648))
	random=$((random_state / 65536 % $1))
}

# ---- disks ----

make_disks()
{
	truncate -s 320M ext4.img xfs.raw btrfs.img
	mkfs.ext4 -q ext4.img
	mkfs.xfs -q xfs.raw
	mkfs.btrfs -q btrfs.img >mkfs.log
	moo create --header xfs.img xfs.raw
	pattern plain.raw BASE $((REGION * REGIONS + BALLAST))
	moo create --flat --size="$(stat -c %s plain.raw)" plain.img
	dd if=plain.raw of=plain.img conv=notrunc oflag=seek_bytes status=none \
		seek=$(($(stat -c %s plain.img) - $(stat -c %s plain.raw)))
}

# fs_of ROUND
fs_of()
{
	case $(($1 % 3)) in
	0) echo btrfs ;;
	1) echo ext4 ;;
	2) echo xfs ;;
	esac
}

fsck_of()
{
	case $1 in
	ext4) echo e2fsck -fn /dev/ubda ;;
	xfs) echo xfs_repair -n /dev/ubda ;;
	btrfs) echo btrfs check /dev/ubda ;;
	esac
}

# ---- guest ----

# fio_words NAME: what makes fio's writing and its verifying agree
fio_words()
{
	echo "--name=$1 --directory=/mnt/a --ioengine=psync --bs=4k" \
		"--rw=randwrite --verify=crc32c"
}

# What the round before that had the same file system left behind
verify_fs()
{
	cat <<END
mount -t $fs /dev/ubda /mnt/a
if [ -e \$S/log.$fs ]; then
	fio $(fio_words kept) --size=2m --verify_only --output=\$S/fio.verify
	sect verify /mnt/a/storm \$S/log.$fs \$(cat \$S/seed.$fs) 0 $REGION
fi
umount /mnt/a
$(fsck_of "$fs") >\$S/fsck 2>&1
END
}

verify_plain()
{
	cat <<END
for r in 0 1 2 3; do
	[ ! -e \$S/log.\$r ] || sect verify /dev/ubdb \$S/log.\$r \\
		\$(cat \$S/seed.\$r) \$((r * $REGION)) $REGION BASE
done
END
}

# A writer that ends before the machine is killed has failed.
load_words()
{
	cat <<END
writer()
{
	"\$@" || :
	echo "\$*" >>\$S/ended
}
END
}

load_fs()
{
	cat <<END
mount -t $fs /dev/ubda /mnt/a
[ -e \$S/log.$fs ] || fio $(fio_words kept) --size=2m --do_verify=0 \\
	--end_fsync=1 --output=\$S/fio.kept
rm -f /mnt/a/storm \$S/log.$fs
truncate -s $((REGION * 512)) /mnt/a/storm
sync
echo $seed >\$S/seed.$fs
writer fio $(fio_words load) --size=8m --direct=1 --verify_backlog=64 \\
	--fsync=16 --verify_fatal=1 --time_based --runtime=600 \\
	--output=\$S/fio.load &
writer sect storm /mnt/a/storm \$S/log.$fs $seed 0 $REGION &
END
}

load_plain()
{
	cat <<END
r=$((i % REGIONS))
rm -f \$S/log.\$r
sect put /dev/ubdb BASE \$((r * $REGION)) $REGION 512
sect flush /dev/ubdb
echo $seed >\$S/seed.\$r
writer sect storm /dev/ubdb \$S/log.\$r $seed \$((r * $REGION)) $REGION &
ballast()
{
	while sect put /dev/ubdb BALLAST $((REGION * REGIONS)) $BALLAST 512; do
		sleep 0.1
	done
}
writer ballast &
END
}

# Until both writers have something that may not be lost
wait_for_logs()
{
	cat <<END
until [ -s \$S/log.$fs ] && [ -s \$S/log.$((i % REGIONS)) ]; do
	sleep 0.02
done
END
}

start_round()
{
	forget_points
	rm -f share/fsck share/ended
	{
		verify_fs
		verify_plain
		echo point verified
		[ "$i" -gt "$KILLS" ] || {
			load_words
			load_fs
			load_plain
			wait_for_logs
			echo point loaded
			echo wait
		}
	} | start "r$i" "ubd=$backend" "ubd0$flag=$fs.cow,$fs.img" \
		"ubd1$flag=plain.cow,plain.img"
}

# ---- commands ----

# chain_of DEVICE: the names that its files begin with
chain_of()
{
	case $1 in
	ubda) echo "$fs" ;;
	ubdb) echo plain ;;
	esac
}

top()
{
	chain "r$i" "$1" | sed -n '1s/ .*//p'
}

at_rest()
{
	chain "r$i" "$1" >chain.now && [ -s chain.now ] &&
		! grep -q draining chain.now
}

# settle DEVICE: what was begun ends, what rounds have put on top is merged, and
# the chain begins again with the file that the arguments name
settle()
{
	settle_chain=$(chain_of "$1")
	until_true 30 at_rest "$1" || return 1
	while settle_top=$(top "$1") && [ "${settle_top#*-k}" != "$settle_top" ]; do
		mconsole "r$i" unsnapshot "$1" delete >settle.log ||
			return 1
	done
	rm -f "$settle_chain"-k*
	[ "$settle_top" = "$settle_chain.img" ] || return 0
	rm "$settle_chain.cow"
	mconsole "r$i" snapshot "$1=$settle_chain.cow" >settle.log
}

# The time that commands take, to kill in the midst of them; microseconds
took_snapshot=20000
took_unsnapshot=100000

now()
{
	echo $(($(date +%s%N) / 1000))
}

# ask COMMAND DEVICE: waits for its end
ask()
{
	ask_from=$(now)
	case $1 in
	snapshot)
		n=$((n + 1))
		mconsole "r$i" snapshot \
			"$2=$(chain_of "$2")-k$i-$n.cow" >answer || return 1
		took_snapshot=$((($(now) - ask_from + took_snapshot) / 2))
		;;
	*)
		mconsole "r$i" "$1" "$2" "$3" >answer || return 1
		took_unsnapshot=$((($(now) - ask_from + took_unsnapshot) / 2))
		;;
	esac
}

# begin WORDS...: does not wait; sets $random to a part of the time that it takes
begin()
{
	begun=$*
	HOME=$T uml_mconsole "r$i" "$*" >begun.answer 2>&1 &
	begun_pid=$!
	case $1 in
	snapshot) random "$((took_snapshot * 5 / 4))" ;;
	*) random "$((took_unsnapshot * 5 / 4))" ;;
	esac
}

# Some commands that end, and one that does not
commands()
{
	n=0
	dev=ubda
	other=ubdb
	random 2
	if [ "$random" -eq 0 ]; then
		dev=ubdb
		other=ubda
	fi
	ask snapshot "$dev" && ask unsnapshot "$dev" delete || return 1
	ask snapshot "$other" || return 1
	random 10
	case $random in
	0 | 1 | 2 | 3)
		begin snapshot "$dev=$(chain_of "$dev")-k$i-last.cow"
		;;
	4 | 5 | 6 | 7)
		ask snapshot "$dev" || return 1
		sleep 0.3
		begin unsnapshot "$dev"
		;;
	8)
		ask snapshot "$dev" && ask snapshot "$dev" || return 1
		sleep 0.3
		begin unsnapshot "$dev" delete
		;;
	9)
		begin unsnapshot "$dev" force
		;;
	esac
}

# ---- rounds ----

failed()
{
	ok 1 "round $i ($fs): $1"
	diag "KILL_SEED=$KILL_SEED, seed of the round $seed, $backend $flag, $begun"
	show "r$i"
	for f in share/ended share/fsck share/fio.verify share/fio.load answer \
		settle.log; do
		[ ! -s "$f" ] || diag "$f: $(tail -n 12 "$f")"
	done
	keep_going=
}

verified()
{
	await "r$i" verified 60 || return 1
	! complaints "r$i"
}

# What the machine had to do to find its disks
count_recovery()
{
	! grep -q 'using its successor' "r$i.host" || followed=$((followed + 1))
	! grep -q 'the top again\|was merged' "r$i.host" ||
		resumed=$((resumed + 1))
}

kill_amid_work()
{
	go verified
	await "r$i" loaded 60 || return 1
	go loaded
	commands || return 1
	sleep "$(printf '%d.%06d' $((random / 1000000)) $((random % 1000000)))"
	kill9 "r$i"
	kill "$begun_pid" 2>/dev/null || :
	wait "$begun_pid" 2>/dev/null || :
	[ ! -s begun.answer ] || answered=$((answered + 1))
	! complaints "r$i" && [ ! -e share/ended ]
}

round()
{
	seed=$((KILL_SEED * 1000 + i))
	random_state=$((seed % 2147483648))
	random 3
	case $random in
	0) backend=threads ;;
	1) backend=threads,noinline ;;
	2) backend=uring ;;
	esac
	# Asynchronous or not.
	flag=A
	[ $((seed % 2)) -eq 0 ] || flag=
	fs=$(fs_of "$i")
	start_round
	verified || {
		failed "opens, and has all that was flushed"
		return 0
	}
	ok 0 "round $i ($fs): opens, and has all that was flushed"
	if ! settle ubda || ! settle ubdb; then
		failed "merges come to their end"
		return 0
	fi
	count_recovery
	[ "$i" -le "$KILLS" ] || return 0
	kill_amid_work || failed "the load and the commands run"
	case $begun in
	snapshot*) in_snapshot=$((in_snapshot + 1)) ;;
	*) in_merge=$((in_merge + 1)) ;;
	esac
}

# A kill may leave room that nothing uses, which check answers with 3.
intact()
{
	checked=0
	moo check "$1.cow" >check.log 2>&1 || checked=$?
	[ "$checked" -eq 0 ] || [ "$checked" -eq 3 ] || {
		diag "$(cat check.log)"
		return 1
	}
}

make_disks
begun=nothing
keep_going=1
in_snapshot=0
in_merge=0
answered=0
followed=0
resumed=0
i=1
while [ "$i" -le "$KILLS" ] && [ -n "$keep_going" ]; do
	round
	i=$((i + 1))
done
while [ "$i" -le $((KILLS + 3)) ] && [ -n "$keep_going" ]; do
	round
	go verified
	[ -z "$keep_going" ] || ended_well "r$i" "$fs has come to its end"
	i=$((i + 1))
done
for chain in ${keep_going:+ext4 xfs btrfs plain}; do
	holds "$chain: no layer is damaged" intact "$chain"
done
diag "killed in $in_snapshot snapshots and $in_merge merges, $answered of which" \
	"had answered something"
diag "$followed starts followed a successor, $resumed ended a merge"
finish
