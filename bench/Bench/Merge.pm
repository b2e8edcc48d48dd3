# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: the rows about merging what a guest has written into the layer below:
# with the guest idle, and under full load.
package Bench::Merge;

use strict;
use warnings;
use Time::HiRes qw(sleep time);
use Bench::Proc;

# Seconds after which a merge of the rival that never ends is given up.
use constant PATIENCE => 20;

my @all = ([ours => 'ubda'], [qsd => 'vda']);

sub idle_stage {
	my ($s) = @_;

	return {open => sub { set_up($s) }, rows => [
		idle($s, 'scattered', 'scattered 4 KiB', [rw => 'write:8k',
			bs => '8k'], rw => 'randwrite', depth => 'batch'),
		idle($s, 'stream', 'sequential data', [rw => 'write', bs => '1m'],
			rw => 'write', bs => '1m')]};
}

# Disks are twice as large as what is written.
sub set_up {
	my ($s) = @_;
	my $mib = $s->{merge_mib} * 2;

	$s->random($_, $mib) for qw(disk.img host.img);
	$s->ours('ubd0=' . $s->path('disk.img'));
	$s->tool(qw(qemu-img convert -f raw -O qcow2), $s->path('host.img'),
		$s->path('q.qcow2')) if $s->{have_qemu};
	$s->qsd('q.qcow2');
	$s->warm;
	return;
}

# idle(S, ID, WHAT, ALIKE, %run): ALIKE writes on the host what the merge of %run
# has to write: every other block of 4 KiB, at random, is 8 KiB of 16 on average.
sub idle {
	my ($s, $id, $what, $alike, %run) = @_;
	my %amount = (mib => $s->{merge_mib} * 2, bytes => "$s->{merge_mib}m",
		extra => ['--end_fsync=1']);
	my %all = (%run, %amount);

	return {id => "unsnapshot-$id", unit => 'MiB/s', quick => 1,
		title => "unsnapshot of $s->{merge_mib} MiB of $what, guest idle",
		before => sub { layers($s, %all) },
		who => ['cp and sync' => sub { rate($s, sub { cp($s) }) },
			'ours' => sub { rate($s, sub { merge($s, 'ours') }) },
			'host in place' => $s->mibs('host', 'host.img', @$alike,
				%amount),
			'qsd commit' => sub { rate($s, sub { merge($s, 'qsd') }) }],
		note => 'host in place: fio writes as much, in such pieces, into a'
			. ' file of the host',
		goals => [{of => 'ours', to => 'cp and sync', least => 0.8}]};
}

sub rate {
	my ($s, $code) = @_;

	return $s->{merge_mib} / $s->timed($code);
}

# A layer on top of each disk, with the data in it; the rival's only while it
# can be had.
sub layers {
	my ($s, %run) = @_;

	$s->{top} = $s->path('t' . ++$s->{tops} . '.cow');
	$s->in('ours')->mconsole("snapshot ubda=$s->{top}");
	$s->once('ours', 'ubda', %run);
	$s->rival('qsd', sub {
		$s->in('qsd')->{daemon}->snapshot(0,
			$s->path("o$s->{tops}.qcow2"));
		$s->once('qsd', 'vda', %run);
	}) unless $s->{missing}{qsd};
	return;
}

sub cp {
	my ($s) = @_;
	my $copy = $s->path('copy');

	unlink $copy;
	$s->tool('cp', '--reflink=never', $s->{top}, $copy);
	$s->tool('sync', $copy);
	return;
}

# merge(S, GUEST): both end with a sync, as cp does.
sub merge {
	my ($s, $name) = @_;

	if ($name eq 'ours') {
		$s->in('ours')->mconsole('unsnapshot ubda delete', 300);
		return;
	}
	$s->in('qsd')->{daemon}->commit(0, PATIENCE);
	$s->tool('sync', $s->path('q.qcow2'));
	unlink $s->path("o$s->{tops}.qcow2");
	return;
}

# ---- while the guest writes -------------------------------------------------

sub loaded_stage {
	my ($s) = @_;
	my $row = {id => 'unsnapshot-loaded', unit => 'IOPS', quick => 1,
		title => "unsnapshot of $s->{merge_mib} MiB of scattered 4 KiB,"
			. ' guest under full random write load',
		note => 'wait: the longest one of a write in ms, in a batch of 64',
		before => sub {
			layers($s, scattered($s), bytes => "$s->{merge_mib}m");
			$s->{loaded} = {};
		},
		who => [map { figures($s, @$_) } @all],
		goals => [{of => 'ours during', to => 'ours before', least => 0.5},
			{of => 'ours wait', pick => 'worst', most => 20}]};

	return {open => sub { set_up($s) }, rows => [$row]};
}

sub scattered {
	my ($s) = @_;

	return (rw => 'randwrite', depth => 'batch', mib => $s->{merge_mib} * 2);
}

# figures(S, GUEST, DEVICE): one run of each round gives all of them.
sub figures {
	my ($s, $name, $dev) = @_;
	my $of = sub {
		my ($figure) = @_;
		return sub {
			my $run = $s->{loaded}{$name}
				//= eval { loaded($s, $name, $dev) } // {why => $@};
			die $run->{why} if $run->{why};
			return $run->{$figure};
		};
	};

	return ("$name during" => $of->('during'), "$name before" => $of->('before'),
		"$name wait" => $of->('wait'),
		"$name wait before" => $of->('wait_before'),
		"$name merge MiB/s" => $of->('rate'));
}

# loaded(S, GUEST, DEVICE): what fio's logs, which have the time of the host, say
# of the time before the merge and of the time within it.
sub loaded {
	my ($s, $name, $dev) = @_;
	my $guest = $s->in($name);
	my @logs = map { "$guest->{share}/log_$_.1.log" } qw(iops lat);

	unlink @logs;
	my $job = $guest->load_begin(scattered($s), dev => $dev, extra => [qw(
		--write_iops_log=/mnt/share/log --write_lat_log=/mnt/share/log
		--log_avg_msec=100 --log_max_value=1 --log_unix_epoch=1)]);
	sleep 2 * $s->{seconds};
	my $from = time;
	my $merged = eval { merge($s, $name); 1 };
	my ($why, $to) = ($@, time);
	$guest->load_end($job);
	die $why unless $merged;
	my ($iops, $lat) = map { [parts($_, $from, $to)] } @logs;
	return {before => mean(@{$iops->[0]}), during => mean(@{$iops->[1]}),
		wait_before => most(@{$lat->[0]}) / 1e6,
		wait => most(@{$lat->[1]}) / 1e6,
		rate => $s->{merge_mib} / ($to - $from)};
}

# parts(LOG, FROM, TO): the values before FROM and those from then to TO. Each is
# about the 100 ms before its time.
sub parts {
	my ($log, $from, $to) = @_;
	my (@before, @during);

	for (Bench::Proc::read_lines($log)) {
		my ($ms, $value) = /^(\d+), (\d+)/ or next;
		push @before, $value if $ms / 1e3 < $from;
		push @during, $value if $ms / 1e3 >= $from && $ms / 1e3 <= $to + 0.1;
	}
	die "the merge was over before the load could be seen\n" unless @during;
	die "the load had not begun before the merge\n" unless @before;
	return (\@before, \@during);
}

sub mean {
	my $sum = 0;

	$sum += $_ for @_;
	return $sum / @_;
}

sub most {
	my $most = 0;

	for my $v (@_) {
		$most = $v if $v > $most;
	}
	return $most;
}

1;
