# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: the rival qemu-storage-daemon: qcow2 files over vhost-user-blk, and its
# monitor.
package Bench::Daemon;

use strict;
use warnings;
use IO::Socket::UNIX;
use JSON::PP ();
use Time::HiRes qw(alarm time);
use Bench::Proc;

# start(%o): name, dir, cpu, files (qcow2, the guest's vda, vdb and so on).
sub start {
	my ($class, %o) = @_;
	my $self = bless {%o}, $class;
	my $monitor = "$o{dir}/$o{name}.qmp";

	$self->{pid} = Bench::Proc::start(cpu => $o{cpu}, pdeath => 1,
		log => "$o{dir}/$o{name}.daemon", cmd => [$self->command($monitor)]);
	my $listens = sub { !grep { !-S $_ } $monitor, $self->sockets };
	Bench::Proc::await(30, sub {
		$listens->() || Bench::Proc::gone($self->{pid});
	});
	$listens->() or die "qemu-storage-daemon: "
		. Bench::Proc::last_line("$o{dir}/$o{name}.daemon.err") . "\n";
	$self->connect($monitor);
	return $self;
}

sub sockets {
	my ($self) = @_;

	return map { "$self->{dir}/$self->{name}.$_" } 0 .. $#{$self->{files}};
}

sub command {
	my ($self, $monitor) = @_;
	my @sockets = $self->sockets;
	my @cmd = ('qemu-storage-daemon', '--chardev',
		"socket,path=$monitor,server=on,wait=off,id=m0",
		'--monitor', 'chardev=m0');

	for my $n (0 .. $#sockets) {
		push @cmd, '--blockdev',
			"driver=file,node-name=f$n,filename=$self->{files}[$n]",
			'--blockdev', "driver=qcow2,node-name=q$n,file=f$n",
			'--export', "type=vhost-user-blk,id=e$n,node-name=q$n,"
			. "addr.type=unix,addr.path=$sockets[$n],writable=on";
	}
	return @cmd;
}

# guest_args(): what the guest's kernel is told.
sub guest_args {
	my ($self) = @_;

	return map { "virtio_uml.device=$_:2" } $self->sockets;
}

sub connect {
	my ($self, $path) = @_;

	$self->{qmp} = IO::Socket::UNIX->new(Peer => $path)
		or die "qemu-storage-daemon: its monitor: $!\n";
	$self->{events} = [];
	$self->message(10);
	$self->ask('qmp_capabilities');
	return;
}

# message(SECONDS): the next one from the monitor.
sub message {
	my ($self, $seconds) = @_;
	my $line;

	eval {
		local $SIG{ALRM} = sub { die "no answer in $seconds s\n" };
		alarm $seconds;
		$line = readline $self->{qmp};
		alarm 0;
		1;
	} or die "qemu-storage-daemon: $@";
	die "qemu-storage-daemon: it has ended\n" unless defined $line;
	return JSON::PP::decode_json($line);
}

# ask(COMMAND, %arguments): dies if the answer is an error.
sub ask {
	my ($self, $command, %arguments) = @_;

	$self->{qmp}->print(JSON::PP::encode_json({execute => $command,
		arguments => \%arguments}), "\n");
	while (1) {
		my $m = $self->message(60);
		die "qemu-storage-daemon: $command: $m->{error}{desc}\n"
			if $m->{error};
		return $m->{return} if exists $m->{return};
		push @{$self->{events}}, $m;
	}
}

# event(SECONDS, CONDITION): the next event that it holds for.
sub event {
	my ($self, $seconds, $condition) = @_;
	my $end = time + $seconds;

	while ((my $left = $end - time) > 0) {
		my $m = shift @{$self->{events}} // $self->message($left);
		return $m if $m->{event} && $condition->($m);
	}
	die "qemu-storage-daemon: no such event in $seconds s\n";
}

# snapshot(NUMBER, FILE): a new file on top of the export of that number.
sub snapshot {
	my ($self, $n, $file) = @_;
	my $node = "o$n." . ++$self->{overlays};

	$self->ask('blockdev-snapshot-sync', 'node-name' => $self->top($n),
		'snapshot-file' => $file, 'snapshot-node-name' => $node,
		format => 'qcow2');
	push @{$self->{tops}[$n]}, $node;
	return;
}

sub top {
	my ($self, $n) = @_;

	return $self->{tops}[$n][-1] // "q$n";
}

# commit(NUMBER, SECONDS): the top of that export into the file below it.
sub commit {
	my ($self, $n, $seconds) = @_;
	my $is = sub {
		my ($what) = @_;
		return sub { $_[0]{event} eq $what };
	};

	$self->ask('block-commit', 'job-id' => 'j', device => $self->top($n));
	if (!eval { $self->event($seconds, $is->('BLOCK_JOB_READY')); 1 }) {
		$self->ask('block-job-cancel', device => 'j', force => JSON::PP::true);
		$self->event(60, $is->('BLOCK_JOB_CANCELLED'));
		die "block-commit: not ready in $seconds s\n";
	}
	$self->ask('block-job-complete', device => 'j');
	$self->event(60, $is->('BLOCK_JOB_COMPLETED'));
	pop @{$self->{tops}[$n]};
	return;
}

sub stop {
	my ($self) = @_;

	Bench::Proc::stop($self->{pid}, 0);
	return;
}

1;
