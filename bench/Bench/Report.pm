# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: results as people and programs read them: text, reStructuredText, JSON.
package Bench::Report;

use strict;
use warnings;
use JSON::PP ();

# figure(NUMBER): three digits that count.
sub figure {
	my ($v) = @_;

	return '-' unless defined $v;
	return sprintf '%.0fk', $v / 1e3 if $v >= 1e5;
	return sprintf '%.1fk', $v / 1e3 if $v >= 1e4;
	return sprintf '%.0f', $v if $v >= 100;
	return sprintf '%.1f', $v if $v >= 10;
	return sprintf '%.2f', $v;
}

sub range {
	my ($x) = @_;

	return '' unless defined $x->{low};
	return figure($x->{low}) . ' .. ' . figure($x->{high});
}

# row(RESULT): one row as text.
sub row {
	my ($r) = @_;
	my @lines = ("$r->{title} [$r->{unit}], measured in $r->{took} s");

	push @lines, map { who($_) } @{$r->{who}};
	push @lines, map { '    ' . goal($_) } @{$r->{goals}};
	push @lines, "    note: $r->{note}" if $r->{note};
	return join('', map { "$_\n" } @lines) . "\n";
}

sub who {
	my ($w) = @_;

	return sprintf '    %-14s not measured: %s', $w->{name}, $w->{error}
		if $w->{error};
	return sprintf '    %-14s %8s   %s', $w->{name}, figure($w->{median}),
		range($w);
}

sub goal {
	my ($g) = @_;

	return "goal: $g->{text}: not measured ($g->{why})"
		if $g->{mark} eq 'not measured';
	return sprintf 'goal: %s: reached %s (%s): %s', $g->{text},
		figure($g->{reached}), range($g), $g->{mark};
}

# verdict(RESULTS): the last line.
sub verdict {
	my ($results) = @_;
	my %count = (met => 0, 'not met' => 0, 'not measured' => 0);

	$count{$_->{mark}}++ for map { @{$_->{goals}} } @{$results->{rows}};
	return "Goals: $count{met} met, $count{'not met'} not met, "
		. "$count{'not measured'} not measured.\n";
}

# head(RESULTS): how, where and on how quiet a machine it was measured.
sub head {
	my ($results) = @_;
	my $m = $results->{machine};
	my @lines = ("$m->{cpu}, $m->{cpus} CPUs, Linux $m->{release}, "
			. "$m->{fs} below the images",
		"$results->{rounds} rounds of $results->{seconds} s, images of "
			. "$results->{mib} MiB; guests on CPU $m->{guest_cpu}, "
			. "a rival's daemon on CPU $m->{daemon_cpu}");

	push @lines, @{$results->{noise}};
	return map { "$_\n" } @lines;
}

sub json {
	my ($results) = @_;

	return JSON::PP->new->pretty->canonical->encode($results);
}

# rst(RESULTS): the tables for Documentation/performance.rst.
sub rst {
	my ($results) = @_;
	my $out = join('', map { "| $_" } head($results)) . "\n"
		. list_table('12 8 6 6 6', ['Row', 'Goal', 'Reached', 'Spread', ''],
			map { goal_rows($_) } @{$results->{rows}});

	$out .= "\n" . verdict($results) . "\n"
		. list_table('12 6 6 8', ['Row', 'Who', 'Median', 'Spread'],
			map { who_rows($_) } @{$results->{rows}});
	return $out;
}

sub goal_rows {
	my ($r) = @_;

	return map { [$r->{title}, $_->{text},
		figure($_->{reached}), range($_), $_->{mark}] } @{$r->{goals}};
}

sub who_rows {
	my ($r) = @_;
	my $title = "$r->{title} [$r->{unit}]"
		. ($r->{note} ? "; $r->{note}" : '');

	return map { [$title, $_->{name},
		$_->{error} ? 'not measured' : figure($_->{median}), range($_)]
	} @{$r->{who}};
}

# A title is written once, in the first of its lines.
sub list_table {
	my ($widths, @rows) = @_;
	my $out = ".. list-table::\n   :header-rows: 1\n   :widths: $widths\n\n";
	my $last = '';

	for my $row (@rows) {
		my ($title, @rest) = @$row;
		$out .= '   * - ' . ($title eq $last ? '' : $title) . "\n";
		$out .= "     - $_\n" for @rest;
		$last = $title;
	}
	$out =~ s/ +$//mg;
	return $out;
}

# fill(FILE, TEXT): puts it between the file's two marks.
sub fill {
	my ($file, $text) = @_;

	open my $in, '<', $file or die "$file: $!\n";
	my $content = join '', <$in>;
	$content =~ s/^(\.\. results begin\n).*?^(\.\. results end)$/$1\n$text\n$2/ms
		or die "$file: has no '.. results begin' and '.. results end'\n";
	open my $out, '>', $file or die "$file: $!\n";
	print $out $content;
	close $out or die "$file: $!\n";
	return;
}

1;
