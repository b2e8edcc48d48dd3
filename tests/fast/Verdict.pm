# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: moo before a file, and what it should say of it.
#
# The right answer is a verdict, see %verdict: the exit status of each verb, and
# what comes out. Besides, always: one line on standard error, which names the
# file and says what is wrong, where something is; no file that was there has
# changed; no output is left by who failed; the end within seconds, and in half
# a GiB of address space.
#
# ATTACK=NAME plays one point alone.
package Verdict;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use FindBin;
use Test::More;

our @EXPORT = qw($moo $only run wrong point);
our $only = $ENV{ATTACK};
our $moo;

# The limit is for all that comes, and so before anything is made. Sanitizers
# take terabytes of address space.
BEGIN {
	$moo = ($ENV{MOO} || "$FindBin::Bin/../../build") . '/moo';
	plan skip_all => "no $moo: make moo" unless -x $moo;
	plan skip_all => 'numbers of 64 bits are packed here'
		unless ~0 > 1 << 32;
	$moo = abs_path($moo);
	if (!$ENV{ATTACK_LIMIT}) {
		my $limit = system('grep', '-q', '__asan_init', $moo) ?
			512 << 10 : 'unlimited';

		$ENV{ATTACK_LIMIT} = $limit;
		exec 'sh', '-c', "ulimit -v $limit; exec \"\$@\"", 'sh', $^X,
			"$FindBin::Bin/$FindBin::Script";
	}
}

use Hostile;

# ---- commands --------------------------------------------------------------

# Seconds, on a machine that has other things to do.
my $patience = $ENV{ATTACK_LIMIT} eq 'unlimited' ? 100 : 20;

# run(WORDS...): (status, lines on standard error)
sub run {
	my $pid = fork // die "fork: $!\n";

	if (!$pid) {
		open STDOUT, '>', "$dir/out" or die;
		open STDERR, '>', "$dir/err" or die;
		alarm $patience;
		exec @_ or die "$_[0]: $!\n";
	}
	waitpid $pid, 0;
	my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	return ($status, split /^/, slurp("$dir/err"));
}

my %verbs = (
	info => ['info'],
	map => ['map'],
	check => ['check'],
	convert => ['convert', '-V', 4],
	merge => ['merge'],
);
my @order = qw(info map check convert merge);
my %makes = (convert => 'new', merge => 'new');

# Exit status of info, map, check, convert, merge.
my %verdict = (
	# As if nothing had been done to it.
	same => [0, 0, 0, 0, 0],
	# It can be read, but an account is wrong.
	account => [0, 0, 2, 0, 0],
	# Nothing but its seal, which is room that nobody uses then.
	unsealed => [0, 0, 3, 0, 0],
	# The same, and what it owned is not found.
	lost => [0, 0, 2, 0, 0],
	# Its disk is larger than its parent, which no other layer can be.
	larger => [0, 0, 0, 1, 0],
	# It ends within its data, and what is missing is not made up.
	cut => [0, 0, 2, 1, 1],
	# It no longer begins like a COW file: a raw one.
	raw => [0, 0, 63, 0, 0],
	# The header says what it says, but no chain can be made of it.
	chain => [0, 1, 2, 1, 1],
	# So of the index, which not all look at.
	index => [0, 1, 2, 1, 1],
	header => [1, 1, 2, 1, 1],
	# Sound, but not to be made a raw file of.
	magic => [0, 0, 0, 0, 1],
	# Its parent is another's.
	in_use => [0, 1, 1, 1, 1],
	# A version or feature that is not known.
	unknown => [1, 1, 63, 1, 1],
	# Nothing that could be looked at.
	file => [1, 1, 1, 1, 1],
);

# What is wrong with the answer of one verb, as text, or nothing.
sub wrong {
	my ($verb, $file, $said, $want) = @_;
	my $makes = $makes{$verb};
	my ($status, @lines) = run($moo, @{$verbs{$verb}}, $file,
				   $makes ? $makes : ());
	my $out = $makes ? slurp($makes) : undef;

	unlink $makes if $makes;
	return "$verb: status $status, not $want: @lines" if $status != $want;
	# What nobody uses is told of in the report.
	return "$verb: no line: @lines" if (!$want || $want == 3) != !@lines;
	return "$verb: more than one line: @lines"
		if @lines > 1 && $verb ne 'check';
	for (@lines) {
		return "$verb: does not name the file: $_"
			unless m{^moo: (?:$file|new|/.*?): \S.{9}};
	}
	if ($makes && $want) {
		return "$verb: leaves its output" if defined $out;
	} elsif ($makes) {
		return "$verb: makes no output" unless defined $out;
		return "$verb: the content is another one"
			if $verb eq 'merge' && $out ne $good &&
			   $said =~ /^(?:same|account)$/;
		return "$verb: the content is that of before"
			if $verb eq 'merge' && $out eq $good &&
			   $said =~ /^(?:raw|lost|larger)$/;
	}
	return;
}

# faults(FILE, VERDICT): what is wrong, as lines
sub faults {
	my ($file, $said) = @_;
	my $before = state_of();
	my $status = $verdict{$said} // die "no verdict $said\n";
	my @faults = map {
		wrong($order[$_], $file, $said, $status->[$_])
	} 0 .. $#order;

	push @faults, "changed: $_" for changes($before, state_of());
	return @faults;
}

# point(NAME, CASES): each case is [what, how to make it, verdict]. The file
# is always "it".
sub point {
	my ($name, @cases) = @_;
	my @faults;

	return if $only && $only ne $name;
	for my $case (@cases) {
		my ($what, $make, $said) = @$case;

		$make->();
		push @faults, map { "$what: $said: $_" } faults('it', $said);
		unlink 'it';
		rmdir 'it';
	}
	ok(!@faults, $name);
	diag($_) for @faults;
}

1;
