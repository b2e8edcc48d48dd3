# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: the rows about disks of 16 TiB that hold little data: memory and time in
# the driver, and how long moo works on them.
package Bench::Large;

use strict;
use warnings;
use Bench::Proc;

use constant MIB => 1 << 20;
# Just below the largest file of ext4.
use constant SIZE => (16 << 40) - MIB;
# MiB in scattered blocks of 4 KiB, each with an index page of its own.
use constant SCATTERED => 128;

sub driver_stage {
	my ($s) = @_;

	return {open => sub { set_up_driver($s) }, rows => [
		{id => 'index-16t', unit => 'MiB', quick => 1,
			title => 'memory for the index of a disk of 16 TiB that is'
				. ' written to all over, 4 KiB each: V4',
			who => ['ours' => sub { memory($s) }],
			goals => [{of => 'ours', pick => 'worst', most => 64}]},
		{id => 'open-16t', unit => 'ms', quick => 1,
			title => 'opening it, its files not cached',
			who => ['ours' => sub { opening($s) }],
			goals => [{of => 'ours', pick => 'median', most => 100}]}]};
}

sub set_up_driver {
	my ($s) = @_;

	$s->sparse('base.img', SIZE);
	$s->ours;
	return;
}

sub disk {
	my ($s) = @_;

	return 'ubdaV4=' . $s->path('top.cow') . ',' . $s->path('base.img');
}

# What the process itself has mapped; the memory of the guest is a file. What
# requests and commits take on any disk is there before.
sub memory {
	my ($s) = @_;
	my $guest = $s->in('ours');
	my %run = (rw => 'randwrite', depth => 'batch');

	if (-e $s->path('top.cow')) {
		$guest->mconsole('remove ubda');
		unlink $s->path('top.cow');
	}
	$guest->mconsole('config ' . disk($s));
	$s->once('ours', 'ubda', %run, mib => 16, bytes => '16m',
		extra => ['--end_fsync=1']);
	my $before = anonymous($guest->{pid});
	$s->once('ours', 'ubda', %run, mib => SIZE / MIB, bytes => SCATTERED . 'm',
		extra => [qw(--norandommap --end_fsync=1)]);
	return anonymous($guest->{pid}) - $before;
}

sub anonymous {
	my ($pid) = @_;
	my ($kib) = Bench::Proc::slurp("/proc/$pid/status") =~ /^RssAnon:\s*(\d+)/m;

	die "/proc/$pid/status: no RssAnon\n" unless defined $kib;
	return $kib / 1024;
}

# Less what any command takes.
sub opening {
	my ($s) = @_;
	my $guest = $s->in('ours');

	$guest->mconsole('remove ubda');
	$s->cool('top.cow');
	my $all = $s->timed(sub { $guest->mconsole('config ' . disk($s)) });
	return 1e3 * ($all - $s->timed(sub { $guest->mconsole('version') }));
}

# ---- moo --------------------------------------------------------------------

sub moo_stage {
	my ($s) = @_;
	my $moo = sub {
		my ($id, $title, @words) = @_;
		return {id => "moo-$id", unit => 's', quick => $id ne 'convert',
			rounds => $id =~ /map|check/ ? 1 : undef,
			title => "moo $title, a chain of 16 TiB with"
				. " $s->{large_mib} MiB of data",
			who => ['moo' => sub { moo($s, @words) },
				'cp and sync' => sub { cp($s) }],
			goals => [{of => 'moo', to => 'cp and sync', most => 1.2}]};
	};
	my ($delta, $out) = map { $s->path($_) } qw(delta.cow out);

	return {open => sub { set_up_moo($s) }, rows => [
		$moo->('merge', 'merge', 'merge', $delta, $out),
		$moo->('convert', 'convert to V0', 'convert', '-V', 0, $delta, $out),
		$moo->('map', 'map', 'map', $delta),
		$moo->('check', 'check', 'check', $delta)]};
}

# Half of the data is in the base, half in the delta, in pieces of 1 MiB.
sub set_up_moo {
	my ($s) = @_;
	my $half = $s->{large_mib} / 2;

	$s->sparse('base.img', SIZE);
	scatter($s, 'base.img', $half);
	$s->ours('ubd0V4=' . $s->path('delta.cow') . ',' . $s->path('base.img'));
	$s->once('ours', 'ubda', rw => 'randwrite', bs => '1m', mib => SIZE / MIB,
		bytes => "${half}m", extra => [qw(--norandommap --end_fsync=1)]);
	$s->{ours}->stop;
	return;
}

sub scatter {
	my ($s, $name, $pieces) = @_;
	my $path = $s->path($name);
	my $step = int(SIZE / MIB / $pieces);

	open my $file, '+<', $path or die "$path: $!\n";
	for my $n (0 .. $pieces - 1) {
		sysseek $file, $n * $step * MIB, 0;
		syswrite($file, chr(1 + $n % 255) x MIB) == MIB
			or die "$path: $!\n";
	}
	close $file or die "$path: $!\n";
	return;
}

sub moo {
	my ($s, @words) = @_;

	$s->settle;
	my $seconds = $s->timed(sub { $s->tool($s->{moo}, @words) });
	unlink $s->path('out');
	return $seconds;
}

# The same data: both files of the chain.
sub cp {
	my ($s) = @_;
	my @files = map { $s->path($_) } qw(base.img delta.cow);

	$s->settle;
	my $seconds = $s->timed(sub {
		$s->tool(qw(cp --reflink=never --sparse=auto), $_, "$_.copy")
			for @files;
		$s->tool('sync', '-d', map { "$_.copy" } @files);
	});
	unlink map { "$_.copy" } @files;
	return $seconds;
}

1;
