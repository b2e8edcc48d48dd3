# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: a directory to work in, and in it a base and layers of every version
# over it, made by the tables of Documentation/cow-format.rst with none of the
# code under test.
#
# Every sound layer owns the same three sectors, so that all of them read as
# $good.
package Hostile;

use strict;
use warnings;
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use lib dirname(__FILE__) . '/../perl';
use Files;

our @EXPORT = qw(slurp spew append names state_of changes make_base seal
		 v1_image v2_image v3_image v3_broken_image v4_image v4_name
		 v4_sealed_image
		 v4_child v4_link
		 $dir $here $sectors $size $then $base $good %own $uuid %v4_at);

my $shm = -w '/dev/shm' && !$ENV{TMPDIR} ? '/dev/shm' : undef;
our $dir = tempdir(CLEANUP => 1, $shm ? (DIR => $shm) : (TMPDIR => 1));
our $here = "$dir/w";
mkdir $here or die "$here: $!\n";
chdir $here or die "$here: $!\n";

# tempdir() can not remove what one stands in.
END {
	chdir '/';
}

# ---- files -----------------------------------------------------------------

# What is there: names, kinds, and what the regular ones hold.
sub state_of {
	my %state;

	for my $name (names()) {
		my @st = lstat $name;

		$state{$name} = -l _ ? 'to ' . readlink $name :
			-f _ ? "$st[9] " . slurp($name) : "mode $st[2]";
	}
	return \%state;
}

sub changes {
	my ($old, $new) = @_;
	my %all = (%$old, %$new);

	return grep { ($old->{$_} // '') ne ($new->{$_} // '') } sort keys %all;
}

sub append {
	my ($file, $bytes) = @_;
	open my $out, '>>:raw', $file or die "$file: $!\n";
	print $out $bytes;
	close $out or die "$file: $!\n";
}

# ---- sound layers ----------------------------------------------------------

our $sectors = 128;
our $size = $sectors * 512;
our $then = 1580601600;
our $base = join '', map { pack 'A508N', "base $_", $_ } 1 .. $sectors;
our %own = map { $_ => pack 'A508N', "own $_", $_ } 1, 3, 77;
our $parent = "$here/base";
our $good = $base;	# what a sound file reads as
substr $good, 512 * $_, 512, $own{$_} for keys %own;

sub make_base {
	spew('base', $base);
	utime $then, $then, 'base';
}

sub round_up {
	my ($n, $to) = @_;
	return int(($n + $to - 1) / $to) * $to;
}

sub bitmap {
	my $bits = "\0" x ($sectors / 8);

	vec($bits, $_, 1) = 1 for keys %own;
	return $bits;
}

# A file of V1 to V3: header, bitmap at $map, data at $data.
sub old_image {
	my ($header, $map, $data) = @_;
	my $image = $header . "\0" x ($map - length $header) . bitmap();

	$image .= "\0" x ($data + $size - length $image);
	substr $image, $data + 512 * $_, 512, $own{$_} for keys %own;
	return $image;
}

sub v1_image {
	my ($e) = @_;
	my $header = pack "L${e}2 a256 L$e Q$e L$e", 0x4f4f4f4d, 1, $parent,
		$then, $size, 512;

	return old_image($header, 280, 512);
}

sub v2_image {
	my $header = pack 'N2 a4096 N Q> N', 0x4f4f4f4d, 2, $parent, $then,
		$size, 512;

	return old_image($header, 4120, round_up(4120 + 16, 512));
}

sub v3_image {
	my $header = pack 'N3 Q> N3 a4096', 0x4f4f4f4d, 3, $then, $size, 512,
		4096, 0, $parent;

	return old_image($header, 8192, 12288);
}

sub v3_broken_image {
	my $header = pack 'N3 x4 Q> N3 a4096 x4', 0x4f4f4f4d, 3, $then, $size,
		512, 4096, 0, $parent;

	return old_image($header, 8192, 12288);
}

# V4: leaf in block 8, data from block 9 on; slot 1 was never written.
our $uuid = 'sixteen bytes id';
our %v4_at = (slot => 0, name => 2 * 4096, leaf => 8 * 4096, seal => 11 * 4096);

sub v4_name {
	my ($name) = @_;
	return pack 'N4', 0, length $name, crc32c($name), 0;
}

sub v4_slot {
	return pack 'N4 Q>4 a16 Q>3 N2 Q>2 N4 a16 Q>3 N2 a16 a16 a32 N4 Q> x248',
		0x4f4f4f4d, 4, 0, 512, 2, 0, 0, 0, $uuid, $size, 1, 8, 1, 12,
		11, 3, 1, 0, 512, 1, '', 0, $size, $then, 0, 0,
		v4_name($parent), '', '', 0, 0, 0, 0, 0;
}

sub v4_leaf {
	my @entry = (0) x 504;
	my $block = 9;

	for my $sector (sort { $a <=> $b } keys %own) {
		my $entry = \$entry[$sector >> 3];

		$$entry ||= $block++ << 16;
		$$entry |= 1 << 2 * ($sector & 7);
	}
	return pack 'N2 Q>3 N2 a16 Q> Q>504', 0x4f4f4f49, 0, 2, 0, 8, 0, 0,
		$uuid, 0, @entry;
}

# The checksum at $at of $image's $len bytes at $from, made right.
sub seal {
	my ($image, $from, $len, $at) = @_;

	substr $$image, $from + $at, 4, "\0" x 4;
	substr $$image, $from + $at, 4,
		pack 'N', crc32c(substr $$image, $from, $len);
}

sub v4_image {
	my $image = "\0" x (11 * 4096);
	my %block;

	substr $image, 0, 512, v4_slot();
	substr $image, $v4_at{name}, length $parent, $parent;
	substr $image, $v4_at{leaf}, 4096, v4_leaf();
	for my $sector (sort { $a <=> $b } keys %own) {
		my $block = $block{$sector >> 3} // 9 + keys %block;

		$block{$sector >> 3} = $block;
		substr $image, $block * 4096 + 512 * ($sector & 7), 512,
			$own{$sector};
	}
	seal(\$image, 0, 512, 8);
	seal(\$image, $v4_at{leaf}, 4096, 4);
	return $image;
}

# The same with a seal, of blocks 0 and 9 of the disk, in block 11.
sub v4_sealed_image {
	my $image = v4_image();
	my @run = map {
		my $data = '';

		for my $n (0 .. 7) {
			$data .= $own{8 * $_ + $n} // "\0" x 512;
		}
		($_ << 12 | 1, crc32c($data) << 32);
	} 0, 9;

	substr $image, 40, 8, pack 'Q>', 1;
	substr $image, 96, 8, pack 'Q>', 12;
	substr $image, 264, 32, pack 'Q>4', 11, 1, 2, 1;
	$image .= pack 'N2 Q>3 N2 a16 Q> Q>504', 0x4f4f4f49, 0, 2, 0, 11, 254,
		0, $uuid, 0, @run, (0) x 500;
	seal(\$image, 0, 512, 8);
	seal(\$image, $v4_at{seal}, 4096, 4);
	return $image;
}

# ---- layers over layers ----------------------------------------------------

# A V4 layer over "it" that owns two sectors which that has no room for.
sub v4_child {
	my $image = v4_image();
	my $name = "$here/it";

	substr $image, $v4_at{name}, length $name, $name;
	substr $image, 48, 16, 'another one here';
	substr $image, $v4_at{leaf} + 40, 16, 'another one here';
	substr $image, 124, 4, pack 'N', 3;
	substr $image, 128, 24, pack 'a16 Q>', $uuid, 1;
	substr $image, 176, 16, v4_name($name);
	substr $image, $v4_at{leaf} + 64, 8, pack 'Q>', 0;
	substr $image, $v4_at{leaf} + 64 + 8 * 5, 8, pack 'Q>', 9 << 16 | 5 << 2;
	seal(\$image, 0, 512, 8);
	seal(\$image, $v4_at{leaf}, 4096, 4);
	return $image;
}

my $empty = substr v4_image(), 0, 8 * 4096;

substr $empty, 80, 8, pack 'Q>', 0;
substr $empty, 96, 16, pack 'Q>2', 8, 0;
substr $empty, 124, 4, pack 'N', 3;
substr $empty, 128, 24, pack 'a16 Q>', $uuid, 1;

# v4_link(FILE, PARENT): an empty V4 layer over a V4 parent
sub v4_link {
	my ($file, $to) = @_;
	my $image = $empty;

	substr $image, 176, 16, v4_name("$here/$to");
	substr $image, $v4_at{name}, 4096, pack 'a4096', "$here/$to";
	seal(\$image, 0, 512, 8);
	spew($file, $image);
}

1;
