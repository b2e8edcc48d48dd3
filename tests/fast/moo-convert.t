#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo convert: from every version to every other, with the same content, the
# same parent and the same sectors owned.
set -eu
. "${0%/*}/lib.sh"

# owned FILE: bytes
owned()
{
	moo info --output=json "$1" >owned
	json owned format-specific data owned
}

# own MAP: sectors that the top owns, from its map
own()
{
	moo map --output=json "$1" >extents
	extents extents | awk '$3 == 0 { print $1, $2 }'
}

for bytes in 100352 100000 1000100; do
	noise base $bytes $bytes
	path=$(realpath base)
	for v in 1 2 3; do
		rm -f ./*.cow out* flat*
		cowhdr in.cow "base=$path" version=$v own=0,1,5,6,7,100,190
		moo merge in.cow flat
		for to in 3 4; do
			moo convert -V $to in.cow out.cow
			moo merge out.cow flat$to
			holds "$bytes: V$v to V$to: content" cmp flat flat$to
			is "$(owned out.cow)" 3584 "$bytes: V$v to V$to: owned"
			is "$(own out.cow)" "$(own in.cow)" \
				"$bytes: V$v to V$to: the same sectors"
			moo info --output=json out.cow >json
			is "$(json json backing-filename)" "$path" \
				"$bytes: V$v to V$to: parent"
			moo check out.cow >checked && status=0 || status=$?
			is "$status" 0 "$bytes: V$v to V$to: sound"
			mv out.cow out$to.cow
		done
		moo convert -V 3 out4.cow back.cow
		holds "$bytes: V$v to V4 to V3 is V$v to V3" \
			cmp back.cow out3.cow
		moo convert -V 0 in.cow raw
		holds "$bytes: V$v to raw" cmp raw flat
		rm raw
	done
done

# V1 and V2 count their last sectors wrongly.
for v in 1 2; do
	# The bits of the tail in the padding: 196 sectors, the last four.
	noise base 100352
	cowhdr tail.cow "base=$PWD/base" version=$v own=3,192,195
	moo merge -f tail.cow flat
	moo convert -V 3 -f tail.cow right.cow
	moo merge -f right.cow flat3
	holds "V$v: a tail in the padding" cmp flat flat3
	is "$(owned right.cow)" 1536 "V$v: its bits count"

	# The bits of the tail on data sector 0: the bitmap ends on a sector.
	head=$([ $v = 1 ] && echo 280 || echo 4120)
	bits=$((512 - head % 512))
	noise base $(((bits * 8 + 3) * 512))
	cowhdr tail.cow "base=$PWD/base" version=$v own=1,2
	moo info tail.cow >text
	like "$(cat text)" "read-only" "V$v: a tail on data is told"
	moo merge -f tail.cow flat
	refused 1 "tail.cow|base" "V$v: is not merged in place" \
		moo merge --in-place tail.cow
	holds "V$v: converts" moo convert -V 3 -f tail.cow right.cow
	moo merge -f right.cow flat3
	holds "V$v: to the same content" cmp flat flat3
	moo info right.cow >text
	fails "V$v: into a sound file" grep -q read-only text
done

# Zeros of V4 are zeros in V3, not the parent's bytes.
noise base 65536
cp base img
perl -e 'open my $f, "+<", "img"; seek $f, 5120, 0; print $f "\0" x 5120;'
moo convert -V 4 -f -b base img z4.cow
moo map --output=json z4.cow >json
like "$(extents json)" "^5120 5120 0 pz-" "zeros take no room"
moo convert -V 3 -f z4.cow z3.cow
moo merge -f z3.cow flat
holds "zeros over data" cmp flat img

# The difference of two raw files.
noise base 1000100
cp base img
fill img 0 1 A
fill img 700 64 B
printf end | dd of=img bs=1 seek=1000097 conv=notrunc 2>/dev/null
for v in 3 4; do
	moo convert -V $v -f -b base img diff.cow
	moo merge -f diff.cow flat
	holds "difference as V$v" cmp flat img
	is "$(owned diff.cow)" 33792 "difference as V$v: no sector too many"
done
noise other 65536
refused 1 "img|other" "files of different size" \
	moo convert -V 3 -b other img no.cow

# What can not be.
moo create -f low.cow base
moo create -f top.cow low.cow
refused 1 "top.cow: .*-V 4" "V3 over a COW" moo convert -V 3 top.cow no.cow
refused 1 "img: .*no parent" "V3 without a parent" moo convert -V 3 img no.cow
for n in 1 2; do
	refused 1 "no.cow: .*-V" "to V$n" moo convert -V $n low.cow no.cow
done
refused 1 "no.cow: .*-V" "to nothing" moo convert low.cow no.cow
refused 1 "low.cow: exists" "a name that is taken" \
	moo convert -V 4 top.cow low.cow
refused 1 "low.cow: .*made of it" "its own parent" \
	moo convert -f -V 4 top.cow low.cow
fails "nothing is left of all that" test -e no.cow
is "$(find . -name '.*' ! -name . | wc -l)" 0 "no temporary file either"

# A guest's data must not become a header.
noise base 65536
cowhdr in.cow "base=$PWD/base" own=0
put in.cow 12288 4d4f4f4f
for v in 0 3 4; do
	refused 1 "magic" "a header in sector 0, to V$v" \
		moo convert -V $v in.cow no.cow
	fails "to V$v: nothing is made" test -e no.cow
done

# A signal that is pending when the work begins.
noise base 65536
cowhdr in.cow "base=$PWD/base" own=1
status=0
perl -MPOSIX -e '
	sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM));
	kill "TERM", $$;
	exec @ARGV or die;' "$bin/moo" convert -V 4 in.cow no.cow 2>stderr ||
	status=$?
holds "SIGTERM ends it" test $status -gt 128
fails "and leaves nothing" test -e no.cow
is "$(find . -name '.*' ! -name . | wc -l)" 0 "under no name"

# A file system in a base and a delta.
if command -v mkfs.ext4 >/dev/null && command -v debugfs >/dev/null; then
	rm -f base img
	truncate -s 8M base
	mkfs.ext4 -q -F base
	cp --sparse=always base img
	noise content 300000
	debugfs -w -R "write content content" img >log 2>&1
	moo convert -V 3 -f -b base img fs.cow
	moo convert -V 0 fs.cow fs
	holds "a file system is the same" cmp img fs
	holds "and sound" sh -c 'e2fsck -fn fs >fsck 2>&1'
	debugfs -R "dump content got" fs >log 2>&1
	holds "with its content" cmp content got
else
	skip "no e2fsprogs"
fi
finish
