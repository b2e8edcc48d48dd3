#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Golden images of every version: packed by make.pl from the document's tables,
# fixed by SHA256SUMS, read by the engine's parsers, and, where they are
# installed, held against the old tools.

use strict;
use warnings;
use Cwd qw(abs_path);
use Digest::SHA;
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

my $here = abs_path($FindBin::Bin);
my $cow = abs_path("$here/../../arch/um/drivers/cow");
my $cc = $ENV{CC} || 'gcc';
my $dir = abs_path(tempdir(CLEANUP => 1));

sub tool {
	my ($name) = @_;
	return grep { -x "$_/$name" } split /:/, $ENV{PATH};
}

sub slurp {
	my ($name) = @_;
	local $/;
	open my $in, '<:raw', $name or die "$name: $!\n";
	return scalar <$in>;
}

sub run {
	my (@command) = @_;
	open my $pipe, '-|', @command or die "$command[0]: $!\n";
	local $/;
	my $text = <$pipe> // '';
	close $pipe;
	return $text;
}

plan skip_all => "no C compiler ($cc)" unless tool($cc) || -x $cc;

# The images themselves.

is(system($^X, "$here/make.pl", $dir), 0, 'images are made') or BAIL_OUT('');
for my $line (split /\n/, slurp("$here/SHA256SUMS")) {
	my ($sum, $name) = split ' ', $line;
	is(Digest::SHA->new(256)->addfile("$dir/$name", 'b')->hexdigest, $sum,
	   "$name is what it was");
}

# Read by the engine's parsers.

my $reader = "$dir/read";
is(system($cc, qw(-std=gnu11 -g -Wall -Wextra -D_GNU_SOURCE), "-I$cow",
	  '-fsanitize=address,undefined', '-o', $reader,
	  "$here/read.c", "$cow/header.c", "$cow/crc32c.c"), 0,
   'the reader is built') or BAIL_OUT('');
for my $expect (sort glob "$dir/*.expect") {
	my $file = (grep { -e } map { $expect =~ s/expect$/$_/r } qw(cow moo))[0];
	is(run($reader, $file), slurp($expect), $file =~ s{.*/}{}r . ' is read');
}

# compared(NAME, LENGTH): bytes that uml_moo gets right.  It drops a last,
# partial sector, and of V1 and V2 it never reads the bits behind the bitmap.
sub compared {
	my ($name, $len) = @_;
	my $sectors = int($len / 512);

	$sectors-- if $name !~ /on-data/;
	$sectors -= $sectors % 8 if $name =~ /^v[12]/;
	return $sectors * 512;
}

# The old tools read what the document describes ...

my $own = tempdir(DIR => $dir);
system($^X, "$here/make.pl", $own, $own) == 0 or die "make.pl failed\n";
SKIP: {
	my @read = qw(v1-le v1-tail-on-data v2 v2-tail-on-data
		      v3 v3-align-512 v3-align-1000 v3-broken);

	skip 'uml_moo is not installed', scalar @read unless tool('uml_moo');
	for my $name (@read) {
		my $log = run('sh', '-c', 'uml_moo "$1" "$2" 2>&1', 'sh',
			      "$own/$name.cow", "$own/out");
		my $out = -e "$own/out" ? slurp("$own/out") : '';
		my $len = compared($name, -s "$own/$name.raw");
		ok(length $out >= $len && substr($out, 0, $len) eq
		   substr(slurp("$own/$name.raw"), 0, $len),
		   "uml_moo reads $name.cow") or diag($log);
		unlink "$own/out";
	}
}

# ... and write what the parsers read.

SKIP: {
	skip 'uml_mkcow is not installed', 1 unless tool('uml_mkcow');
	run('sh', '-c', 'uml_mkcow "$1" "$2" 2>&1', 'sh', "$own/made.cow",
	    "$own/small.img");
	my $want = slurp("$own/v3.expect") =~ s/^sector.*\n//mgr;
	is(run($reader, "$own/made.cow"), $want, 'a file by uml_mkcow is read');
}

done_testing();
