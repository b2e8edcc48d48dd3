# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: fio's command lines, and what its answers say.
#
# A run is described by words: rw, bs, depth ("batch" for 64 in one system call,
# or a number), engine (of more than one at a time), seconds or bytes, mib (the part
# of the disk that is used), file or files (each with a job of its own), extra.
package Bench::Fio;

use strict;
use warnings;
use JSON::PP ();
use Bench::Proc;

# A batch of 64 shows the driver; single calls in a guest show ptrace.
my @batch = qw(--iodepth=64 --iodepth_batch_submit=64
	--iodepth_batch_complete_min=64 --iodepth_batch_complete_max=64);

sub command {
	my (%o) = @_;
	my @cmd = (qw(fio --output-format=json --thread --invalidate=0
		--randrepeat=0),
		"--rw=$o{rw}", '--bs=' . ($o{bs} // '4k'), "--size=$o{mib}m",
		'--direct=' . ($o{direct} // 0));

	push @cmd, depth(%o), amount(%o), @{$o{extra} || []};
	# What stands before the first name holds for all of them.
	return @cmd, map { ('--name=job', "--filename=$_") }
		@{$o{files} || [$o{file}]};
}

sub depth {
	my (%o) = @_;
	my $engine = '--ioengine=' . ($o{engine} // 'libaio');

	return '--ioengine=psync' if ($o{depth} // 1) eq '1';
	return ($engine, @batch) if $o{depth} eq 'batch';
	return ($engine, "--iodepth=$o{depth}");
}

# A run by time draws blocks without remembering them. A run by bytes draws
# each block once, and has its time only as a bound.
sub amount {
	my (%o) = @_;

	return ("--io_size=$o{bytes}", '--runtime=' . bound(%o)) if $o{bytes};
	return ('--norandommap', '--time_based', "--runtime=" . int(1e3 * $o{seconds}) . "ms");
}

sub bound {
	my (%o) = @_;

	return 30 + 4 * $o{seconds};
}

# patience(%o): seconds after which a run is given up.
sub patience {
	my (%o) = @_;

	return 30 + bound(%o);
}

# result(JSON): requests, bytes and the longest wait of a run.
sub result {
	my ($text) = @_;

	$text =~ s/^[^{]*//s;
	my $answer = eval { JSON::PP::decode_json($text) }
		or die "fio: its answer can not be read\n";
	my @jobs = @{$answer->{jobs}};
	my %sum = (ios => 0, iops => 0, bytes => 0, max_ms => 0, each => []);

	for my $job (@jobs) {
		die "fio: error $job->{error}\n" if $job->{error};
		my @way = map { $job->{$_} } qw(read write);
		my $iops = $way[0]{iops} + $way[1]{iops};
		push @{$sum{each}}, $iops;
		$sum{iops} += $iops;
		$sum{ios} += $way[0]{total_ios} + $way[1]{total_ios};
		$sum{bytes} += $way[0]{bw_bytes} + $way[1]{bw_bytes};
		$sum{max_ms} = longest($sum{max_ms}, @way);
	}
	$sum{ios} or die "fio: did nothing\n";
	return \%sum;
}

sub longest {
	my ($max, @way) = @_;

	for my $way (@way) {
		my $ms = ($way->{lat_ns}{max} // 0) / 1e6;
		$max = $ms if $ms > $max;
	}
	return $max;
}

# host(%o): the same on the host, with its page cache unless "direct" is given.
sub host {
	my (%o) = @_;

	return result(Bench::Proc::run(cmd => [command(%o)], cpu => $o{cpu},
		timeout => patience(%o), log => "$o{dir}/fio.host"));
}

1;
