# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Duty: what the tests of moo share: the program, a directory to work in, files
# made without the code under test.
#
# To be read from the top of the tree. MOO names another directory with moo,
# uml_moo and uml_mkcow than build.

# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh

top=$PWD
bin=$(cd "${MOO:-build}" 2>/dev/null && pwd) || skip_all "no ${MOO:-build}"
[ -x "$bin/moo" ] || skip_all "no $bin/moo: make moo"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit

moo()
{
	"$bin/moo" "$@"
}

cowhdr()
{
	perl "$top/tests/boot/host/cowhdr.pl" "$@"
}

v4()
{
	perl "$top/tests/fast/v4.pl" "$@"
}

# noise FILE BYTES [SEED]: data that is the same each time, and no zeros
noise()
{
	perl -e '
		my ($len, $n) = @ARGV;
		while ($len > 0) {
			$n = ($n * 1103515245 + 12345) & 0x7fffffff;
			my $part = pack("V", $n | 0x01010101) x 32;
			print substr($part, 0, $len);
			$len -= 128;
		}' "$2" "${3:-1}" >"$1"
}

# fill FILE SECTOR COUNT LETTER: overwrite sectors of a raw file
fill()
{
	perl -e '
		open my $f, "+<", $ARGV[0] or die "$ARGV[0]: $!\n";
		seek $f, $ARGV[1] * 512, 0;
		print $f $ARGV[3] x ($ARGV[2] * 512);' "$@"
}

# put FILE OFFSET HEX: overwrite bytes
put()
{
	perl -e '
		open my $f, "+<", $ARGV[0] or die "$ARGV[0]: $!\n";
		seek $f, $ARGV[1], 0;
		print $f pack("H*", $ARGV[2]);' "$@"
}

# json FILE KEY...: the value that the keys lead to, "none" if there is none
json()
{
	perl -MJSON::PP -e '
		local $/;
		open my $f, "<", shift or die "json: $!\n";
		my $j = JSON::PP->new->utf8->decode(<$f>);
		for (@ARGV) {
			$j = ref $j eq "ARRAY" ? $j->[$_] : $j->{$_};
		}
		binmode STDOUT, ":utf8";
		print $j // "none";' "$@"
}

# column FILE KEY: the values of that key in an array of objects
column()
{
	perl -MJSON::PP -e '
		local $/;
		open my $f, "<", $ARGV[0] or die "$ARGV[0]: $!\n";
		my $j = JSON::PP->new->utf8->decode(<$f>);
		print join " ", map { $_->{$ARGV[1]} // "none" } @$j;' "$@"
}

# extents FILE: "start length depth flags offset" of each extent of a map
extents()
{
	perl -MJSON::PP -e '
		local $/;
		open my $f, "<", $ARGV[0] or die "$ARGV[0]: $!\n";
		for (@{JSON::PP->new->utf8->decode(<$f>)}) {
			printf "%d %d %d %s%s%s %s\n",
				@$_{qw(start length depth)},
				$_->{present} ? "p" : "-",
				$_->{zero} ? "z" : "-", $_->{data} ? "d" : "-",
				$_->{offset} // "none";
		}' "$1"
}

# refused STATUS REGEX NAME COMMAND...: it fails so, with one line
refused()
{
	want=$1
	regex=$2
	name=$3
	shift 3
	status=0
	"$@" >stdout 2>stderr || status=$?
	is "$status" "$want" "$name: exit status"
	is "$(wc -l <stderr)" 1 "$name: one line"
	like "$(cat stderr)" "$regex" "$name: says why"
}

size()
{
	stat -c %s "$1"
}
