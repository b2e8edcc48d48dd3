# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: make one kind of damage in a sound COW file, with its checksums right
# where the damage is to lie behind them, by the tables of
# Documentation/cow-format.rst and with none of the code under test.
#
#	Damage::make(KIND, FILE)	damage it; dies where FILE has no room
#					for it, and leaves it alone then
#	Damage::kinds()			"v4 KIND", "sealed KIND" (a V4 file with
#					a seal) or "bitmap KIND"
package Damage;

use strict;
use warnings;
use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/../perl';
use Files;

my $block = 4096;
my $entries = 504;
my $list_level = 255;

# Name => [offset, type] in a V4 slot.
my %field = (
	version => [4, 'N'], header_len => [12, 'N'], generation => [16, 'Q>'],
	incompatible => [24, 'Q>'], ro_compatible => [40, 'Q>'], uuid => [48, 'a16'], size => [64, 'Q>'],
	content => [72, 'Q>'], root => [80, 'Q>'], levels => [88, 'N'],
	end => [96, 'Q>'], owned => [104, 'Q>'], kind => [112, 'N'],
	state => [116, 'N'], sectorsize => [120, 'N'],
	parent_uuid => [128, 'a16'], parent_content => [144, 'Q>'],
	parent_copy => [176, 'N'], parent_len => [180, 'N'],
	successor_copy => [192, 'N'], successor_len => [196, 'N'],
	successor_crc => [200, 'N'],
	self_dev => [208, 'Q>'], self_ino => [216, 'Q>'],
	free_list => [256, 'Q>'], seal => [264, 'Q>'], seal_pages => [272, 'Q>'],
	sealed => [280, 'Q>'], seal_content => [288, 'Q>'],
);

# Name => [offset, type] in a header of that version; V1 is big endian here.
my %old = (
	1 => { size => [268, 'Q>'], sectorsize => [276, 'N'],
	       mtime => [264, 'N'], path => [8, 'a256'], length => 280 },
	2 => { size => [4108, 'Q>'], sectorsize => [4116, 'N'],
	       mtime => [4104, 'N'], path => [8, 'a4096'], length => 4120 },
	3 => { size => [12, 'Q>'], sectorsize => [20, 'N'],
	       alignment => [24, 'N'], cow_format => [28, 'N'],
	       mtime => [8, 'N'], path => [32, 'a4096'], length => 4128 },
);

# ---- checksums -------------------------------------------------------------

# With the checksum at OFFSET put right.
sub seal {
	my ($bytes, $at) = @_;

	substr($bytes, $at, 4) = "\0" x 4;
	substr($bytes, $at, 4) = pack('N', crc32c($bytes));
	return $bytes;
}

# ---- a file in memory ------------------------------------------------------

sub new {
	my ($class, $file) = @_;
	my $self = bless { file => $file }, $class;

	open(my $io, '<:raw', $file) or die "$file: $!\n";
	local $/;
	$self->{bytes} = <$io>;
	close($io);
	my ($magic, $version) = unpack('N2', $self->{bytes});
	die "$file: no COW file\n" if ($magic // 0) != 0x4f4f4f4d;
	$self->{version} = $version;
	if ($version == 4) {
		$self->{now} = $self->slot(0, 'generation') >
			       $self->slot(1, 'generation') ? 0 : 1;
	}
	return $self;
}

sub save {
	my ($self) = @_;

	open(my $io, '+<:raw', $self->{file}) or die "$self->{file}: $!\n";
	print $io $self->{bytes};
	close($io) or die "$self->{file}: $!\n";
	truncate($self->{file}, length($self->{bytes}))
		or die "$self->{file}: $!\n";
	return;
}

sub size {
	return length($_[0]->{bytes});
}

sub cut {
	my ($self, $to) = @_;

	die "nothing to cut off at $to\n" if $to >= $self->size;
	substr($self->{bytes}, $to) = '';
	return;
}

sub put {
	my ($self, $at, $bytes) = @_;
	my $missing = $at + length($bytes) - $self->size;

	die "$at is too far behind the end\n" if $missing > 1 << 24;
	$self->{bytes} .= "\0" x $missing if $missing > 0;
	substr($self->{bytes}, $at, length($bytes)) = $bytes;
	return;
}

sub flip {
	my ($self, $at) = @_;

	substr($self->{bytes}, $at, 1) ^= "\x10";
	return;
}

# ---- V4: slots -------------------------------------------------------------

# slot(N, FIELD[, VALUE]): a field of a slot, which is sealed anew.
sub slot {
	my ($self, $n, $name, $value) = @_;
	my ($at, $type) = @{$field{$name} // die "no field $name\n"};
	my $bytes = substr($self->{bytes}, $n * $block, 512);

	return unpack("x$at $type", $bytes) unless defined $value;
	$value = pack($type, $value);
	substr($bytes, $at, length($value)) = $value;
	$self->put($n * $block, seal($bytes, 8));
	return;
}

sub get {
	my ($self, $name) = @_;

	return $self->slot($self->{now}, $name);
}

sub set {
	my ($self, %values) = @_;

	$self->slot($self->{now}, $_, $values{$_}) for sort keys %values;
	return;
}

# A slot of which only the first half was written.
sub tear {
	my ($self, $n) = @_;

	$self->put($n * $block + 256, "\xa5" x 256);
	return;
}

# ---- V4: pages -------------------------------------------------------------

sub entry {
	my ($self, $page, $n, $value) = @_;
	my $at = $page * $block;

	die "no page at block $page\n" if $at + $block > $self->size;
	my $bytes = substr($self->{bytes}, $at, $block);
	return unpack("x" . (64 + 8 * $n) . 'Q>', $bytes)
		unless defined $value;
	substr($bytes, 64 + 8 * $n, 8) = pack('Q>', $value);
	$self->put($at, seal($bytes, 4));
	return;
}

# Every [page, level] of the index, from the root down.
sub pages {
	my ($self) = @_;
	my @pages = ([$self->get('root'), $self->get('levels') - 1]);

	for (my $i = 0; $i < @pages; $i++) {
		my ($page, $level) = @{$pages[$i]};

		next unless $level;
		push @pages, map { [$_ >> 16, $level - 1] } grep { $_ }
			     map { $self->entry($page, $_) } 0 .. $entries - 1;
	}
	return @pages;
}

# Every [leaf, place, entry] that has data.
sub data {
	my ($self) = @_;
	my @data;

	for my $page (map { $_->[0] } grep { !$_->[1] } $self->pages) {
		push @data, map { [$page, $_, $self->entry($page, $_)] }
			    grep { $self->entry($page, $_) & 0x5555 }
			    0 .. $entries - 1;
	}
	die "too little data\n" if @data < 2;
	return @data;
}

sub change_data {
	my ($self, $change) = @_;
	my @data = $self->data;
	my ($page, $n, $entry) = @{$data[0]};

	$self->entry($page, $n, $change->($entry, $data[1][2], $page));
	return;
}

# An entry of a leaf that says nothing as yet: (leaf, place).
sub vacant {
	my ($self) = @_;

	for my $page (map { $_->[0] } grep { !$_->[1] } $self->pages) {
		for my $n (0 .. $entries - 1) {
			return ($page, $n) unless $self->entry($page, $n);
		}
	}
	die "no vacant entry\n";
}

sub list {
	my ($self) = @_;

	return $self->get('free_list') || die "no list of free blocks\n";
}

# A place in the list's first page that can take another entry.
sub list_vacant {
	my ($self) = @_;

	for my $n (1 .. $entries - 1) {
		return $n unless $self->entry($self->list, $n);
	}
	die "the list is full\n";
}

sub list_first {
	my ($self) = @_;

	return $self->entry($self->list, 1) || die "the list is empty\n";
}

sub list_add {
	my ($self, $first, $more) = @_;

	$self->entry($self->list, $self->list_vacant,
		     $first << 16 | ($more // 0));
	return;
}

# A list page of its own behind the end, and the end behind it; its block.
sub list_page {
	my ($self, $index, $next) = @_;
	my $end = $self->get('end');
	my $page = pack('NNQ>Q>Q>NNa16Q>Q>x4024', 0x4f4f4f49, 0,
			$self->get('generation'), $index, $end, $list_level, 0,
			$self->get('uuid'), 0, $next << 16);

	$self->put($end * $block, seal($page, 4));
	$self->set(end => $end + 1);
	return $end;
}

# The list leads to a page that stands before its first one.
sub list_disorder {
	my ($self) = @_;

	$self->entry($self->list, 0, $self->list_page(1000, 0) << 16);
	return;
}

# The list begins with a page that is not all there.
sub list_cut {
	my ($self) = @_;
	my $index = unpack('Q>', substr($self->{bytes},
					$self->list * $block + 16, 8));
	my $page = $self->list_page($index + 1, $self->list);

	$self->set(free_list => $page);
	$self->cut($page * $block + 100);
	return;
}

# A block of data stands behind the end, and its old place is nobody's.
sub data_behind {
	my ($self) = @_;
	my ($page, $n, $entry) = @{($self->data)[0]};
	my $to = $self->get('end') + 1;

	$self->put($to * $block, substr($self->{bytes}, ($entry >> 16) * $block,
					$block));
	$self->entry($page, $n, $to << 16 | $entry & 0xffff);
	return $to;
}

# Both slots, a few generations older; what they refer to is as it was.
sub roll_back {
	my ($self) = @_;
	my $now = $self->get('generation');

	die "too young\n" if $now < 5;
	for my $n (0, 1) {
		$self->slot($n, 'generation',
			    $self->slot($n, 'generation') - 4);
	}
	return;
}

sub frozen {
	my ($self) = @_;
	my @st = stat($self->{file});

	$self->set(state => $self->get('state') | 2, self_dev => $st[0],
		   self_ino => $st[1]);
	return;
}

# Every other block of data has no entry any more, and does not count.
sub data_forgotten {
	my ($self) = @_;
	my ($owned, $odd) = ($self->get('owned'), 0);

	for my $data ($self->data) {
		my ($page, $n, $entry) = @$data;

		next if $odd ^= 1;
		$owned -= () = sprintf('%016b', $entry & 0xffff) =~ /01|10/g;
		$self->entry($page, $n, 0);
	}
	$self->set(owned => $owned);
	return;
}

# ---- V4: seals -------------------------------------------------------------

# The first page of the seal.
sub seal_page {
	my ($self) = @_;

	die "not sealed\n" unless $self->get('ro_compatible') & 1;
	return $self->get('seal');
}

# Where its runs begin, and what they begin with: [place, first block, count].
sub runs {
	my ($self) = @_;
	my ($n, @runs) = (0);

	while ($n < $entries && (my $head = $self->entry($self->seal_page, $n))) {
		push @runs, [$n, $head >> 12, $head & 0xfff];
		$n += 1 + int((($head & 0xfff) + 1) / 2);
	}
	die "too few runs\n" if @runs < 2;
	return @runs;
}

# The run at place WHICH begins with that.
sub run {
	my ($self, $which, $change) = @_;
	my ($n, $first, $count) = @{($self->runs)[$which]};
	my ($to, $blocks) = $change->($first, $count);

	$self->entry($self->seal_page, $n, $to << 12 | $blocks);
	return;
}

# ---- V1 to V3 --------------------------------------------------------------

sub place {
	my ($self, $name) = @_;
	my $version = $self->{version};

	return @{$old{$version}{$name} // die "V$version has no $name\n"};
}

sub header {
	my ($self, $name, $value) = @_;
	my ($at, $type) = $self->place($name);

	return unpack("x$at $type", $self->{bytes}) unless defined $value;
	$self->put($at, pack($type, $value));
	return;
}

sub up {
	my ($n, $unit) = @_;

	return int(($n + $unit - 1) / $unit) * $unit;
}

# (bitmap, its length, data) in bytes
sub layout {
	my ($self) = @_;
	my $length = $old{$self->{version}}{length};
	my $sectors = up($self->header('size'), 512) / 512;

	if ($self->{version} == 3) {
		my $unit = $self->header('alignment');
		my $bitmap = up($length, $unit);
		my $bytes = up($sectors, 8) / 8;

		return ($bitmap, $bytes, up($bitmap + $bytes, $unit));
	}
	my $bytes = int($sectors / 8);

	return ($length, $bytes, up($length + $bytes, 512));
}

# All bits of the last byte, whatever sectors there are.
sub bits_past {
	my ($self) = @_;
	my $left = up($self->header('size'), 512) / 512 % 8;
	my ($bitmap, $bytes) = $self->layout;

	die "every bit has a sector\n" unless $left;
	$bytes++ unless $self->{version} == 3;
	my $at = $bitmap + $bytes - 1;
	my $was = unpack("x$at C", $self->{bytes});
	$self->put($at, pack('C', $was | 0x100 - (1 << $left)));
	return;
}

# Behind the first byte of the last sector that the bitmap owns.
sub cut_data {
	my ($self) = @_;
	my ($bitmap, $bytes, $data) = $self->layout;
	my $bits = unpack('b*', substr($self->{bytes}, $bitmap, $bytes));
	my $last = rindex($bits, '1');

	die "no data\n" if $last < 0;
	$self->cut($data + 512 * $last + 1);
	return;
}

# ---- kinds -----------------------------------------------------------------

my %v4 = (
	'slot0-torn' => sub { $_[0]->tear(0) },
	'slot1-torn' => sub { $_[0]->tear(1) },
	'both-torn' => sub { $_[0]->tear(0); $_[0]->tear(1) },
	'magic-gone' => sub { $_[0]->put(0, "\0" x 8) },
	'slot-foreign' => sub {
		$_[0]->slot(!$_[0]->{now}, 'uuid', 'another file\'s. ');
	},
	'slot-gap' => sub {
		my $n = !$_[0]->{now};

		$_[0]->slot($n, 'generation', $_[0]->slot($n, 'generation') - 2);
	},
	'rolled-back' => \&roll_back,
	'owned-wrong' => sub { $_[0]->set(owned => $_[0]->get('owned') - 1) },
	'end-low' => \&data_behind,
	'levels-wrong' => sub { $_[0]->set(levels => 5) },
	'root-outside' => sub { $_[0]->set(root => $_[0]->get('end')) },
	'size-wrong' => sub { $_[0]->set(size => $_[0]->get('size') + 1) },
	'kind-unknown' => sub { $_[0]->set(kind => 9) },
	'feature-unknown' => sub { $_[0]->set(incompatible => 1) },
	'parent-uuid' => sub { $_[0]->set(parent_uuid => 'somebody else\'s.') },
	'parent-content' => sub {
		$_[0]->set(parent_content => $_[0]->get('parent_content') + 1);
	},
	'name-flip' => sub {
		$_[0]->flip((2 + $_[0]->get('parent_copy')) * $block + 1);
	},
	'frozen-alone' => \&frozen,
	'successor-stale' => sub {
		my $name = '/gone.cow';

		$_[0]->put(4 * $block, $name);
		$_[0]->set(successor_copy => 0, successor_crc => crc32c($name),
			   successor_len => length($name));
	},
	'drained-full' => sub { $_[0]->set(state => 8) },
	'free-lost' => sub { $_[0]->list; $_[0]->set(free_list => 0) },
	'free-short' => sub {
		$_[0]->list_first;
		$_[0]->entry($_[0]->list, 1, 0);
	},
	'free-used' => sub { $_[0]->list_add(($_[0]->data)[0][2] >> 16) },
	'free-index' => sub { $_[0]->list_add($_[0]->get('root')) },
	'free-twice' => sub { $_[0]->list_add($_[0]->list_first >> 16) },
	'free-outside' => sub { $_[0]->list_add($_[0]->get('end'), 9) },
	'free-flip' => sub { $_[0]->flip($_[0]->list * $block + 200) },
	'free-loop' => sub {
		$_[0]->entry($_[0]->list, 0, $_[0]->list << 16);
	},
	'free-order' => \&list_disorder,
	'free-cut' => \&list_cut,
	'root-flip' => sub { $_[0]->flip($_[0]->get('root') * $block + 70) },
	'leaf-flip' => sub {
		$_[0]->flip(($_[0]->pages)[-1][0] * $block + 4000);
	},
	'page-outside' => sub {
		$_[0]->entry($_[0]->get('root'), 0,
			     $_[0]->get('end') + 7 << 16);
	},
	'page-states' => sub {
		my $root = $_[0]->get('root');

		$_[0]->entry($root, 0, $_[0]->entry($root, 0) | 5);
	},
	'page-loop' => sub {
		$_[0]->entry($_[0]->get('root'), 0,
			     $_[0]->get('root') << 16);
	},
	'entry-outside' => sub {
		my $end = $_[0]->get('end');

		$_[0]->change_data(sub { $end + 7 << 16 | $_[0] & 0xffff });
	},
	'entry-shared' => sub {
		$_[0]->change_data(sub { $_[1] >> 16 << 16 | $_[0] & 0xffff });
	},
	'entry-index' => sub {
		$_[0]->change_data(sub { $_[2] << 16 | $_[0] & 0xffff });
	},
	'entry-header' => sub {
		$_[0]->change_data(sub { 3 << 16 | $_[0] & 0xffff });
	},
	'entry-state' => sub { $_[0]->change_data(sub { $_[0] | 3 }) },
	'entry-nowhere' => sub { $_[0]->change_data(sub { $_[0] & 0xffff }) },
	'entry-count' => sub {
		my ($page, $n) = $_[0]->vacant;

		$_[0]->entry($page, $n, 0xaaaa);
	},
	'cut-data' => sub {
		my $last = $_[0]->data_behind;

		$_[0]->set(end => $last + 1);
		$_[0]->cut($last * $block + 100);
	},
	'data-forgotten' => \&data_forgotten,
	'cut-index' => sub { $_[0]->cut($_[0]->get('root') * $block + 100) },
	'cut-header' => sub { $_[0]->cut($block + 100) },
	'tail' => sub {
		$_[0]->put($_[0]->get('end') * $block, "junk\n" x 2000);
	},
);

my %sealed = (
	'seal-lost' => sub { $_[0]->seal_page; $_[0]->set(ro_compatible => 0) },
	'seal-flip' => sub { $_[0]->flip($_[0]->seal_page * $block + 2000) },
	'seal-crc' => sub {
		$_[0]->entry($_[0]->seal_page, 1,
			     $_[0]->entry($_[0]->seal_page, 1) ^ 1 << 40);
	},
	'seal-content' => sub {
		$_[0]->set(seal_content => $_[0]->get('seal_content') - 1);
	},
	'seal-count' => sub { $_[0]->set(sealed => $_[0]->get('sealed') - 1) },
	'seal-short' => sub {
		my ($last) = reverse $_[0]->runs;

		$_[0]->entry($_[0]->seal_page, $last->[0], 0);
		$_[0]->set(sealed => $_[0]->get('sealed') - $last->[2]);
	},
	'seal-other' => sub { $_[0]->run(-1, sub { ($_[0] + 1, $_[1]) }) },
	'seal-order' => sub { $_[0]->run(0, sub { (400, $_[1]) }) },
	'seal-twice' => sub {
		my @runs = $_[0]->runs;

		$_[0]->run(1, sub { ($runs[0][1], $_[1]) });
	},
	'seal-run' => sub { $_[0]->run(-1, sub { ($_[0], 1006) }) },
	'seal-far' => sub { $_[0]->run(-1, sub { ((1 << 52) - 1, $_[1]) }) },
	'seal-index' => sub {
		$_[0]->seal_page;
		$_[0]->set(seal => $_[0]->get('root'), seal_pages => 1);
	},
	'seal-data' => sub {
		$_[0]->seal_page;
		$_[0]->set(seal => ($_[0]->data)[0][2] >> 16);
	},
	'seal-listed' => sub { $_[0]->list_add($_[0]->seal_page) },
	'seal-outside' => sub {
		$_[0]->seal_page;
		$_[0]->set(seal => $_[0]->get('end'));
	},
	'seal-empty' => sub { $_[0]->seal_page; $_[0]->set(seal_pages => 0) },
	'seal-long' => sub {
		$_[0]->seal_page;
		$_[0]->set(seal_pages => $_[0]->get('seal_pages') + 1,
			   end => $_[0]->get('end') + 1);
	},
	'seal-cut' => sub {
		my $last = $_[0]->seal_page + $_[0]->get('seal_pages') - 1;

		$_[0]->cut($last * $block + 100);
	},
);

my %bitmap = (
	'bits-past' => \&bits_past,
	'cut-data' => \&cut_data,
	'cut-bitmap' => sub {
		my ($bitmap, $bytes) = $_[0]->layout;

		$_[0]->cut($bitmap + $bytes - 1);
	},
	'cut-header' => sub {
		$_[0]->cut($old{$_[0]->{version}}{length} - 1);
	},
	'tail' => sub {
		my $data = ($_[0]->layout)[2];

		$_[0]->put($data + up($_[0]->header('size'), 512), "junk\n");
	},
	'size-zero' => sub { $_[0]->header('size', 0) },
	'size-less' => sub {
		$_[0]->header('size', $_[0]->header('size') - 512);
	},
	'size-more' => sub {
		$_[0]->header('size', $_[0]->header('size') + 512);
	},
	'sectorsize' => sub { $_[0]->header('sectorsize', 4096) },
	'alignment-zero' => sub { $_[0]->header('alignment', 0) },
	'alignment-less' => sub { $_[0]->header('alignment', 512) },
	'alignment-more' => sub {
		$_[0]->header('alignment', 2 * $_[0]->header('alignment'));
	},
	'cow-format' => sub { $_[0]->header('cow_format', 1) },
	'time' => sub { $_[0]->header('mtime', 1) },
	'name-endless' => sub {
		my ($at, $type) = $_[0]->place('path');

		$_[0]->put($at, 'x' x substr($type, 1));
	},
	'name-gone' => sub {
		my ($at, $type) = $_[0]->place('path');

		$_[0]->put($at, "\0" x substr($type, 1));
	},
);

sub kinds {
	return ((map { "v4 $_" } sort keys %v4),
		(map { "sealed $_" } sort keys %sealed),
		(map { "bitmap $_" } sort keys %bitmap));
}

sub make {
	my ($kind, $file) = @_;
	my $self = Damage->new($file);
	my $kinds = $self->{version} == 4 ? \%v4 : \%bitmap;
	my $how = $kinds->{$kind} // $sealed{$kind} // die "no damage $kind in such a file\n";

	$how->($self);
	$self->save;
	return;
}

1;
