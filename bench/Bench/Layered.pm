# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: the rows about one delta over a base: V3, V4, and the rivals' own.
#
# Reads are of disks whose delta owns every other block, overwrites of disks
# whose delta owns all, first writes of deltas made for each round.
package Bench::Layered;

use strict;
use warnings;

my $no_flush = 'stock does not flush at all: its figure is that of writes alone';

# MiB of flushed first writes: so few that qcow2, which has room for 16 blocks made
# at a time, has to make it for nearly all of them, too.
use constant FEW => 8;

sub stage {
	my ($s) = @_;

	return {open => sub { set_up($s) }, rows => [
		reads($s), overwrites($s), first($s), flushed($s),
		flushed_first($s)]};
}

sub set_up {
	my ($s) = @_;
	my $base = $s->path('base.img');
	my %disk = (ubd1V3 => 'v3', ubd2V4 => 'v4', ubd3V3 => 'v3full',
		ubd4V4 => 'v4full');

	$s->random('base.img', $s->{mib});
	$s->copy('base.img', 'raw.img');
	$s->ours('ubd0=' . $s->path('raw.img'), map {
		"$_=" . $s->path("$disk{$_}.cow") . ",$base" } sort keys %disk);
	$s->half('ours', $_) for qw(ubdb ubdc);
	$s->fill('ours', $_) for qw(ubdd ubde);
	stock($s, $base);
	qsd($s);
	$s->warm;
	return;
}

sub stock {
	my ($s, $base) = @_;

	$s->stock('ubd0=' . $s->path('s.cow') . ",$base",
		'ubd1=' . $s->path('sfull.cow') . ",$base");
	$s->rival('stock', sub {
		$s->half('stock', 'ubda');
		$s->fill('stock', 'ubdb');
	}) unless $s->{missing}{stock};
	return;
}

# On a copy of the base: qemu asks for locks that ours, as a reader of the same
# file, does not leave it. One disk more for each round.
sub qsd {
	my ($s) = @_;
	my @files = ('q.qcow2', 'qfull.qcow2',
		map { "qnew$_.qcow2" } 1 .. $s->{rounds});

	$s->copy('base.img', 'qbase.img');
	$s->overlay('qbase.img', 'raw', $_) for @files;
	$s->qsd(@files);
	$s->rival('qsd', sub {
		$s->half('qsd', 'vda');
		$s->fill('qsd', 'vdb');
	}) unless $s->{missing}{qsd};
	return;
}

sub reads {
	my ($s) = @_;
	my %run = (rw => 'randread', depth => 'batch');

	return {id => 'randread-delta', unit => 'IOPS', quick => 1,
		title => '4 KiB random read, cached, batches of 64: over a base',
		who => ['our raw' => $s->iops('ours', 'ubda', %run),
			'our V3' => $s->iops('ours', 'ubdb', %run),
			'our V4' => $s->iops('ours', 'ubdc', %run),
			'stock V3' => $s->iops('stock', 'ubda', %run),
			qsd => $s->iops('qsd', 'vda', %run)],
		goals => [{of => 'our V3', to => 'our raw', least => 0.9},
			{of => 'our V4', to => 'our raw', least => 0.9}]};
}

sub overwrites {
	my ($s) = @_;
	my %run = (rw => 'randwrite', depth => 'batch', dirty => 1);

	return {id => 'overwrite-delta', unit => 'IOPS', quick => 1,
		title => '4 KiB random overwrite, batches of 64: over a base',
		who => ['our V3' => $s->iops('ours', 'ubdd', %run),
			'our V4' => $s->iops('ours', 'ubde', %run),
			'stock V3' => $s->iops('stock', 'ubdb', %run),
			qsd => $s->iops('qsd', 'vdb', %run)],
		goals => [map { +{of => $_, to => 'stock V3', least => 1.4},
			+{of => $_, to => 'qsd', least => 4} } 'our V3', 'our V4']};
}

# The second pass over the same blocks is what the first one is compared with.
sub first {
	my ($s) = @_;
	my %run = (rw => 'randwrite', depth => 'batch', bytes => "$s->{mib}m");

	return {id => 'first-write', unit => 'IOPS', quick => 1,
		title => '4 KiB random first write, batches of 64: V4',
		before => sub { fresh($s, 'ubdhV4') },
		who => ['first' => $s->iops('ours', 'ubdh', %run),
			'overwrite' => $s->iops('ours', 'ubdh', %run)],
		goals => [{of => 'first', to => 'overwrite', least => 0.8}]};
}

# fresh(S, DISK): that disk with a new delta, of the version in its name. The host
# is given what the last round left, or its writing would be in the figures of the
# next one.
sub fresh {
	my ($s, $disk) = @_;
	my $file = $s->path("fresh$disk.cow");

	if (-e $file) {
		$s->in('ours')->mconsole('remove ' . substr $disk, 0, 4);
		unlink $file;
	}
	$s->tool('sync', '-f', $s->{dir});
	$s->in('ours')->mconsole("config $disk=$file," . $s->path('base.img'));
	return;
}

my @ahead_of_qsd = map { +{of => $_, to => 'qsd', least => 1.3} }
	'our V4', 'our V3';

sub flushed {
	my ($s) = @_;
	my %run = (rw => 'randwrite', extra => ['--fsync=1']);

	return {id => 'fsync-over', unit => 'IOPS', quick => 1,
		note => $no_flush,
		title => 'overwrite and fsync of 4 KiB: over a base',
		who => ['our V4' => $s->iops('ours', 'ubde', %run),
			'our V3' => $s->iops('ours', 'ubdd', %run),
			qsd => $s->iops('qsd', 'vdb', %run),
			'stock V3' => $s->iops('stock', 'ubdb', %run)],
		goals => \@ahead_of_qsd};
}

sub flushed_first {
	my ($s) = @_;
	my %run = (rw => 'randwrite', bytes => FEW . 'm', extra => ['--fsync=1']);
	my $vd = 'vdb';

	return {id => 'fsync-first', unit => 'IOPS', quick => 1,
		title => 'first write and fsync of 4 KiB: over a base',
		before => sub {
			fresh($s, $_) for qw(ubdgV4 ubdfV3);
			$vd++;
		},
		who => ['our V4' => $s->iops('ours', 'ubdg', %run),
			'our V3' => $s->iops('ours', 'ubdf', %run),
			qsd => sub { $s->once('qsd', $vd, %run)->{iops} }],
		goals => \@ahead_of_qsd};
}

1;
