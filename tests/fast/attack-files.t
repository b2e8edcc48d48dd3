#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: hostile files before moo. Names of parents, what is no file, circles, a
# base that has changed, files in use, and files that change while they are read.
# See Verdict.pm for what is right.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use POSIX qw(mkfifo WNOHANG);
use Test::More;
use Verdict;
use Hostile;

my @layers = (
	{ name => 'V1', image => v1_image('>') },
	{ name => 'V3', image => v3_image() },
	{ name => 'V4', image => v4_image() },
);

make_base();

# ---- names of parents ------------------------------------------------------

# [where the name stands, bytes that it has]
my %name_at = (V1 => [8, 256], V3 => [32, 4096]);

sub with_name {
	my ($layer, $name) = @_;
	my $image = $layer->{image};

	if ($name_at{$layer->{name}}) {
		my ($at, $len) = @{$name_at{$layer->{name}}};

		substr $image, $at, $len, pack "a$len", $name;
	} else {
		substr $image, 176, 16, v4_name($name);
		substr $image, $v4_at{name}, 4096, pack 'a4096', $name;
		seal(\$image, 0, 512, 8);
	}
	return sub { spew('it', $image) };
}

sub make_places {
	mkdir 'dir' or die "dir: $!\n";
	mkfifo('fifo', 0600) or die "fifo: $!\n";
	symlink 'base', 'link' or die "link: $!\n";
	symlink 'nothing', 'dangling' or die "dangling: $!\n";
	symlink 'circle', 'circle' or die "circle: $!\n";
}

my @places = (
	['missing', 'chain'], ['dir', 'chain'], ['fifo', 'chain'],
	['link', 'same'], ['dangling', 'chain'], ['circle', 'chain'],
	['it', 'chain'], ['base/', 'chain'], ["two\nlines", 'chain'],
	['../w/base', 'same'], ['./dir/../base', 'same'],
	['missing/../base', 'chain'],
);

make_places();
for my $layer (@layers) {
	my $v4 = $layer->{name} eq 'V4';
	my $room = $v4 ? 4095 : $name_at{$layer->{name}}[1];
	my $dots = '/.' x (($room - 6 - length $here) / 2);

	point("$layer->{name}: names",
	      (map { [$_->[0], with_name($layer, "$here/$_->[0]"), $_->[1]] }
	       @places),
	      ['empty', with_name($layer, ''), 'header'],
	      ['no NUL', with_name($layer, "$here/" . 'x' x $room), 'header'],
	      ['as long as can be', with_name($layer, "$here$dots/base"), 'same'],
	      ['the root', with_name($layer, '/'), 'chain'],
	      ['a device', with_name($layer, '/dev/null'), 'chain'],
	      ['a terminal', with_name($layer, '/dev/tty'), 'chain'],
	      ['memory of the kernel', with_name($layer, '/proc/kcore'), 'chain'],
	      ['relative', with_name($layer, 'base'), $v4 ? 'header' : 'same'],
	      $v4 ? ['a NUL within', with_name($layer, "$here/base\0x"),
		     'header'] : ());
}

# ---- kinds of files --------------------------------------------------------

point('what is no file',
      ['directory', sub { mkdir 'it' }, 'file'],
      ['fifo', sub { mkfifo('it', 0600) }, 'file'],
      ['link to a directory', sub { symlink 'dir', 'it' }, 'file'],
      ['link to a device', sub { symlink '/dev/null', 'it' }, 'file'],
      ['dangling link', sub { symlink 'nothing', 'it' }, 'file'],
      ['circular link', sub { symlink 'it', 'it' }, 'file']);
point('links to files',
      ['symbolic', sub {
		spew('real', v3_image());
		symlink 'real', 'it';
      }, 'same'],
      ['hard', sub {
		unlink 'it';
		spew('real', v4_image());
		link 'real', 'it';
      }, 'same']);
unlink 'real';

# ---- more hole than file -----------------------------------------------------

# A bitmap of 128 GiB that takes no room, and is not to take time.
sub giant {
	my $image = v3_image();

	substr $image, 12, 8, pack 'Q>', 1 << 50;
	spew("$dir/giant", $image);
	truncate "$dir/giant", 1 << 39;
	symlink "$dir/giant", 'it';
}

SKIP: {
	giant();
	skip 'files can not be so large here', 1 if -s "$dir/giant" < 1 << 39;
	my @faults = map { wrong(@$_[0, 1], 'chain', $_->[2]) } (
		['info', 'it', 0], ['map', 'it', 1], ['convert', 'it', 1],
		['merge', 'it', 1], ['check', 'it', 2]);

	ok(!@faults, 'a sparse file of half a TiB');
	diag($_) for @faults;
	unlink 'it', "$dir/giant";
}

# ---- circles and long chains -----------------------------------------------

sub circle {
	my @files = @_;

	v4_link($files[$_], $files[($_ + 1) % @files]) for 0 .. $#files;
}

point('circles',
      ['of one', sub { circle('it') }, 'chain'],
      ['of one, by a hard link', sub {
		v4_link('it', 'b');
		unlink 'b';
		link 'it', 'b';
      }, 'chain'],
      ['of two', sub { unlink 'b'; circle('it', 'b') }, 'chain'],
      ['of three', sub { circle('it', 'b', 'c') }, 'chain'],
      ['below the top', sub {
		v4_link('it', 'b');
		circle('b', 'c');
      }, 'chain'],
      ['the same file twice, as two names', sub {
		v4_link('it', 'b');
		unlink 'c', 'd';
		v4_link('b', 'c');
		link 'b', 'c';
      }, 'chain']);
unlink 'b', 'c';
point('a chain of 1100 files', ['it', sub {
	v4_link($_ ? "n$_" : 'it', 'n' . ($_ + 1)) for 0 .. 1099;
	spew('n1100', v4_image());
}, 'chain']);
unlink map { "n$_" } 1 .. 1100;

# ---- the base is another one -----------------------------------------------

sub over_base {
	my ($layer, $change) = @_;

	return sub {
		make_base();
		spew('it', $layer->{image});
		$change->();
	};
}

for my $layer (@layers) {
	point("$layer->{name}: the base has changed",
	      map {
		[$_->[0], over_base($layer, $_->[1]), $_->[2] // 'chain']
	      } (
		['later', sub { utime $then, $then + 1, 'base' }],
		['earlier', sub { utime $then, $then - 1, 'base' }],
		['longer', sub { append('base', 'x'); utime $then, $then, 'base' }],
		['a sector longer', sub {
			append('base', 'x' x 512);
			utime $then, $then, 'base';
		}],
		['shorter', sub {
			truncate 'base', $size - 512;
			utime $then, $then, 'base';
		}],
		['empty', sub {
			truncate 'base', 0;
			utime $then, $then, 'base';
		}],
		['gone', sub { unlink 'base' }],
		['a COW file', sub {
			spew('base', substr v3_image(), 0, $size);
			utime $then, $then, 'base';
		}, $layer->{name} eq 'V4' ? 'magic' : 'chain'],
	      ));
	make_base();
}

# ---- files in use ----------------------------------------------------------

# A lock of the open file on all that a file can hold, as a machine holds it.
my $held;

sub hold {
	my ($file, $type) = @_;
	open my $f, '+<', $file or die "$file: $!\n";
	my $lock = pack 's s x4 q q i x4', $type, 0, 0, 1 << 62, 0;

	fcntl $f, 37, $lock or die "lock: $!\n";
	return $f;
}

for my $layer (@layers[1, 2]) {
	point("$layer->{name}: in use elsewhere", map {
		my ($what, $said, @locks) = @$_;

		[$what, sub {
			undef $held;
			spew('it', $layer->{image});
			$held = [map { hold(@$_) } @locks];
		}, $said];
	} (['written', 'file', ['it', 1]], ['read', 'same', ['it', 0]],
	   ['base written', 'in_use', ['base', 1]],
	   ['base read', 'same', ['base', 0]],
	   ['by a machine', 'file', ['it', 1], ['base', 0]]));
	undef $held;
}

# ---- changed while it is read ----------------------------------------------

# The kernel stops moo at its Nth read, a file is changed, and moo goes on.

sub process_state {
	my ($pid) = @_;
	my $stat = slurp("/proc/$pid/stat") // '';

	return $stat =~ /\) (\S)/ ? $1 : 'X';
}

# The process that strace runs, when it stands still; undef if it has ended.
sub stopped_child {
	my ($tracer) = @_;
	my $end = time + 10;

	while (time < $end) {
		return undef if process_state($tracer) =~ /[XZ]/;
		my $said = slurp("$dir/trace") // '';

		return $1 if $said =~ /^(\d+) +--- stopped by SIGSTOP/m;
		select undef, undef, undef, 0.002;
	}
	die "moo does not come to a stop\n";
}

# A signal that comes while strace still looks at the stop is lost.
sub go_on {
	my ($tracer, $pid) = @_;
	my $end = time + 10;

	until (waitpid $tracer, WNOHANG) {
		if (time > $end) {
			kill 'KILL', grep { $_ } $pid, $tracer;
			die "moo does not go on\n";
		}
		kill 'CONT', $pid if $pid;
		select undef, undef, undef, 0.002;
	}
}

# (status, lines) of a merge with a file changed at its Nth read, or nothing
# if it does not read so often.
sub stopped {
	my ($n, $change) = @_;
	my $tracer = fork // die "fork: $!\n";

	unlink "$dir/trace";
	if (!$tracer) {
		open STDOUT, '>', "$dir/out" or die;
		open STDERR, '>', "$dir/err" or die;
		alarm 20;
		exec 'strace', '-f', '-qq', '-o', "$dir/trace", '-e',
			'trace=pread64,preadv', '-e',
			"inject=pread64,preadv:signal=STOP:when=$n",
			$moo, 'merge', 'it', 'new' or die "strace: $!\n";
	}
	my $pid = stopped_child($tracer);

	$change->() if $pid;
	go_on($tracer, $pid);
	return $pid ? ($? >> 8, split /^/, slurp("$dir/err")) : ();
}

sub replace {
	my ($file, $data) = @_;

	spew('other', $data);
	utime $then, $then, 'other';
	rename 'other', $file or die "$file: $!\n";
}

# What is read is the file that was opened, or refused: never some of both.
sub meanwhile {
	my ($image, $what, $change, @right) = @_;
	my @faults;

	for (my $n = 3;; $n++) {
		make_base();
		spew('it', $image);
		my ($status, @lines) = stopped($n, $change);
		my $out = slurp('new');

		unlink 'new', 'it';
		return @faults unless defined $status;
		my $at = "$what at read $n";

		push @faults, "$at: status $status: @lines" if $status > 1;
		push @faults, "$at: not one line: @lines"
			if $status != @lines;
		push @faults, "$at: makes what is wrong"
			if !$status && !grep { $out eq $_ } $good, @right;
		push @faults, "$at: leaves its output"
			if $status && defined $out;
	}
}

my $base2 = $base =~ tr/b/B/r;
my @meanwhile = (
	['replaced', sub {
		replace('it', $_[0] =~ s/own (\d)/new $1/gr);
	}, $good =~ s/own (\d)/new $1/gr],
	['cut to nothing', sub { truncate 'it', 0 }],
	['cut in the data', sub { truncate 'it', 9 * 4096 }],
	['base replaced', sub { replace('base', $base2) },
	 $good =~ tr/b/B/r],
	['base cut', sub { truncate 'base', 8192 }],
);

SKIP: {
	skip 'strace can not trace here', 2
		if system "strace -qq -o $dir/trace true >$dir/err 2>&1";
	for my $layer (@layers[1, 2]) {
		my $image = $layer->{image};
		my @faults = $only ? () : map {
			my ($what, $change, @right) = @$_;

			meanwhile($image, $what, sub { $change->($image) },
				  @right);
		} @meanwhile;

		ok(!@faults, "$layer->{name}: changed while it is read");
		diag($_) for @faults;
	}
}

done_testing();
