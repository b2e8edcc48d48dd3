#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# The byte tables of cow-format.rst are the structures of format.h: every
# structure has a table, every byte of it is in a row, and names, offsets,
# sizes and constants are those that the compiler sees.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use FindBin;
use lib $FindBin::Bin;
use FormatDoc;
use Test::More;

my $top = abs_path("$FindBin::Bin/../..");
my $cow = "$top/arch/um/drivers/cow";
my $cc = $ENV{CC} || 'gcc';
my $doc = FormatDoc->load("$top/Documentation/cow-format.rst");
my $dir = tempdir(CLEANUP => 1);

plan skip_all => "no C compiler ($cc)"
	unless -x $cc || grep { -x "$_/$cc" } split /:/, $ENV{PATH};

sub declared {
	open my $in, '<', "$cow/format.h" or die "format.h: $!\n";
	return map { /^struct (cow_disk_\w+) \{/ ? $1 : () } <$in>;
}

# A program that prints "NAME SIZE", "NAME.FIELD OFFSET SIZE", "CONSTANT VALUE".
sub program {
	my $text = "#include <stdio.h>\n#include \"format.h\"\nint main(void)\n{\n";

	for my $name (sort keys %{$doc->{struct}}) {
		$text .= "printf(\"$name %zu\\n\", sizeof(struct $name));\n";
		for my $field (@{$doc->{struct}{$name}{fields}}) {
			my $f = $field->{name};
			$text .= "printf(\"$name.$f %zu %zu\\n\", " .
				"offsetof(struct $name, $f), " .
				"sizeof(((struct $name *)0)->$f));\n";
		}
	}
	$text .= "printf(\"$_ %llu\\n\", (unsigned long long)$_);\n"
		for sort keys %{$doc->{constant}};
	return $text . "return 0;\n}\n";
}

sub compiled {
	open my $out, '>', "$dir/doc.c" or die "$dir/doc.c: $!\n";
	print $out program();
	close $out or die "$dir/doc.c: $!\n";
	system($cc, qw(-std=gnu11 -D_GNU_SOURCE), "-I$cow", '-o', "$dir/doc",
	       "$dir/doc.c") == 0 or return;
	return { map { split ' ', $_, 2 } map { chomp; $_ } `$dir/doc` };
}

is_deeply([sort keys %{$doc->{struct}}], [sort(declared())],
	  'each structure has a table and each table a structure');

my $c = compiled();
ok($c, 'every name in the tables is known to the compiler') or BAIL_OUT('');

my %width = (be32 => 4, be64 => 8, vo32 => 4, vo64 => 8, name => 16, id => 32);
for my $name (sort keys %{$doc->{struct}}) {
	my $struct = $doc->{struct}{$name};
	my ($end, @gaps) = (0);

	is($struct->{size}, $c->{$name}, "$name: size");
	for my $field (@{$struct->{fields}}) {
		my ($f, $offset, $size) = @$field{qw(name offset size)};
		my $width = $width{$field->{type}} // 1;

		is("$offset $size", $c->{"$name.$f"}, "$name.$f: offset, size");
		push @gaps, $f if $offset != $end;
		push @gaps, "$f: $field->{type}" if $size % $width ||
			($size > $width && $width > 1 && $f ne 'entry');
		$end = $offset + $size;
	}
	push @gaps, 'end' if $end != $struct->{size};
	is("@gaps", '', "$name: every byte is in a row, of its type");
}
is($doc->number($_), $c->{$_}, $_) for sort keys %{$doc->{constant}};

# Constants that a reader of files has to know are all in the document.
open my $in, '<', "$cow/format.h" or die "format.h: $!\n";
my @defined = map { /^#define (COW_(?:IS|KIND|PARENT|SECTOR)_\w+|COW_\w+MAGIC\w*)\s/ ? $1 : () } <$in>;
is_deeply([grep { !defined $doc->{constant}{$_} } @defined], [],
	  'states, kinds, formats and magics are in the document');

done_testing();
