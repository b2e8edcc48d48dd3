# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: what the rows of one stage have in common: a directory, the disks in it,
# and the guests beside each other.
#
# All of it is gone when the stage ends. Rows are described before anything of
# it exists, so that they can be listed as not measured if it can not be made.
package Bench::Stage;

use strict;
use warnings;
use File::Path qw(remove_tree);
use Time::HiRes qw(time);
use Bench::Daemon;
use Bench::Fio;
use Bench::Guest;
use Bench::Proc;

# new(NAME, CONFIGURATION): the latter as made by bench/run.
sub new {
	my ($class, $name, $config) = @_;

	return bless {%$config, name => $name, dir => "$config->{work}/$name",
		guests => []}, $class;
}

sub begin {
	my ($self) = @_;

	mkdir $self->{dir} or die "$self->{dir}: $!\n";
	return;
}

sub end {
	my ($self) = @_;

	$_->stop for @{$self->{guests}};
	$_->stop for values %{$self->{daemons} || {}};
	remove_tree($self->{dir}) unless $self->{keep};
	return;
}

# tool(COMMAND...): a program of the host, to its end.
sub tool {
	my ($self, @cmd) = @_;

	return Bench::Proc::run(cmd => \@cmd, cpu => $self->{cpu},
		timeout => 900, log => "$self->{dir}/tool");
}

sub path {
	my ($self, $name) = @_;

	return "$self->{dir}/$name";
}

# random(NAME, MIB): a file without holes, on the host's disk and in its cache.
sub random {
	my ($self, $name, $mib) = @_;

	$self->tool('dd', 'if=/dev/urandom', 'of=' . $self->path($name),
		'bs=1M', "count=$mib", 'conv=fsync', 'status=none');
	return;
}

sub copy {
	my ($self, $from, @to) = @_;

	for my $to (@to) {
		$self->tool('dd', 'if=' . $self->path($from),
			'of=' . $self->path($to), 'bs=1M', 'conv=fsync',
			'status=none');
	}
	return;
}

sub sparse {
	my ($self, $name, $bytes) = @_;

	open my $file, '>', $self->path($name) or die "$name: $!\n";
	truncate $file, $bytes or die "$name: $bytes bytes: $!\n";
	return;
}

# overlay(BELOW, FORMAT, NAME): an empty qcow2 file, where there is qemu-img.
sub overlay {
	my ($self, $below, $format, $name) = @_;

	return unless $self->{have_qemu};
	$self->tool(qw(qemu-img create -q -f qcow2 -F), $format,
		'-b', $self->path($below), $self->path($name));
	return;
}

# cool(NAME): drops it from the host's page cache.
sub cool {
	my ($self, $name) = @_;
	my $path = $self->path($name);

	$self->tool('sync', $path);
	$self->tool('dd', "if=$path", 'iflag=nocache', 'count=0', 'status=none');
	return;
}

# warm(): all images in the host's page cache, page by page. What was written in
# large pieces is there in large folios, and a host's ext4 looks at each block of
# a folio for every 4 KiB that are written into it: 20 us that hide all else.
sub warm {
	my ($self) = @_;

	for my $path (grep { -s >= 1 << 20 } $self->images) {
		(my $name = $path) =~ s,.*/,,;
		$self->cool($name);
		$self->tool(qw(fio --name=warm --thread --rw=randread --bs=1m
			--fadvise_hint=random --readonly), "--filename=$path");
	}
	return;
}

sub images {
	my ($self) = @_;

	return glob "$self->{dir}/*.{img,cow,qcow2}";
}

# guest(NAME, KERNEL, ARGUMENTS...)
sub guest {
	my ($self, $name, $kernel, @args) = @_;
	my $guest = Bench::Guest->boot(name => $name, kernel => $kernel,
		dir => $self->{dir}, cpu => $self->{cpu},
		other_cpu => $self->{other_cpu}, args => \@args);

	push @{$self->{guests}}, $guest;
	$self->{$name} = $guest;
	return $guest;
}

sub ours {
	my ($self, @args) = @_;

	return $self->guest('ours', $self->{kernel}, @args);
}

# What can fail only for a rival must not take our own rows along: it is told
# to each run of that rival instead.
sub rival {
	my ($self, $name, $make) = @_;

	return if eval { $make->(); 1 };
	$self->{missing}{$name} = $@;
	return;
}

sub stock {
	my ($self, @args) = @_;

	$self->rival('stock', sub {
		$self->guest('stock', $self->{stock_kernel}, @args);
	});
	return;
}

# qsd(FILES...): qcow2 files as vda and so on, in a guest with stock's kernel.
sub qsd {
	my ($self, @files) = @_;

	$self->rival('qsd', sub {
		$self->{have_qemu} or die "qemu-storage-daemon or qemu-img"
			. " is not installed\n";
		my $daemon = Bench::Daemon->start(name => 'q',
			dir => $self->{dir}, cpu => $self->{other_cpu},
			files => [map { $self->path($_) } @files]);
		$self->{daemons}{qsd} = $daemon;
		$self->guest('qsd', $self->{stock_kernel}, $daemon->guest_args);
		$self->{qsd}{daemon} = $daemon;
		write_back($self->{qsd});
	});
	return;
}

# The daemon says "write through" of what is a write-back cache: a guest that is
# not told better sends it no flush at all.
sub write_back {
	my ($guest) = @_;

	$guest->job('for disk in /sys/block/vd*; do'
		. ' echo "write back" >"$disk/cache_type" || exit; done', 20);
	return;
}

# in(NAME): the guest of that name; dies with the reason if it is missing.
sub in {
	my ($self, $name) = @_;

	die $self->{missing}{$name} if $self->{missing}{$name};
	return $self->{$name} // die "$name: it has not been started\n";
}

# fill(GUEST, DEVICE): writes the whole disk, so that its top owns all of it.
sub fill {
	my ($self, $name, $dev) = @_;

	$self->in($name)->fio(dev => $dev, rw => 'write', bs => '1m',
		mib => $self->{mib}, bytes => "$self->{mib}m", seconds => 60);
	return;
}

# half(GUEST, DEVICE): writes every other block of 4 KiB, drawn at random; the
# same ones on every disk.
sub half {
	my ($self, $name, $dev) = @_;

	$self->in($name)->fio(dev => $dev, rw => 'randwrite', depth => 'batch',
		mib => $self->{mib}, bytes => $self->{mib} / 2 . 'm',
		seconds => 60, extra => ['--randrepeat=1']);
	return;
}

# iops(GUEST, DEVICE, %run): CODE for a row.
sub iops {
	my ($self, $name, $dev, %run) = @_;

	return sub { $self->once($name, $dev, %run)->{iops} };
}

# mibs(GUEST, DEVICE, %run): the same, in MiB per second.
sub mibs {
	my ($self, $name, $dev, %run) = @_;

	return sub { $self->once($name, $dev, %run)->{bytes} / (1 << 20) };
}

# once(GUEST, DEVICE, %run): "host" for a file of the host instead. With "dirty"
# the whole disk is written to before: the first write to a clean page of the
# host's cache costs much, whoever does it.
sub once {
	my ($self, $name, $dev, %run) = @_;
	my %all = (mib => $self->{mib}, seconds => $self->{seconds}, %run);

	$self->settle if $run{rw} =~ /write/;
	$self->fill($name, $dev) if $run{dirty};
	return $self->in($name)->fio(dev => $dev, %all) if $name ne 'host';
	return Bench::Fio::host(%all, file => $self->path($dev),
		cpu => $self->{cpu}, dir => $self->{dir});
}

# settle(): or what runs before have written would be written to the host's disk
# while the next one is measured.
sub settle {
	my ($self) = @_;

	$self->tool('sync', '-d', $self->images);
	return;
}

# timed(CODE): seconds that it takes.
sub timed {
	my ($self, $code) = @_;
	my $start = time;

	$code->();
	return time - $start;
}

1;
