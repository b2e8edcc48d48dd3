#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# moo check and moo check -r: every kind of damage that tests/damage makes is
# found, by a program that writes nothing; what can be repaired is, without
# changing what the machine reads; twice is once; and a repair that a power
# failure stops leaves nothing worse than there was.

use strict;
use warnings;
use Config;
use Cwd qw(abs_path);
use Digest::MD5 qw(md5_hex);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/../perl";
use Files;
use JSON::PP;
use Test::More;
use Time::HiRes qw(stat);

my $top = abs_path("$FindBin::Bin/../..");
my $moo = abs_path(($ENV{MOO} || "$top/build") . '/moo') || '';

require "$top/tests/damage/Damage.pm";
plan skip_all => 'no moo: make moo' unless -x $moo;
plan skip_all => 'numbers of 64 bits are packed' if $Config{ivsize} != 8;

my $shm = -w '/dev/shm' && !$ENV{TMPDIR} ? '/dev/shm' : undef;
my $dir = tempdir(CLEANUP => 1, $shm ? (DIR => $shm) : (TMPDIR => 1));
my $lib = "$dir/record.so";
my $cc = $ENV{CC} || 'gcc';
mkdir "$dir/w";
chdir "$dir/w" or die "$dir/w: $!\n";

# ---- files -----------------------------------------------------------------

# run([RECORD,] WORDS...): (status, standard output, standard error)
sub run {
	my ($record, @words) = ref $_[0] ? ($_[0][0], @_[1 .. $#_]) : (undef, @_);
	my $pid = fork // die "fork: $!\n";

	if (!$pid) {
		@ENV{qw(RECORD LD_PRELOAD)} = ($record, $lib) if $record;
		open STDOUT, '>', "$dir/out" or die;
		open STDERR, '>', "$dir/err" or die;
		alarm 20;
		exec $moo, @words or die "$moo: $!\n";
	}
	waitpid $pid, 0;
	my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	return ($status, slurp("$dir/out"), slurp("$dir/err"));
}

sub must {
	my ($status, undef, $err) = run(@_);
	die "moo @_: $err" if $status;
}

# What the machine reads, or why it reads nothing. Parents stay as they are.
my %content;

sub content {
	my ($file) = @_;
	my $key = "$file " . md5_hex(slurp($file));

	return $content{$key} if $content{$key};
	my ($status, undef, $err) = run('merge', '-f', $file, 'flat');
	return $content{$key} = $status ? $err : md5_hex(slurp('flat'));
}

# All that a writer would change.
sub state_of {
	my ($file) = @_;
	return md5_hex(slurp($file)) . ' ' . (stat $file)[9];
}

# Two leaves of an index, the second one of few blocks.
my $blocks = 504 + 20;
my $base = "\0" x (4096 * $blocks - 1024);
substr $base, 4096 * $_, 4096, pack('A4092N', "base $_", $_)
	for 0 .. 30, 500 .. 520;

sub changed {
	my ($image, $what, @sectors) = @_;
	substr $image, 512 * $_, 512, pack('A508N', "$what $_", $_)
		for @sectors;
	return $image;
}

my $low = changed($base, 'low', 0, 5, 6, 100 .. 140);
my $mid = changed($low, 'mid', 0 .. 3, 80 .. 119, 4000 .. 4100);
my $last = changed($mid, 'top', 2, 4, 800 .. 830, 3900 .. 4031, 4180);
$last = changed($last, 'end', length($base) / 512 - 1);

# layer(VERSION, PARENT, IMAGE, FILE)
sub layer {
	my ($version, $parent, $image, $file) = @_;

	spew('image', $image);
	must('convert', '-V', $version, '-b', $parent, 'image', $file);
	unlink 'image';
}

# A merge in place writes its parent as a machine does: the pages move, and the
# blocks that they leave are listed.
spew('base', $base);
layer(4, 'base', $low, 'low.cow');
layer(4, 'low.cow', $mid, 'v4.cow');
layer(4, 'v4.cow', $last, 'top.cow');
must('merge', '--in-place', '--delete', 'top.cow');

# The last byte of this bitmap has bits to spare.
my $odd = substr $base, 0, 4096 * 30 + 512 * 3 + 100;
spew('odd', $odd);
layer(3, 'odd', changed($odd, 'v3', 3, 60 .. 70, 241), 'v3.cow');
for my $v (1, 2) {
	system('perl', "$top/tests/boot/host/cowhdr.pl", "v$v.cow",
	       "base=$dir/w/odd", "version=$v", 'own=3,60,61,242') and die;
	truncate "v$v.cow", (-s "v$v.cow") + 412 or die "$!\n";
}

copy('v4.cow', 'sealed.cow');
must('seal', 'sealed.cow');

my %sound = map { $_ => content("$_.cow") } qw(v1 v2 v3 v4 sealed);

# ---- tables ----------------------------------------------------------------

# The slot that is in force has the list of free blocks.
my @torn = (0, 0);
$torn[Damage->new('v4.cow')->{now}] = 3;

# kind => [status of check, after -r leaks, after -r all, what check says]
my @v4 = (
	['slot0-torn', $torn[0], 0, 0, 'One of its header slots'],
	['slot1-torn', $torn[1], 0, 0, 'One of its header slots'],
	['both-torn', 2, 2, 2, 'checksum is wrong'],
	['magic-gone', 63, 63, 63, 'or a V4 file whose byte 0'],
	['slot-foreign', 2, 2, 0, 'slots are those of two files'],
	['slot-gap', 2, 2, 0, 'slots have generations'],
	['rolled-back', 2, 2, 2, 'is younger than the header'],
	['owned-wrong', 2, 2, 0, 'but its header says'],
	['end-low', 2, 2, 0, 'outside of the \d+ in use'],
	['levels-wrong', 2, 2, 2, 'not as many levels'],
	['root-outside', 2, 2, 2, 'index lies outside'],
	['size-wrong', 2, 2, 2, 'not a multiple of 512'],
	['kind-unknown', 2, 2, 2, 'kind is unknown'],
	['feature-unknown', 63, 63, 63, 'a feature'],
	['parent-uuid', 2, 2, 2, 'was written since, or is another'],
	['parent-content', 2, 2, 2, 'was written since'],
	['name-flip', 2, 2, 2, 'name is damaged'],
	['frozen-alone', 2, 2, 2, 'names no successor'],
	['successor-stale', 2, 2, 0, 'names a successor, yet is not frozen'],
	['drained-full', 2, 2, 2, 'merged into its parent, yet has data'],
	['free-lost', 3, 0, 0, 'used by nothing'],
	['free-short', 3, 0, 0, 'used by nothing'],
	['free-used', 2, 2, 0, 'used twice'],
	['free-index', 2, 2, 0, 'used twice'],
	['free-twice', 2, 2, 0, 'used twice'],
	['free-outside', 2, 2, 0, 'free one at block \d+, outside'],
	['free-flip', 2, 2, 0, 'list of free blocks is damaged'],
	['free-loop', 2, 2, 0, 'a page at block \d+, which is used twice'],
	['free-order', 2, 2, 0, 'not in order'],
	['free-cut', 2, 2, 0, 'list of free blocks is cut off'],
	['root-flip', 2, 2, 2, 'index page 0 of level 1.*is damaged'],
	['leaf-flip', 2, 2, 2, 'index page \d of level 0.*is damaged'],
	['page-outside', 2, 2, 2, 'index page 0 lies at block \d+, outside'],
	['page-states', 2, 2, 2, 'is not one'],
	['page-loop', 2, 2, 2, 'used twice'],
	['entry-outside', 2, 2, 2, 'data block \d+ lies at block \d+, outside'],
	['entry-shared', 2, 2, 2, 'used twice'],
	['entry-index', 2, 2, 2, 'used twice'],
	['entry-header', 2, 2, 2, 'at block 3, outside'],
	['entry-state', 2, 2, 2, 'a state that does not exist'],
	['entry-nowhere', 2, 2, 2, 'has data but no block'],
	['entry-count', 2, 2, '0!', 'but its header says'],
	['cut-data', 2, 2, 2, 'ends before the data of sector \d+'],
	['cut-index', 2, 2, 2, 'index page 0 of level 1.* is cut off'],
	['cut-header', 2, 2, 2, 'name is damaged'],
	['data-forgotten', 3, '0!', '0!', 'used by nothing'],
	['tail', 3, 0, 0, 'used by nothing'],
);

my @sealed = (
	['seal-lost', 3, 0, 0, 'used by nothing'],
	['seal-flip', 2, 2, 0, 'page 0 of its seal is damaged'],
	['seal-crc', 0, 0, 0, 'No errors'],
	['seal-content', 2, 2, 0, 'seal is of content generation'],
	['seal-count', 2, 2, 0, 'other blocks than its header says'],
	['seal-short', 2, 2, 0, 'seal is not of what it holds'],
	['seal-other', 2, 2, 0, 'seal is not of what it holds'],
	['seal-order', 2, 2, 0, 'seal is not of what it holds'],
	['seal-twice', 2, 2, 0, 'page 0 of its seal is not in order'],
	['seal-run', 2, 2, 0, 'has a run that does not fit'],
	['seal-far', 2, 2, 0, 'has a block that no disk has'],
	['seal-index', 2, 2, 0, 'used twice'],
	['seal-data', 2, 2, 0, 'used twice'],
	['seal-listed', 2, 2, 0, 'free one at block \d+, which is used twice'],
	['seal-outside', 2, 2, 2, 'seal lies outside'],
	['seal-empty', 2, 2, 2, 'seal\'s length'],
	['seal-long', 2, 2, 0, 'seal is cut off'],
	['seal-cut', 2, 2, 0, 'seal is cut off'],
);

my @bitmap = (
	['bits-past', 2, 2, 0, 'bits past the last sector'],
	['cut-data', 2, 2, 2, 'ends before the data of sector 24[12]'],
	['cut-bitmap', 2, 2, 2, 'ends within its bitmap'],
	['cut-header', 2, 2, 2, 'cut short'],
	['tail', 2, 2, 2, 'longer than its header makes it'],
	['size-zero', 2, 2, 2, 'size is 0'],
	['size-less', 2, 2, 2, 'changed since'],
	['size-more', 2, 2, 2, 'changed since'],
	['sectorsize', 2, 2, 2, 'sector size is not 512'],
	['alignment-zero', 2, 2, 2, 'alignment is 0'],
	['alignment-less', 2, 2, 2, 'alignment may be wrong'],
	['alignment-more', 2, 2, 2, 'ends before the data of sector 241'],
	['cow-format', 2, 2, 2, 'cow_format is not 0'],
	['time', 2, 2, 2, 'changed since'],
	['name-endless', 2, 2, 2, 'has no end'],
	['name-gone', 2, 2, 2, 'names no backing file'],
);

# ---- the loop --------------------------------------------------------------

sub put {
	my ($from) = @_;

	copy($from, 't.cow') or die "$from: $!\n";
}

sub json_of {
	my ($text) = @_;
	return eval { JSON::PP->new->decode($text) } || {};
}

# What check says of it; nothing is written.
sub looked_at {
	my ($case, $want, $says) = @_;
	my $before = state_of('t.cow');
	my ($status, $out, $err) = run('check', 't.cow');
	my ($status2, $json) = run(qw(check --output=json t.cow));

	like($status, qr/^(?:$want)$/, "$case: is found") or diag($out, $err);
	like("$out$err", qr/$says/, "$case: what it is");
	is($status2, $status, "$case: the same with JSON");
	is(state_of('t.cow'), $before, "$case: nothing is written");
	return;
}

# The file "bad" with -r HOW.
sub repaired {
	my ($case, $how, $want, $sound) = @_;
	my $other = $want =~ s/!//;
	my ($status, $out, $err);

	put('bad');
	my $before = state_of('t.cow');
	($status, $out, $err) = run('check', '-r', $how, 't.cow');
	like($status, qr/^(?:$want)$/, "$case, -r $how: what is left")
		or diag($out, $err);
	my $after = state_of('t.cow');
	if ($status) {
		is($after, $before, "$case, -r $how: nothing is written");
		return;
	}
	is(content('t.cow'), $sound, "$case, -r $how: reads as before")
		unless $other;
	is((run('check', 't.cow'))[0], 0, "$case, -r $how: is sound");
	($status, $out) = run('check', '-r', $how, 't.cow');
	is($status, 0, "$case, -r $how: again");
	unlike($out, qr/repaired/, "$case, -r $how: has nothing to do");
	is(state_of('t.cow'), $after, "$case, -r $how: writes nothing");
}

sub one {
	my ($file, $kind, $check, $leaks, $all, $says) = @_;
	my $case = "$file $kind";

	put("$file.cow");
	Damage::make($kind, 't.cow');
	copy('t.cow', 'bad');
	looked_at($case, $check, $says);
	repaired($case, 'leaks', $leaks, $sound{$file});
	repaired($case, 'all', $all, $sound{$file});
}

sub applies {
	my ($file, $kind) = @_;

	return 0 if $kind =~ /^alignment|^cow-format/ && $file ne 'v3';
	return 1;
}

for my $file (sort keys %sound) {
	put("$file.cow");
	my $before = state_of('t.cow');
	my ($status, $out, $err) = run('check', 't.cow');

	is($status, 0, "$file to begin with is sound") or diag($out, $err);
	for my $how (qw(leaks all)) {
		is((run('check', '-r', $how, 't.cow'))[0], 0,
		   "$file to begin with, -r $how");
		is(state_of('t.cow'), $before, "is not written");
	}
	my $table = $file eq 'v4' ? \@v4 : $file eq 'sealed' ? \@sealed :
		    \@bitmap;
	my $name = $file =~ /v[1-3]/ ? 'bitmap' : $file;

	is(join(' ', sort map { "$name $_->[0]" } @$table),
	   join(' ', grep { /^$name / } Damage::kinds()),
	   "$file: every kind of damage is here");
	one($file, @$_) for grep { applies($file, $_->[0]) } @$table;
	next if $file ne 'sealed';
	# A seal changes nothing of them, but that it is one slot's alone and
	# has to be of the data.
	one($file, @$_) for grep { $_->[0] !~ /^slot.-torn|^data-forg/ } @v4;
}

# ---- whom it concerns ------------------------------------------------------

# Hold a lock of that type, 0 to read and 1 to write, while CODE runs.
sub locked {
	my ($file, $type, $at, $len, $code) = @_;

	open my $f, '+<', $file or die "$file: $!\n";
	# struct flock of 64 bits; F_OFD_SETLK is 37.
	my $lock = pack 's s x4 q q i x4', $type, 0, $at, $len, 0;
	fcntl $f, 37, $lock or die "lock: $!\n";
	$code->();
	close $f;
}

# -r all of the file "bad" is refused so, in one line.
sub refused {
	my ($what, $says, @words) = @_;
	my $before = state_of('t.cow');
	my ($status, undef, $err) = run('check', @words, 't.cow');

	is($status, 1, "$what: refused");
	like($err, qr/\Amoo: t.cow: [^\n]*(?:$says)[^\n]*\n\z/, "$what: why");
	is(state_of('t.cow'), $before, "$what: nothing is written");
}

put('v4.cow');
Damage::make('free-lost', 't.cow');
copy('t.cow', 'bad');
refused('-r with -U', 'give one of them', qw(-U -r all));
locked('t.cow', 1, 0, 0, sub { refused('in use', 'in use', qw(-r all)) });
locked('t.cow', 0, 0, 0, sub { refused('read', 'in use', qw(-r leaks)) });
locked('t.cow', 0, 1 << 62, 1,
       sub { refused('read beside', 'in use', qw(-r all)) });
is((run(qw(check -r some t.cow)))[0], 1, '-r is for leaks or all');

# The report.
my ($status, $out) = run(qw(check -r leaks --output=json t.cow));
my $json = json_of($out);
is($status, 0, 'a repair with JSON');
is($json->{'leaks-fixed'}, 3, 'how many leaks it has mended');
is($json->{'corruptions-fixed'}, 0, 'and corruptions');
is("$json->{leaks} $json->{corruptions}", '0 0', 'and what is left');
$json = json_of((run(qw(check --output=json t.cow)))[1]);
ok(!exists $json->{'leaks-fixed'}, 'who only looks says nothing of that');
put('v4.cow');
Damage::make('free-used', 't.cow');
($status, $out) = run(qw(check -r all t.cow));
like($out, qr/^The following inconsistencies were found and repaired:$/m,
     'the same for people');
like($out, qr/^    0 leaked clusters\n    1 corruptions$/m, 'how many');
like($out, qr/^No errors were found\.$/m, 'and what is left');

# Frozen layers. What lies over V4 knows it by what it contains.
put('v4.cow');
must(qw(create -V 4 child.cow t.cow));
Damage::make('free-lost', 't.cow');
is((run(qw(check -r leaks t.cow)))[0], 0, 'leaks of a parent are mended');
is((run(qw(check child.cow)))[0], 0, 'and its child has not lost it');
is(content('child.cow'), $sound{v4}, 'and reads the same');
unlink 'child.cow';

# What lies over V3 knows it by its time.
put('v3.cow');
Damage::make('bits-past', 't.cow');
must(qw(create -V 4 child.cow t.cow));
my $time = (stat 't.cow')[9];
is((run(qw(check -r all t.cow)))[0], 0, 'bits of a V3 parent are mended');
is((stat 't.cow')[9], $time, 'and its time is the same');
is((run(qw(check child.cow)))[0], 0, 'and its child has not lost it');
unlink 'child.cow';

# A bitmap has no checksum: where its header does not fit, who knows its size?
put('v3.cow');
Damage::make($_, 't.cow') for qw(bits-past time);
my $was = state_of('t.cow');
($status, undef, my $err) = run(qw(check -r all t.cow));
is($status, 2, 'a V3 file that does not fit its parent');
like($err, qr/its header may be wrong/, 'is not believed');
is(state_of('t.cow'), $was, 'nor written');

put('v3.cow');
Damage::make('bits-past', 't.cow');
spew('t.cow.moo', scalar qx(perl $top/tests/fast/v4.pl t.cow record /child));
$was = state_of('t.cow');
($status, undef, $err) = run(qw(check -r all t.cow));
is($status, 2, 'a frozen V3 file');
like($err, qr/it is frozen, and what is built on it/, 'is left alone');
is(state_of('t.cow'), $was, 'and not written');
unlink 't.cow.moo';

# ---- the list is one -------------------------------------------------------

# More pieces than a page of the list has room for.
my $many = 2 * 503 + 100;
my $empty = "\0" x (4096 * $many);
my $full = join '', map { pack 'A4092N', "full $_", $_ } 1 .. $many;
spew('empty', $empty);
layer(4, 'empty', $full, 'many.cow');
put('many.cow');
Damage::make('data-forgotten', 't.cow');
my $reads = content('t.cow');
($status, $out) = run(qw(check -r leaks --output=json t.cow));
is($status, 0, 'a long list');
is(json_of($out)->{'leaks-fixed'}, $many / 2, 'of many pieces');
is(content('t.cow'), $reads, 'the file reads the same');
my $size = -s 't.cow';
layer(4, 't.cow', $full, 'child.cow');
must('merge', '--in-place', '--delete', 'child.cow');
is(content('t.cow'), md5_hex($full), 'a writer takes what the list names');
cmp_ok(-s 't.cow', '<=', $size + 8 * 4096, 'so that the file does not grow');
is((run(qw(check t.cow)))[0], 0, 'and it is sound');

# ---- power failures --------------------------------------------------------

# What a run has written: [letter, number, bytes] each.
sub recorded {
	my ($file) = @_;
	my $log = slurp($file) // '';
	my ($at, @ops) = (0);

	while ($at < length $log) {
		my ($what, $a, $b) = unpack "x$at a Q Q", $log;

		$at += 17;
		my $bytes = $what eq 'W' ? substr $log, $at, $b : '';
		push @ops, [$what, $a, $bytes];
		$at += length $bytes;
	}
	return @ops;
}

# As a disk takes them: by sectors, or by blocks where there are many.
sub pieces {
	my ($unit, $what, $at, $bytes) = @_;

	return [$what, $at, $bytes] unless $what eq 'W';
	return map { ['W', $at + $_, substr $bytes, $_, $unit] }
	       map { $unit * $_ } 0 .. (length($bytes) - 1) / $unit;
}

sub apply {
	my ($image, @pieces) = @_;

	for (@pieces) {
		my ($what, $at, $bytes) = @$_;
		my $want = $what eq 'T' ? $at : $at + length $bytes;

		$image = substr $image, 0, $at if $what eq 'T';
		$image .= "\0" x ($want - length $image)
			if $want > length $image;
		substr $image, $at, length $bytes, $bytes;
	}
	return $image;
}

# All subsets of a few, and of many: none, all, one only, all but one.
sub subsets {
	my @all = @_;

	if (@all <= 3) {
		return map { my $n = $_; [grep { $n >> $_ & 1 } 0 .. $#all] }
		       0 .. (1 << @all) - 1;
	}
	return ([], [0 .. $#all], map {
		my $n = $_;
		([$n], [grep { $_ != $n } 0 .. $#all]);
	} 0 .. $#all);
}

# Every image that a power failure may leave, the last one being the end.
sub states {
	my ($image, @ops) = @_;
	my (@window, %seen, @states);

	for my $op (@ops, ['S']) {
		push @window, $op if $op->[0] ne 'S';
		next if $op->[0] ne 'S';
		my $unit = @window > 1 ? 4096 : 512;
		@window = map { pieces($unit, @$_) } @window;
		for my $set (subsets(@window)) {
			my $state = apply($image, @window[@$set]);

			push @states, $state unless $seen{md5_hex($state)}++;
		}
		# A sector that was written halfway.
		for (grep { $_->[0] eq 'W' && length $_->[2] == 512 } @window) {
			push @states, apply($image, ['W', $_->[1],
						     substr $_->[2], 0, 256]);
		}
		$image = apply($image, @window);
		@window = ();
	}
	return (@states, $image);
}

# What is wrong with a state, of which check said $was and which read as
# $damaged, if at all, or undef.
sub judge {
	my ($was, $damaged, $sound) = @_;
	my ($status, $out, $err) = run('check', 't.cow');

	return "$err$out" if $status > 3 || $was == 3 && $status == 2;
	my $reads = content('t.cow');
	return "reads otherwise: $reads"
		if $reads ne $sound && ($status != 2 || $reads ne $damaged);
	($status, $out, $err) = run(qw(check -r all t.cow));
	return "can not be repaired: $err$out" if $status;
	$reads = content('t.cow');
	return $reads eq $sound ? undef : "reads otherwise then: $reads";
}

sub power {
	my ($file, $kind, $how) = @_;
	my $case = "$file $kind, -r $how";

	put("$file.cow");
	Damage::make($kind, 't.cow');
	my $damaged = content('t.cow');
	my $sound = $kind eq 'data-forgotten' ? $damaged : $sound{$file};
	my ($was) = run('check', 't.cow');
	my $before = slurp('t.cow');
	my ($status, $out, $err) = run(["$dir/log"], 'check', '-r', $how,
				       't.cow');
	my $after = slurp('t.cow');
	my @ops = recorded("$dir/log");

	unlink "$dir/log";
	is($status, 0, "$case: done") or diag($out, $err);
	is($ops[-1][0], 'S', "$case: what was written is durable");
	my @states = states($before, @ops);
	ok($states[-1] eq $after, "$case: nothing escapes the record");
	my @bad;
	for (@states) {
		spew('t.cow', $_);
		my $bad = judge($was, $damaged, $sound);
		push @bad, $bad if $bad;
	}
	is($bad[0], undef,
	   "$case: any power failure (" . @states . ' states)');
}

SKIP: {
	skip "no C compiler ($cc)", 1
		unless -x $cc || grep { -x "$_/$cc" } split /:/, $ENV{PATH};
	is(system($cc, qw(-shared -fPIC -O1 -D_GNU_SOURCE -o), $lib,
		  "$top/tests/damage/host/record.c"), 0,
	   'the library that records is built');
	put('v4.cow');
	is((run(["$dir/log"], 'check', 't.cow'))[0], 0, 'check as recorded');
	is(join(' ', map { $_->[0] } recorded("$dir/log")), '',
	   'it writes nothing');
	power('v4', $_, 'leaks') for qw(free-lost free-short tail);
	power('v4', $_, 'all')
		for qw(slot0-torn slot1-torn owned-wrong end-low free-used
		       free-order data-forgotten);
	power('sealed', $_, 'leaks') for qw(seal-lost tail);
	power('sealed', $_, 'all')
		for qw(seal-flip seal-index seal-listed end-low free-used
		       data-forgotten);
	power('many', 'data-forgotten', 'leaks');
	power('v3', 'bits-past', 'all');
}

chdir '/';
done_testing();
