#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: the guest as attacker. On no way, neither by its own writes nor through
# a merge or a conversion by its host, comes a COW header to the first sector of
# a file that is a raw one, and no file of the host is shown to it after that.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo

secret=$T/secret.img
pattern secret.img SECR 2048
for disk in raw base old parent; do
	pattern $disk.img BASE 2048
done
cat secret.img /etc/passwd | cksum >before

# Headers of every version, each of which would lead to a file of the host.
# V4's has its names behind it.
for v in 1 2 3; do
	cow share/v$v base="$secret" version=$v length=8192
done
cow share/v1le base="$secret" version=1 magic=MOOO endian=little length=8192
cow share/passwd base=/etc/passwd length=8192
perl -e '
	open my $f, "<", "share/v3";
	read $f, my $h, 4128;
	print substr($h, 0, 12), "\0" x 4, substr($h, 12), "\0" x 4060;
	' >share/v3broken
moo create -V 4 share/v4 "$secret"
head -c 8192 base.img >share/plain
heads="v1 v1le v2 v3 v3broken v4 passwd"
ways=11

# evil FILE PARENT: a V3 layer of another driver, which let its guest write a
# header to sector 0; it owns sectors 1 and 5, too
evil()
{
	cow "$1" base="$T/$2" own=0,1,5
	dd if=share/v3 of="$1" bs=512 count=1 seek=24 conv=notrunc 2>/dev/null
}
evil old.cow old.img
evil low.cow parent.img
moo create -V 4 top.cow low.cow

# What may stand at the begin of a raw file: anything but a magic
is_raw()
{
	case $(head -c 4 "$1" | tr '\0' 0) in
	OOOM | MOOO) return 1 ;;
	esac
}

cat >share/attack.sh <<'EOF'
# attempt WHAT COMMAND...: try it, and see what stands on the disk then
attempt()
{
	attempt_name=$1
	shift
	if "$@" >/dev/null 2>&1; then
		attempt_said=written
	else
		attempt_said=refused
	fi
	case $(dd if="$dev" iflag=direct bs=512 count=1 2>/dev/null |
		head -c 4 | tr '\0' 0) in
	OOOM | MOOO) attempt_said="$attempt_said, and stands there" ;;
	esac
	echo "$dev $attempt_name: $attempt_said"
}

direct()
{
	dd if="$1" of="$dev" bs=4096 oflag=direct conv=notrunc
}

sector()
{
	dd if="$1" of="$dev" bs=512 count=1 oflag=direct conv=notrunc
}

fua()
{
	dd if="$1" of="$dev" bs=4096 oflag=direct,dsync conv=notrunc
}

cached()
{
	dd if="$1" of="$dev" bs=4096 conv=notrunc,fsync
}

# A byte at a time, so that nobody writes all of the magic at once
bytes()
{
	for byte in 3 2 1; do
		dd if="$1" of="$dev" bs=1 count=1 skip=$byte seek=$byte \
			conv=notrunc,fsync || return
	done
	dd if="$1" of="$dev" bs=1 count=1 conv=notrunc,fsync
}

# All but the magic, which is harmless, and then the magic alone
late()
{
	dd if="$1" of="$dev" bs=4 skip=1 seek=1 count=1000 conv=notrunc,fsync ||
		return
	dd if="$1" of="$dev" bs=4 count=1 conv=notrunc,fsync
}

# With lengths that are no sector's
odd()
{
	dd if="$1" of="$dev" bs=1021 count=3 conv=notrunc,fsync
}

# As the first of many sectors in one request
long()
{
	cat "$1" /dev/zero | head -c 262144 >/tmp/long
	dd if=/tmp/long of="$dev" bs=262144 oflag=direct conv=notrunc
}

# Through a partition that begins where the disk does
partition()
{
	addpart "$dev" 1 0 128 || return
	partition_status=0
	dd if="$1" of="${dev}1" bs=4096 oflag=direct conv=notrunc ||
		partition_status=1
	delpart "$dev" 1
	return $partition_status
}

# Onto what was discarded, or made zero, a moment ago
discarded()
{
	sect trim "$dev" 0 16
	direct "$1"
}

zeroed()
{
	sect trim "$dev" 0 16 zeroes
	direct "$1"
}

attack()
{
	dev=$1
	for how in direct sector fua cached bytes late odd long partition \
		discarded zeroed; do
		attempt "$2 $how" $how "$S/$2"
	done
}
EOF

boot write ubd0=raw.img ubd1=delta.cow,base.img ubd2V4=new.cow,base.img <<EOF
mount -t tmpfs tmpfs /tmp
. "\$S/attack.sh"
for disk in a b c; do
	attack /dev/ubd\$disk plain
	for head in $heads; do
		attack /dev/ubd\$disk \$head
	done
	sect put /dev/ubd\$disk MINE 8 4
done
EOF
ended_well write "the guest tried"
for dev in /dev/ubda /dev/ubdb /dev/ubdc; do
	is "$(out write | grep -c "^$dev plain .*: written$")" $ways \
		"$dev: in every way it can be written"
	is "$(out write | grep "^$dev " | grep -c ': refused$')" $((7 * ways)) \
		"$dev: but with no header of any version"
	is "$(out write | grep 'stands there' || :)" "" \
		"$dev: nor does any stand there"
done
holds "the raw file is one" is_raw raw.img

# refused REGEX NAME COMMAND...: with one line, and nothing is made or changed
refused()
{
	refused_regex=$1
	refused_name=$2
	shift 2
	cksum ./*.img ./*.cow >sums
	status=0
	"$@" >said 2>&1 || status=$?
	is "$status" 1 "$refused_name: refused"
	is "$(grep -c . said)" 1 "$refused_name: with one line"
	like "$(cat said)" "$refused_regex" "$refused_name: which says why"
	is "$(cksum ./*.img ./*.cow)" "$(cat sums)" \
		"$refused_name: nothing has changed"
}

# Merges and conversions by the host.
for file in old.cow low.cow top.cow; do
	refused "out.img: .*magic" "moo merge $file" moo merge $file out.img
	refused "out.img: .*magic" "moo convert $file" \
		moo convert -V 0 $file out.img
done
refused "old.(img|cow): .*(magic|COW)" "moo merge -i" moo merge -i old.cow
refused "old.(img|cow): .*(magic|COW)" "moo merge -i -f" moo merge -i -f old.cow
for v in 3 4; do
	if moo convert -V $v old.cow as$v.cow 2>said; then
		refused "out.img: .*magic" "moo merge of it as V$v" \
			moo merge as$v.cow out.img
	else
		like "$(cat said)" "as$v.cow: " "moo convert to V$v is refused"
	fi
done

# Merges by the machine.
start merge ubd0=raw.img ubd1=old.cow ubd2=top.cow <<'EOF'
point up
EOF
await merge up
# mconsole_refused WORDS NAME
mconsole_refused()
{
	status=0
	mconsole merge "$1" >said || status=$?
	is "$status" 1 "$2: refused"
	like "$(cat said)" "^ERR .*(magic|COW)" "$2: says why"
}
mconsole_refused "unsnapshot ubdb force" "a merge of such a sector"
like "$(mconsole merge unsnapshot ubdc force)" "top again|^ERR .*(magic|COW)" \
	"from a COW file into a COW file: merged or refused"
mconsole_refused "unsnapshot ubdc force" "but never on into the raw one"
like "$(mconsole merge snapshot ubda=snap.cow)" "^OK" "a snapshot of the raw file"
like "$(mconsole merge unsnapshot ubda delete)" "is the top again" \
	"is merged into it"
go up
ended_well merge "the guest that was merged ended"
for file in raw old parent base; do
	holds "$file.img is a raw file" is_raw $file.img
	like "$(moo info $file.img)" '(^|[^a-z])raw' "moo sees a raw one, too"
done

# With the arguments of before: what would be taken over is, if anything is.
boot next ubd0=raw.img ubd1=delta.cow,base.img ubd2=new.cow ubd3=old.img \
	ubd4=parent.img <<'EOF'
disks
for d in a b c d e; do
	dd if=/dev/ubd$d of="$S/disk.$d" bs=1M 2>/dev/null
done
EOF
ended_well next "the guest booted again"
is "$(out next)" "ubda ubdb ubdc ubdd ubde " "with all of its disks"
for d in a b c d e; do
	is "$(stat -c %s share/disk.$d)" $((2048 * 512)) \
		"ubd$d: is as large as it was"
	fails "ubd$d: shows no file of the host" \
		grep -aEq 'SECR|root:x:' share/disk.$d
done
is "$(cat secret.img /etc/passwd | cksum)" "$(cat before)" \
	"the host's files are what they were"
finish
