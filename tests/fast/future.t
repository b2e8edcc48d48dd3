#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: V4 files of the future before every verb of moo: each bit of each word of
# features, set in a header that is sound otherwise. What is incompatible is
# refused; what is compatible for readers is read and never written; what is
# compatible is used, and the bit survives whatever is written.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Test::More;
use Verdict;
use Hostile;

my %word = (incompatible => 24, compatible => 32, ro_compatible => 40);
# Features that there are, and that a header must have more for than the bit.
my %known = (incompatible => 0, compatible => 0, ro_compatible => 3);

# NAME => words. "it" is the file, "top" a layer over it, "other" an equal base.
my %reads = (
	'info' => ['info', 'it'],
	'map' => ['map', 'it'],
	'check' => ['check', 'it'],
	'convert -V 4' => ['convert', '-V', 4, 'it', 'new'],
	'convert -V 3' => ['convert', '-V', 3, 'it', 'new'],
	'merge' => ['merge', 'it', 'new'],
	'diff' => ['diff', 'it', 'base'],
	'diff --data' => ['diff', '--data', 'base', 'it'],
	'dump' => ['dump', 'it', 'new'],
	'create' => ['create', 'new', 'it'],
);
my %writes = (
	'merge -i' => ['merge', '-i', '-f', 'it'],
	'merge -i into it' => ['merge', '-i', '-f', 'top'],
	'check -r leaks' => ['check', '-r', 'leaks', 'it'],
	'check -r all' => ['check', '-r', 'all', 'it'],
	'resize' => ['resize', 'it', '+4096'],
	'resize --shrink' => ['resize', '--shrink', 'it', '-4096'],
	'compact' => ['compact', 'it'],
	'rebase' => ['rebase', '-b', 'other', 'it'],
	'rebase -u' => ['rebase', '-u', '-b', 'other', 'it'],
	'adopt' => ['adopt', 'it'],
	'seal' => ['seal', 'it'],
	'protect' => ['protect', 'it'],
);
my $protected = 1;	# the bit of ro_compatible that is known, and needs no more

# With a block that nothing refers to, so that there is something to give back.
my $sound = v4_image() . "\0" x 4096;
substr $sound, 96, 8, pack 'Q>', 12;

sub future {
	my ($word, $bit) = @_;
	my $image = $sound;

	substr $image, $word{$word}, 8, pack 'Q>', 1 << $bit;
	seal(\$image, 0, 512, 8);
	make_base();
	spew('other', $base);
	spew('it', $image);
	spew('top', v4_child());
	utime $then, $then, 'other', 'it', 'top';
	unlink 'new';
}

# The word as the header in force has it.
sub stored {
	my ($word) = @_;
	my $image = slurp('it');
	my ($found, $newest) = (undef, -1);

	for my $slot (0, 1) {
		my $bytes = substr $image, 4096 * $slot, 512;
		my $sealed = $bytes;

		seal(\$sealed, 0, 512, 8);
		my $generation = unpack 'x16 Q>', $bytes;
		next if $sealed ne $bytes || unpack('N', $bytes) != 0x4f4f4f4d ||
			$generation <= $newest;
		($found, $newest) = (unpack("x$word{$word} Q>", $bytes),
				     $generation);
	}
	return $found;
}

# refuses(VERB, REGEX): what is wrong with its refusal, or nothing. That it could
# be opened for reading only may be told first.
sub refuses {
	my ($verb, $why) = @_;
	my $before = state_of();
	my ($status, @told) = run($moo, @{$reads{$verb} // $writes{$verb}});
	my @lines = grep { !/ is opened read-only: / } @told;
	my @changed = changes($before, state_of());

	return "$verb: it is done" if !$status;
	return "$verb: status $status" if $status > 100;
	return "$verb: @told" if @lines != 1 || "@told" !~ /$why/;
	return "$verb: changes @changed" if @changed;
	return;
}

# does(VERB): what is wrong with what it does, or nothing
sub does {
	my ($verb) = @_;
	my ($status, @lines) = run($moo, @{$reads{$verb} // $writes{$verb}});
	my $fine = $verb =~ /^diff/ ? 1 : $verb eq 'check' ? 3 : 0;

	return "$verb: status $status: @lines" if $status != $fine;
	return "$verb: reads otherwise"
		if $verb eq 'merge' && slurp('new') ne $good;
	return;
}

# keeps(VERB, WORD, BIT): the same of what writes; the bit is still there
sub keeps {
	my ($verb, $word, $bit) = @_;
	my $before = slurp('it');
	my $fault = does($verb);

	return $fault if $fault;
	return "$verb: writes nothing"
		if $verb !~ /^adopt|-r all/ && slurp('it') eq $before;
	return "$verb: the bit is lost" if stored($word) != 1 << $bit;
	return;
}

# Which verbs a bit is shown to: all of them, or two in turn.
sub some {
	my ($bit, @verbs) = @_;

	return @verbs if $bit =~ /^(?:0|1|31|32|63)$/;
	return map { $verbs[(2 * $bit + $_) % @verbs] } 0, 1;
}

sub all_bits {
	my ($name, $word, $verbs, $faults) = @_;
	my @faults;

	return if $only && $only ne $name;
	for my $bit (grep { !($known{$word} >> $_ & 1) } 0 .. 63) {
		for my $verb ($word eq 'incompatible' ? sort keys %$verbs :
			      some($bit, sort keys %$verbs)) {
			future($word, $bit);
			push @faults, map { "bit $bit: $_" }
				$faults->($verb, $word, $bit);
		}
	}
	ok(!@faults, $name);
	diag($_) for @faults > 12 ? @faults[0 .. 11] : @faults;
}

all_bits('incompatible: no verb reads it', 'incompatible', \%reads,
	 sub { refuses($_[0], 'it uses a feature|a feature that') });
all_bits('incompatible: none writes it', 'incompatible', \%writes,
	 sub { refuses($_[0], 'it uses a feature|a feature that') });
all_bits('compatible for readers: it is read', 'ro_compatible', \%reads,
	 sub { does($_[0]) });
all_bits('compatible for readers: and not written', 'ro_compatible', \%writes,
	 sub { refuses($_[0], 'only a later version') });
all_bits('compatible: it is read', 'compatible', \%reads, sub { does($_[0]) });
all_bits('compatible: it is written, and the bit stays', 'compatible',
	 \%writes, \&keeps);

# One that is known is no different to who writes, but for what it is called.
if (!$only || $only eq 'protected') {
	my @faults = map {
		future('ro_compatible', $protected);
		$reads{$_} ? does($_) : refuses($_, 'protected');
	} grep { !/^(?:seal|protect)$/ } sort(keys %reads, keys %writes);

	ok(!@faults, 'protected: it is read, and not written');
	diag($_) for @faults;
}
done_testing();
