#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: all that the driver does to files of the host comes by the one place
# where it can be recorded (ubd=record=FILE).
#
# With threads, and nothing done in the guest's context, the record holds the
# same operations as a library sees that is preloaded to the machine. With
# io_uring, which no library sees, the record is replayed onto copies of the
# files, and makes of them the same bytes; and so with libaio beside it (flag A).
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole mkfs.ext4 fio fallocate getfattr

for program in seam iorec; do
	[ "$BOOT_BUILD/$program" -nt \
		"$boot_top/arch/um/drivers/cow/io_record.h" ] ||
		rm -f "$BOOT_BUILD/$program" "$BOOT_BUILD/$program.so"
done
compile host/seam.c seam.so -shared -fPIC -D_GNU_SOURCE
compile host/iorec.c iorec -D_GNU_SOURCE

# iorec WORDS: its answer is in the file "said"
iorec()
{
	"$BOOT_BUILD/iorec" "$@" >said 2>&1
}

# change PERL: the calls, but for one write in the midst of them, in $entries[$at]
change()
{
	perl -e '
		local $/;
		my $all = <STDIN>;
		my @entries;
		while (length $all) {
			my ($op, $extra) = unpack("LL", $all);
			push @entries, substr($all, 0, 48 + $extra, "");
		}
		my $at = $#entries / 2;
		$at++ while unpack("L", $entries[$at]) != 2;
		eval shift;
		print @entries;' "$1" <calls
}

make_disks()
{
	mkdir disks
	truncate -s 64M disks/fs.img
	mkfs.ext4 -q disks/fs.img
	pattern disks/plain.img BASE 8192
	cow disks/old.cow base="$T/disks/plain.img" own=3,5
}

# One device with a file system, one with sectors; each is a V3 file at first
flag=
run_guest()
{
	forget_points
	start "$@" "ubd0$flag=disks/fs.cow,disks/fs.img" \
		"ubd1$flag=disks/old.cow" <<'EOF'
mount -t ext4 -o discard /dev/ubda /mnt/a
work()
{
	fio --name="$1" --directory=/mnt/a --rw=randwrite --bsrange=4k-64k \
		--bs_unaligned=0 --size=2m --ioengine=psync --fsync=32 \
		--verify=crc32c --output="$S/fio"
	cp -r "$S/bin" "/mnt/a/$1"
	sync
}
stir()
{
	sect storm /dev/ubdb "$S/log" 7 2048 512 200
	sect put /dev/ubdb MOVED 4096 1024 700
	sect trim /dev/ubdb 4200 100
	sect trim /dev/ubdb 4400 100 zeroes
}
work one
stir
point one
work two
stir
rm -r /mnt/a/one /mnt/a/one.0.0
fstrim /mnt/a
point two
work three &
stir
point three
wait
umount /mnt/a
EOF
}

# ask WORDS: a command that has to succeed
ask()
{
	mconsole "$name" "$@" >answer || diag "$*: $(cat answer)"
	cat answer >>answers
}

# Layers come and go, one of them while the guest writes.
run_commands()
{
	name=$1
	: >answers
	await "$1" one
	ask snapshot ubda=one.cow
	ask snapshot ubdb=plain1.cow
	go one
	await "$1" two
	ask snapshot ubda=two.cow
	ask snapshot ubdb=plain2.cow
	go two
	ask unsnapshot ubda delete
	ask unsnapshot ubdb
	await "$1" three
	ask unsnapshot ubda delete
	ask unsnapshot ubda force
	go three
}

make_disks
cp --sparse=never disks/old.cow try
if ! fallocate -z -l 4096 try 2>/dev/null; then
	skip_all "$T: its file system can not zero a range"
fi
cp -a disks before

# ---- threads: seen from inside and from outside ----

SEAM_DIR=$(cd disks && pwd -P)
SEAM_LOG=$T/calls
export SEAM_DIR SEAM_LOG
boot_wrap="env LD_PRELOAD=$BOOT_BUILD/seam.so"
run_guest threads "ubd=threads,noinline,record=$T/threads.rec"
boot_wrap=
run_commands threads
ended_well threads "the guest worked, on threads"
is "$(grep -c '^OK' answers)" 8 "snapshots were taken, and merged"
is "$(stat -c %a threads.rec)" 600 "others can not read the record"
holds "inside and outside the same is seen" \
	iorec compare threads.rec calls
diag "$(cat said)"
iorec list threads.rec
for op in read write sync punch zero copy open create publish unlink setattr
do
	holds "$op is among it" grep -q ": $op " said
done

# shellcheck disable=SC2016 # perl's
change 'splice @entries, $at, 1' >fewer
fails "the comparison finds a call that is missing" \
	iorec compare threads.rec fewer
# shellcheck disable=SC2016 # perl's
change 'substr($entries[$at], -1) ^= "\1"' >other
fails "and a byte that is not the same" iorec compare threads.rec other

# ---- a record that can not be made ----

sum=$(cksum <disks/plain.img)
boot taken "ubd=record=$T/disks/plain.img" ubd0=disks/fs.img <<'EOF'
sect put /dev/ubda MORE 64 8
EOF
survived taken "a guest runs whose record would be a file that is there"
is "$(cksum <disks/plain.img)" "$sum" "which is not touched"
holds "the host is told" \
	host_says taken '^ubd: .*plain.img: nothing is recorded: File exists'
if mkdir small && mount -t tmpfs -o size=64k small small 2>/dev/null; then
	boot_on_exit="umount $T/small"
	boot full "ubd=record=$T/small/rec" ubd0=disks/old.cow <<'EOF'
sect put /dev/ubda MORE 0 1024
sect map /dev/ubda 0 2048
EOF
	ended_well full "a guest runs on whose record finds no room"
	is "$(out full)" "0+1024=MORE 1024+1024=BASE" "and has its disk"
	is "$(grep -c 'small/rec: the record ends here: No space' full.host)" 1 \
		"the host is told once"
else
	skip "no tmpfs can be mounted here"
fi

# ---- io_uring, libaio: does the record make the same files? ----

# replay WHAT: the record WHAT.rec, onto what the disks were at first
replay()
{
	cp -a before "$1.disks"
	holds "$1: the record can be replayed" iorec replay "$1.rec" "$1.disks"
	diag "$(cat said)"
	is "$(ls -A "$1.disks")" "$(ls -A disks)" "to the same files"
	for file in disks/*; do
		file=${file#disks/}
		holds "$file: the same bytes" cmp "disks/$file" "$1.disks/$file"
		is "$(getfattr -d -e hex "$1.disks/$file" | sed 1d)" \
			"$(getfattr -d -e hex "disks/$file" | sed 1d)" \
			"$file: the same attribute"
	done
}

# recorded WHAT OPTION: a machine that writes down the record WHAT.rec
recorded()
{
	rm -rf disks
	cp -a before disks
	run_guest "$1" "ubd=$2record=$T/$1.rec"
	run_commands "$1"
	ended_well "$1" "the guest worked, on $1"
	is "$(grep -c '^OK' answers)" 8 "snapshots were taken, and merged"
}

recorded uring uring,
if grep -q 'does not allow io_uring' uring.host; then
	skip "the host has no io_uring"
else
	replay uring
fi
flag=A
recorded libaio ""
if grep -q 'flag A has no effect' libaio.host; then
	skip "the host has no libaio"
else
	replay libaio
fi
finish
