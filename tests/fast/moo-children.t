#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What is built on a file is known to it: who is on its list, who counts, what is
# refused then, and what becomes of a list that is full, damaged or hostile.
set -eu
. "${0%/*}/lib.sh"

# attribute FILE: its list as perl sees it: flags, then the names
attribute()
{
	perl -I "$top/tests/perl" -MFiles -e '
		my ($file) = @ARGV;
		my $buf = "\0" x 65536;
		# fgetxattr(2), which perl has no word for
		my %nr = (x86_64 => 193, aarch64 => 10);
		open my $f, "<", $file or die "$file: $!\n";
		my $name = "user.moo.children";
		chomp(my $machine = `uname -m`);
		my $len = syscall($nr{$machine} // exit 3, fileno $f, $name,
				  $buf, 65536);
		print("none"), exit if $len < 0;
		$buf = substr $buf, 0, $len;
		my ($magic, $version, $crc, $flags) = unpack "N4", $buf;
		substr $buf, 8, 4, "\0" x 4;
		die "damaged\n" if $magic != 0x4f4f4f43 || $version != 1 ||
			$crc != crc32c($buf);
		print join " ", $flags, map { m,([^/]*)$, }
			split /\0/, substr $buf, 16;' "$1"
}

# set_list FILE HEX: that value, whatever it is; "sealed" FLAGS NAME...
set_list()
{
	perl -I "$top/tests/perl" -MFiles -e '
		my ($file, $how, $flags, @names) = @ARGV;
		my $value = $how eq "sealed" ?
			pack("N4", 0x4f4f4f43, 1, 0, $flags) .
			join("", map { "$_\0" } @names) : pack("H*", $how);
		substr $value, 8, 4, pack "N", crc32c($value)
			if $how eq "sealed";
		my %nr = (x86_64 => 190, aarch64 => 7);
		chomp(my $machine = `uname -m`);
		open my $f, "<", $file or die "$file: $!\n";
		my $name = "user.moo.children";
		syscall($nr{$machine} // exit 3, fileno $f, $name, $value,
			length $value, 0) == 0 or exit 4;' "$@"
}

noise base 65536
set_list base 00 2>/dev/null ||
	skip_all "this file system has no attributes, or perl no numbers of calls"
rm base

# ---- who is on the list ------------------------------------------------------

noise base 65536
touch -d '2020-02-02' base
stat -c '%y %s' base >before
is "$(attribute base)" none "a base alone has no list"
moo create a.cow base
is "$(attribute base)" "0 a.cow" "a layer is on it"
moo create -V 4 b.cow base
is "$(attribute base)" "0 a.cow b.cow" "and the next"
is "$(stat -c '%y %s' base)" "$(cat before)" "its time and size are what they were"
holds "so that the layers open" moo check a.cow
moo create --header head.cow base
is "$(attribute base)" "0 a.cow b.cow" "a header is not"
like "$(moo info base)" "^known to be built on it: .*/a.cow, .*/b.cow$" \
	"info names them"
cp base img
fill img 3 2 N
moo convert -V 4 -b base img c.cow
is "$(attribute base)" "0 a.cow b.cow c.cow" "what is made by convert is on it"
moo dump c.cow text
moo restore text d.cow
is "$(attribute base)" "0 a.cow b.cow c.cow d.cow" "by restore"
mv c.cow e.cow
rm b.cow
moo rebase -u -b base e.cow
is "$(attribute base)" "0 a.cow d.cow e.cow" \
	"by rebase, and names of nothing are dropped"
mv e.cow f.cow
moo adopt f.cow
is "$(attribute base)" "0 a.cow d.cow f.cow" "by adopt, which follows a rename"
moo create -f -V 4 f.cow base
is "$(attribute base)" "0 a.cow d.cow f.cow" "once, however often it is made"
mkdir sub
(cd sub && "$bin/moo" create g.cow ../base)
is "$(attribute base)" "0 a.cow d.cow f.cow g.cow" "from another directory"
holds "with a name that is true" test -e \
	"$(moo info base | sed -n 's/^known.*, //p')"
refused 1 "a.cow: exists" "one that is not made" moo create a.cow base
is "$(attribute base)" "0 a.cow d.cow f.cow g.cow" "changes nothing"
moo create -V 4 h.cow f.cow
is "$(attribute f.cow)" "0 h.cow" "a V4 layer has a list, too"
holds "and is sound" moo check f.cow

# The name first, then the file.
if strace -o /dev/null true 2>/dev/null; then
	strace -e trace=fsetxattr,renameat2 -o calls "$bin/moo" create i.cow base
	is "$(sed -n 's/^\([a-z0-9]*\)(.*/\1/p' calls | xargs)" \
		"fsetxattr renameat2" "a name is there before its file"
	rm i.cow
else
	skip "no strace"
fi

# Who writes the list waits for who does.
for n in 1 2 3 4 5 6 7 8; do
	moo create "par$n.cow" base &
done
wait
is "$(attribute base | tr ' ' '\n' | grep -c par)" 8 \
	"of several at a time none is lost"

# ---- who counts --------------------------------------------------------------

fresh()
{
	rm -rf ./*
	noise base 65536
	touch -d '2020-02-02' base
	cp base img
	fill img 3 2 N
	moo convert -V 3 -b base img top.cow
	moo create -V 4 other.cow base
}

fresh
cksum base top.cow >before
refused 1 "base: .*-f .*/other.cow" "a merge beside another" \
	moo merge --in-place top.cow
is "$(cksum base top.cow)" "$(cat before)" "nothing was changed"
holds "forced" moo merge --in-place -f top.cow
holds "it was merged" cmp base img

# Each makes of other.cow something that does not count.
for what in "rm other.cow" "mkdir x; mv x other.cow" "mkfifo x; mv x other.cow" \
	"cp base other.cow" ": >other.cow" "ln -s nothing x; mv x other.cow" \
	"cp base b2; moo rebase -u -b b2 other.cow" \
	"moo create --header x base; mv x other.cow" \
	"ln base same; mv same other.cow"; do
	fresh
	case $what in *"; mv x other.cow") rm other.cow ;; esac
	eval "$what"
	holds "'$what' does not count" timeout 20 "$bin/moo" merge -i top.cow
done
fresh
moo merge -i -f other.cow
moo create -f -V 3 top.cow base
holds "what was merged away does not count" moo merge -i top.cow

# And each of these something that may be one.
for what in "put other.cow 100 ffffffff" "ln -s other.cow x; mv other.cow y" \
	"cp -p base x; mv x base"; do
	fresh
	eval "$what"
	case $what in
	cp*)
		is "$(attribute base)" none "a copy of a base has no children" ;;
	ln*)
		holds "what was renamed is not known" \
			moo merge -i top.cow ;;
	*)
		put other.cow 4196 ffffffff
		refused 1 "base: .*other.cow" "'$what' may be one" \
			moo merge -i top.cow ;;
	esac
done
if [ "$(id -u)" != 0 ]; then
	fresh
	mkdir shut
	mv other.cow shut
	moo rebase -u -b base shut/other.cow
	chmod 0 shut
	refused 1 "base: .*shut/other.cow" "what can not be looked at counts" \
		moo merge -i top.cow
	chmod 700 shut
fi

# What is built on the top is lost with it.
fresh
rm other.cow
moo create -V 4 over.cow top.cow
refused 1 "top.cow: .*/over.cow" "a layer over the top" moo merge -i top.cow
moo merge -i -f top.cow

# A merge that has begun goes on.
fresh
v4 other.cow set state 4
moo create third.cow base
holds "what has begun goes on" moo merge -i other.cow

# ---- other verbs -------------------------------------------------------------

fresh
refused 1 "base: .*-f.*/top.cow, .*/other.cow" "resize" moo resize base 128K
refused 1 "base: .*/top.cow" "a new file in its place" \
	moo create -f -V 4 --size=64K base
holds "forced" moo resize -f base 128K
fresh
moo create -V 4 over.cow other.cow
holds "a V4 layer may grow" moo resize other.cow 128K
holds "and what is over it opens" moo check over.cow
refused 1 "other.cow: .*/over.cow" "not shrink" \
	moo resize --shrink other.cow 32K
refused 1 "other.cow: .*/over.cow" "nor be replaced" \
	moo create -f -V 4 other.cow base
holds "it may be compacted" moo compact other.cow

# ---- lists that are none -----------------------------------------------------

for value in 00 4f4f4f43 4f4f4f430000000100000000 \
	4f4f4f4300000001ffffffff00000000 \
	4f4f4f4300000002000000000000000061626300; do
	fresh
	set_list base $value
	refused 1 "base: .*list of children .*damaged" "the value $value" \
		moo merge -i top.cow
	moo create -V 4 more.cow base
	is "$(attribute base)" "1 more.cow" "it is begun anew, and known to lack some"
	rm more.cow
	refused 1 "base: .*built on it: others" "which counts" \
		moo merge -i top.cow
	holds "it can be forced" moo merge -i -f top.cow
done
fresh
set_list base sealed 0 relative.cow
refused 1 "base: .*damaged" "a relative name" moo merge -i top.cow
set_list base sealed 2 "$PWD/x"
refused 1 "base: .*damaged" "an unknown flag" moo merge -i top.cow
set_list base sealed 0 "$PWD/$(printf 'two\nlines')" "$PWD/other.cow"
refused 1 "base: .*other.cow" "a name of two lines" moo merge -i top.cow
cp other.cow "$(printf 'two\nlines')"
refused 1 "base: .*two.lines, .*other.cow" "that is a child" \
	moo merge -i top.cow
set_list base sealed 0 /dev/tty /dev/zero /proc/kmsg /proc/kcore "$PWD/base" / \
	"$PWD/img" "$PWD/img/" "$PWD/top.cow"
holds "names that lead elsewhere" timeout 20 "$bin/moo" merge -i top.cow

# As long as can be.
fresh
names=$(perl -e 'print join " ", map { "/none/$_" } 1 .. 1025')
# shellcheck disable=SC2086
if set_list base sealed 0 $names 2>/dev/null; then
	refused 1 "base: .*damaged" "1025 names" moo merge -i top.cow
	# shellcheck disable=SC2086
	set_list base sealed 0 ${names% *}
	holds "1024 names of nothing" timeout 20 "$bin/moo" merge -i top.cow
else
	skip "there is no room for so many"
fi

# A list that is full says so, however much the file system has room for.
fresh
long=$PWD/$(perl -e 'print join "/", ("d" x 200) x 15')
mkdir -p "$long"
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do
	moo create -V 4 "$long/$n.cow" base
done
case $(attribute base) in
1*)
	rm -r d* other.cow
	refused 1 "base: .*built on it: others" "those without room count" \
		moo merge -i top.cow ;;
*)
	refused 1 "base: .*and 22 more" "long names are counted" \
		moo merge -i top.cow ;;
esac
finish
