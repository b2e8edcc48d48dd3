# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: the rows about work on a disk that is in use: snapshots under full load,
# and merges of what a guest has written.
package Bench::Live;

use strict;
use warnings;
use Time::HiRes qw(sleep time);
use Bench::Fio;
use Bench::Proc;

use constant SNAPSHOTS => 20;
use constant TIB => 1 << 40;

sub snapshot_stage {
	my ($s) = @_;

	return {open => sub { set_up($s) }, rows => [
		pause('snapshot-pause', 1, '',
			sub { paused($s, 'ubda', $s->{mib} - 1) }),
		pause('snapshot-pause-16t', 0, ', disk of 16 TiB', sub {
			die $s->{missing}{large} if $s->{missing}{large};
			paused($s, 'ubdb', (16 << 20) - 1);
		}),
		wait_row($s)]};
}

# The rival's base is a copy: qemu asks for locks that ours, as a reader of the
# same file, does not leave it.
sub set_up {
	my ($s) = @_;
	my $base = $s->path('base.img');

	$s->random('base.img', $s->{mib});
	$s->copy('base.img', 'qbase.img');
	$s->ours('ubd0V4=' . $s->path('a.cow') . ",$base", large($s));
	$s->tool(qw(qemu-img create -q -f qcow2 -F raw -b),
		$s->path('qbase.img'), $s->path('q.qcow2')) if $s->{have_qemu};
	$s->qsd('q.qcow2');
	return;
}

# The large disk ends below the largest file of ext4.
sub large {
	my ($s) = @_;

	eval { $s->sparse('large.img', 16 * TIB - (1 << 20)); 1 } or do {
		$s->{missing}{large} = $@;
		return ();
	};
	return 'ubd1V4=' . $s->path('b.cow') . ',' . $s->path('large.img');
}

sub pause {
	my ($id, $quick, $what, $code) = @_;

	return {id => $id, unit => 'ms', quick => $quick,
		title => "snapshot under full random write load: the pause$what",
		who => [ours => $code],
		goals => [{of => 'ours', pick => 'median', most => 0.1},
			{of => 'ours', pick => 'worst', most => 1}]};
}

sub load_of {
	my ($s, $dev, $mib) = @_;

	return (dev => $dev, rw => 'randwrite', depth => 'batch', mib => $mib,
		seconds => 3 + SNAPSHOTS * 0.1);
}

# paused(S, DEVICE, MIB): what the driver says of each of 20 snapshots.
sub paused {
	my ($s, $dev, $mib) = @_;
	my %load = load_of($s, $dev, $mib);

	return @{under($s, 'ours', \%load, sub { ours($s, $dev) })->{answers}};
}

# under(S, GUEST, LOAD, CODE): CODE again and again under the load; its answers
# beside what the load says.
sub under {
	my ($s, $name, $load, $code) = @_;
	my $guest = $s->in($name);
	my $job = $guest->fio_begin(%$load);
	my @answers;

	sleep 1.5;
	my $done = eval {
		for (1 .. SNAPSHOTS) {
			push @answers, $code->();
			sleep 0.05;
		}
		1;
	};
	my $why = $@;
	my $result = $guest->fio_end($job, %$load);
	die $why unless $done;
	return {%$result, answers => \@answers};
}

sub ours {
	my ($s, $dev) = @_;
	my $file = $s->path("$dev." . ++$s->{snapshots} . '.cow');
	my $answer = $s->in('ours')->mconsole("snapshot $dev=$file");

	$answer =~ /paused ([\d.]+) ms/ or die "snapshot: no pause in its answer\n";
	return $1;
}

sub qemu {
	my ($s) = @_;
	my $n = ++$s->{overlays};

	$s->in('qsd')->{daemon}->ask('blockdev-snapshot-sync',
		'node-name' => $s->{node} // 'q0',
		'snapshot-file' => $s->path("o$n.qcow2"),
		'snapshot-node-name' => "o$n", format => 'qcow2');
	$s->{node} = "o$n";
	return;
}

# The longest wait is one of a whole batch.
sub wait_row {
	my ($s) = @_;
	my %ours = load_of($s, 'ubda', $s->{mib} - 1);
	my %qsd = load_of($s, 'vda', $s->{mib} - 1);

	return {id => 'snapshot-wait', unit => 'ms', quick => 0,
		title => 'snapshot under full random write load:'
			. ' the longest wait of a request',
		who => ['with' => sub {
				under($s, 'ours', \%ours, sub { ours($s, 'ubda') })
					->{max_ms} },
			'without' => sub { $s->in('ours')->fio(%ours)->{max_ms} },
			'qsd with' => sub {
				under($s, 'qsd', \%qsd, sub { qemu($s) })->{max_ms} }],
		goals => [{of => 'with', to => 'without', most => 1.5},
			{of => 'with', to => 'qsd with', most => 1}]};
}

# Merges: of blocks that lie scattered, and of a stream; the guest is idle.

sub merge_stage {
	my ($s) = @_;

	return {open => sub { set_up_merge($s) }, rows => [
		merge($s, 'scattered', 'scattered 4 KiB', rw => 'randwrite',
			depth => 'batch'),
		merge($s, 'stream', 'sequential data', rw => 'write', bs => '1m')]};
}

# Twice as large as what is written.
sub set_up_merge {
	my ($s) = @_;

	$s->sparse('disk.img', $s->{merge_mib} * 2 << 20);
	$s->ours('ubd0=' . $s->path('disk.img'));
	$s->tool(qw(qemu-img create -q -f qcow2), $s->path('q.qcow2'),
		$s->{merge_mib} * 2 . 'M') if $s->{have_qemu};
	$s->qsd('q.qcow2');
	return;
}

sub merge {
	my ($s, $id, $what, %run) = @_;
	my %all = (%run, mib => $s->{merge_mib} * 2,
		bytes => "$s->{merge_mib}m", extra => ['--end_fsync=1']);

	return {id => "unsnapshot-$id", unit => 'MiB/s',
		title => "unsnapshot of $s->{merge_mib} MiB of $what, guest idle",
		before => sub { overlays($s, %all) },
		who => ['cp and sync' => sub { rate($s, sub { cp($s) }) },
			'ours' => sub { rate($s, sub { unsnapshot($s) }) },
			'qsd commit' => sub { rate($s, sub { commit($s) }) }],
		goals => [{of => 'ours', to => 'cp and sync', least => 0.8}]};
}

sub rate {
	my ($s, $code) = @_;

	return $s->{merge_mib} / $s->timed($code);
}

# A layer on top of each disk, with the data in it; the rival's only while it
# can be had.
sub overlays {
	my ($s, %run) = @_;

	$s->{top} = $s->path('t' . ++$s->{tops} . '.cow');
	$s->in('ours')->mconsole("snapshot ubda=$s->{top}");
	$s->once('ours', 'ubda', %run);
	$s->rival('qsd', sub {
		qemu($s);
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

sub unsnapshot {
	my ($s) = @_;

	$s->in('ours')->mconsole('unsnapshot ubda delete', 300);
	return;
}

# Ends with a sync, as cp and ours do.
sub commit {
	my ($s) = @_;
	die $s->{missing}{qsd} if $s->{missing}{qsd};
	my $daemon = $s->in('qsd')->{daemon};
	my $is = sub {
		my ($what) = @_;
		return sub { $_[0]{event} eq $what };
	};

	$daemon->ask('block-commit', 'job-id' => 'j', device => $s->{node});
	$daemon->event(300, $is->('BLOCK_JOB_READY'));
	$daemon->ask('block-job-complete', device => 'j');
	$daemon->event(300, $is->('BLOCK_JOB_COMPLETED'));
	$daemon->ask('blockdev-del', 'node-name' => $s->{node});
	$s->tool('sync', $s->path('q.qcow2'));
	unlink $s->path("o$s->{overlays}.qcow2");
	$s->{node} = 'q0';
	return;
}

# Merges while the guest writes: its figures come from a log with the time of the
# host, of which the part within the merge is compared with the part before it.

sub loaded_stage {
	my ($s) = @_;
	my $row = {id => 'unsnapshot-loaded', unit => 'IOPS',
		title => "unsnapshot of $s->{merge_mib} MiB of scattered 4 KiB,"
			. ' guest under full random write load',
		before => sub { $s->{loaded} = undef },
		who => ['during' => sub { loaded($s)->{during} },
			'before' => sub { loaded($s)->{before} },
			'longest ms' => sub { loaded($s)->{max_ms} },
			'merge MiB/s' => sub { loaded($s)->{rate} }],
		goals => [{of => 'during', to => 'before', least => 0.5},
			{of => 'longest ms', pick => 'worst', most => 20}]};

	return {open => sub { set_up_merge($s) }, rows => [$row]};
}

# loaded(S): one run for all figures of a round.
sub loaded {
	my ($s) = @_;

	return $s->{loaded} //= loaded_run($s);
}

sub loaded_run {
	my ($s) = @_;
	my $guest = $s->in('ours');
	my @scattered = (rw => 'randwrite', depth => 'batch',
		mib => $s->{merge_mib} * 2);
	my $log = "$guest->{share}/log_iops.1.log";

	overlays($s, @scattered, bytes => "$s->{merge_mib}m");
	unlink "$guest->{share}/halt", $log;
	my $job = $guest->begin(until_told(Bench::Fio::command(@scattered,
		seconds => 300, direct => 1, file => '/dev/ubda', extra => [qw(
		--write_iops_log=/mnt/share/log --log_avg_msec=100
		--log_unix_epoch=1)])));
	sleep 3;
	my $from = time;
	my $merged = eval { unsnapshot($s); 1 };
	my ($why, $to) = ($@, time);
	tell_to_halt($guest);
	my $result = Bench::Fio::result($guest->end($job, 120));
	die $why unless $merged;
	return {split_log($log, $from, $to), max_ms => $result->{max_ms},
		rate => $s->{merge_mib} / ($to - $from)};
}

# until_told(COMMAND...): a job that ends it when the file "halt" is there.
sub until_told {
	return "@_ & pid=\$!\n"
		. "until [ -e halt ]; do sleep 0.1; done\n"
		. "kill -INT \$pid\nwait \$pid || :\n";
}

sub tell_to_halt {
	my ($guest) = @_;

	open my $file, '>', "$guest->{share}/halt" or die "halt: $!\n";
	return;
}

# An entry of the log is the average of the 100 ms before its time.
sub split_log {
	my ($log, $from, $to) = @_;
	my (@before, @during);

	for (Bench::Proc::read_lines($log)) {
		my ($ms, $iops) = /^(\d+), (\d+)/ or next;
		push @before, $iops if $ms / 1e3 < $from;
		push @during, $iops if $ms / 1e3 - 0.1 >= $from && $ms / 1e3 <= $to;
	}
	die "the merge was over before the load could be seen\n" unless @during;
	die "the load had not begun before the merge\n" unless @before > 2;
	# The first entries are fio's start.
	shift @before;
	return (before => mean(@before), during => mean(@during));
}

sub mean {
	my $sum = 0;

	$sum += $_ for @_;
	return $sum / @_;
}

1;
