# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: one guest, booted once and then given jobs through its console.
#
# Several guests stand side by side, so that their runs can alternate; those
# without a job sleep. A guest that does not answer in time is killed, and says
# so to every later job.
package Bench::Guest;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Handle;
use IO::Select;
use Time::HiRes qw(time);
use Bench::Fio;
use Bench::Proc;

# Seconds; a load without an end would outlive a driver that was killed.
use constant LONGEST => 600;

my $init = abs_path(dirname(__FILE__) . '/../guest.sh');

# boot(%o): name, kernel, dir, cpu, args (disks and module parameters).
sub boot {
	my ($class, %o) = @_;
	my $self = bless {%o, jobs => 0, rest => ''}, $class;

	$self->{share} = "$o{dir}/$o{name}";
	mkdir $self->{share} or die "$self->{share}: $!\n";
	$self->start;
	$self->line(120) eq 'ready' or $self->fail('it does not boot');
	return $self;
}

sub start {
	my ($self) = @_;

	pipe my $in, $self->{in} or die "pipe: $!\n";
	pipe $self->{out}, my $out or die "pipe: $!\n";
	$self->{in}->autoflush(1);
	$self->{pid} = Bench::Proc::start(
		cmd => [$self->command], cpu => $self->{cpu},
		log => "$self->{share}/console", err => "$self->{share}/host",
		env => {HOME => $self->{dir}}, fds => {3 => $in, 4 => $out});
	return;
}

sub command {
	my ($self) = @_;

	return ($self->{kernel}, 'mem=' . ($self->{mem} // '192M'),
		qw(root=/dev/root rootfstype=hostfs rootflags=/ ro quiet),
		"init=$init", "share=$self->{share}",
		'con=null', 'con0=null,fd:1', 'con1=fd:3,fd:4', 'ssl=null',
		"uml_dir=$self->{dir}/.uml", "umid=$self->{name}",
		@{$self->{args}});
}

# line(SECONDS): the next one that the guest says; dies if there is none.
sub line {
	my ($self, $seconds) = @_;
	my $end = time + $seconds;
	my $select = IO::Select->new($self->{out});

	until ($self->{rest} =~ /\n/) {
		my $left = $end - time;
		$self->fail("no answer in $seconds s")
			if $left <= 0 || !$select->can_read($left);
		sysread $self->{out}, $self->{rest}, 4096, length $self->{rest}
			or $self->fail('it has ended');
	}
	(my $line, $self->{rest}) = split /\r?\n/, $self->{rest}, 2;
	return $line;
}

sub fail {
	my ($self, $why) = @_;

	Bench::Proc::stop($self->{pid}, 1);
	$self->{dead} = "guest $self->{name}: $why: "
		. Bench::Proc::last_line("$self->{share}/host");
	die "$self->{dead}\n";
}

# begin(SCRIPT): hands a job over, returns its number.
sub begin {
	my ($self, $script) = @_;

	die "$self->{dead}\n" if $self->{dead};
	my $n = ++$self->{jobs};
	open my $job, '>', "$self->{share}/job.$n" or die "job.$n: $!\n";
	print $job $script, "\n";
	close $job or die "job.$n: $!\n";
	syswrite $self->{in}, "$n\n";
	return $n;
}

# end(NUMBER, SECONDS): what the job printed; dies if it failed.
sub end {
	my ($self, $n, $seconds) = @_;
	my $line = $self->line($seconds);

	$line =~ /^done $n (\d+)$/ or $self->fail("unexpected answer '$line'");
	die "guest $self->{name}: status $1: "
		. Bench::Proc::last_line("$self->{share}/err.$n") . "\n" if $1;
	my $out = Bench::Proc::slurp("$self->{share}/out.$n");
	unlink map { "$self->{share}/$_.$n" } qw(job out err);
	return $out;
}

# job(SCRIPT, SECONDS)
sub job {
	my ($self, $script, $seconds) = @_;

	return $self->end($self->begin($script), $seconds);
}

# fio(%o): one run in the guest, always past the guest's own page cache.
sub fio {
	my ($self, %o) = @_;
	my $answer = $self->job('exec ' . fio_command(%o), Bench::Fio::patience(%o));

	return Bench::Fio::result($answer);
}

sub fio_command {
	my (%o) = @_;
	my @files = map { "/dev/$_" } split ' ', $o{dev};

	return join ' ', Bench::Fio::command(%o, files => \@files, direct => 1);
}

# load_begin(%o): a run of fio that lasts until load_end(); returns when it has
# begun to read or write.
sub load_begin {
	my ($self, %o) = @_;
	my $begun = "$self->{share}/begun";

	unlink $begun, "$self->{share}/halt";
	my $job = $self->begin(until_told(fio_command(%o, seconds => LONGEST)));
	return $job if Bench::Proc::await(30, sub { -e $begun });
	$self->fail('its fio does not begin');
}

# until_told(COMMAND): a job that runs it, says when the guest's disks are busy,
# and ends it when it is told to.
sub until_told {
	my ($command) = @_;

	return <<"JOB";
busy() { cat /sys/block/*/stat; }
idle=\$(busy)
$command &
until [ "\$(busy)" != "\$idle" ]; do sleep 0.1; done
: >begun
until [ -e halt ]; do sleep 0.1; done
kill -INT \$!
wait \$! || :
JOB
}

# load_end(NUMBER): what fio said.
sub load_end {
	my ($self, $job) = @_;

	open my $file, '>', "$self->{share}/halt" or die "halt: $!\n";
	return Bench::Fio::result($self->end($job, 120));
}

# mconsole(WORDS, SECONDS): the answer; dies if it is not OK, or not there in time.
sub mconsole {
	my ($self, $words, $seconds) = @_;

	return Bench::Proc::run(
		cmd => ['uml_mconsole', $self->{name}, $words],
		cpu => $self->{other_cpu}, timeout => $seconds // 30,
		log => "$self->{share}/answer", err => "$self->{share}/answer",
		env => {HOME => $self->{dir}});
}

sub cpu_seconds {
	my ($self) = @_;
	my $sum = Bench::Proc::cpu_seconds($self->{pid});

	$sum += Bench::Proc::cpu_seconds($self->{daemon}{pid}) if $self->{daemon};
	return $sum;
}

sub stop {
	my ($self) = @_;

	return unless $self->{pid};
	if (!$self->{dead}) {
		local $SIG{PIPE} = 'IGNORE';
		syswrite $self->{in}, "off\n";
		Bench::Proc::stop($self->{pid}, 30);
	}
	$self->{daemon}->stop if $self->{daemon};
	return;
}

1;
