#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo compact: a file that has no more blocks than it uses, and reads the same.
set -eu
[ ! -w /dev/shm ] || export TMPDIR="${TMPDIR:-/dev/shm}"
. "${0%/*}/lib.sh"

# facts FILE: what moo info says that is to stay
facts()
{
	moo info --output=json "$1" | grep -v -e actual-size -e '"generation"'
}

# compacts NAME FILE IMAGE: and it is as small as a fresh copy
compacts()
{
	facts "$2" >said
	holds "$1: compacts" moo compact "$2"
	moo merge -f "$2" out
	holds "$1: reads the same" cmp out "$3"
	moo check "$2" >checked && status=0 || status=$?
	is "$status" 0 "$1: is sound, and nothing is free"
	is "$(facts "$2")" "$(cat said)" "$1: says the same"
	moo dump "$2" >text
	moo restore -f text fresh
	is "$(size "$2")" "$(size fresh)" "$1: is as small as can be"
	cp "$2" before
	holds "$1: a second time" moo compact "$2"
	holds "$1: changes nothing" cmp "$2" before
}

# Much is written, much of it zeroed, then overwritten: what is left of the
# blocks lies anywhere.
truncate -s 8M base
cp base img
fill img 0 16384 A
moo convert -V 4 -b base img d.cow
compacts "full" d.cow img
moo resize --shrink d.cow 4M
moo resize d.cow 8M
truncate -s 4M img
truncate -s 8M img
compacts "the first half" d.cow img

# perl picks sectors that are the same each time; a rebase writes them, and to
# zeros frees the others.
perl -e '
	open my $f, "+<", "img" or die;
	my $n = 7;
	for (1 .. 400) {
		$n = ($n * 1103515245 + 12345) & 0x7fffffff;
		seek $f, 512 * ($n % 16000), 0;
		print $f chr(65 + $_ % 26) x (512 * (1 + $n % 30));
	}'
moo convert -f -V 4 img scattered.cow
compacts "scattered" scattered.cow img
cp img other
dd if=/dev/zero of=other bs=4096 seek=100 count=900 conv=notrunc 2>/dev/null
fill other 15000 900 Z
moo create -V 4 -f d.cow base
touch -r img other
moo rebase -b other d.cow
cp base now
compacts "after a rebase" d.cow now
moo rebase -b img d.cow
compacts "and another" d.cow now

# All that is left stands at the end: it was copied in from a parent, and what
# was before it in the file is cut off.
cp base below
fill below 100 3000 B
cp below far
fill far 8192 8192 F
moo convert -f -V 4 -b below far late.cow
moo rebase -b base late.cow
moo resize --shrink late.cow 4M
head -c 4M below >far
cp late.cow kept.cow
compacts "all at the end" late.cow far
holds "all of it moved" test "$(size kept.cow)" -gt $(($(size late.cow) * 3))

# A merge into it gives blocks up in the midst.
moo convert -f -V 4 -b base img low.cow
moo convert -f -V 4 -b low.cow other top.cow
moo merge --in-place --delete top.cow
cp low.cow kept.cow
compacts "after a merge" low.cow other
holds "it was larger" test "$(size kept.cow)" -gt "$(size low.cow)"

# Leaks and a tail are gone afterwards; an empty one keeps its header only.
cp scattered.cow leaky.cow
head -c 200000 /dev/zero | tr '\0' J >>leaky.cow
moo check leaky.cow >checked && status=0 || status=$?
is "$status" 3 "a file with blocks that nothing uses"
compacts "leaks" leaky.cow img
moo create -V 4 empty.cow base
compacts "an empty one" empty.cow base
is "$(size empty.cow)" 32768 "which has eight blocks"

# Where the header has the end of the file does not count, but what is used.
cp kept.cow new.cow
v4 new.cow set end 1000000000000
compacts "an end far away" new.cow other
holds "it did not grow" test "$(size new.cow)" -lt "$(size kept.cow)"

# A signal that is pending when the work begins.
cp kept.cow new.cow
status=0
perl -MPOSIX -e '
	sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGINT));
	kill "INT", $$;
	exec @ARGV or die;' "$bin/moo" compact new.cow 2>stderr || status=$?
holds "SIGINT ends it" test $status -gt 128
like "$(cat stderr)" "new.cow: .*same command goes on" "and says how to go on"
compacts "what was stopped" new.cow other

# What is refused changes nothing.
cowhdr v3.cow "base=$PWD/base" own=3
moo create --header head.cow base
moo create -V 4 --flat --size=1M flat.cow
cp scattered.cow bad.cow
put bad.cow 40960 00
cksum base v3.cow head.cow flat.cow >before
for file in base v3.cow head.cow flat.cow; do
	refused 1 "$file: .*V4" "$file" moo compact $file
done
is "$(cksum base v3.cow head.cow flat.cow)" "$(cat before)" \
	"nothing was changed"
root=$(v4 scattered.cow get root)
cp scattered.cow bad.cow
put bad.cow $((root * 4096 + 100)) ffff
cksum bad.cow >before
moo compact bad.cow 2>stderr && status=0 || status=$?
is "$status" 1 "a damaged file"
like "$(tail -n 1 stderr)" "bad.cow: has faults, so nothing was done" \
	"is left alone"
is "$(cksum bad.cow)" "$(cat before)" "as it is"
finish
