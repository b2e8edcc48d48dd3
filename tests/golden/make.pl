#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: make.pl DIR [PREFIX]
#
# Makes golden images in DIR, packed by the tables of cow-format.rst alone:
# NAME.cow, what reads as a disk from it in NAME.raw, what read.c has to say
# about it in NAME.expect, and the parents.  The images name their parents
# below PREFIX, by default /golden.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../perl";
use Files;
use FormatDoc;

my ($dir, $prefix) = @ARGV;
die "usage: make.pl DIR [PREFIX]\n" unless defined $dir && @ARGV <= 2;
$prefix //= '/golden';

my $doc = FormatDoc->load("$FindBin::Bin/../../Documentation/cow-format.rst");
my $mtime = 1133395200;		# 1 December 2005

sub save {
	my ($name, @pieces) = @_;

	open my $out, '>:raw', "$dir/$name" or die "$dir/$name: $!\n";
	while (my ($offset, $bytes) = splice @pieces, 0, 2) {
		seek $out, $offset, 0 or die "$name: $!\n";
		print $out $bytes or die "$name: $!\n";
	}
	close $out or die "$name: $!\n";
}

# One sector whose text says where it belongs.
sub sector {
	my ($who, $n) = @_;
	return substr sprintf("%s sector %d\n", $who, $n) x 64, 0, 512;
}

sub round_up {
	my ($value, $unit) = @_;
	return int(($value + $unit - 1) / $unit) * $unit;
}

# parent(NAME, SIZE): a raw file; its sectors, the last one with zeros behind.
sub parent {
	my ($name, $size) = @_;
	my @sectors = map { sector($name, $_) } 0 .. round_up($size, 512) / 512 - 1;

	save("$name.img", 0, substr join('', @sectors), 0, $size);
	utime $mtime, $mtime, "$dir/$name.img" or die "$name.img: $!\n";
	my $rest = @sectors * 512 - $size;
	substr($sectors[-1], 512 - $rest) = "\0" x $rest if $rest;
	return \@sectors;
}

my %size = (small => 66 * 512 + 100, v1odd => 1859 * 512, v2odd => 3907 * 512);
my %base = map { $_ => parent($_, $size{$_}) } sort keys %size;

# finish(NAME, PIECES, DISK, LINES): write an image and what is expected of it.
sub finish {
	my ($name, $pieces, $disk, @lines) = @_;

	save("$name.cow", @$pieces);
	save("$name.raw", 0, join '', @$disk);
	save("$name.expect", 0, join '', map { "$_\n" } @lines);
}

# bitmap(NAME, SPEC): an image of version 1 to 3.  SPEC: struct, version,
# parent, own (sectors), little, header (more fields), bitmap, len, data (the
# layout, worked out by hand), tail (bits lie on data), broken.
sub bitmap {
	my ($name, %spec) = @_;
	my $size = $size{$spec{parent}};
	my $path = "$prefix/$spec{parent}.img";
	my $header = $doc->build($spec{struct}, {
		magic => $doc->number('COW_MAGIC_BE'),
		version => $spec{version}, mtime => $mtime, size => $size,
		sectorsize => 512, path => $path, %{$spec{header} // {}},
	}, $spec{little});
	my @disk = @{$base{$spec{parent}}};
	my $bits = "\0" x $spec{len};
	my @data;

	for my $n (@{$spec{own}}) {
		vec($bits, $n, 1) = 1;
		$disk[$n] = sector($name, $n);
		push @data, $spec{data} + 512 * $n, $disk[$n];
	}
	my $end = $spec{data} + round_up($size, 512);
	finish($name, [$end - 1, "\0", 0, $header, $spec{bitmap}, $bits, @data],
	       \@disk,
	       "format $spec{version}",
	       'little_endian ' . ($spec{little} // 0),
	       'broken ' . ($spec{broken} // 0),
	       'tail_on_data ' . ($spec{tail} // 0),
	       "size $size", "mtime $mtime", "parent $path",
	       "bitmap $spec{bitmap} $spec{len}", "data $spec{data}",
	       'header comes back',
	       map { "sector $_ data " . ($spec{data} + 512 * $_) } @{$spec{own}});
}

my @some = (0, 1, 7, 8, 31, 63, 64, 66);
my %v1 = (struct => 'cow_disk_v1', version => 1, parent => 'small',
	  own => \@some, bitmap => 280, len => 9, data => 512);
my %v3 = (struct => 'cow_disk_v3', version => 3, parent => 'small',
	  own => \@some, header => { alignment => 4096 },
	  bitmap => 8192, len => 9, data => 12288);

bitmap('v1-le', %v1, little => 1);
bitmap('v1-be', %v1);
bitmap('v1-tail-on-data', %v1, parent => 'v1odd', own => [0, 8, 1855],
       len => 232, data => 512, tail => 1, little => 1);
bitmap('v2', %v1, struct => 'cow_disk_v2', version => 2, bitmap => 4120,
       data => 4608);
bitmap('v2-tail-on-data', %v1, struct => 'cow_disk_v2', version => 2,
       parent => 'v2odd', own => [0, 9, 3903], bitmap => 4120, len => 488,
       data => 4608, tail => 1);
bitmap('v3', %v3);
bitmap('v3-align-512', %v3, header => { alignment => 512 }, bitmap => 4608,
       data => 5120);
bitmap('v3-align-1000', %v3, header => { alignment => 1000 }, bitmap => 5000,
       data => 6000);
bitmap('v3-broken', %v3, struct => 'cow_disk_v3_broken', broken => 1);

# ---- V4 ----

my $uuid = pack 'H*', '6d6f6f2d676f6c64656e2d696d616765';
my %state = (data => $doc->number('COW_SECTOR_DATA'),
	     zero => $doc->number('COW_SECTOR_ZERO'));

sub entry {
	my ($block, @states) = @_;
	my $bits = 0;

	while (my ($n, $word) = splice @states, 0, 2) {
		$bits |= $state{$word} << 2 * $n;
	}
	return $block << $doc->number('COW_ENTRY_SHIFT') | $bits;
}

# page(BLOCK, LEVEL, INDEX, GENERATION, {entry number => value}): a piece.
sub page {
	my ($block, $level, $index, $generation, $entries) = @_;
	my @entry = (0) x $doc->number('COW_PAGE_ENTRIES');

	$entry[$_] = $entries->{$_} for keys %$entries;
	return $block * 4096, $doc->sealed('cow_disk_page', {
		magic => $doc->number('COW_INDEX_MAGIC'), level => $level,
		index => $index, block => $block, generation => $generation,
		uuid => $uuid, entry => \@entry,
	});
}

sub slot {
	my (%fields) = @_;

	return ($fields{generation} & 1) * 4096, $doc->sealed('cow_disk_v4', {
		magic => $doc->number('COW_MAGIC_BE'), version => 4,
		header_len => 512, uuid => $uuid, block_shift => 12,
		sectorsize => 512, %fields,
	});
}

sub header_lines {
	my (%spec) = @_;
	return 'format 4', map { "$_ $spec{$_}" }
		qw(generation size content root levels end owned kind state parent);
}

my $path = "$prefix/small.img";
my $v4size = 67 * 512;
my %layer = (
	size => $v4size, levels => 1, kind => $doc->number('COW_KIND_COW'),
	parent_format => $doc->number('COW_PARENT_RAW'),
	parent_size => $size{small}, parent_mtime_sec => $mtime,
	parent => { copy => 1, len => length $path,
		    crc => crc32c($path) },
);

# Generation 4: sector 9 is data.  Generation 5: sector 10, too, and 64 to 66
# are zeros.  The leaf of generation 4 stays in block 9.
my @v4 = (
	slot(%layer, generation => 4, content => 1, root => 9, end => 10,
	     owned => 1),
	slot(%layer, generation => 5, content => 2, root => 10, end => 11,
	     owned => 5),
	3 * 4096, pack('a4096', $path),
	8 * 4096, pack('a512 a512 a512 a2560', '', map { sector('v4', $_) } 9, 10),
	page(9, 0, 0, 4, { 1 => entry(8, 1 => 'data') }),
	page(10, 0, 0, 5, { 1 => entry(8, 1 => 'data', 2 => 'data'),
			    8 => entry(0, map { $_ => 'zero' } 0 .. 2) }),
);
my @old = @{$base{small}};
$old[9] = sector('v4', 9);
my @new = @old;
$new[10] = sector('v4', 10);
$new[$_] = "\0" x 512 for 64 .. 66;

my %lines = (size => $v4size, levels => 1, kind => 1, state => 0,
	     parent => $path);
my @nine = ('sector 9 data ' . (8 * 4096 + 512));
finish('v4', \@v4, \@new,
       header_lines(%lines, generation => 5, content => 2, root => 10,
		    end => 11, owned => 5),
       @nine, 'sector 10 data ' . (8 * 4096 + 1024),
       map { "sector $_ zero" } 64 .. 66);
finish('v4-torn', [@v4, 4096 + 300, 'torn'], \@old,
       header_lines(%lines, generation => 4, content => 1, root => 9,
		    end => 10, owned => 1),
       @nine);

# seal(BLOCK, INDEX, GENERATION, [first block, bytes of each block]...): a page of
# a seal, and what read.c says of it.
sub seal {
	my ($block, $index, $generation, @runs) = @_;
	my (@words, @lines);

	for my $run (@runs) {
		my ($n, @blocks) = @$run;
		my @crc = map { crc32c(pack 'a4096', $_) } @blocks;

		push @lines, map { sprintf "checksum %d %08x", $n + $_, $crc[$_] }
			     0 .. $#crc;
		push @words, $n << $doc->number('COW_SEAL_SHIFT') | @crc;
		push @words, (shift @crc) << 32 | (shift @crc // 0) while @crc;
	}
	return ([page($block, $doc->number('COW_SEAL_LEVEL'), $index,
		      $generation, { map { $_ => $words[$_] } 0 .. $#words })],
		@lines);
}

# The same, sealed. The garbage before and behind sectors 9 and 10, in the block
# that holds them, is nobody's.
my ($seal, @sums) = seal(11, 0, 6, [1, "\0" x 512 . $new[9] . $new[10]]);
finish('v4-sealed', [
	@v4,
	8 * 4096, 'nobody has this',
	8 * 4096 + 1536, 'nor that',
	@$seal,
	slot(%layer, generation => 6, content => 2, root => 10, end => 12,
	     owned => 5, ro_compatible => $doc->number('COW_RO_SEALED'),
	     seal => 11, seal_pages => 1, sealed => 1, seal_content => 2),
], \@new, header_lines(%lines, generation => 6, content => 2, root => 10,
			end => 12, owned => 5),
       @nine, 'sector 10 data ' . (8 * 4096 + 1024),
       (map { "sector $_ zero" } 64 .. 66), 'seal 11 1 1 2', @sums);

# No parent, and an index of two levels: 504 blocks to a leaf.
my @thin = ("\0" x 512) x (505 * 8);
$thin[0] = sector('v4-thin', 0);
$thin[4039] = sector('v4-thin', 4039);
my %thin = (size => 505 * 4096, levels => 2, generation => 2, content => 1,
	    root => 12, end => 13, owned => 2, state => 0,
	    kind => $doc->number('COW_KIND_COW'));
finish('v4-thin', [
	slot(%thin),
	8 * 4096, pack('a4096', $thin[0]),
	9 * 4096, pack('a3584 a512', '', $thin[4039]),
	page(10, 0, 0, 2, { 0 => entry(8, 0 => 'data') }),
	page(11, 0, 1, 2, { 0 => entry(9, 7 => 'data') }),
	page(12, 1, 0, 2, { 0 => entry(10), 1 => entry(11) }),
], \@thin, header_lines(%thin, parent => ''),
       'sector 0 data ' . 8 * 4096, 'sector 4039 data ' . (9 * 4096 + 3584));

# A disk in place, after 64 KiB.
my @disk = map { sector('v4-disk', $_) } 0 .. 39;
my %disk = (size => 40 * 512, levels => 0, generation => 2, content => 1,
	    root => 0, end => 16, owned => 40, state => 0,
	    kind => $doc->number('COW_KIND_DISK'));
finish('v4-disk', [
	slot(%disk, cylinders => 5, heads => 1, sectors => 1),
	16 * 4096, join('', @disk),
], \@disk, header_lines(%disk, parent => ''),
       map { "sector $_ data " . (16 * 4096 + 512 * $_) } 0 .. 39);

# Sealed: of 39 sectors the last block has only seven. Two pages, and runs that
# are shorter than they could be.
my @blocks = map { join '', @disk[8 * $_ .. 8 * $_ + 7] } 0 .. 3;
push @blocks, join '', @disk[32 .. 38];
my ($first, @lower) = seal(21, 0, 3, [0, @blocks[0, 1]], [2, $blocks[2]]);
my ($second, @upper) = seal(22, 1, 3, [3, @blocks[3, 4]]);
%disk = (%disk, size => 39 * 512, owned => 39, generation => 3);
finish('v4-disk-sealed', [
	slot(%disk, generation => 2),
	slot(%disk, ro_compatible => $doc->number('COW_RO_SEALED'), seal => 21,
	     seal_pages => 2, sealed => 5, seal_content => 1),
	16 * 4096, join('', @disk[0 .. 38]) . 'behind the end', @$first,
	@$second,
], [@disk[0 .. 38]], header_lines(%disk, parent => ''),
       (map { "sector $_ data " . (16 * 4096 + 512 * $_) } 0 .. 38),
       'seal 21 2 5 1', @lower, @upper);

# Two headers of one image: each has a geometry, and none has data.
for my $geometry ([4, 4, 4], [67, 1, 1]) {
	my %head = (size => $v4size, levels => 1, generation => 2, content => 1,
		    root => 0, end => 8, owned => 0, state => 0,
		    kind => $doc->number('COW_KIND_HEADER'));
	my ($cylinders, $heads, $sectors) = @$geometry;

	finish("head-$cylinders", [
		slot(%layer, %head, cylinders => $cylinders, heads => $heads,
		     sectors => $sectors),
		3 * 4096, pack('a4096', $path),
	], $base{small}, header_lines(%head, parent => $path));
}

# A state record, with a successor.
my $next = "$prefix/next.cow";
my %record = (
	magic => $doc->number('COW_RECORD_MAGIC'), version => 1,
	state => $doc->number('COW_IS_FROZEN'),
	self => { dev => 2049, ino => 4711, birth_sec => 1000000000,
		  birth_nsec => 5 },
	parent_size => $size{small}, parent_mtime => $mtime,
	name_len => length $next,
);
save('record.moo', 0, $doc->sealed('cow_disk_record', \%record, $next) . $next);
save('record.expect', 0, <<"END");
record 2
self 2049 4711 1000000000 5
parent $size{small} $mtime
successor $next
END
