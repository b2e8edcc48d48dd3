#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: make a COW file of version 1, 2 or 3 by hand, sound or broken, with
# none of the code under test.
#
#	cowhdr.pl FILE base=/path [version=3] [size=N] [mtime=N] [ss=512]
#		[align=4096] [format=0] [magic=OOOM] [endian=big]
#		[own=3,5] [tag=CCCC] [nonul=1] [length=N]
#
# size and mtime default to those of the base. Every sector in own= is marked
# in the bitmap and holds the pattern of tests/boot/guest/sect.c. length= cuts
# or extends the file at the end.
use strict;
use warnings;

my ($file, @args) = @ARGV;
die "usage: cowhdr.pl FILE base=PATH [KEY=VALUE...]\n" unless $file && @args;
my %a = (version => 3, ss => 512, align => 4096, format => 0,
	 magic => 'OOOM', endian => 'big', own => '', tag => 'CCCC', nonul => 0);
for (@args) {
	my ($key, $value) = split(/=/, $_, 2);
	$a{$key} = $value;
}
my @st = stat($a{base});
$a{size} //= $st[7] // 0;
$a{mtime} //= $st[9] // 0;

sub round_up
{
	my ($n, $to) = @_;
	return $to ? int(($n + $to - 1) / $to) * $to : $n;
}

# A path that has no NUL fills its field to the last byte.
sub path_field
{
	my ($len) = @_;
	return pack("a$len", $a{nonul} ? $a{base} . 'x' x $len : $a{base});
}

sub header
{
	my $big = $a{endian} eq 'big' ? '>' : '<';

	return $a{magic} . pack("L$big", $a{version}) . path_field(256) .
		pack("L${big}Q${big}L$big", $a{mtime}, $a{size}, $a{ss})
		if $a{version} == 1;
	return $a{magic} . pack('N', $a{version}) . path_field(4096) .
		pack('NQ>N', $a{mtime}, $a{size}, $a{ss})
		if $a{version} == 2;
	return $a{magic} . pack('NNQ>NNN', $a{version}, $a{mtime}, $a{size},
		$a{ss}, $a{align}, $a{format}) . path_field(4096);
}

my $header = header();
my $old = $a{version} < 3;
# Broken values get the layout that a sound header would have had.
my $ss = $a{ss} && $a{ss} <= 65536 ? $a{ss} : 512;
my $align = $old ? 1 : ($a{align} || 4096);
my $sectors = int(($a{size} + $ss - 1) / $ss);
my $bits_at = round_up(length($header), $align);
my $bits_len = $old ? int(($a{size} + $ss - 1) / (8 * $ss)) :
	int(($sectors + 7) / 8);
my $data_at = round_up($bits_at + $bits_len, $old ? $ss : $align);
# An absurd size makes no absurd file.
if ($a{size} >= 1 << 32) {
	$bits_len = 1 << 20;
	$a{length} //= $bits_at + $bits_len;
}
my $bits = "\0" x $bits_len;

open(my $out, '+>', $file) or die "$file: $!\n";
binmode($out);
sub put
{
	my ($at, $bytes) = @_;
	seek($out, $at, 0) && print($out $bytes) or die "$file: $!\n";
}
put(0, $header);
for my $n (split(/,/, $a{own})) {
	vec($bits, $n, 1) = 1;
	put($data_at + $n * $ss, pack('a8Q<', $a{tag}, $n) x ($ss / 16));
}
put($bits_at, $bits);
$out->flush();
truncate($out, $a{length} // $data_at + $a{size}) or die "$file: $!\n";
close($out) or die "$file: $!\n";
