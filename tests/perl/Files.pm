# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: what tests in perl do with whole files, and the checksum of V4. Shares
# nothing with the engine: it is a second opinion.

package Files;

use strict;
use warnings;
use Exporter qw(import);

our @EXPORT = qw(slurp spew names crc32c);

# slurp(FILE): its bytes, undef if it can not be opened.
sub slurp {
	my ($file) = @_;
	local $/;
	open my $in, '<:raw', $file or return undef;
	return <$in> // '';
}

# spew(FILE, BYTES): the same inode if it is there.
sub spew {
	my ($file, $data) = @_;
	open my $out, '>:raw', $file or die "$file: $!\n";
	print $out $data;
	close $out or die "$file: $!\n";
}

# names(): of the current directory, sorted.
sub names {
	opendir my $dir, '.' or die "a directory: $!\n";
	return sort grep { !/^\.\.?$/ } readdir $dir;
}

my @crc_table = map {
	my $crc = $_;

	$crc = $crc & 1 ? ($crc >> 1) ^ 0x82f63b78 : $crc >> 1 for 1 .. 8;
	$crc;
} 0 .. 255;

sub crc32c {
	my $crc = 0xffffffff;

	$crc = $crc >> 8 ^ $crc_table[($crc ^ $_) & 0xff]
		for unpack 'C*', $_[0];
	return $crc ^ 0xffffffff;
}

1;
