#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: judge from an strace (-y -s 0) whether metadata follows its data.
#
#	order.pl FILE DATA-OFFSET TRACE
#
# Prints: data=N meta=N syncs=N early=N open=N, where early counts writes below
# DATA-OFFSET with unsynced writes above it before them, and open is 1 if the
# trace ends with unsynced metadata.
use strict;
use warnings;

my ($file, $data_at, $trace) = @ARGV;
my ($data, $meta, $syncs, $early, $dirty, $open) = (0) x 6;

open(my $in, '<', $trace) or die "$trace: $!\n";
while (<$in>) {
	next unless m{\d+<[^>]*/\Q$file\E>};
	if (/sync\w*\(/) {
		$syncs++;
		$dirty = $open = 0;
	} elsif (/pwritev2\(.*, (\d+), [A-Z_0|]+\)\s+= \d/ ||
		 /pwrite(?:64|v)\(.*, (\d+)\)\s+= \d/) {
		if ($1 >= $data_at) {
			$data++;
			$dirty = 1;
		} else {
			$meta++;
			$early++ if $dirty;
			$open = 1;
		}
	}
}
print "data=$data meta=$meta syncs=$syncs early=$early open=$open\n";
