# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: start and end programs of the host, each bound to one CPU.
#
# Invariant: what start() started is gone when the driver ends, however it ends:
# every program leads a process group, and the groups are killed at the end. A
# driver that is killed itself takes its daemons along (pdeath); guests notice
# by themselves that their console is closed.
package Bench::Proc;

use strict;
use warnings;
use Fcntl ();
use POSIX ();
use Time::HiRes qw(sleep time);

my %running;
my $driver = $$;

# cpus(): the CPUs that may be used, lowest first.
sub cpus {
	my ($list) = grep { /^Cpus_allowed_list:/ } read_lines('/proc/self/status');
	my @cpus;

	for my $range ($list =~ /([\d-]+)/g) {
		my ($from, $to) = split /-/, $range;
		push @cpus, $from .. $to // $from;
	}
	return @cpus;
}

sub read_lines {
	my ($file) = @_;

	open my $in, '<', $file or return;
	return <$in>;
}

# slurp(FILE): its content; nothing where it can not be read.
sub slurp {
	return join '', read_lines($_[0]);
}

# start(%o): a program (cmd) on a CPU (cpu), output and errors to a file (log),
# further descriptors (fds: number => handle). Returns its process group.
sub start {
	my (%o) = @_;
	my $pid = fork // die "can not fork: $!\n";

	if (!$pid) {
		child(%o);
		POSIX::_exit(127);
	}
	$running{$pid} = 1;
	return $pid;
}

sub child {
	my (%o) = @_;
	my @cmd = ('taskset', '-c', $o{cpu}, @{$o{cmd}});

	POSIX::setsid();
	open STDIN, '<', '/dev/null' or return;
	open STDERR, '>', $o{err} // "$o{log}.err" or return;
	open STDOUT, '>', $o{log} or return;
	hand_over(%{$o{fds} || {}}) or return;
	$ENV{$_} = $o{env}{$_} for keys %{$o{env} || {}};
	unshift @cmd, qw(setpriv --pdeathsig KILL) if $o{pdeath};
	exec @cmd or return;
}

# Out of the way first: a handle may have the number that another one is to get.
# dup2() then clears close-on-exec, which all other handles keep.
sub hand_over {
	my (%fds) = @_;
	my %high;

	for my $fd (keys %fds) {
		$high{$fd} = fcntl $fds{$fd}, Fcntl::F_DUPFD(), 64 or return 0;
	}
	for my $fd (keys %high) {
		POSIX::dup2($high{$fd}, $fd) or return 0;
		POSIX::close($high{$fd});
	}
	return 1;
}

# gone(PID): it has ended, and is reaped.
sub gone {
	my ($pid) = @_;

	return 1 unless $running{$pid};
	return 0 unless waitpid($pid, POSIX::WNOHANG());
	$running{$pid} = 0;
	return 1;
}

# await(SECONDS, CONDITION): whether it came true in time.
sub await {
	my ($seconds, $condition) = @_;
	my $end = time + $seconds;

	until ($condition->()) {
		return 0 if time > $end;
		sleep 0.001;
	}
	return 1;
}

# stop(PID, SECONDS): waits for its end, then kills what is left of its group.
sub stop {
	my ($pid, $seconds) = @_;

	await($seconds, sub { gone($pid) }) if $seconds;
	kill 'KILL', -$pid;
	await(5, sub { gone($pid) });
	delete $running{$pid};
	return;
}

# run(%o): as start(), to its end; dies unless that is 0 within the time.
sub run {
	my (%o) = @_;
	my $pid = start(%o);
	my $status;

	my $ended = await($o{timeout}, sub {
		waitpid($pid, POSIX::WNOHANG()) == $pid or return 0;
		$status = $?;
		return 1;
	});
	delete $running{$pid} if $ended;
	stop($pid, 0) unless $ended;
	return slurp($o{log}) if $ended && $status == 0;
	my $what = $ended ? "status " . ($status >> 8) : "not done in $o{timeout} s";
	die "$o{cmd}[0]: $what: " . last_line($o{err} // "$o{log}.err") . "\n";
}

sub last_line {
	my @lines = grep { /\S/ } read_lines($_[0]);

	return '(it says nothing)' unless @lines;
	chomp $lines[-1];
	return $lines[-1];
}

# stats(PID): of each process of its session, the fields from the state on.
sub stats {
	my ($pid) = @_;
	my @stats;

	for my $stat (glob '/proc/[0-9]*/stat') {
		my $line = slurp($stat);
		my ($number) = $line =~ s/^(\d+) .*\) // ? $1 : next;
		my @field = split ' ', $line;
		push @stats, [$number, @field] if $field[3] == $pid;
	}
	return @stats;
}

# cpu_seconds(PID): what its session has used, children that ended included.
sub cpu_seconds {
	my ($pid) = @_;
	my $ticks = 0;

	for my $stat (stats($pid)) {
		$ticks += $_ for @$stat[12 .. 15];
	}
	return $ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# strays(PID, CPU): names of its session's threads that may run elsewhere. The
# host's kernel makes some of them, and need not bind them as those it serves.
sub strays {
	my ($pid, $cpu) = @_;
	my %names;

	for my $status (map { glob "/proc/$_->[0]/task/*/status" } stats($pid)) {
		my $text = slurp($status);
		my ($name) = $text =~ /^Name:\s*(\S+)/m or next;
		my ($list) = $text =~ /^Cpus_allowed_list:\s*(\S+)/m;
		$names{$name} = 1 if $list ne $cpu;
	}
	return sort keys %names;
}

# busy(SECONDS): which part of the machine others use, 0 to 1.
sub busy {
	my ($seconds) = @_;
	my @before = times_of_machine();
	sleep $seconds;
	my @after = times_of_machine();
	my $all = $after[0] - $before[0];

	return $all > 0 ? 1 - ($after[1] - $before[1]) / $all : 0;
}

sub times_of_machine {
	my (undef, @t) = split ' ', (read_lines('/proc/stat'))[0];
	my $all = 0;

	# The times of guests are in "user" and "nice" already.
	$all += $_ for @t[0 .. 7];
	return ($all, $t[3] + $t[4]);
}

sub load {
	return (split ' ', slurp('/proc/loadavg'))[0];
}

# bind_driver(CPU): the driver itself, which waits for others all the time.
sub bind_driver {
	my ($cpu) = @_;

	run(cmd => ['taskset', '-cp', $cpu, $$], cpu => $cpu, timeout => 10,
		log => '/dev/null', err => '/dev/null');
	return;
}

# stop_all(): in a child that could not become another program, nothing.
sub stop_all {
	return if $$ != $driver;
	stop($_, 0) for keys %running;
	return;
}

END {
	my $status = $?;
	stop_all();
	$? = $status;
}

1;
