#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: what a file system in the guest discards comes back to the host, and a
# V4 file uses it again before it grows.
. "${0%/*}/lib.sh"
ours_only
need mkfs.ext4 e2fsck fstrim
need_moo

truncate -s 256M base.img
mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 base.img
holds "a V4 file" moo create -V 4 v4.cow base.img
holds "a V3 file" moo create -V 3 v3.cow base.img

start trim ubd0=v4.cow ubd1=v3.cow <<'EOF'
fill()
{
	head -c 67108864 /dev/urandom >"$1/file"
	sync
}
for d in ubda ubdb; do
	mkdir -p /tmp/$d
	mount /dev/$d /tmp/$d
	fill /tmp/$d
done
point full
for d in ubda ubdb; do
	rm /tmp/$d/file
	sync
	fstrim /tmp/$d
	sync
done
sleep 2
point trimmed
for d in ubda ubdb; do
	fill /tmp/$d
done
point again
umount /tmp/ubda /tmp/ubdb
EOF

# room FILE: what it takes on the host, MiB
room()
{
	echo $(($(stat -c %b "$1") / 2048))
}

size()
{
	echo $(($(stat -c %s "$1") / 1048576))
}

await trim full
sync
full=$(room v4.cow)
long=$(size v4.cow)
holds "64 MiB take $full MiB" test "$full" -ge 64
holds "in the V3 file, too" test "$(room v3.cow)" -ge 64
go full
await trim trimmed
holds "fstrim gives the room back, V4" test "$(room v4.cow)" -lt $((full - 60))
holds "and V3" test "$(room v3.cow)" -lt $((full - 60))
go trimmed
await trim again
holds "64 MiB more make the V4 file no longer" \
	test "$(size v4.cow)" -lt $((long + 8))
go again
ended_well trim "the guest ended"
for f in v3 v4; do
	holds "$f: moo finds no fault and nothing leaked" moo check $f.cow
	holds "$f: moo merges it" moo merge $f.cow $f.img
	holds "$f: e2fsck -fn finds nothing wrong" e2fsck -fn $f.img
done
finish
