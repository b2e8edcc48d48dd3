#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: damage a V4 file in chosen places with its checksums right, by the
# tables of Documentation/cow-format.rst and with none of the code under test.
# Only files whose index is a single leaf.
#
#	v4.pl FILE get FIELD		print a number of the header in force
#	v4.pl FILE set FIELD VALUE	change it
#	v4.pl FILE entry N		print entry N of the leaf
#	v4.pl FILE entry N VALUE	change it
#	v4.pl FILE freeze SUCCESSOR	it is frozen, and that one its successor
#	v4.pl FILE record SUCCESSOR	print a state record: FILE is frozen
use strict;
use warnings;
use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/../perl';
use Files;

my ($file, $verb, @args) = @ARGV;
my %field = (
	generation => [16, 'Q>'], incompatible => [24, 'Q>'],
	compatible => [32, 'Q>'], ro_compatible => [40, 'Q>'],
	seal => [264, 'Q>'], seal_pages => [272, 'Q>'], sealed => [280, 'Q>'],
	content => [72, 'Q>'], root => [80, 'Q>'], levels => [88, 'N'],
	end => [96, 'Q>'], owned => [104, 'Q>'], kind => [112, 'N'],
	state => [116, 'N'],
);

# seal(BYTES, OFFSET): with the checksum at OFFSET put right.
sub seal
{
	my ($bytes, $at) = @_;

	substr($bytes, $at, 4) = "\0" x 4;
	substr($bytes, $at, 4) = pack('N', crc32c($bytes));
	return $bytes;
}

if ($verb eq 'record') {
	my @st = stat($file) or die "$file: $!\n";
	my $head = pack('NNNN', 0x4f4f4f52, 1, 0, 2) .
		pack('Q>Q>Q>NN', $st[0], $st[1], 0, 0, 0) .
		pack('Q>NN', 0, 0, length($args[0]));

	binmode(STDOUT);
	print seal($head . $args[0], 8);
	exit;
}

open(my $io, '+<:raw', $file) or die "$file: $!\n";

sub get
{
	my ($at, $len) = @_;
	my $bytes;

	seek($io, $at, 0);
	read($io, $bytes, $len) == $len or die "$file: too short\n";
	return $bytes;
}

sub put
{
	my ($at, $bytes) = @_;

	seek($io, $at, 0);
	print($io $bytes) or die "$file: $!\n";
}

sub number
{
	my ($bytes, $name) = @_;
	my ($at, $type) = @{$field{$name} // die "no field $name\n"};

	return unpack("x$at $type", $bytes);
}

my @slot = map { get($_ * 4096, 512) } 0, 1;
my $now = number($slot[0], 'generation') > number($slot[1], 'generation') ?
	0 : 1;

if ($verb eq 'get') {
	print number($slot[$now], $args[0]), "\n";
} elsif ($verb eq 'set') {
	my ($at, $type) = @{$field{$args[0]} // die "no field $args[0]\n"};
	my $value = pack($type, $args[1]);

	substr($slot[$now], $at, length($value)) = $value;
	put($now * 4096, seal($slot[$now], 8));
} elsif ($verb eq 'freeze') {
	my @st = stat($file) or die "$file: $!\n";

	substr($slot[$now], 116, 4) = pack('N', 2 | unpack('x116 N', $slot[$now]));
	substr($slot[$now], 192, 48) = pack('N4 Q>3 N2', 0, length($args[0]),
		crc32c($args[0]), 0, @st[0, 1], 0, 0, 0);
	put(4 * 4096, $args[0]);
	put($now * 4096, seal($slot[$now], 8));
} elsif ($verb eq 'entry') {
	my $root = number($slot[$now], 'root') * 4096;
	my $page = get($root, 4096);
	my $at = 64 + 8 * $args[0];

	if (@args < 2) {
		print unpack("x$at Q>", $page), "\n";
		exit;
	}
	substr($page, $at, 8) = pack('Q>', $args[1]);
	put($root, seal($page, 4));
} else {
	die "no verb $verb\n";
}
close($io) or die "$file: $!\n";
