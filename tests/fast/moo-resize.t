#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo resize: what remains reads as before, what is added reads as zeros, or as
# the parent does, and nothing that was dropped comes back.
set -eu
[ ! -w /dev/shm ] || export TMPDIR="${TMPDIR:-/dev/shm}"
. "${0%/*}/lib.sh"

# reads FILE IMAGE: called by name
# shellcheck disable=SC2317
reads()
{
	moo merge -f "$1" out 2>why || return 1
	cmp -s out "$2"
}

# sound FILE NAME
sound()
{
	moo check "$1" >checked && status=0 || status=$?
	is "$status" 0 "$2: is sound"
}

# virtual FILE
virtual()
{
	moo info --output=json "$1" >said
	json said virtual-size
}

# Across all the sizes at which an index has one level more: 2064384 bytes are
# a leaf.
truncate -s 1M base
fill base 3 100 B
fill base 2000 48 B
cp base img
fill img 50 100 X
fill img 2040 8 X
moo convert -V 4 -b base img d.cow
moo convert -V 4 img disk.cow
moo create -V 4 --flat --size=1M flat.cow
dd if=img of=flat.cow bs=4096 seek=8 conv=notrunc 2>/dev/null
cp img raw
for bytes in 1049088 2064384 2064896 +1G 2000000000000 4T; do
	case $bytes in
	+1G) want=$((2064896 + 1073741824)) ;;
	4T) want=4398046511104 ;;
	2000000000000) want=$bytes ;;
	*) want=$bytes ;;
	esac
	for file in d.cow disk.cow flat.cow raw; do
		holds "$file: grows to $bytes" moo resize $file $bytes
		is "$(virtual $file)" $want "$file: to that size"
		[ $file = raw ] || sound $file "$file"
	done
done
# Only the head can be read in reasonable time.
for file in d.cow disk.cow flat.cow raw; do
	moo resize $file --shrink 3M
	is "$(virtual $file)" 3145728 "$file: is smaller again"
	[ $file = raw ] || sound $file "$file"
	cp img img3
	truncate -s 3M img3
	holds "$file: reads as before, and zeros" reads $file img3
done

# Smaller: what is behind is gone, and does not come back.
cp img3 full
fill full 3000 1000 F
fill full 5000 1000 F
for file in d disk; do
	b=
	[ $file = disk ] || b="-b base"
	truncate -s 3M base
	touch -d 2001-01-01 base
	# shellcheck disable=SC2086 # an option or none
	moo convert -f -V 4 $b full $file.cow
done
dd if=full of=flat.cow bs=4096 seek=8 conv=notrunc 2>/dev/null
cp full raw
for to in 2560000 2064384 1048576 25088 512; do
	head -c $to full >part
	cp part zeros
	truncate -s 3M zeros
	cp zeros over
	dd if=base of=over bs=512 skip=$((to / 512)) seek=$((to / 512)) \
		conv=notrunc 2>/dev/null
	for file in d.cow disk.cow flat.cow raw; do
		cp $file new
		holds "$file: --shrink to $to" moo resize --shrink new $to
		[ $file = raw ] || sound new "$file to $to"
		holds "$file: keeps what is before" reads new part
		holds "$file: and grows again" moo resize new 3M
		again=zeros
		[ $file != d.cow ] || again=over
		holds "$file: without what was behind $to" reads new $again
		[ $file = raw ] || sound new "$file and back"
	done
done
moo resize --shrink d.cow 1M
moo compact d.cow
holds "its room can be given back" test "$(size d.cow)" -lt 100000

# The sizes as people write them.
cp disk.cow new
holds "a minus needs no --" moo resize --shrink new -1M
is "$(virtual new)" 2097152 "and is taken off"
holds "but may have one" moo resize --shrink -- new -512K
is "$(virtual new)" 1572864 "and is taken off, too"
moo resize new +512
is "$(virtual new)" 1573376 "a plus is added"
cksum new >before
holds "the same size" moo resize new 1573376
is "$(cksum new)" "$(cat before)" "changes nothing"

# What is refused changes nothing.
truncate -s 1M base
cowhdr v3.cow "base=$PWD/base" own=3
moo create --header head.cow base
cp disk.cow frozen.cow
v4 frozen.cow record "$PWD/next" >raw.moo
cksum disk.cow flat.cow raw v3.cow head.cow >before
while read -r regex args; do
	# shellcheck disable=SC2086 # words
	refused 1 "$(echo "$regex" | tr _ ' ')" "resize $args" moo resize $args
done <<'END'
disk.cow:.*--shrink disk.cow 1M
disk.cow:.*--shrink disk.cow -1M
flat.cow:.*--shrink flat.cow 1M
1000:_give disk.cow 1000
-:_give disk.cow -
x:_give disk.cow x
1Q:_give disk.cow 1Q
0:_give disk.cow 0
-3M:_nothing --shrink disk.cow -3M
8E:_give disk.cow 8E
\+8192P:_give disk.cow +8192P
\+9007.*:_give disk.cow +9007199254740991K
v3.cow:_V3.*convert v3.cow 2M
head.cow:_the_header head.cow 2M
none: none 2M
END
rm raw.moo
is "$(cksum disk.cow flat.cow raw v3.cow head.cow)" "$(cat before)" \
	"nothing was changed"
v4 raw record "$PWD/next" >raw.moo
refused 1 "raw: frozen, .*next" "a frozen file" moo resize raw 4M
finish
