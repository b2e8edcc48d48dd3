# SPDX-License-Identifier: GPL-2.0-only
#
# Reads the byte tables of Documentation/cow-format.rst, and packs structures
# by them.  Shares nothing with the engine, so that what it packs is a second
# opinion on what the document says.

package FormatDoc;

use strict;
use warnings;
use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/../perl';
use Files;

# load(FILE): { struct => {NAME => {size, fields}}, constant => {NAME => value} }
# where fields is a list of {offset, size, type, name}.
sub load {
	my ($class, $file) = @_;
	my $self = bless { struct => {}, constant => {} }, $class;

	open my $in, '<', $file or die "$file: $!\n";
	while (my $line = <$in>) {
		if ($line =~ /^\.\. table:: struct (\w+), (\d+) bytes$/) {
			my @fields = map { {
				offset => $_->[0], size => $_->[1],
				type => $_->[2], name => $_->[3],
			} } rows($in);
			$self->{struct}{$1} = { size => $2, fields => \@fields };
		} elsif ($line =~ /^\.\. table:: constants$/) {
			$self->{constant} = { map { $_->[0] => $_->[1] } rows($in) };
		}
	}
	return $self;
}

# rows(HANDLE): the cells of the simple table that comes next, without the
# heading; a row whose first cell is empty goes on with the one before.
sub rows {
	my ($in) = @_;
	my ($borders, @widths, @rows) = (0);

	while (my $line = <$in>) {
		chomp $line;
		if ($line =~ /^ +=+[ =]+$/) {
			@widths = map { length } $line =~ /( +=+)/g;
			last if ++$borders == 3;
		} elsif ($borders == 2 && $line =~ /\S/) {
			my @cells = map { s/^\s+|\s+$//gr }
				unpack join('', map { "A$_" } @widths), $line;
			push @rows, \@cells if $cells[0] ne '';
		}
	}
	return @rows;
}

sub number {
	my ($self, $name) = @_;
	my $value = $self->{constant}{$name};

	die "no constant $name\n" unless defined $value;
	return $value =~ /^0x/ ? hex $value : $value;
}

my %order = (
	be32 => ['N', 'N'],
	be64 => ['Q>', 'Q>'],
	vo32 => ['N', 'V'],
	vo64 => ['Q>', 'Q<'],
);
my %nested = (name => 'cow_disk_name', id => 'cow_disk_id');

sub pack_field {
	my ($self, $field, $value, $little) = @_;
	my ($type, $size) = @$field{qw(type size)};

	return $self->build($nested{$type}, $value // {}) if $nested{$type};
	return pack "a$size", $value // '' unless $order{$type};
	my @values = ref $value ? @$value : ($value // 0);
	my $bytes = pack "($order{$type}[$little])*", @values;
	return pack "a$size", $bytes;
}

# build(STRUCT, {field => value}, LITTLE): its bytes; what is not given is 0.
sub build {
	my ($self, $name, $values, $little) = @_;
	my $struct = $self->{struct}{$name} or die "no table for $name\n";
	my %left = %$values;
	my $bytes = "\0" x $struct->{size};

	for my $field (@{$struct->{fields}}) {
		my $value = delete $left{$field->{name}};
		substr($bytes, $field->{offset}, $field->{size}) =
			$self->pack_field($field, $value, $little // 0);
	}
	die "$name has no @{[keys %left]}\n" if %left;
	return $bytes;
}

# sealed(STRUCT, {field => value}): as build, with the right "crc".
sub sealed {
	my ($self, $name, $values, $behind) = @_;
	my $bytes = $self->build($name, { %$values, crc => 0 });

	return $self->build($name, { %$values, crc => crc32c($bytes . ($behind // '')) });
}

1;
