#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: hostile headers before moo. Every number in the header of every version,
# in an index page and in a state record is set to what could break sums; and
# every file is cut short everywhere. See Verdict.pm for what is right.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Test::More;
use Verdict;
use Hostile;

# ---- numbers ---------------------------------------------------------------

my @small = (
	[0 => 0], [1 => 1], [3 => 3], ['2^31' => 1 << 31],
	[-1 => (1 << 32) - 1],
);
my @large = (
	[0 => 0], [1 => 1], [3 => 3], ['2^31' => 1 << 31], ['2^32' => 1 << 32],
	['2^63-1' => (1 << 63) - 1], ['2^63' => 1 << 63], [-1 => ~0],
);
my %more = (
	'size' => [['+1' => $size + 1], ['+512' => $size + 512],
		   ['2^63-512' => (1 << 63) - 512],
		   ['2^63-1 less data' => (1 << 63) - 1 - 12288],
		   ['-511' => ~0 - 510]],
	'version' => [[2 => 2], [4 => 4], [5 => 5]],
	'magic' => [['swapped' => 0x4d4f4f4f]],
	'sectorsize' => [[511 => 511], [513 => 513], [1024 => 1024],
			 [4096 => 4096], [8192 => 8192], ['2^30' => 1 << 30]],
	'alignment' => [[2 => 2], [512 => 512], [4095 => 4095],
			[8192 => 8192], ['2^24' => 1 << 24],
			['2^24+1' => (1 << 24) + 1]],
	'generation' => [[4 => 4], ['2^63-2' => (1 << 63) - 2]],
	'block_shift' => [[9 => 9], [63 => 63], [64 => 64]],
	'root' => [[7 => 7], [9 => 9], [10 => 10], [11 => 11], ['2^48' => 1 << 48],
		   ['2^52' => 1 << 52]],
	'end' => [[8 => 8], [9 => 9], [10 => 10], [12 => 12],
		  ['2^48' => 1 << 48], ['2^48+1' => (1 << 48) + 1]],
	'free_list' => [[8 => 8], [9 => 9], [10 => 10], [11 => 11]],
	'owned' => [[$sectors => $sectors], [$sectors + 1 => $sectors + 1]],
	'kind' => [[2 => 2], [4 => 4]],
	'levels' => [[2 => 2], [6 => 6], [7 => 7]],
	'state' => [map { [$_ => $_] } 2, 4, 8, 12, 16, 31, 32, 63, 64, 128, 223, 256],
	'entry' => [map { [$_->[0] => $_->[1] << 16 | 1] }
		    [7 => 7], [8 => 8], [10 => 10], [11 => 11],
		    ['2^48-1' => (1 << 48) - 1]],
	'nsec' => [[999_999_999 => 999_999_999], ['10^9' => 1_000_000_000]],
	'len' => [[4095 => 4095], [4096 => 4096]],
	'ro_compatible' => [[2 => 2]],
	'seal' => [[7 => 7], [8 => 8], [9 => 9], [10 => 10], [12 => 12],
		   ['2^51-1' => (1 << 51) - 1]],
	'seal_pages' => [[2 => 2], ['2^31+1' => (1 << 31) + 1]],
	'run' => [['0, 2 blocks' => 2], [4095 => 4095],
		  [4096 => 4096], ['9, 2 blocks' => 9 << 12 | 2],
		  ['5' => 5 << 12 | 1], ['2^51' => 1 << 63 | 1]],
	'cylinders' => [[65535 => 65535], [65536 => 65536]],
	'heads' => [[255 => 255], [256 => 256]],
	'sectors' => [[255 => 255], [256 => 256]],
);

# No version at all, or the one of a layout that the rest is not.
my @no_version = map { $_ => 'header' } 0 .. 4, '2^31', -1;
# The bitmap is there, the parent is another one.
my @small_size = map { $_ => 'chain' } 1, 3, '+1', '+512';
# The bitmap is elsewhere in the file.
my @other_alignment = map { $_ => 'lost' } 1, 2, 3, 512, 4095, 8192;

# NAME, image, the checksum to be made right [from, length, at] or undef; and
# [field, offset, type, verdict, verdicts of single values]... A value that the
# file has already is no attack, and left out.
my @versions;

sub version {
	my ($name, $image, $seal, @fields) = @_;
	push @versions, { name => $name, image => $image, seal => $seal,
			  fields => \@fields };
}

for (['V1, big endian', '>'], ['V1, little endian', '<']) {
	my ($name, $e) = @$_;

	version($name, v1_image($e), undef,
		['magic', 0, "L$e", 'raw', swapped => 'unknown'],
		['version', 4, "L$e", 'unknown', @no_version,
		 $e eq '<' ? (2 => 'unknown', 3 => 'unknown') : ()],
		['mtime', 264, "L$e", 'chain'],
		['size', 268, "Q$e", 'header', @small_size],
		['sectorsize', 276, "L$e", 'header']);
}
version('V2', v2_image(), undef,
	['magic', 0, 'N', 'raw', swapped => 'unknown'],
	['version', 4, 'N', 'unknown', @no_version],
	['mtime', 4104, 'N', 'chain'],
	['size', 4108, 'Q>', 'header', @small_size],
	['sectorsize', 4116, 'N', 'header']);
version('V3', v3_image(), undef,
	['magic', 0, 'N', 'raw', swapped => 'unknown'],
	['version', 4, 'N', 'unknown', @no_version],
	['mtime', 8, 'N', 'chain'],
	['size', 12, 'Q>', 'header', @small_size],
	['sectorsize', 20, 'N', 'header'],
	['alignment', 24, 'N', 'header', @other_alignment],
	['cow_format', 28, 'N', 'header']);
version('broken V3', v3_broken_image(), undef,
	['magic', 0, 'N', 'raw', swapped => 'unknown'],
	['version', 4, 'N', 'unknown', @no_version],
	['mtime', 8, 'N', 'chain'],
	['mtime_pad', 12, 'N', 'same'],
	['size', 16, 'Q>', 'header', @small_size],
	['sectorsize', 24, 'N', 'header'],
	['alignment', 28, 'N', 'header', @other_alignment],
	['cow_format', 32, 'N', 'header'],
	['pad', 4132, 'N', 'same']);
version('V4', v4_image(), [0, 512, 8],
	['magic', 0, 'N', 'raw', swapped => 'unknown'],
	['version', 4, 'N', 'unknown', @no_version],
	['header_len', 12, 'N', 'header'],
	['generation', 16, 'Q>', 'header', 0 => 'account', 4 => 'same',
	 '2^31' => 'same', '2^32' => 'same', '2^63-2' => 'account'],
	['incompatible', 24, 'Q>', 'unknown'],
	['compatible', 32, 'Q>', 'same'],
	['ro_compatible', 40, 'Q>', 'header',
	 (map { $_ => 'same' } 2, '2^31', '2^32', '2^63')],
	['size', 64, 'Q>', 'header', '+512' => 'larger'],
	['content', 72, 'Q>', 'same'],
	['root', 80, 'Q>', 'header', 0 => 'lost', 9 => 'index',
	 10 => 'index'],
	['levels', 88, 'N', 'header'],
	['block_shift', 92, 'N', 'header'],
	['end', 96, 'Q>', 'header', 9 => 'index', 10 => 'index',
	 (map { $_ => 'same' } 12, '2^31', '2^32', '2^48')],
	['owned', 104, 'Q>', 'header',
	 (map { $_ => 'account' } 0, 1, $sectors)],
	['kind', 112, 'N', 'header'],
	['state', 116, 'N', 'header',
	 (map { $_ => 'same' } 1, 2, 3, 4, 12, 16, 31, 64, 128, 223),
	 (map { $_ => 'account' } 8)],
	['sectorsize', 120, 'N', 'header', 1024 => 'same', 4096 => 'same'],
	['parent_format', 124, 'N', 'header', 3 => 'chain'],
	['parent_uuid', 128, 'Q>', 'same'],
	['parent_content', 144, 'Q>', 'same'],
	['parent_size', 152, 'Q>', 'chain',
	 (map { $_ => 'header' } '2^63', -1, '-511')],
	['parent_mtime_sec', 160, 'Q>', 'chain'],
	['parent_mtime_nsec', 168, 'N', 'header',
	 (map { $_ => 'chain' } 1, 3, 999_999_999)],
	['reserved0', 172, 'N', 'same'],
	['parent.copy', 176, 'N', 'header'],
	['parent.len', 180, 'N', 'header'],
	['parent.crc', 184, 'N', 'header'],
	['parent.reserved', 188, 'N', 'same'],
	['successor.copy', 192, 'N', 'header', 1 => 'same'],
	['successor.len', 196, 'N', 'header'],
	['successor.crc', 200, 'N', 'same'],
	['successor.reserved', 204, 'N', 'same'],
	['self.dev', 208, 'Q>', 'same'],
	['self.ino', 216, 'Q>', 'same'],
	['self.birth_sec', 224, 'Q>', 'same'],
	['self.birth_nsec', 232, 'N', 'header',
	 (map { $_ => 'same' } 1, 3, 999_999_999)],
	['self.reserved', 236, 'N', 'same'],
	['cylinders', 240, 'N', 'header',
	 (map { $_ => 'same' } 1, 3, 65535)],
	['heads', 244, 'N', 'header', (map { $_ => 'same' } 1, 3, 255)],
	['sectors', 248, 'N', 'header', (map { $_ => 'same' } 1, 3, 255)],
	['padding', 252, 'N', 'same'],
	['free_list', 256, 'Q>', 'header',
	 (map { $_ => 'account' } 8, 9, 10)],
	['reserved1', 264, 'Q>', 'same']);

# A page of the index is also held against the place that it stands in.
my $leaf = $v4_at{leaf};
version('V4 leaf', v4_image(), [$leaf, 4096, 4],
	['magic', $leaf, 'N', 'index'],
	['generation', $leaf + 8, 'Q>', 'account', 0 => 'same', 1 => 'same'],
	['index', $leaf + 16, 'Q>', 'index'],
	['block', $leaf + 24, 'Q>', 'index'],
	['level', $leaf + 32, 'N', 'index'],
	['reserved0', $leaf + 36, 'N', 'same'],
	['uuid', $leaf + 40, 'Q>', 'index'],
	['reserved1', $leaf + 56, 'Q>', 'same'],
	['entry', $leaf + 64, 'Q>', 'index',
	 (map { $_ => 'lost' } 0, 8, 10)],
	['unused entry', $leaf + 72, 'Q>', 'index',
	 (map { $_ => 'lost' } 8, 10)],
	['entry behind the end', $leaf + 64 + 8 * 503, 'Q>', 'index',
	 (map { $_ => 'account' } 8, 10)]);

# A seal that is wrong is no reason not to read.
my $seal = $v4_at{seal};
version('V4 sealed', v4_sealed_image(), [0, 512, 8],
	['ro_compatible', 40, 'Q>', 'unsealed', 3 => 'same',
	 '2^63-1' => 'same', -1 => 'same'],
	['content', 72, 'Q>', 'account'],
	['seal', 264, 'Q>', 'header',
	 (map { $_ => 'account' } 8, 9, 10)],
	['seal_pages', 272, 'Q>', 'header'],
	['sealed', 280, 'Q>', 'account'],
	['seal_content', 288, 'Q>', 'account'],
	['reserved1', 296, 'Q>', 'same']);
version('V4 page of a seal', v4_sealed_image(), [$seal, 4096, 4],
	['magic', $seal, 'N', 'account'],
	['generation', $seal + 8, 'Q>', 'account', 0 => 'same', 1 => 'same'],
	['index', $seal + 16, 'Q>', 'account'],
	['block', $seal + 24, 'Q>', 'account'],
	['level', $seal + 32, 'N', 'account'],
	['reserved0', $seal + 36, 'N', 'same'],
	['uuid', $seal + 40, 'Q>', 'account'],
	['reserved1', $seal + 56, 'Q>', 'same'],
	['first run', $seal + 64, 'Q>', 'account'],
	['checksum', $seal + 72, 'Q>', 'same'],
	['second run', $seal + 80, 'Q>', 'account'],
	['third run', $seal + 96, 'Q>', 'account']);

# The values for a field.
sub values_of {
	my ($name, undef, $type, $said, @except) = @{$_[0]};
	my @values = $type =~ /Q/ ? @large : @small;
	my ($last) = $name =~ /([a-z]+)$/;

	# What nobody looks at is the same whatever it is.
	return @values[1, -1] if $said eq 'same' && !@except;

	return @values, @{$more{$name} // $more{$last} // []};
}

sub number_case {
	my ($version, $field, $label, $value) = @_;
	my ($name, $at, $type, $said, %except) = @$field;
	my $image = $version->{image};
	my $bytes = pack $type, $value;

	return if substr($image, $at, length $bytes) eq $bytes;
	substr $image, $at, length $bytes, $bytes;
	seal(\$image, @{$version->{seal}}) if $version->{seal};
	return [$label, sub { spew('it', $image) }, $except{$label} // $said];
}

# What is read as before must be as harmless to who writes: a merge into the
# parent may be refused, but the layer reads the same before and after it.
sub writes {
	my ($name, @cases) = @_;
	my @faults;

	return if $only && $only ne $name;
	for my $case (@cases) {
		my ($what, $make) = @$case;

		$make->();
		push @faults, map { "$what: $_" } written($what);
		make_base();
		unlink 'it', 'top';
	}
	ok(!@faults, $name);
	diag($_) for @faults;
}

sub flat {
	my ($file) = @_;
	my ($status, @lines) = run($moo, 'merge', $file, 'new');
	my $data = slurp('new') // "@lines";

	unlink 'new';
	return $data;
}

sub written {
	my ($what) = @_;
	my $top = -e 'top' ? 'top' : 'it';
	my $before = flat($top);
	my ($status, @lines) = run($moo, 'merge', '-i', '-f', $top);
	my @faults;

	push @faults, "does not open: $before"
		if $top eq 'it' && $before =~ /^moo: /;
	push @faults, "status $status: @lines"
		if $status > ($what eq 'untouched' ? 0 : 1);
	@lines = grep { !/ is opened read-only: / } @lines;
	push @faults, "not one line: @lines" if $status && @lines != 1;
	push @faults, 'reads otherwise after it' if flat($top) ne $before;
	return @faults;
}

# Who has lost data need not survive to be written; a wrong account must.
my %sound = map { $_ => 1 } qw(same account larger);

make_base();
for my $version (@versions) {
	my @sound = ('untouched', sub { spew('it', $version->{image}) }, 'same');
	my @written = \@sound;

	point("$version->{name}: sound", \@sound);
	for my $field (@{$version->{fields}}) {
		my ($name) = @$field;
		my @cases = map {
			number_case($version, $field, @$_)
		} values_of($field);

		point("$version->{name}: $name", @cases);
		push @written, map {
			["$name $_->[0]", $_->[1]]
		} grep { $sound{$_->[2]} } @cases;
	}
	writes("$version->{name}: what reads as before, merged into its parent",
	       @written);
	writes("$version->{name}: what reads as before, written as a parent", map {
		my $case = $_;
		[$case->[0], sub { $case->[1]->(); spew('top', v4_child()) }]
	} @written) if $version->{name} =~ /^V4/;
}

# ---- state records ---------------------------------------------------------

# Where they are no attribute they are a file beside it.
my $record = pack 'N4 Q>3 N2 Q> N2 a*', 0x4f4f4f52, 1, 0, 2, 1, 1, 0, 0, 0,
	0, 0, 4, '/new';
my @record = (
	['magic', 0, 'N', 'header'], ['version', 4, 'N', 'header'],
	['state', 12, 'N', 'header', map { $_ => 'same' } 0 .. 8, 12, 16, 31, 32, 63, 64, 128, 223],
	['self.dev', 16, 'Q>', 'same'], ['self.ino', 24, 'Q>', 'same'],
	['self.birth_sec', 32, 'Q>', 'same'],
	['self.birth_nsec', 40, 'N', 'header',
	 map { $_ => 'same' } 1, 3, 999_999_999],
	['self.reserved', 44, 'N', 'same'],
	['parent_size', 48, 'Q>', 'same',
	 map { $_ => 'header' } '2^63', -1, '-511'],
	['parent_mtime', 56, 'N', 'same'], ['name_len', 60, 'N', 'header'],
);

for my $field (@record) {
	my ($name) = @$field;

	point("state record: $name", map {
		my $case = number_case({ image => $record, seal => [0, 68, 8] },
				       $field, @$_);
		my $attack = $case->[1];

		[$case->[0], sub {
			$attack->();
			rename 'it', 'it.moo' or die "it.moo: $!\n";
			spew('it', v3_image());
		}, $case->[2]];
	} grep {
		number_case({ image => $record, seal => [0, 68, 8] },
			    $field, @$_)
	} values_of($field));
}
unlink 'it.moo';

# ---- lengths ---------------------------------------------------------------

# Cut within the magic and at the end of each field; and behind the header, at
# the ends of what the header leads to.
sub lengths {
	my ($version) = @_;

	return 1, 3, 5, grep { $_ } map { $_->[1] } @{$version->{fields}};
}

sub cut {
	my ($image, $len, $said) = @_;
	return [$len, sub { spew('it', substr $image, 0, $len) },
		$said // ($len < 4 ? 'raw' : 'header')];
}

for my $case (
	[0, 280, 296, 512 + 2 * 512, 512 + 78 * 512 - 1],
	[2, 4120, 4136, 4608 + 2 * 512, 4608 + 78 * 512 - 1],
	[3, 8192, 8208, 12288 + 2 * 512, 12288 + 78 * 512 - 1],
	[4, 8192, 8208, 12288 + 2 * 512, 12288 + 78 * 512 - 1],
	[5, 512, 8 * 4096, 9 * 4096 + 1024, 10 * 4096 + 5 * 512],
) {
	my ($n, @ends) = @$case;
	my $version = $versions[$n];
	my $image = $version->{image};
	my ($header, $map, @data) = @ends;

	point("$version->{name}: cut short", map {
		cut($image, @$_)
	} (map { [$_] } lengths($version)), [$header - 1],
	  $n < 5 ? ([$header], [$map - 1]) : (),
	  map { [$_, 'cut'] } @data);
}

done_testing();
