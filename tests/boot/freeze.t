#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: the freeze of a snapshot beside what the guest does: its own freezes, its
# root file system, programs that are told, what can not be frozen; and that
# nothing stays frozen, whatever goes wrong.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole mkfs.ext4 dumpe2fs fsfreeze pivot_root dmsetup losetup perl
need_moo
need_strace
io_on_threads

for disk in a b c d; do
	truncate -s 64M "$disk.img"
	mkfs.ext4 -q -F "$disk.img"
done

cat >share/bin/hook <<'EOF'
#!/bin/sh
echo "$@" >>/mnt/share/told
case $1:$(cat /mnt/share/mood) in
freeze:bad) exit 3 ;;
freeze:stuck) exec sleep 1000 ;;
thaw:late) exit 4 ;;
esac
exit 0
EOF
chmod +x share/bin/hook
echo good >share/mood

# /mnt/b becomes the root; the old one is below it, and what it had mounted
start guest ubd0=a.img ubd1=b.img ubd2=c.img ubd3=d.img ubd=hook=/hook <<'EOF'
mount /dev/ubda /mnt/a
mount /dev/ubdb /mnt/b
cp "$S/bin/hook" /mnt/b/hook
cd /mnt/b
mkdir old usr proc sys dev mnt tmp
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
mount --bind /usr usr
for d in proc sys dev mnt tmp; do
	mount --rbind "/$d" "$d"
done
sync
pivot_root . old
cd /
# lives: the file systems are written to
while [ ! -e "$S/go.stop" ]; do
	echo 1 >/mnt/a/f && echo 1 >/f && sync /f && : >"$S/alive"
	sleep 0.01
done &
while [ ! -e "$S/go.stop" ]; do
	echo 1 >/mnt/a/g && : >"$S/writes"
	sleep 0.01
done &
point root
fsfreeze -f /mnt/a
point held
fsfreeze -u /mnt/a && echo still held
point free
until rm -f "$S/writes" && sleep 0.5 && [ ! -e "$S/writes" ]; do
	:
done
fsfreeze -u /mnt/a 2>/dev/null || :
fsfreeze -f /mnt/a && echo mine
point both
fsfreeze -u /mnt/a && echo still mine
point stacks
mkdir /c /d
size=$(cat /sys/block/ubdc/size)
if dmsetup create stack --table "0 $size linear /dev/ubdc 0"; then
	mount /dev/dm-0 /c
fi
truncate -s 8M /mnt/a/loop
mkfs.ext4 -q -F /mnt/a/loop
losetup /dev/loop0 /mnt/a/loop
mount /dev/loop0 /d
point stacked
umount /c /d
losetup -d /dev/loop0
dmsetup remove stack
perl -MFcntl -e 'sysopen(my $f, "/dev/ubdd", O_RDWR | O_EXCL) or die;
	open(my $g, ">", "/mnt/share/at.taken") or die;
	sleep 1 until -e "/mnt/share/go.taken"' &
point end
wait
EOF

lives()
{
	rm -f share/alive
	until_true 30 test -e share/alive
}

told()
{
	tr '\n' '/' <share/told
	: >share/told
}

snapshot()
{
	status=0
	text=$(mconsole guest "snapshot $1") || status=$?
	flat=$(printf '%s\n' "$text" | tr '\n' '/')
}

refused()
{
	snapshot "$1"
	holds "$3: refused" test "$status" -ne 0
	is "$(printf '%s\n' "$text" | sed '/^$/d' | wc -l)" 1 "$3: one line"
	like "$text" "^ERR .*$2" "$3: which says why"
	fails "$3: no file is left" test -e x.cow -o -e y.cow
	holds "$3: nothing stays frozen" lives
}

needs_recovery()
{
	dumpe2fs -h "$1" 2>/dev/null | grep -q needs_recovery
}

held="writes held [0-9]+\.[0-9]{2} ms, swapped in [0-9]+\.[0-9]{2} ms"

# The root file system, and who is told
await guest root
holds "the guest works" lives
snapshot "ubda=a1.cow ubdb=b1.cow"
like "$flat" "^OK ubda: $T/a1.cow on $T/a.img, $held/ubdb: $T/b1.cow on .*, $held/$" \
	"a snapshot of the root file system and another one"
holds "both are thawed" lives
is "$(told)" "freeze ubda ubdb/thaw ubda ubdb/" "the program was told"
snapshot "ubda=a2.cow ubdb=b2.cow crash"
like "$flat" "paused" "with crash there is no freeze"
is "$(cat share/told)" "" "and nobody is told"
echo bad >share/mood
refused "ubda=x.cow ubdb=y.cow" "hook /hook freeze: exit status 3" \
	"a program that says no"
is "$(told)" "freeze ubda ubdb/thaw ubda ubdb/" "it is told of the end, too"
echo stuck >share/mood
refused "ubda=x.cow ubdb=y.cow limit=1" "hook /hook freeze: .*more than 1 s" \
	"a program that hangs"
is "$(told)" "freeze ubda ubdb/thaw ubda ubdb/" "it is told of the end, too"
echo late >share/mood
snapshot "ubda=a3.cow"
like "$flat" "^OK ubda: .*/hook /hook thaw: exit status 4/$" \
	"one that fails in the end is in the answer"
echo good >share/mood
: >there.cow
refused "ubda=x.cow ubdb=there.cow" "there.cow" "a file that exists"

if mkdir small && mount -t tmpfs -o size=4k small small 2>/dev/null; then
	boot_on_exit="umount $T/small"
	dd if=/dev/zero of=small/fill bs=4k count=1 2>/dev/null || :
	refused "ubda=x.cow ubdb=$T/small/y.cow" "small/y.cow: no space" \
		"no room for one of the files"
else
	skip "no tmpfs can be mounted here"
fi

# Freezes of the guest's own
go root
await guest held
snapshot "ubda=a4.cow"
like "$flat" "^OK ubda: .*, $held/$" "what the guest has frozen"
go held
await guest free
is "$(tail -n 1 share/guest.out)" "still held" \
	"stays so until the guest thaws it"
holds "which it does" lives

# The host takes its time for a sync, and so all is frozen for seconds.
slow()
{
	trace guest slow -e trace="$SYNCS" \
		-e "inject=$SYNCS:delay_enter=$1"
}
slow 700000
mconsole guest snapshot "ubda=a5.cow limit=60" >answer &
asks=$!
go free
await guest both
wait "$asks" || :
untrace
like "$(cat answer)" "^OK ubda: .*, $held" "a slow one"
is "$(tail -n 1 share/guest.out)" "mine" "the guest can freeze it as well"
moo merge a4.cow slow.img >/dev/null
fails "and can not thaw it: what was frozen is clean" needs_recovery slow.img
go both
await guest stacks
is "$(tail -n 1 share/guest.out)" "still mine" "which ours leaves as it is"
holds "and it thaws its own" lives
slow 700000
snapshot "ubda=x.cow limit=1"
untrace
like "$text" "^ERR no snapshot was made: writes had been held for 1 s" \
	"the limit ends it"
fails "no file is left" test -e x.cow
holds "nothing stays frozen" lives
snapshot "ubda=a6.cow ubdb=b6.cow limit=60"
like "$flat" "$held" "the next one succeeds"

# What can not be frozen
go stacks
await guest stacked
snapshot "ubda=a7.cow ubdc=c7.cow"
like "$flat" "^OK ubda: .*/ubdc: .*/not quiesced: (dm-0, loop0|loop0, dm-0)/$" \
	"a device mapper's and a loop's file systems are named"
holds "the guest works" lives
go stacked
await guest taken
snapshot "ubdd=d8.cow"
like "$flat" "^OK ubdd: .*paused .*/not quiesced: ubdd/$" \
	"and so is a disk that somebody has for himself"
go taken
await guest end

# A host that breaks
trace guest broken -e trace="$SYNCS" -e "inject=$SYNCS:error=EIO"
snapshot "ubda=x.cow ubdc=y.cow"
untrace
like "$text" "^ERR .*could not read or write" "a host that can not sync"
fails "no file is left" test -e x.cow -o -e y.cow
go stop
go end
status=0
wait_guest guest 60 || status=$?
holds "and the guest comes to its end" test "$status" -lt 99
finish
