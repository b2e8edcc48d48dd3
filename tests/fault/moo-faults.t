#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Every verb of moo, with the Nth system call failing, for N = 1, 2, ... until
# none does: it says so in one line, and changes nothing, or what it did is
# right; then, on a sound host, the same command does it.
#
# FAULT="verb, kind N" plays one case alone.

use strict;
use warnings;
use Cwd qw(abs_path);
use Errno qw(EIO ENOMEM ENOSPC EINTR);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/../perl";
use Files;
use Test::More;

my $top = abs_path("$FindBin::Bin/../..");
my $moo = abs_path(($ENV{MOO} || "$top/build") . '/moo') || '';
my $cc = $ENV{CC} || 'gcc';
my $only = $ENV{FAULT};

plan skip_all => "no moo: make moo" unless -x $moo;
plan skip_all => "no C compiler ($cc)"
	unless -x $cc || grep { -x "$_/$cc" } split /:/, $ENV{PATH};

my $shm = -w '/dev/shm' && !$ENV{TMPDIR} ? '/dev/shm' : undef;
my $dir = tempdir(CLEANUP => 1, $shm ? (DIR => $shm) : (TMPDIR => 1));
my $lib = "$dir/faults.so";
my $met = "$dir/met";
mkdir "$dir/w";

my @build = ($cc, qw(-shared -fPIC -O2 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64),
	     '-o', $lib, map { "$FindBin::Bin/$_" }
	     qw(host/preload.c interpose.c));
is(system(@build), 0, 'the library of faults is built');
chdir "$dir/w" or die "$dir/w: $!\n";

# As in enum call_class.
my %class;
my @classes = qw(OPEN STAT READ WRITE SYNC ALLOCATE COPY SIZE GETATTR SETATTR
		 NAME LOCK RIGHTS RANDOM LINK MAP HEAP);
$class{$classes[$_]} = 1 << $_ for 0 .. $#classes;

sub classes {
	my $sum = 0;
	$sum |= $class{$_} for @_;
	return $sum;
}

my $calls = $class{MAP} - 1;
my $room = classes(qw(WRITE ALLOCATE COPY SIZE SETATTR NAME OPEN));
my $interrupted = classes(qw(READ WRITE SYNC ALLOCATE COPY SIZE LOCK RANDOM));

# name => [classes, errno, how (as in enum call_how)]
my @kinds = (
	['EIO at', [$calls, EIO, 0]],
	['EIO from', [$calls, EIO, 1]],
	['ENOSPC from', [$room, ENOSPC, 1]],
	['no memory at', [classes(qw(MAP HEAP)), ENOMEM, 0]],
);
# These nobody is to notice.
my @absorbed = (
	['EINTR, every other call', [$interrupted, EINTR, 2]],
	['less than asked for',
	 [classes(qw(READ WRITE COPY RANDOM)), 0, 1]],
	['no fallocate', [classes('ALLOCATE'), 95, 1]],
	['no copy_file_range', [classes('COPY'), 18, 1]],
);

# ---- files -----------------------------------------------------------------

# run(FAULT, WORDS...): (status, standard output, standard error)
sub run {
	my ($fault, @words) = @_;
	my $pid = fork // die "fork: $!\n";

	if (!$pid) {
		open STDOUT, '>', "$dir/out" or die;
		open STDERR, '>', "$dir/err" or die;
		if ($fault) {
			$ENV{FAULT} = $fault;
			$ENV{FAULT_MET} = $met;
			$ENV{LD_PRELOAD} = $lib;
		}
		alarm 20;
		exec $moo, @words or die "$moo: $!\n";
	}
	waitpid $pid, 0;
	my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	return ($status, slurp("$dir/out"), slurp("$dir/err"));
}

sub must {
	my ($status, undef, $err) = run(undef, @_);
	die "moo @_: $err" if $status;
}

sub flat {
	my ($file) = @_;
	my ($status, undef, $err) = run(undef, qw(merge -f), $file, 'flat');
	my $data = $status ? "$file does not open: $err" : slurp('flat');
	unlink 'flat';
	return $data;
}

# What there is to begin with; a whole second, so that it can be put back.
my $then = 1580601600;
my $base = join '', map { pack 'A508N', "base $_", $_ } 1 .. 512;
my $image = $base;
substr $image, 512 * $_, 512, pack('A508N', "more $_", $_)
	for 0, 5, 6, 7, 100 .. 140, 511;
my $image2 = $image;
substr $image2, 512 * $_, 512, "\0" x 512 for 6, 50 .. 60;

# What is V4's own over the base alone.
my $mixed = $base;
substr $mixed, 512 * $_, 512, "\0" x 512 for 6, 50 .. 60;

my @files = qw(base same text v3.cow v4.cow sealed.cow);
my %start;

sub put_back {
	my ($anew) = @_;

	# A state record goes with the file.
	unlink $anew ? @files : (), grep { !exists $start{$_} }
				    names();
	for my $file (@files) {
		next if -e $file && slurp($file) eq $start{$file};
		spew($file, $start{$file});
		utime $then, $then, $file;
	}
}

sub begin {
	spew('base', $base);
	utime $then, $then, 'base';
	for ([3, 'base', $image, 'v3.cow'], [4, 'v3.cow', $image2, 'v4.cow']) {
		my ($version, $parent, $data, $file) = @$_;

		spew('image', $data);
		must('convert', '-V', $version, '-b', $parent, 'image', $file);
		unlink 'image';
		utime $then, $then, $file;
	}
	spew('same', $base);
	utime $then, $then, 'same';
	must('dump', 'v4.cow', 'text');
	spew('sealed.cow', slurp('v4.cow'));
	must('seal', 'sealed.cow');
	utime $then, $then, 'sealed.cow';
	$start{$_} = slurp($_) for @files;
}

begin();
is(flat('v3.cow'), $image, 'a V3 file to begin with');
is(flat('v4.cow'), $image2, 'and a V4 file on it');

# ---- what is to hold -------------------------------------------------------

# The inputs are what they were.
sub untouched {
	for my $file (@files) {
		return "$file was changed" unless slurp($file) eq $start{$file};
	}
	return undef;
}

# A verb that makes "out": nothing, or all of it.
sub makes {
	my ($want, $old) = @_;

	return sub {
		my ($status, $kind) = @_;
		my $sticky = $kind =~ /from/;
		my $bad = untouched();

		return $bad if $bad;
		my $names = join ' ', sort @files,
			    $status && !defined $old ? () : 'out';
		return "there is: @{[names()]}"
			if "@{[names()]}" ne $names && !$sticky;
		return undef if $status && !defined $old;
		# What replaces it may be there, and not be known to last.
		return undef if $status && slurp('out') eq $old;
		return 'out is something else' unless $want->() eq $want->(1);
		return undef;
	};
}

sub raw_out {
	my ($data) = @_;
	return sub { return $_[0] ? $data : slurp('out') };
}

sub cow_out {
	my ($data) = @_;
	return sub { return $_[0] ? $data : flat('out') };
}

# A merge in place: the file reads as before, or is gone and its parent does.
sub in_place {
	my ($file, $parent, $data) = @_;

	return sub {
		my $is = flat(-e $file ? $file : $parent);

		return $is =~ /does not open/ ? $is : 'it reads otherwise'
			if $is ne $data;
		return undef;
	};
}

sub in_place_done {
	my ($parent, $data) = @_;

	return sub {
		return flat($parent) eq $data ? undef : 'it was not merged';
	};
}

# FILE reads as one of these.
sub either {
	my ($file, @data) = @_;

	return sub {
		my $is = flat($file);

		return undef if grep { $_ eq $is } @data;
		return $is =~ /does not open/ ? $is : 'it reads otherwise';
	};
}

# FILE names PARENT.
sub on {
	my ($file, $parent) = @_;

	return sub {
		my (undef, $out) = run(undef, 'info', $file);

		return undef if $out =~ m,^backing file: .*/\Q$parent\E$,m;
		return "its parent is not $parent";
	};
}

# FILE reads as before, and has a seal only of what it holds.
sub sealed_or_not {
	my ($file, $data, $must) = @_;

	return sub {
		my $is = flat($file);

		return $is =~ /does not open/ ? $is : 'it reads otherwise'
			if $is ne $data;
		my (undef, $out) = run(undef, 'info', $file);
		my $sealed = $out =~ /^sealed: yes$/m;

		return 'it is not sealed' if $must && !$sealed;
		my ($status, undef, $err) =
			run(undef, 'check', $sealed ? '--data' : (), $file);
		return $status % 3 ? $err : undef;
	};
}

# FILE was dropped: it reads as PARENT, which nothing keeps from being written.
sub dropped {
	my ($file, $parent, $data) = @_;

	return sub {
		my (undef, $out) = run(undef, 'info', $parent);

		return "$parent is frozen" if $out =~ /^state: frozen/m;
		return flat($file) eq $data ? undef : 'it was not dropped';
	};
}

# Before the verb: PARENT is frozen, and FILE its successor.
sub frozen {
	my ($parent, $file) = @_;

	return sub {
		my $v4 = "$FindBin::Bin/../fast/v4.pl";

		system("perl '$v4' $parent record '$dir/w/$file' >$parent.moo")
			and die "$v4 failed\n";
	};
}

# FILE has the mark, or not.
sub marked {
	my ($file, $data, $must) = @_;

	return sub {
		my (undef, $out) = run(undef, 'info', $file);

		return 'it is not marked'
			if $must && $out !~ /^protected: yes$/m;
		return flat($file) eq $data ? undef : 'it reads otherwise';
	};
}

# A verb that looks: an error, or the right answer.
sub looks {
	my (@words) = @_;
	my ($status, $out, $err);

	return sub {
		my ($got, undef, $text) = @_;
		my $bad = untouched();

		return $bad if $bad;
		($status, $out, $err) = run(undef, @words)
			unless defined $status;
		return "without a fault: $err" if $status;
		return undef if $got == 1;
		return "status $got, not $status" if $got != $status;
		return $text eq $out ? undef : 'it says something else';
	};
}

# [words, check after a fault, check after it is done again, what comes before]
my @verbs = (
	['create -V 3', [qw(create -V 3 out base)], makes(cow_out($base))],
	['create -V 4', [qw(create -V 4 out v3.cow)], makes(cow_out($image))],
	['merge', [qw(merge v4.cow out)], makes(raw_out($image2))],
	['merge -f', [qw(merge -f v3.cow out)],
	 makes(raw_out($image), 'old')],
	['convert -V 4', [qw(convert -V 4 v3.cow out)],
	 makes(cow_out($image))],
	['convert -f -V 4', [qw(convert -f -V 4 v4.cow out)],
	 makes(cow_out($image2), 'old')],
	['convert -V 0', [qw(convert -V 0 v3.cow out)],
	 makes(raw_out($image))],
	['merge --in-place of V3', [qw(merge --in-place v3.cow)],
	 in_place('v3.cow', 'base', $image), in_place_done('base', $image)],
	['merge --in-place of V4', [qw(merge --in-place v4.cow)],
	 in_place('v4.cow', 'v3.cow', $image2),
	 in_place_done('v3.cow', $image2)],
	['merge --in-place --delete', [qw(merge --in-place --delete v4.cow)],
	 in_place('v4.cow', 'v3.cow', $image2),
	 in_place_done('v3.cow', $image2)],
	['info', [qw(info --backing-chain v4.cow)], looks(qw(info --backing-chain v4.cow))],
	['map', [qw(map --output=json v4.cow)],
	 looks(qw(map --output=json v4.cow))],
	['check', [qw(check v4.cow)], looks(qw(check v4.cow))],
	['dump', [qw(dump v4.cow)], looks(qw(dump v4.cow))],
	['restore', [qw(restore text out)], makes(cow_out($image2))],
	['restore -f', [qw(restore -f text out)],
	 makes(cow_out($image2), 'old')],
	['rebase in-place, V4', [qw(rebase -b base v4.cow)],
	 in_place('v4.cow', 'v4.cow', $image2), on('v4.cow', 'base')],
	['rebase in-place, V3', [qw(rebase -b same v3.cow)],
	 in_place('v3.cow', 'v3.cow', $image), on('v3.cow', 'same')],
	['rebase -u in-place, V4', [qw(rebase -u -b base v4.cow)],
	 either('v4.cow', $image2, $mixed), on('v4.cow', 'base')],
	['rebase -u in-place, V3', [qw(rebase -u -b same v3.cow)],
	 in_place('v3.cow', 'v3.cow', $image), on('v3.cow', 'same')],
	['resize in-place', [qw(resize v4.cow 3M)],
	 either('v4.cow', $image2, $image2 . "\0" x (0x300000 - 0x40000)),
	 undef],
	['resize --shrink in-place', [qw(resize --shrink v4.cow 51200)],
	 either('v4.cow', $image2, substr($image2, 0, 51200)), undef],
	['compact in-place', [qw(compact v4.cow)],
	 in_place('v4.cow', 'v4.cow', $image2), undef],
	['seal in-place', [qw(seal v4.cow)],
	 sealed_or_not('v4.cow', $image2),
	 sealed_or_not('v4.cow', $image2, 1)],
	['compact in-place, sealed', [qw(compact sealed.cow)],
	 sealed_or_not('sealed.cow', $image2), undef],
	['rebase in-place, sealed', [qw(rebase -b base sealed.cow)],
	 sealed_or_not('sealed.cow', $image2), on('sealed.cow', 'base')],
	['check --data', [qw(check --data sealed.cow)],
	 looks(qw(check --data sealed.cow))],
	['rollback in-place, V3', [qw(rollback --discard v3.cow)],
	 either('v3.cow', $image, $base), dropped('v3.cow', 'base', $base),
	 frozen('base', 'v3.cow')],
	['rollback in-place, V4', [qw(rollback --discard v4.cow)],
	 either('v4.cow', $image2, $image),
	 dropped('v4.cow', 'v3.cow', $image), frozen('v3.cow', 'v4.cow')],
	['protect in-place, V4', [qw(protect v4.cow)],
	 marked('v4.cow', $image2), marked('v4.cow', $image2, 1)],
	['protect in-place, raw', [qw(protect base)],
	 marked('base', $base), marked('base', $base, 1)],
);

# ---- the loop --------------------------------------------------------------

my $runs = 0;
my $looking = qr/^(info|map|check|dump)/;

sub prepare {
	my ($verb) = @_;

	put_back($verb->[0] =~ /in-place/);
	spew('out', 'old') if $verb->[0] =~ / -f/;
	$verb->[4]->() if $verb->[4];
}

# One line that says what is wrong.
sub complaint {
	my ($status, $err) = @_;

	return "status $status" if $status > 2;
	return undef unless $status;
	return 'no word' if $err eq '';
	return "not one line: $err" unless $err =~ /\Amoo: [^\n]+\n\z/;
	return undef;
}

# What is wrong after a fault, or undef.
sub judge {
	my ($verb, $kind, $status, $out, $err) = @_;
	my ($name, $words, $check, $done) = @$verb;
	my $bad = complaint($status, $err) || $check->($status, $kind, $out);

	return $bad if $bad;
	if ($status && !(grep { !-e $_ } @files) && $name !~ $looking) {
		# What could not be removed.
		unlink glob '.*out.* .moo-*';
		unlink 'out' if $kind =~ /from/ && $name !~ / -f/;
		($status, $out, $err) = run(undef, @$words);
		return "and then: $err" if $status;
		$bad = $check->(0, 'again', $out);
	}
	return $bad || ($done ? $done->() : undef);
}

# (met, what is wrong) with this fault
sub one {
	my ($verb, $kind, $fault, $n) = @_;

	unlink $met;
	prepare($verb);
	my @result = run("@$fault $n", @{$verb->[1]});
	$runs++;
	return (-e $met, judge($verb, $kind, @result));
}

sub each_n {
	my ($verb, $kind, $fault) = @_;

	for (my $n = 1; ; $n++) {
		my $case = "$verb->[0], $kind $n";
		next if $only && $only ne $case && $n < 2000;
		my ($was_met, $bad) = one($verb, $kind, $fault, $n);

		return "FAULT=\"$case\": $bad" if $bad;
		return undef unless $was_met && !$only;
	}
}

for my $verb (@verbs) {
	for (@kinds) {
		my $before = $runs;
		# Who only looks needs no room.
		next if $_->[0] =~ /ENOSPC/ && $verb->[0] =~ $looking;
		my $bad = each_n($verb, @$_);

		is($bad, undef, "$verb->[0], $_->[0] the Nth: " .
		   ($runs - $before) . ' runs');
	}
	for (@absorbed) {
		my ($kind, $fault) = @$_;

		unlink $met;
		prepare($verb);
		my ($status, $out, $err) = run("@$fault 1", @{$verb->[1]});

		$runs++;
		is($status, 0, "$verb->[0], $kind: done") or diag($err);
		is(judge($verb, $kind, $status, $out, $err), undef,
		   "$verb->[0], $kind: right");
	}
}
diag("$runs runs") if $ENV{VERBOSE};
chdir '/';
done_testing();
