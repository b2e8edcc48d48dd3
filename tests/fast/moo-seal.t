#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo seal and moo check --data: damage to any byte of data is found, what nobody
# owns does not count, and whoever writes gives the seal up first.
set -eu
[ ! -w /dev/shm ] || export TMPDIR="${TMPDIR:-/dev/shm}"
. "${0%/*}/lib.sh"

# field FILE KEY...: of what info says of FILE
field()
{
	moo info --output=json "$1" >json
	shift
	json json format-specific data "$@"
}

# sealed NAME FILE: and sound; unsealed: not, and nothing is lost
sealed()
{
	is "$(field "$2" sealed)" 1 "$1: is sealed"
	moo check --data "$2" >checked 2>&1 && status=0 || status=$?
	is "$status" 0 "$1: as it was sealed"
}

unsealed()
{
	is "$(field "$2" sealed)" 0 "$1: is not sealed"
	moo check "$2" >checked 2>&1 && status=0 || status=$?
	is "$status" "${3:-0}" "$1: check"
}

# ---- each byte ----------------------------------------------------------------

# 4096 blocks of every kind: whole, one sector, some, zeros, none. The last one
# is cut by the end of the disk.
perl -e '
	open my $base, ">", "base" or die;
	open my $img, ">", "img" or die;
	for my $k (0 .. 4095) {
		for my $s (0 .. 7) {
			my $old = pack("A508N", "old $k $s", $k) ;
			my $new = $k % 5 == 0 ? "new" :
				  $k % 5 == 1 && $s == $k / 5 % 8 ? "one" :
				  $k % 5 == 2 && $s % 2 ? "odd" : "";
			last if $k == 4095 && $s == 5;
			print $base $old;
			print $img $k % 5 == 3 && $s > 4 ? "\0" x 512 :
				$new ? pack("A508N", "$new $k $s", $k) : $old;
		}
	}'
moo convert -V 4 -b base img d.cow
moo create -V 4 --flat --size="$(size base)" flat.cow
dd if=img of=flat.cow bs=4096 seek=8 conv=notrunc 2>/dev/null
unsealed "a new file" d.cow
cp d.cow was.cow
holds "it can be sealed" moo seal d.cow
sealed "a layer" d.cow
moo check d.cow >checked
like "$(cat checked)" "^No errors" "without leaks"
moo merge -f d.cow out
holds "it reads the same" cmp out img
holds "a seal takes room for little more than 4 bytes a block" \
	test $(($(size d.cow) - $(size was.cow))) -le $((4096 * (1 + 2457 / 252)))
cksum d.cow >before
holds "again" moo seal d.cow
is "$(cksum d.cow)" "$(cat before)" "changes nothing"
cp flat.cow flatwas.cow
holds "a disk in place can be sealed" moo seal flat.cow
sealed "a disk in place" flat.cow
is "$(($(size flat.cow) - 32768))" $((4096 * 4096 + 5 * 4096)) \
	"behind the disk"

# flip FILE TURN: in block k of the disk one byte of its place, the one with the
# number k + TURN; prints how many of these belong to a sector of data
flip()
{
	moo map --output=json "$1" >json
	extents json | perl -e '
		my ($file, $turn) = @ARGV;
		my (%place, $n);
		while (<STDIN>) {
			my ($start, $len, $depth, $flags, $at) = split;
			next if $depth || $flags !~ /d/;
			$place{$start / 512 + $_} = $at + 512 * $_
				for 0 .. $len / 512 - 1;
		}
		open my $io, "+<:raw", $file or die;
		for my $k (0 .. 4095) {
			my ($s) = grep { $place{8 * $k + $_} } 0 .. 7;
			next unless defined $s;
			my $b = ($k + $turn) % 4096;
			my $at = $place{8 * $k + $s} - 512 * $s + $b;
			my $byte;
			# Past the data of a file in place there is its seal.
			next if $k == 4095 && $b >= 5 * 512;
			seek $io, $at, 0;
			read $io, $byte, 1;
			seek $io, $at, 0;
			print $io chr(ord($byte // "\0") ^ 1 << $k % 8);
			$n += exists $place{8 * $k + int($b / 512)};
		}
		print $n;' "$@"
}

for file in d.cow flat.cow; do
	for turn in 0 1 2 3 4; do
		cp $file t.cow
		flip t.cow $turn >want
		moo check --data --output=json t.cow >json 2>stderr &&
			status=0 || status=$?
		is "$(json json bad-clusters)" "$(cat want)" \
			"$file, turn $turn: each byte of data, and no other"
		is "$(json json corruptions)" "$(cat want)" "and no other fault"
		is "$status" 2 "exit status"
	done
	holds "not all were told of" test "$(wc -l <stderr)" -le 60
	is "$(json json verified-clusters)" "$(field $file sealed-clusters)" \
		"$file: all of it was looked at"
	moo check t.cow >checked 2>&1 && status=0 || status=$?
	is "$status" 0 "$file: who does not look at data does not know"
done

# What is said of one.
cp flat.cow t.cow
put t.cow $((32768 + 4096 * 7 + 600)) 42
moo check --data t.cow >checked 2>stderr && status=0 || status=$?
is "$status" 2 "one block"
like "$(cat stderr)" \
	"t.cow: data of sectors 56 to 63, at byte 61440 of the file, was sealed as [0-9a-f]{8} and is [0-9a-f]{8}" \
	"which one"
like "$(cat checked)" "4096 blocks of data were held against the seal; 1 are not" \
	"and how many"
moo check --data -r all t.cow >checked 2>stderr && status=0 || status=$?
is "$status" 2 "it is not repaired"
sealed "an untouched one" flat.cow
truncate -s $((32768 + 4096 * 7 + 600)) t.cow
moo check --data t.cow >checked 2>stderr && status=0 || status=$?
is "$status" 2 "what is cut off"

# ---- who writes ----------------------------------------------------------------

moo create -V 4 kid.cow d.cow
sealed "a parent with a child" d.cow
cp img image
fill image 8 100 K
fill image 30000 2000 L
moo convert -f -V 4 -b d.cow image kid.cow
sealed "a parent that is read" d.cow
cp d.cow low.cow
moo rebase -u -b low.cow kid.cow
holds "a merge into it" moo merge --in-place --delete kid.cow
unsealed "after a merge" low.cow
moo merge -f low.cow out
holds "which is right" cmp out image
holds "it is sealed anew" moo seal low.cow
sealed "after the merge" low.cow
moo check low.cow >checked
like "$(cat checked)" "^No errors" "nothing has leaked"
cp flat.cow low.cow
moo convert -f -V 4 -b low.cow image kid.cow
moo merge --in-place --delete kid.cow
unsealed "a disk, after a merge" low.cow
holds "is sealed anew" moo seal low.cow
sealed "the disk" low.cow
holds "at the same place" test "$(size low.cow)" = "$(size flat.cow)"

# Its own sectors go to its parent, while it stays as an emptied file.
cp d.cow top.cow
cp base under
moo rebase -u -b under top.cow
sealed "with another name for its parent" top.cow
moo merge --in-place -f top.cow
unsealed "an emptied one" top.cow
refused 1 "top.cow: was merged" "to seal that" moo seal top.cow

cp base under
fill under 5 1 U
cp d.cow top.cow
moo rebase -b under top.cow
unsealed "after a rebase that copies" top.cow
touch -d 2001-01-01 under
moo seal top.cow
moo check top.cow >checked 2>stderr && status=0 || status=$?
is "$status" 2 "a parent that has changed"
moo adopt top.cow
sealed "after moo adopt" top.cow

for size in 8M 20M; do
	for file in d.cow flat.cow; do
		cp $file top.cow
		holds "resize $file $size" \
			moo resize --shrink top.cow $size
		unsealed "$file of $size" top.cow
		head -c "$size" img >want
		truncate -s "$size" want
		moo merge -f top.cow out || true
		moo convert -f -V 0 top.cow out
		holds "reads right" cmp -n 8388608 out want
		moo seal top.cow
		sealed "$file of $size, sealed again" top.cow
	done
done
cp d.cow top.cow
moo compact top.cow
unsealed "after compact" top.cow
is "$(size top.cow)" "$(size was.cow)" "without the room of its seal"

# What makes a new file makes it without a seal.
moo dump d.cow text
moo dump was.cow text2
sed '/^generation/d' text >t1
sed '/^generation/d' text2 >t2
holds "a dump does not tell of it" cmp t1 t2
moo restore text r.cow
unsealed "what was restored" r.cow
moo convert -V 4 d.cow c.cow
unsealed "what was converted" c.cow

# A writer that comes by and goes, and one that leaves a list of free blocks.
moo create -V 4 none.cow flat.cow
cp d.cow top.cow
moo create -V 4 none.cow top.cow -f
moo merge --in-place --delete none.cow
unsealed "after a merge of nothing" top.cow
cp img image
moo convert -f -V 4 -b top.cow base kid.cow
moo merge --in-place --delete kid.cow
holds "there is a list of free blocks" \
	test "$(perl -e 'open F, "top.cow"; my @l;
		for (0, 1) { seek F, 4096 * $_, 0; read F, $b, 512;
		push @l, [unpack "x16 Q> x232 Q>", $b] }
		print((sort { $b->[0] <=> $a->[0] } @l)[0][1])')" -gt 0
moo seal top.cow
sealed "with a list" top.cow
moo convert -f -V 4 -b top.cow img kid.cow
was=$(size top.cow)
moo merge --in-place --delete kid.cow
unsealed "merged into once more" top.cow
moo merge -f top.cow out
holds "reads right" cmp out img
holds "the room of the seal is used again" test "$(size top.cow)" -le "$was"

# ---- who may not ---------------------------------------------------------------

# A feature of the future: it may be read, checked, and no more.
cp d.cow t.cow
v4 t.cow set ro_compatible 5
holds "a later version's file is held against its seal" \
	sh -c "$bin/moo check --data t.cow >/dev/null"
cksum t.cow >before
moo create -V 4 kid.cow t.cow -f
refused 1 "t.cow: .*later version" "a merge into it" \
	moo merge --in-place kid.cow
refused 1 "t.cow: .*later version" "compact" moo compact t.cow
v4 t.cow set ro_compatible 4
refused 1 "t.cow: .*later version" "seal" moo seal t.cow
v4 t.cow set ro_compatible 5
is "$(cksum t.cow)" "$(cat before)" "nothing was written"

cowhdr v3.cow "base=$PWD/base" own=3
moo create --header head.cow base
: >nothing
cksum base v3.cow head.cow nothing was.cow >before
refused 1 "base: a raw file .*moo convert" "a raw file" moo seal base
refused 1 "v3.cow: V3 .*moo convert" "V3" moo seal v3.cow
refused 1 "head.cow: the header of" "a header" moo seal head.cow
refused 1 "missing: .*No such" "none at all" moo seal missing
for file in v3.cow was.cow head.cow; do
	refused 1 "$file: is not sealed.*moo seal" "--data of $file" \
		moo check --data $file
	refused 1 "$file: is not sealed.*moo seal" "-r all --data of $file" \
		moo check --data -r all $file
done
refused 63 "base: a raw file" "--data of a raw file" moo check --data base
is "$(cksum base v3.cow head.cow nothing was.cow)" "$(cat before)" \
	"nothing was written"
cp was.cow bad.cow
root=$(v4 was.cow get root)
put bad.cow $((root * 4096 + 100)) ffff
cksum bad.cow >before
moo seal bad.cow 2>stderr && status=0 || status=$?
is "$status" 1 "a damaged file"
like "$(tail -n 1 stderr)" "bad.cow: has faults, so it was not sealed" "why"
is "$(cksum bad.cow)" "$(cat before)" "it is left alone"

# Several files, of which one can not be.
cp was.cow a.cow
cp was.cow b.cow
refused 1 "v3.cow: " "one of three" moo seal a.cow v3.cow b.cow
sealed "the first one" a.cow
sealed "the last one" b.cow

# An empty one.
moo create -V 4 empty.cow base
moo seal empty.cow
sealed "without data" empty.cow

# ---- who else has it open ------------------------------------------------------

# hold TYPE START FILE COMMAND...: while another process has that lock: 0 to
# read, 1 to write; of all before the pin, or of one byte
hold()
{
	perl -e '
		my ($type, $start, $file, @command) = @ARGV;
		open my $f, "+<", $file or die "$file: $!\n";
		# struct flock of 64 bits; F_OFD_SETLK is 37.
		my $lock = pack "s s x4 q q i x4", $type, 0, $start,
			$start ? 1 : 1 << 62, 0;
		fcntl $f, 37, $lock or die "lock: $!\n";
		my $status = system { $command[0] } @command;
		exit($status & 127 ? 128 : $status >> 8);' "$@"
}

pin=4611686018427387904
cp was.cow t.cow
refused 1 "t.cow: in use" "of a running top" hold 1 0 t.cow "$bin/moo" seal t.cow
refused 1 "t.cow: somebody else" "two at once" \
	hold 1 $((pin + 1)) t.cow "$bin/moo" seal t.cow
is "$(cksum <t.cow)" "$(cksum <was.cow)" "nothing was written"
hold 0 0 t.cow "$bin/moo" seal t.cow && status=0 || status=$?
is "$status" 0 "of a layer that a machine reads"
sealed "a frozen layer" t.cow
cp was.cow t.cow
hold 0 $pin t.cow "$bin/moo" seal t.cow && status=0 || status=$?
is "$status" 0 "of a layer that is looked at"
hold 0 0 t.cow "$bin/moo" check --data t.cow >checked && status=0 || status=$?
is "$status" 0 "and held against its seal"

# A signal that is pending when the work begins.
cp was.cow t.cow
status=0
perl -MPOSIX -e '
	sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGINT));
	kill "INT", $$;
	exec @ARGV or die;' "$bin/moo" seal t.cow 2>stderr || status=$?
holds "SIGINT ends it" test $status -gt 128
is "$(cksum <t.cow)" "$(cksum <was.cow)" "nothing was written"
finish
