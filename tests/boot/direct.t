#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: flag A: data goes past the host's cache, and is right; a file that can
# not be opened like that works all the same, and is named. On a disk, which
# DISKDIR chooses.
disk=${DISKDIR:-/var/tmp}
TMPDIR=$disk
export TMPDIR
. "${0%/*}/lib.sh"
# The guest's memory is better off elsewhere.
unset TMPDIR
ours_only
need uml_mconsole fio mkfs.ext4 e2fsck fincore
need_moo

# May files here be opened past the cache?
truncate -s 4096 probe
dd if=probe of=/dev/null bs=512 count=1 iflag=direct 2>/dev/null ||
	skip_all "no direct I/O in $disk: name a directory with DISKDIR"

# in_cache FILE: KiB of it that the host has in memory
in_cache()
{
	echo $(($(fincore -bno RES "$1") / 1024))
}

# drop FILE: nothing of it is in the host's memory
drop()
{
	dd of="$1" conv=notrunc,fdatasync count=0 2>/dev/null
	dd of="$1" oflag=nocache conv=notrunc count=0 2>/dev/null
}

# descriptors NAME FILE: of the machine; "direct" or "cached", one a line
descriptors()
{
	for fd in "/proc/$(guest_pid "$1")/fd"/*; do
		[ "$(readlink "$fd")" = "$T/$2" ] || continue
		flags=$(sed -n 's/^flags:[[:space:]]*//p' \
			"/proc/$(guest_pid "$1")/fdinfo/${fd##*/}")
		if [ $((flags & 040000)) -ne 0 ]; then
			echo direct
		else
			echo cached
		fi
	done | sort
}

# ---- what goes past the cache ----

pattern base.img BASE 65536
pattern raw.img RAWW 65536
cp base.img plain.img
pattern odd.img ODDD 2048
truncate -s $((2048 * 512 - 100)) odd.img
cow v1.cow base="$T/base.img" version=1 own=3,5
cow v2.cow base="$T/base.img" version=2 own=3,5
cow narrow.cow base="$T/base.img" align=512 own=3,5
cow wide.cow base="$T/base.img" align=24 own=3,5
moo create --flat --size=1M flat.moo
for f in base.img raw.img plain.img; do
	drop "$f"
done

start guest ubd0A=delta.cow,base.img ubd1AV4=new.cow,base.img ubd2A=raw.img \
	ubd3A=v1.cow ubd4A=v2.cow ubd5A=narrow.cow ubd6A=wide.cow \
	ubd7A=odd.img ubd8A=flat.moo ubd9r=plain.img <<'EOF'
for d in a b c j; do dd if=/dev/ubd$d of=/dev/null bs=1M iflag=direct 2>/dev/null; done
point read
for d in d e f g; do
	sect put /dev/ubd$d WWWW 4 3
	sect map /dev/ubd$d 0 16
done
sect put /dev/ubdh WWWW 2040 7
sect map /dev/ubdh 2030 18
sect put /dev/ubdi WWWW 100 200
sect map /dev/ubdi 90 220
for d in a b c; do
	fio --name=$d --filename=/dev/ubd$d --rw=randwrite --bsrange=512-64k \
		--bs_unaligned=0 --blockalign=512 --size=16m --direct=1 \
		--ioengine=libaio --iodepth=64 --iodepth_batch_submit=16 \
		--verify=crc32c --verify_fatal=1 --fsync=200 \
		--output=$S/fio.$d
	sect map /dev/ubd$d 40000 8
done
point written
EOF
await guest read
is "$(descriptors guest base.img | uniq)" "cached
direct" "the base is opened twice, once past the cache"
is "$(descriptors guest delta.cow)" "cached
direct" "a V3 layer, too"
is "$(descriptors guest new.cow)" "cached
direct" "a V4 layer, too"
is "$(descriptors guest flat.moo)" "cached
direct" "a flat disk, too"
is "$(descriptors guest narrow.cow)" "cached
direct" "a V3 layer of sectors, too"
is "$(descriptors guest plain.img)" cached "without A a file is opened once"
diag "in the cache: $(in_cache base.img) KiB of the base," \
	"$(in_cache plain.img) KiB without A"
holds "what was read of the base is not in the cache" \
	test "$(in_cache base.img)" -lt 1024
holds "without A it is" test "$(in_cache plain.img)" -gt 30000
for f in v1.cow v2.cow wide.cow odd.img; do
	is "$(descriptors guest $f)" cached "$f: not past the cache"
	holds "$f: which is told on the host" \
		host_says guest "/$f: flag A can not go past the host's cache"
done
is "$(grep -c 'flag A' guest.host)" 4 "of no other file"
go read
await guest written 100
if [ "$(stat -fc %T raw.img)" = btrfs ]; then
	skip "btrfs writes through its cache where it keeps checksums"
else
	holds "what was written is not in the cache" \
		test "$(in_cache raw.img)" -lt 1024
fi
like "$(mconsole guest config ubd0A=raw.img)" "ERR .*already configured" \
	"a device that is there"
like "$(mconsole guest config ubd12A=nothing.cow)" "ERR .*no such file" \
	"a file that is not there"
go written
ended_well guest "fio verified all it wrote"
i=0
for d in V1 V2 "V3 of sectors" "V3 of 24 bytes"; do
	i=$((i + 1))
	is "$(out guest | sed -n "${i}p")" \
		"0+3=BASE 3+1=CCCC 4+3=WWWW 7+9=BASE" "$d: reads as it was written"
done
is "$(out guest | sed -n 5p)" "2030+10=ODDD 2040+7=WWWW 2047+1=junk" \
	"an odd size: reads as it was written"
is "$(out guest | sed -n 6p)" "90+10=zero 100+200=WWWW 300+10=zero" \
	"a flat disk: reads as it was written"
is "$(out guest | sed -n 7p)" "40000+8=BASE" "what was not written is the base's"
is "$(out guest | sed -n 9p)" "40000+8=RAWW" "and the raw disk's own"
for f in delta.cow new.cow flat.moo narrow.cow; do
	holds "$f is sound" no_faults "$f"
done

# ---- a host that refuses ----

pattern refused.img RAWW 2048
compile host/noaio.c noaio.so -shared -fPIC
boot_wrap="env LD_PRELOAD=$BOOT_BUILD/noaio.so"
start refused ubd0A=refused.img ubd1AR=base.img <<'EOF'
sect put /dev/ubda MORE 0 8
sect map /dev/ubda 0 16
point refused
EOF
boot_wrap=
await refused refused
is "$(descriptors refused refused.img)" cached \
	"where the host refuses, the flag has no effect"
is "$(grep -c 'flag A has no effect: the host refuses .*aio-max-nr' refused.host)" \
	1 "which is told once"
go refused
ended_well refused "the guest ended"
is "$(out refused)" "0+8=MORE 8+8=RAWW" "it reads as it was written"

# ---- snapshots, merges, a kill ----

truncate -s 256M fs.img
mkfs.ext4 -q fs.img
pattern plain.img BASE 65536
start load ubd0AV4=fs.cow,fs.img ubd1A=storm.cow,plain.img <<'EOF'
mount /dev/ubda /mnt/a
sect storm /dev/ubdb $S/log 7 0 4096 &
# Each block once: what is read back is not being written again.
fio --name=v --directory=/mnt/a --rw=randrw --size=160m --rate=10m,10m \
	--bsrange=4k-64k --direct=1 --ioengine=libaio --iodepth=32 \
	--verify=crc32c --verify_backlog=256 --verify_fatal=1 --fsync=64 \
	--output=$S/fio &
fio=$!
point loaded
wait $fio
umount /mnt/a
e2fsck -fn /dev/ubda >$S/fsck 2>&1
point ended
wait
EOF
await load loaded
go loaded

# carried_out WORDS...: by the machine under load
carried_out()
{
	answer=$(mconsole load "$@") || :
	like "$answer" "^(OK )?ubd[ab]: " "$*"
}

for i in 1 2 3; do
	carried_out snapshot "ubda=fs$i.cow"
	carried_out snapshot "ubdb=storm$i.cow"
	is "$(descriptors load "fs$i.cow" | uniq)" "cached
direct" "a fresh top goes past the cache"
done
carried_out unsnapshot ubda delete
carried_out unsnapshot ubdb
carried_out unsnapshot ubda delete
carried_out unsnapshot ubda delete
is "$(chain load ubda | sed -n 1p)" "fs.cow V4 top" "all is merged back"
holds "the load went on all the while" test ! -e share/at.ended
await load ended
go ended
carried_out snapshot ubdb=last.cow
mconsole load unsnapshot ubdb nowait >/dev/null || :
kill9 load
fails "the kernel had nothing to complain of" complaints load
forget_points
start again ubd0AV4=fs.cow,fs.img ubd1A=storm.cow,plain.img <<'EOF'
sect verify /dev/ubdb $S/log 7 0 4096 BASE
e2fsck -fn /dev/ubda >$S/fsck 2>&1
EOF
ended_well again "after a kill all is there that was flushed"
finish
