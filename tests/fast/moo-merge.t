#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo merge into a new file: content, size, holes, refusals, cancelling.
set -eu
. "${0%/*}/lib.sh"

# Sizes around sectors, bytes of a bitmap, and pages.
for bytes in 512 1000100 4096 4608 131072 16777216; do
	noise base "$bytes" "$bytes"
	own=0,$(((bytes + 511) / 512 - 1))
	rm -f delta.cow out stock
	cowhdr delta.cow "base=$(realpath base)" "own=$own" \
		length=$((12288 + bytes + 4096))
	[ "$bytes" != 16777216 ] || cowhdr delta.cow "base=$(realpath base)" \
		"own=$own,5,4096"
	moo merge delta.cow out
	perl -e '
		my ($file, $own) = @ARGV;
		open my $f, "+<", $file or die;
		for (split /,/, $own) {
			seek $f, 512 * $_, 0;
			print $f pack("a8Q<", "CCCC", $_) x 32;
		}' base "$([ "$bytes" != 16777216 ] && echo "$own" ||
			echo "$own,5,4096")"
	holds "$bytes bytes" cmp base out
done

# A partial last sector that nobody has written is kept to the byte.
noise base 1000100
cowhdr delta.cow "base=$(realpath base)" own=1
moo merge -f delta.cow out
is "$(size out)" 1000100 "an odd size stays"
is "$(tail -c 164 out | cksum)" "$(tail -c 164 base | cksum)" \
	"with its last bytes"

# Holes.
rm -f base out
truncate -s 8M base
fill base 2048 16 B
cowhdr delta.cow "base=$(realpath base)" own=4096
moo merge delta.cow out
is "$(size out)" 8388608 "a sparse base: size"
holds "a sparse base: holes stay" test "$(stat -c %b out)" -lt 128
holds "a sparse base: content" sh -c \
	'cmp -n 2097152 base out && cmp -i 2097664 base out'

# The old tool agrees.
if [ -x /usr/bin/uml_moo ]; then
	/usr/bin/uml_moo delta.cow stock
	holds "uml_moo makes the same" cmp stock out
else
	skip "no uml_moo"
fi

# What is in the way.
cksum <out >before
refused 1 "out: exists already" "an existing file" moo merge delta.cow out
is "$(cksum <out)" "$(cat before)" "is left alone"
holds "-f replaces it" moo merge -f delta.cow out
refused 1 "base: .*made of it" "its own base" moo merge -f delta.cow base
refused 1 "delta.cow: .*made of it" "itself" moo merge -f delta.cow delta.cow
mkdir dir
refused 1 "dir: not a regular file" "a directory" moo merge -f delta.cow dir
ln -s base link
refused 1 "link: not a regular file" "a link" moo merge -f delta.cow link
refused 1 "delta.cow: give either" "neither OUT nor --in-place" \
	moo merge delta.cow
refused 1 "delta.cow: .*--in-place" "--delete alone" \
	moo merge --delete delta.cow new
v4 out record "$PWD/x.cow" >out.moo
refused 1 "out: frozen, .*x.cow" "a frozen file" moo merge -f delta.cow out
rm out.moo

# A guest's data must not become a header.
noise base 65536
for magic in 4f4f4f4d 4d4f4f4f; do
	cowhdr delta.cow "base=$(realpath base)" own=0
	put delta.cow 12288 $magic
	rm -f out
	refused 1 "out: .*magic" "magic $magic at the start" \
		moo merge delta.cow out
	fails "makes nothing" test -e out
	holds "--raw allows it" moo merge --raw delta.cow out
	is "$(head -c 4 out | od -An -tx1 | tr -d ' ')" $magic "and it is there"
done

# The parent has been moved, or changed.
noise base 65536
cowhdr delta.cow "base=$(realpath base)" own=3
moo merge -f delta.cow expect
mv base moved
refused 1 "base" "a missing parent" moo merge delta.cow new
holds "-b finds it" moo merge -b moved delta.cow new
holds "with the same content" cmp expect new
cp moved base
touch -d '2001-02-03' base
refused 1 "base" "a changed parent" moo merge delta.cow new2
refused 1 "base" "-b does not excuse it" moo merge -b base delta.cow new2
refused 1 "moved: .*no parent" "-b of a raw file" moo merge -b base moved new2
fails "makes nothing" test -e new2

# A signal that is pending when the work begins ends it as soon as it can be.
mv moved base
for sig in INT TERM HUP; do
	status=0
	perl -MPOSIX -e '
		my $sig = eval "POSIX::SIG$ARGV[0]()";
		sigprocmask(SIG_BLOCK, POSIX::SigSet->new($sig));
		kill $sig, $$;
		exec @ARGV[1 .. $#ARGV] or die;' \
		$sig "$bin/moo" merge -b base delta.cow cancelled \
		2>stderr || status=$?
	holds "SIG$sig ends it" test "$status" -gt 128
	like "$(cat stderr)" "cancelled; nothing was made" "SIG$sig: says so"
	fails "SIG$sig: leaves nothing" test -e cancelled
done
is "$(find . -name '.*' ! -name . | wc -l)" 0 "no temporary file is left"

# A disk that is full.
if [ -w /dev/full ]; then
	status=0
	moo map delta.cow >/dev/full 2>stderr || status=$?
	is "$status" 1 "standard output is full"
	like "$(cat stderr)" "^moo: standard output: " "and that is said"
else
	skip "no /dev/full"
fi
(ulimit -f 8; trap '' XFSZ; moo merge delta.cow new3 2>stderr) && status=0 ||
	status=$?
is "$status" 1 "a file that can not grow"
like "$(cat stderr)" "^moo: new3: " "names the output"
fails "and leaves nothing" test -e new3
finish
