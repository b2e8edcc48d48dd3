# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: the rows about snapshots of a disk that is written to as fast as can be:
# what the driver says of its pause, and how long a request of the guest waits.
#
# Each round has a disk of its own, so that no round finds the layers of those
# before it. The load lasts until the last snapshot has been answered.
package Bench::Snapshot;

use strict;
use warnings;
use Time::HiRes qw(sleep time);
use Bench::Proc;

# Three rounds of these are a hundred.
use constant {SNAPSHOTS => 34, PACE => 0.12};
# Just below the largest file of ext4.
use constant LARGE => (16 << 40) - (1 << 20);

sub stage {
	my ($s) = @_;

	return {open => sub { set_up($s) }, rows => [
		row($s, id => 'snapshot', base => 'small', quick => 1,
			what => 'snapshot under full random write load',
			mib => $s->{mib}),
		row($s, id => 'snapshot-16t', base => 'large',
			what => 'the same, disk of 16 TiB', mib => LARGE >> 20)]};
}

# The rival has bases of its own: qemu asks for locks that ours, as a reader of
# the same file, does not leave it. It has one disk for each round and row.
sub set_up {
	my ($s) = @_;

	$s->random('small.img', $s->{mib});
	$s->copy('small.img', 'qsmall.img');
	$s->sparse($_, LARGE) for qw(large.img qlarge.img);
	$s->ours;
	my @files;
	for my $base (qw(small large)) {
		for my $round (0 .. $s->{rounds} - 1) {
			push @files, "$base$round.qcow2";
			$s->overlay("q$base.img", 'raw', $files[-1]);
		}
	}
	$s->qsd(@files);
	return;
}

sub row {
	my ($s, %o) = @_;
	my ($round, $n) = (-1, $o{base} eq 'large' ? $s->{rounds} : 0);
	my %load = (rw => 'randwrite', depth => 'batch', mib => $o{mib});
	my $vd = sub { 'vd' . chr(ord('a') + $n + $round) };

	return {id => $o{id}, unit => 'ms', quick => $o{quick},
		title => $o{what},
		note => 'wait: the longest one of a request, in a batch of 64;'
			. ' idle: with as much load and no snapshot',
		before => sub {
			$round++;
			fresh($s, $o{base});
			$s->{run} = undef;
		},
		who => [
			'pause' => sub { @{with_ours($s, %load)->{pauses}} },
			'wait' => sub { with_ours($s, %load)->{max_ms} },
			'idle' => sub { without($s, %load) },
			'qsd wait' => sub { with_qsd($s, $n + $round,
				dev => $vd->(), %load) }],
		goals => [{of => 'pause', pick => 'median', most => 0.1},
			{of => 'pause', pick => 'worst', most => 1},
			{of => 'wait', to => 'idle', most => 1.5},
			{of => 'wait', to => 'qsd wait', most => 1}]};
}

sub fresh {
	my ($s, $base) = @_;

	if ($s->{layers}) {
		$s->in('ours')->mconsole('remove ubda');
		unlink map { $s->path("$_.cow") } 0 .. $s->{layers};
	}
	$s->{layers} = 0;
	$s->in('ours')->mconsole('config ubdaV4=' . $s->path('0.cow') . ','
		. $s->path("$base.img"));
	return;
}

# with_ours(S, %load): one run for all figures of a round.
sub with_ours {
	my ($s, %load) = @_;

	return $s->{run} //= run_with_ours($s, %load);
}

sub run_with_ours {
	my ($s, %load) = @_;
	my @pauses;
	my $result = under($s, 'ours', {dev => 'ubda', %load},
		sub { push @pauses, pause_of_next($s) });

	return {%$result, pauses => \@pauses};
}

sub pause_of_next {
	my ($s) = @_;
	my $file = $s->path(++$s->{layers} . '.cow');
	my $answer = $s->in('ours')->mconsole("snapshot ubda=$file crash");

	$answer =~ /paused ([\d.]+) ms/ or die "snapshot: no pause in its answer\n";
	return $1;
}

# As long as the run with snapshots was, which came before.
sub without {
	my ($s, %load) = @_;
	my $seconds = with_ours($s, %load)->{seconds};

	return $s->once('ours', 'ubda', %load, seconds => $seconds)->{max_ms};
}

sub with_qsd {
	my ($s, $export, %load) = @_;
	my $daemon = $s->in('qsd')->{daemon};

	return under($s, 'qsd', \%load, sub {
		$daemon->snapshot($export, $s->path('o' . ++$s->{overlays}));
	})->{max_ms};
}

# under(S, GUEST, LOAD, CODE): what the load says, with CODE again and again.
sub under {
	my ($s, $name, $load, $code) = @_;
	my $guest = $s->in($name);
	my $job = $guest->load_begin(%$load);
	my $start = time;
	my $done = eval {
		for my $n (1 .. SNAPSHOTS) {
			my $early = $start + $n * PACE - time;
			sleep $early if $early > 0;
			$code->();
		}
		1;
	};
	my $why = $@;
	my $seconds = time - $start;
	my $result = $guest->load_end($job);
	die $why unless $done;
	return {%$result, seconds => $seconds};
}

1;
