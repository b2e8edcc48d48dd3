# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: one row of the benchmark: its contestants run in turn, round by round,
# and its goals are looked at.
#
# A row: id, title, unit, who => [NAME => CODE, ...], goals => [...], and perhaps
# rounds, note, before (CODE, ahead of each round). CODE returns one number or
# several. A goal names a contestant (of) and a limit (least or most). It holds
# for the ratio to another one (to), whose median over the rounds counts, or for
# the contestant's own numbers (pick: "median" or "worst").
#
# Invariant: a number is only ever one that a run gave. A contestant that fails
# is left out from then on and its error kept; a goal that would need it has no
# result but "not measured".
package Bench::Row;

use strict;
use warnings;

sub median {
	my @v = sort { $a <=> $b } @_;

	return scalar @v ? ($v[$#v / 2] + $v[@v / 2]) / 2 : undef;
}

sub spread {
	my @v = sort { $a <=> $b } @_;

	return @v ? ($v[0], $v[-1]) : ();
}

# measure(ROW, ROUNDS): the row's result.
sub measure {
	my ($row, $rounds) = @_;
	my @who = @{$row->{who}};
	my @names = map { $who[2 * $_] } 0 .. $#who / 2;
	my %values = map { $_ => [] } @names;
	my %error;

	for (1 .. $row->{rounds} // $rounds) {
		$row->{before}->() if $row->{before};
		my %code = @who;
		one($code{$_}, $_, \%values, \%error) for @names;
	}
	return result($row, \@names, \%values, \%error);
}

sub one {
	my ($code, $name, $values, $error) = @_;

	return if $error->{$name};
	my @got = eval { $code->() };
	$error->{$name} = trim($@) if $@;
	push @{$values->{$name}}, \@got unless $@;
	return;
}

sub trim {
	my ($text) = @_;

	chomp $text;
	$text =~ s/\s+/ /g;
	return $text;
}

sub result {
	my ($row, $names, $values, $error) = @_;
	my @who = map { contestant($_, $values->{$_}, $error->{$_}) } @$names;

	return {
		(map { $_ => $row->{$_} } grep { defined $row->{$_} }
			qw(id title unit note)),
		who   => \@who,
		goals => [map { goal($_, $values, $error) } @{$row->{goals}}],
	};
}

sub contestant {
	my ($name, $rounds, $error) = @_;
	my @all = map { @$_ } @$rounds;
	my ($low, $high) = spread(@all);

	return {name => $name, values => \@all, median => median(@all),
		low => $low, high => $high, $error ? (error => $error) : ()};
}

sub goal {
	my ($goal, $values, $error) = @_;
	my %g = (%$goal, text => text($goal));
	my @needed = grep { defined } @g{qw(of to)};

	for my $name (@needed) {
		return {%g, mark => 'not measured', why => $error->{$name}}
			if $error->{$name};
		return {%g, mark => 'not measured', why => "no run of $name"}
			unless @{$values->{$name} || []};
	}
	my @numbers = defined $g{to} ? ratios(@$values{@needed})
		: map { @$_ } @{$values->{$g{of}}};
	return judged(\%g, @numbers);
}

sub text {
	my ($g) = @_;
	my $limit = defined $g->{least} ? "at least $g->{least}"
		: "at most $g->{most}";

	return "$g->{of}: $limit of $g->{to}" if defined $g->{to};
	return "$g->{of}: $g->{pick} $limit";
}

# Ratios are taken within a round, whose runs stand next to each other.
sub ratios {
	my ($of, $to) = @_;

	return map { median(@{$of->[$_]}) / median(@{$to->[$_]}) } 0 .. $#$of;
}

# judged(GOAL, NUMBERS): share is 1 where the goal is just met, above it beyond.
sub judged {
	my ($g, @numbers) = @_;
	my ($low, $high) = spread(@numbers);
	my $reached = median(@numbers);
	my $share;

	if (($g->{pick} // '') eq 'worst') {
		$reached = defined $g->{least} ? $low : $high;
	}
	if (defined $g->{least}) {
		$share = $reached / $g->{least};
	} elsif ($reached > 0) {
		$share = $g->{most} / $reached;
	}
	my $met = !defined $share || $share >= 1;
	return {%$g, reached => $reached, low => $low, high => $high,
		share => $share, mark => $met ? 'met' : 'not met'};
}

# missing(ROW, WHY): the result of a row that could not be begun.
sub missing {
	my ($row, $why) = @_;

	return {
		(map { $_ => $row->{$_} } grep { defined $row->{$_} }
			qw(id title unit note)),
		took  => 0,
		who   => [],
		goals => [map { +{%$_, text => text($_), why => trim($why),
			mark => 'not measured'} } @{$row->{goals}}],
	};
}

1;
