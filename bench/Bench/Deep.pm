# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: the row about depth: random reads over 64 layers that each hold a part of
# the disk, against one layer that holds all of it. And eight disks at once.
package Bench::Deep;

use strict;
use warnings;

use constant LAYERS => 64;
use constant DISKS => 8;
# Seconds for jobs that do not all begin at once; the first one does not count,
# or who begins first would have the guest to itself for a part of it.
use constant LONG => 2;

sub depth_stage {
	my ($s) = @_;
	my %run = (rw => 'randread', depth => 'batch');

	return {open => sub { set_up($s) }, rows => [{
		id => 'depth', unit => 'IOPS',
		title => '4 KiB random read, cached, batches of 64: '
			. LAYERS . ' layers against 1',
		who => ['our 64' => $s->iops('ours', 'ubdb', %run),
			'our 1' => $s->iops('ours', 'ubda', %run),
			'qsd 64' => $s->iops('qsd', 'vdb', %run),
			'qsd 1' => $s->iops('qsd', 'vda', %run)],
		goals => [{of => 'our 64', to => 'our 1', least => 0.95}]}]};
}

sub set_up {
	my ($s) = @_;
	my $base = $s->path('base.img');

	$s->random('base.img', $s->{mib});
	$s->ours('ubd0V4=' . $s->path('one.cow') . ",$base",
		'ubd1V4=' . $s->path('l0.cow') . ",$base");
	$s->fill('ours', 'ubda');
	layers($s);
	qcow2($s) if $s->{have_qemu};
	$s->qsd('single.qcow2', 'q' . LAYERS . '.qcow2');
	$s->rival('qsd', sub { $s->fill('qsd', 'vda') }) unless $s->{missing}{qsd};
	$s->warm;
	return;
}

# The disk's blocks of 64 KiB, scattered, one share for each layer. The factor is
# a prime beyond any number of blocks, so each block comes once.
sub shares {
	my ($s) = @_;
	my $blocks = $s->{mib} * 16;
	my @order = map { ($_ * 1000003 + 17) % $blocks } 0 .. $blocks - 1;
	my $each = $blocks / LAYERS;

	return map { [@order[$_ * $each .. ($_ + 1) * $each - 1]] } 0 .. LAYERS - 1;
}

# A snapshot between each share and the next one.
sub layers {
	my ($s) = @_;
	my @shares = shares($s);

	for my $n (0 .. $#shares) {
		$s->in('ours')->mconsole("snapshot ubdb=l$n.cow") if $n;
		trace($s, "$s->{ours}{share}/blocks", @{$shares[$n]});
		replay($s);
	}
	return;
}

# trace(S, FILE, BLOCKS): writes of these blocks, as fio reads them.
sub trace {
	my ($s, $file, @blocks) = @_;
	my @words = (qw(add open), map { "write $_ 65536" } map { $_ << 16 } @blocks);

	open my $out, '>', $file or die "$file: $!\n";
	print $out "fio version 2 iolog\n", map { "/dev/ubdb $_\n" } @words;
	close $out or die "$file: $!\n";
	return;
}

sub replay {
	my ($s) = @_;

	$s->in('ours')->job('exec fio --name=fill --thread --direct=1'
		. ' --ioengine=psync --read_iolog=/mnt/share/blocks >&2', 120);
	return;
}

# On a copy of the base, which ours holds locked.
sub qcow2 {
	my ($s) = @_;
	my @shares = shares($s);
	my ($below, $format) = ('qbase.img', 'raw');

	$s->copy('base.img', $below);
	$s->overlay($below, $format, 'single.qcow2');
	for my $n (1 .. LAYERS) {
		my $file = "q$n.qcow2";
		$s->overlay($below, $format, $file);
		$s->tool(qw(qemu-io -t unsafe -f qcow2),
			(map { ('-c', 'write -q ' . $_ * 65536 . ' 65536') }
				@{$shares[$n - 1]}), $s->path($file));
		($below, $format) = ($file, 'qcow2');
	}
	return;
}

sub eight_stage {
	my ($s) = @_;
	my %run = (rw => 'randread', depth => 'batch', mib => $s->{mib} / DISKS,
		seconds => LONG > $s->{seconds} ? LONG : $s->{seconds},
		extra => ['--ramp_time=1']);
	my @all = map { "ubd$_" } ('a' .. 'p')[0 .. DISKS - 1];

	return {open => sub { set_up_eight($s) }, rows => [{
		id => 'eight', unit => 'IOPS',
		title => '4 KiB random read, cached, batches of 64: '
			. DISKS . ' disks at once, raw',
		who => ['eight' => sub { eight($s, "@all", %run) },
			'one' => $s->iops('ours', 'ubdi', %run,
				mib => $s->{mib}),
			'fairness' => sub { $s->{fairness} }],
		goals => [{of => 'eight', to => 'one', least => 1},
			{of => 'fairness', pick => 'worst', least => 0.8}],
		note => 'fairness: the slowest disk as a part of the fastest'}]};
}

# The ninth is as large as the eight together: so is its part of the processor's
# cache.
sub set_up_eight {
	my ($s) = @_;
	my @names = map { "$_.img" } 0 .. DISKS;

	$s->random($_, $s->{mib} / DISKS) for @names[0 .. DISKS - 1];
	$s->random($names[DISKS], $s->{mib});
	$s->ours(map { "ubd$_=" . $s->path($names[$_]) } 0 .. $#names);
	$s->warm;
	return;
}

sub eight {
	my ($s, $dev, %run) = @_;
	my $result = $s->once('ours', $dev, %run);
	my @each = sort { $a <=> $b } @{$result->{each}};

	$s->{fairness} = $each[0] / $each[-1];
	return $result->{iops};
}

1;
