# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: the rows about one delta over a base: V3, V4, and the rivals' own.
#
# Reads are of disks whose delta owns every other block, overwrites of disks
# whose delta owns all, first writes of deltas made for each round, flushed first
# writes, which are few, of deltas that own next to nothing.
package Bench::Layered;

use strict;
use warnings;

my $no_flush = 'stock does not flush at all: its figure is that of writes alone';

sub stage {
	my ($s) = @_;

	return {open => sub { set_up($s) }, rows => [
		reads($s), overwrites($s), first($s),
		flushed($s, 'over', 'overwrite', 'ubde', 'ubdd', 'vdb', 'ubdb'),
		flushed($s, 'first', 'first write', 'ubdg', 'ubdf', 'vdc',
			'ubdc')]};
}

sub set_up {
	my ($s) = @_;
	my $base = $s->path('base.img');
	my %disk = (ubd1V3 => 'v3', ubd2V4 => 'v4', ubd3V3 => 'v3full',
		ubd4V4 => 'v4full', ubd5V3 => 'v3new', ubd6V4 => 'v4new');

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
		'ubd1=' . $s->path('sfull.cow') . ",$base",
		'ubd2=' . $s->path('snew.cow') . ",$base");
	$s->rival('stock', sub {
		$s->half('stock', 'ubda');
		$s->fill('stock', 'ubdb');
	}) unless $s->{missing}{stock};
	return;
}

# On a copy of the base: qemu asks for locks that ours, as a reader of the same
# file, does not leave it.
sub qsd {
	my ($s) = @_;

	$s->copy('base.img', 'qbase.img');
	$s->overlay('qbase.img', 'raw', $_) for qw(q.qcow2 qfull.qcow2 qnew.qcow2);
	$s->qsd('q.qcow2', 'qfull.qcow2', 'qnew.qcow2');
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
		before => sub { fresh($s) },
		who => ['first' => $s->iops('ours', 'ubdh', %run),
			'overwrite' => $s->iops('ours', 'ubdh', %run)],
		goals => [{of => 'first', to => 'overwrite', least => 0.8}]};
}

# The host is given what the last round left, or its writing would be in the
# figures of the next one.
sub fresh {
	my ($s) = @_;
	my $file = $s->path('fresh.cow');

	if (-e $file) {
		$s->in('ours')->mconsole('remove ubdh');
		unlink $file;
	}
	$s->tool('sync', '-f', $s->{dir});
	$s->in('ours')->mconsole("config ubdhV4=$file," . $s->path('base.img'));
	return;
}

sub flushed {
	my ($s, $id, $what, @dev) = @_;
	my %run = (rw => 'randwrite', extra => ['--fsync=1']);
	my @who = (['our V4', 'ours'], ['our V3', 'ours'], ['qsd', 'qsd'],
		['stock V3', 'stock']);

	return {id => "fsync-$id", unit => 'IOPS', quick => 1,
		note => $no_flush,
		title => "$what and fsync of 4 KiB: over a base",
		who => [map { $who[$_][0] => $s->iops($who[$_][1], $dev[$_], %run) }
			0 .. $#who],
		goals => [{of => 'our V4', to => 'qsd', least => 1.3},
			{of => 'our V3', to => 'qsd', least => 1.3}]};
}

1;
