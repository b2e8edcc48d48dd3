# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: the rows about one raw disk: the ways through the driver themselves.
package Bench::Plain;

use strict;
use warnings;

my $no_flush = 'stock does not flush at all: its figure is that of writes alone';

my $direct = 'A: the flag, host direct: both past the cache of the host';

# stage(S): what it needs, and its rows, in the order of the output.
sub stage {
	my ($s) = @_;

	return {open => sub { set_up($s) }, rows => [
		random_read($s), random_write($s), single($s, 'read'),
		single($s, 'write'), cpu($s, 'randread', 'read'),
		cpu($s, 'randwrite', 'write'), stream($s, 'read'),
		stream($s, 'write'), flushed($s), cold_random($s),
		cold_read($s), cold_write($s)]};
}

sub set_up {
	my ($s) = @_;

	$s->random('host.img', $s->{mib});
	$s->copy('host.img', 'ours.img', 'async.img', 'stock.img');
	$s->ours('ubd0=' . $s->path('ours.img'), $s->{async}
		? 'ubd1A=' . $s->path('async.img') : ());
	$s->stock('ubd0=' . $s->path('stock.img'));
	$s->tool(qw(qemu-img convert -f raw -O qcow2), $s->path('host.img'),
		$s->path('q.qcow2')) if $s->{have_qemu};
	$s->qsd('q.qcow2');
	$s->warm;
	return;
}

# everyone(S, %run): the same run for us, for the rivals, and for the device that
# does nothing.
sub everyone {
	my ($s, %run) = @_;

	return [ours => $s->iops('ours', 'ubda', %run),
		stock => $s->iops('stock', 'ubda', %run),
		qsd => $s->iops('qsd', 'vda', %run),
		null_blk => $s->iops('ours', 'nullb0', %run)];
}

sub random_read {
	my ($s) = @_;

	return {id => 'randread-raw', unit => 'IOPS', quick => 1,
		title => '4 KiB random read, cached, batches of 64: raw',
		who => everyone($s, rw => 'randread', depth => 'batch'),
		goals => [{of => 'ours', to => 'null_blk', least => 0.55},
			{of => 'ours', to => 'stock', least => 2.2},
			{of => 'ours', to => 'qsd', least => 2.5}]};
}

sub random_write {
	my ($s) = @_;

	return {id => 'randwrite-raw', unit => 'IOPS', quick => 1,
		title => '4 KiB random write, batches of 64: raw',
		who => everyone($s, rw => 'randwrite', depth => 'batch', dirty => 1),
		goals => [{of => 'ours', to => 'stock', least => 1.4},
			{of => 'ours', to => 'qsd', least => 4}]};
}

sub single {
	my ($s, $way) = @_;

	return {id => "one-$way", unit => 'IOPS', quick => $way eq 'read',
		title => "4 KiB random $way, cached, one at a time: raw",
		who => everyone($s, rw => "rand$way", dirty => $way eq 'write'),
		goals => [{of => 'ours', to => 'null_blk', least => 0.9},
			{of => 'ours', to => 'stock', least => 1.35}]};
}

# Each block at most once, or what was read before would be in the cache. Through
# its cache the host answers 64 requests at once only by io_uring.
sub cold_random {
	my ($s) = @_;
	my %run = (rw => 'randread', depth => 'batch',
		bytes => $s->{mib} / 4 . 'm');

	return {id => 'cold-randread', unit => 'IOPS', quick => 1, note => $direct,
		title => '4 KiB random read, not cached, batches of 64: raw',
		who => everyone_cold($s, 'iops', %run),
		goals => [{of => 'ours', to => 'host', least => 0.8},
			{of => 'ours A', to => 'host direct', least => 0.8}]};
}

sub cold_read {
	my ($s) = @_;
	my %run = (rw => 'read', bs => '1m', bytes => "$s->{mib}m");

	return {id => 'cold-stream-read', unit => 'MiB/s', note => $direct,
		title => '1 MiB sequential read, not cached: raw',
		who => everyone_cold($s, 'mibs', %run),
		goals => [{of => 'ours', to => 'host', least => 0.9},
			{of => 'ours A', to => 'host direct', least => 0.9}]};
}

# To the host's disk, not only to its cache.
sub cold_write {
	my ($s) = @_;
	my %run = (rw => 'write', bs => '1m', bytes => "$s->{mib}m",
		extra => ['--end_fsync=1']);

	return {id => 'cold-stream-write', unit => 'MiB/s',
		note => "$direct; $no_flush",
		title => '1 MiB sequential write with a flush at the end: raw',
		who => everyone_cold($s, 'mibs', %run),
		goals => [{of => 'ours', to => 'host', least => 0.9},
			{of => 'ours A', to => 'host direct', least => 0.9}]};
}

# everyone_cold(S, METHOD, %run): the host's cache dropped before each run.
sub everyone_cold {
	my ($s, $method, %run) = @_;
	my @who = (['ours', 'ours', 'ubda', 'ours.img'],
		['ours A', 'ours', 'ubdb', 'async.img'],
		['host', 'host', 'host.img', 'host.img', engine => 'io_uring'],
		['host direct', 'host', 'host.img', 'host.img', direct => 1],
		['stock', 'stock', 'ubda', 'stock.img'],
		['qsd', 'qsd', 'vda', 'q.qcow2']);

	return [map { cold($s, $method, \%run, @$_) } @who];
}

sub cold {
	my ($s, $method, $run, $title, $name, $dev, $file, @more) = @_;
	my $code = $s->$method($name, $dev, %$run, @more);

	return ($title => sub {
		die "this kernel has no flag A\n"
			if $title eq 'ours A' && !$s->{async};
		$s->cool($file);
		return $code->();
	});
}

sub stream {
	my ($s, $way) = @_;
	my %run = (rw => $way, bs => '1m');

	return {id => "stream-$way", unit => 'MiB/s', quick => $way eq 'read',
		title => "1 MiB sequential $way, cached: raw",
		who => [ours => $s->mibs('ours', 'ubda', %run),
			host => $s->mibs('host', 'host.img', %run),
			stock => $s->mibs('stock', 'ubda', %run),
			qsd => $s->mibs('qsd', 'vda', %run),
			null_blk => $s->mibs('ours', 'nullb0', %run)],
		goals => [{of => 'ours', to => 'host', least => 0.9}]};
}

sub flushed {
	my ($s) = @_;
	my %run = (rw => 'randwrite', extra => ['--fsync=1']);

	return {id => 'fsync-raw', unit => 'IOPS', quick => 1, note => $no_flush,
		title => 'write and fsync of 4 KiB: raw',
		who => [ours => $s->iops('ours', 'ubda', %run),
			host => $s->iops('host', 'host.img', %run,
				extra => ['--fdatasync=1']),
			qsd => $s->iops('qsd', 'vda', %run),
			stock => $s->iops('stock', 'ubda', %run),
			null_blk => $s->iops('ours', 'nullb0', %run)],
		goals => [{of => 'ours', to => 'host', least => 0.9}]};
}

sub cpu {
	my ($s, $rw, $way) = @_;

	return {id => "cpu-$way", unit => 's per million',
		quick => $way eq 'read',
		title => "CPU of the host for a million requests of 4 KiB, $way",
		who => [ours => cpu_time($s, 'ours', 'ubda', $rw),
			stock => cpu_time($s, 'stock', 'ubda', $rw),
			qsd => cpu_time($s, 'qsd', 'vda', $rw)],
		goals => [{of => 'ours', to => 'stock', most => 1}]};
}

# What preparing it and fio's own start cost is taken off: a run that does next to
# nothing.
sub cpu_time {
	my ($s, $name, $dev, $rw) = @_;
	my %run = (rw => $rw, depth => 'batch', dirty => $rw eq 'randwrite');

	return sub {
		my ($idle) = cpu_of($s, $name, $dev, %run, bytes => '4k');
		my ($busy, $ios) = cpu_of($s, $name, $dev, %run);
		die "too short to be told from fio's start\n" if $busy <= $idle;
		return 1e6 * ($busy - $idle) / $ios;
	};
}

sub cpu_of {
	my ($s, $name, $dev, %run) = @_;
	my $before = $s->in($name)->cpu_seconds;
	my $result = $s->once($name, $dev, %run);

	return ($s->in($name)->cpu_seconds - $before, $result->{ios});
}

1;
