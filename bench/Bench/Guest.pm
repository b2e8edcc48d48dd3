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
	my $n = $self->fio_begin(%o);

	return $self->fio_end($n, %o);
}

sub fio_begin {
	my ($self, %o) = @_;

	my @files = map { "/dev/$_" } split ' ', $o{dev};

	return $self->begin(join ' ', 'exec',
		Bench::Fio::command(%o, files => \@files, direct => 1));
}

sub fio_end {
	my ($self, $n, %o) = @_;

	return Bench::Fio::result($self->end($n, Bench::Fio::patience(%o)));
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
