#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo dump and moo restore: a file and what is made of its text agree in all
# that moo says of them and in every byte that they own; a text that is wrong
# makes nothing.
set -eu
[ ! -w /dev/shm ] || export TMPDIR="${TMPDIR:-/dev/shm}"
. "${0%/*}/lib.sh"

# facts FILE: what moo info says, but for its name, inode and room on disk
facts()
{
	moo info --output=json "$1" | grep -v -e '"filename"' -e '"actual-size"'
}

# where FILE: its map without the places in the file; runs that it has in two
# parts are joined
where()
{
	moo map --output=json "$1" >places
	perl -MJSON::PP -e '
		local $/;
		open my $f, "<", "places" or die;
		my ($start, $end, $what) = (0, 0, "");
		for (@{JSON::PP->new->utf8->decode(<$f>)}, {}) {
			my $next = join " ", map { $_ // "" }
				   @$_{qw(depth present zero data)};
			if ($next ne $what) {
				print "$start $end $what\n" if $end > $start;
				($start, $what) = ($end, $next);
			}
			$end += $_->{length} // 0;
		}'
}

# same NAME FILE: through text and back
same()
{
	moo dump "$2" >text
	rm -f twin twin.moo
	holds "$1: is restored" moo restore text twin
	moo dump twin >text2
	holds "$1: with the same text" cmp text text2
	is "$(facts twin)" "$(facts "$2")" "$1: info agrees"
	moo check twin >checked && status=0 || status=$?
	is "$status" 0 "$1: it is sound"
	is "$(where twin)" "$(where "$2")" "$1: the map agrees"
	moo merge -f "$2" out
	moo merge -f twin out2
	holds "$1: and reads the same" cmp out out2
	moo restore - twin2 <text
	moo dump twin2 - >text2
	holds "$1: also by streams" cmp text text2
	rm -f twin2
}

noise base 1000100
for v in 1 2 3; do
	cowhdr d.cow "base=$PWD/base" version=$v own=0,1,7,8,9,1000,1953 \
		length=1024000
	same "V$v" d.cow
	holds "V$v: the same bytes" cmp -n 1000000 d.cow twin
done
cowhdr d.cow "base=$PWD/base" version=1 order=le own=3 2>/dev/null ||
	cowhdr d.cow "base=$PWD/base" version=1 own=3
same "V1 again" d.cow

# All states of V4, blocks in disorder, several leaves and levels.
rm base d.cow
truncate -s 8M base
fill base 100 8000 B
cp base img
fill img 4000 100 X
fill img 16000 3 X
fill img 5 2 X
dd if=/dev/zero of=img bs=512 seek=120 count=40 conv=notrunc 2>/dev/null
moo convert -V 4 -b base img one.cow
fill img 4 9 Y
fill img 130 1 Y
dd if=/dev/zero of=img bs=512 seek=4010 count=7 conv=notrunc 2>/dev/null
cp base other
fill other 4 1 Z
moo rebase -b other one.cow
same "V4" one.cow
like "$(cat text)" "^zero 120 40" "V4: zeros as such"
moo convert -V 4 -b one.cow img two.cow
same "V4 on V4" two.cow
moo create -V 4 empty.cow two.cow
same "an empty layer" empty.cow
truncate -s 3T large
moo create -V 4 large.cow large
moo dump large.cow >text
moo restore text twin3
moo dump twin3 >text2
holds "a large one" cmp text text2
rm twin3
moo convert -V 4 img disk.cow
same "without parent" disk.cow
moo create --header head.cow img
moo dump head.cow >text
moo restore text twin3
moo dump twin3 >text2
holds "the header of an image" cmp text text2
moo create -V 4 --flat --size=1M flat.cow
same "data in place, none of it" flat.cow
noise part 5000
dd if=part of=flat.cow bs=512 seek=1000 conv=notrunc 2>/dev/null
same "data in place" flat.cow

# The parent is not looked at, and a name may be anything.
odd=$(printf 'a\\b\tc d"\342\202\254')
mkdir "$odd"
cp base "$odd/base"
moo create -V 3 named.cow "$odd/base"
moo create -V 4 named4.cow "$odd/base"
same "an odd name" named.cow
same "an odd name in V4" named4.cow
rm "$odd/base"
for file in named.cow named4.cow; do
	moo dump "$file" >text
	moo restore -f text twin
	moo dump twin >text2
	holds "$file: without its parent" cmp text text2
done
like "$(moo dump named.cow | grep ^path)" \
	'/a\\x5cb\\x09c d"' "and is escaped where it must be"

# State records.
v4 named.cow record "$PWD/next.cow" >named.cow.moo
moo dump named.cow >text
like "$(cat text)" "^record = 1" "a record is in the text"
moo restore -f text twin
moo dump twin >text2
holds "and in the file" cmp text text2

# TEXT as a file.
holds "into a file" moo dump two.cow two.txt
moo dump two.cow | cmp - two.txt && status=0 || status=$?
is "$status" 0 "which is the text"
refused 1 "two.txt: exists" "one that exists" moo dump two.cow two.txt
holds "-f replaces it" moo dump -f one.cow two.txt
refused 1 "base: a raw file" "a raw file" moo dump base
refused 1 "twin: exists" "a file that exists" moo restore two.txt twin
refused 1 "none: " "no text" moo restore none out3
if [ -w /dev/full ]; then
	status=0
	moo dump one.cow >/dev/full 2>stderr || status=$?
	is "$status" 1 "standard output is full"
else
	skip "no /dev/full"
fi

# Beside somebody who writes.
cat >locked.pl <<'END'
use Fcntl;
open my $f, "+<", shift or die;
# F_OFD_SETLK
my $lock = pack "s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0;
fcntl $f, 37, $lock or die "lock: $!\n";
exit system(@ARGV) >> 8;
END
refused 1 "one.cow: .*in use" "a file in use" \
	perl locked.pl one.cow "$bin/moo" dump one.cow
moo dump one.cow >text
perl locked.pl one.cow "$bin/moo" dump -U one.cow >text2 || status=$?
holds "-U looks all the same" cmp text text2

# Comments and empty lines have no meaning.
{
	echo "# a comment"
	echo
	sed 's/^sum/# here\n&/' text
	echo "# behind the end"
} >text2
holds "comments" moo restore -f text2 twin
moo dump twin >text2
holds "are left out" cmp text text2

# bad REGEX PERL: a text that was changed is refused, and makes nothing
bad()
{
	change=$(printf %s "$2" | tr '[:cntrl:]\134' '~')
	perl -0777 -pe "$2" good >wrong
	if cmp -s good wrong; then
		is "$change" changed "the text was changed"
		return
	fi
	refused 1 "wrong: line [0-9]+: $1" "$change" moo restore wrong made
	fails "$change: makes nothing" test -e made
}

rm -f base
noise base 65536
cp base img
fill img 10 3 A
fill img 20 1 B
dd if=/dev/zero of=img bs=512 seek=40 count=4 conv=notrunc 2>/dev/null
rm two.cow
moo convert -f -V 4 -b base img one.cow
moo dump one.cow >good
while read -r regex change; do
	bad "$(echo "$regex" | tr _ ' ')" "$change"
done <<'END'
it_is_not s/moo dump 1/moo dump 2/
it_is_not s/^moo.*?\n//
format s/format = 4/format = 5/
format s/format = 4/format = 04/
a_raw_file s/format = 4/format = 0/
.*generation s/generation =/generations =/
.*generation s/generation = \d+\n//
generation s/generation = /generation = -/
generation s/(generation = \d+)/$1 /
generation s/(generation = )\d+/${1}18446744073709551616/
the_header.*generation s/(generation = )\d+/${1}18446744073709551615/
the_header.*feature s/incompatible = 0/incompatible = 1/
uuid s/uuid = ./uuid = g/
uuid s/uuid = ./uuid = /
uuid s/uuid = /uuid = 0/
the_header s/size = 65536/size = 65537/
the_header s/size = 65536/size = 0/
the_header s/\nkind = 1/\nkind = 7/
the_header s/\nstate = 0/\nstate = 32/
the_header s/\nparent = .*/\nparent = /
the_header.*absolute s/\nparent = \//\nparent = x\//
parent s/\nparent = \//\nparent = \/\\/
parent s/\nparent = \//\nparent = \/\\x41/
parent s/\nparent = \//\nparent = \/\\x00/
parent s/\nparent = /"\nparent = \/" . "a" x 4096/e
it_is_too_long s/\nparent = /"\nparent = \/" . "a" x 40000/e
it_is_no_text s/\nparent = /\nparent = \0/
.*mtime s/parent_mtime_sec = /parent_mtime_sec = -0/
.*nsec s/(parent_mtime_nsec = )\d+/${1}4294967296/
the_header s/(parent_mtime_nsec = )\d+/${1}1000000000/
.*SECTOR s/data 10/data x/
there_are_only s/data 10/data 128/
there_are_only s/zero 40 4/zero 40 89/
there_are_only s/zero 40 4/zero 40 0/
it_needs s/zero 40 4/zero 40/
it_needs s/zero 40 4/zero 40 4 4/
it_needs s/zero 40 4/zero 40  4/
sector_10_comes s/zero 40 4/zero 10 4/
sector_20_comes s/data 20/zero 18 3\ndata 20/
.*none_of_them|it_is_neither s/zero 40 4/frob 40 4/
it_is_neither s/QUFB/QUF/
it_is_neither s/QUFB/QUF!/
it_is_neither s/QUE=/QUF=/
it_is_neither s/QUFBQUFB/QUFBQUFBQUFB/
the_data s/QUFB/QUFC/
the_data s/sum 3 /sum 4 /
the_data s/sum 3 .*/sum 3 00000000/
the_data s/data 20\n/data 15\nsum 0 00000000\ndata 20\n/
it_is_neither s/sum 3/some 3/
[0-9]+_sectors_are s/owned = 8/owned = 7/
[0-9]+_sectors_are s/zero 40 4\n//
the_text_ends s/end\n//
the_text_ends s/data 20.*//s
it_has_no_end s/end\n/end/
nothing_may s/end\n/end\nend\n/
END
refused 1 "standard input: line 0: " "nothing at all" \
	moo restore - made </dev/null
moo dump disk.cow >good
bad ".end = . is missing" 's/\nkind = 1/\nkind = 2/'
for v in 1 2 3; do
	cowhdr d.cow "base=$PWD/base" version=$v own=3,4
	moo dump d.cow >good
	bad "a file of this format" 's/data 3/zero 2 1\ndata 3/'
	bad "the header above" 's/size = 65536/size = 0/'
	bad "the header above" 's/size = \d+/size = 18446744073709551615/'
	# shellcheck disable=SC2016 # perl
	bad "path has" 's/(path = .*)/"$1" . "x" x 4100/e'
	bad "record is" 's/record = 0/record = 2/'
	bad ".*state = " 's/record = 0/record = 1/'
done
bad "the header above" 's/alignment = 4096/alignment = 0/'
bad "broken has" 's/broken = 0/broken = 2/'
is "$(find . -name '.*' ! -name . | wc -l)" 0 "no temporary file is left"
finish
