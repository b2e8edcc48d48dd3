# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: a picture of the goals: for each a bar from nothing to what was reached,
# and one line at which all of them are met.
package Bench::Svg;

use strict;
use warnings;
use Bench::Report;

use constant {LEFT => 560, WIDTH => 960, LINE => 18, TOP => 48, MOST => 2};

# draw(RESULTS): the picture. Written by hand, so that it needs no other tool.
sub draw {
	my ($results) = @_;
	my @bars = map { my $r = $_; map { [$r, $_] } @{$r->{goals}} }
		@{$results->{rows}};
	my $height = TOP + LINE * @bars + 24;
	my $y = TOP;
	my @out = begin($height, $results);

	for my $bar (@bars) {
		push @out, bar($y, @$bar);
		$y += LINE;
	}
	push @out, line(x(1), TOP - 6, x(1), $y), "</svg>\n";
	return join '', @out;
}

sub begin {
	my ($height, $results) = @_;
	my $noise = @{$results->{noise}} ? ' The machine was not quiet.' : '';

	return (sprintf('<svg xmlns="http://www.w3.org/2000/svg" width="%d"'
			. ' height="%d" font-family="sans-serif" font-size="11">'
			. "\n", WIDTH, $height),
		"<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
		text(8, 18, "What was reached, as a part of each goal: right of the"
			. " line is met.$noise"));
}

sub bar {
	my ($y, $row, $goal) = @_;
	my $label = text(8, $y + 12, "$row->{id}: $goal->{text}");
	my $share = $goal->{share};

	return $label . text(LEFT + 4, $y + 12, 'not measured')
		if $goal->{mark} eq 'not measured';
	$share = MOST if !defined $share || $share > MOST;
	my $colour = $goal->{mark} eq 'met' ? '#4a7' : '#c64';
	return $label . sprintf("<rect x=\"%d\" y=\"%d\" width=\"%d\""
		. " height=\"%d\" fill=\"%s\"/>\n", LEFT, $y + 2,
		x($share) - LEFT, LINE - 5, $colour)
		. text(x($share) + 4, $y + 12, Bench::Report::figure($goal->{reached}));
}

sub x {
	my ($share) = @_;

	return LEFT + $share * (WIDTH - LEFT - 60) / MOST;
}

sub line {
	return sprintf "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\""
		. " stroke=\"black\"/>\n", @_;
}

sub text {
	my ($x, $y, $text) = @_;
	my %name = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;');

	$text =~ s/([&<>])/$name{$1}/g;
	return sprintf "<text x=\"%d\" y=\"%d\">%s</text>\n", $x, $y, $text;
}

1;
