#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# The power fails while moo works: what it does is written down by strace, and
# behind each system call the states are made that a disk could then hold: of
# what no sync has hardened, in pieces of 512 bytes, none, all, each one lost,
# each one kept, and random choices. In each state what stood there before is as
# it was, and what is new is missing or whole; what is changed in place reads as
# before or as it is to read. Where moo lets the engine merge there is nothing
# here: that is what tests/crash is about. Extended attributes are kept from moo:
# each is set by one call that hardens it, and the files that take their place
# are worse.
#
# POWER="verb, state N" plays one again and leaves the files; SEED=n.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/../perl";
use Files;
use Test::More;

my $top = abs_path("$FindBin::Bin/../..");
my $moo = abs_path(($ENV{MOO} || "$top/build") . '/moo') || '';
my $only = $ENV{POWER};
my $seed = $ENV{SEED} || time;

plan skip_all => "no moo: make moo" unless -x $moo;
plan skip_all => "no strace"
	unless grep { -x "$_/strace" } split /:/, $ENV{PATH};

my $shm = -w '/dev/shm' && !$ENV{TMPDIR} ? '/dev/shm' : undef;
my $dir = abs_path(tempdir(CLEANUP => !$only,
			   $shm ? (DIR => $shm) : (TMPDIR => 1)));
mkdir "$dir/w";
chdir "$dir/w" or die "$dir/w: $!\n";
diag("SEED=$seed");
srand $seed;

use constant PIECE => 512;

# ---- files -----------------------------------------------------------------

sub moo {
	my $status = system("'$moo' @_ >'$dir/out' 2>'$dir/err'");
	return $status >> 8;
}

my $bare = 'fsetxattr,fgetxattr,fremovexattr';
my $strace = "strace -e inject=$bare:error=EOPNOTSUPP";

# The same without attributes.
sub bare {
	my $status = system("$strace -e trace=$bare -o '$dir/bare' '$moo' @_ " .
			    ">'$dir/out' 2>'$dir/err'");
	return $status >> 8;
}

sub noise {
	my ($letter, $sectors) = @_;
	return join '', map { sprintf("%-${\PIECE}s", "$letter$_") } 1 .. $sectors;
}

# ---- a disk ----------------------------------------------------------------
#
# A file: {now, size}: what programs see; {disk, room}: what is hardened;
# {late}: the changes between them, [offset, bytes] or [size].

my (%now, %disk, @late, @fd);

sub new_file {
	my ($data) = @_;
	return { now => $data, disk => $data, late => [] };
}

sub change {
	my ($file, $off, $data) = @_;
	my $end = $off + length $data;

	grow($file, $end) if $end > length $file->{now};
	substr($file->{now}, $off, length $data) = $data;
	while (length $data) {
		my $len = PIECE - $off % PIECE;
		my $part = substr($data, 0, $len, '');
		push @{$file->{late}}, [$off, $part];
		$off += length $part;
	}
}

sub grow {
	my ($file, $size) = @_;
	my $old = length $file->{now};

	$file->{now} .= "\0" x ($size - $old) if $size > $old;
	substr($file->{now}, $size) = '' if $size < $old;
	push @{$file->{late}}, [$size];
}

sub harden {
	my ($file) = @_;
	$file->{disk} = $file->{now};
	$file->{late} = [];
}

# A name is given, or taken away; both of a rename share their fate.
sub name_change {
	my (%to) = @_;
	push @late, \%to;
	while (my ($name, $file) = each %to) {
		$now{$name} = $file;
		delete $now{$name} unless $file;
	}
}

sub harden_names {
	%disk = %now;
	@late = ();
}

# ---- what strace saw -------------------------------------------------------

my $string = qr/"((?:\\x[0-9a-f]{2})*)"(?:\.\.\.)?/;

sub text {
	my ($hex) = @_;
	$hex =~ s/\\x//g;
	return pack 'H*', $hex;
}

sub name_of {
	my ($path) = @_;
	$path =~ s,^\Q$dir\E/w/,,;
	$path =~ s,^\./,,;
	return $path;
}

sub seen_open {
	my ($path, $flags, $fd) = @_;
	my $name = name_of($path);

	if ($flags =~ /O_TMPFILE/) {
		$fd[$fd] = new_file('');
	} elsif ($flags =~ /O_DIRECTORY/) {
		$fd[$fd] = 'dir';
	} elsif ($flags =~ /O_CREAT/ && !$now{$name}) {
		$fd[$fd] = new_file('');
		name_change($name => $fd[$fd]);
	} elsif ($path =~ m,^/proc/self/fd/(\d+)$,) {
		$fd[$fd] = $fd[$1];
	} else {
		$fd[$fd] = $now{$name};
	}
	grow($fd[$fd], 0) if ref $fd[$fd] && $flags =~ /O_TRUNC/;
}

sub seen_zeros {
	my ($file, $mode, $off, $len) = @_;
	my $end = $off + $len;
	my $size = length $file->{now};

	$end = $size if $mode =~ /KEEP_SIZE/ && $end > $size;
	change($file, $off, "\0" x ($end - $off)) if $end > $off;
}

# One system call that succeeded. True if it changed something.
sub seen {
	local $_ = shift;

	if (/^openat\(\w+, $string, ([\w|]+)[^)]*\) = (\d+)/) {
		seen_open(text($1), $2, $3);
	} elsif (/^close\((\d+)\)/) {
		undef $fd[$1];
	} elsif (/^pwrite64\((\d+), $string, (\d+), (\d+)\) = (\d+)/) {
		change($fd[$1], $4, substr(text($2), 0, $5)) if ref $fd[$1];
	} elsif (/^pwritev2?\((\d+), \[(.*)\], \d+, (\d+)[^)]*\) = (\d+)/) {
		my ($fd, $off, $len) = ($1, $3, $4);
		my $data = join '', map { text($_) } $2 =~ /$string/g;
		change($fd[$fd], $off, substr($data, 0, $len));
	} elsif (/^copy_file_range\((\d+), \[(\d+)\], (\d+), \[(\d+)\], .* = (\d+)/) {
		change($fd[$3], $4, substr($fd[$1]{now}, $2, $5)) if $5;
	} elsif (/^ftruncate\((\d+), (\d+)\)/) {
		grow($fd[$1], $2);
	} elsif (/^fallocate\((\d+), ([\w|]+), (\d+), (\d+)\)/) {
		seen_zeros($fd[$1], $2, $3, $4);
	} elsif (/^f(?:data)?sync\((\d+)\)/) {
		ref $fd[$1] ? harden($fd[$1]) : harden_names();
	} elsif (/^linkat\(\w+, $string, \w+, $string/) {
		my ($from, $to) = (text($1), name_of(text($2)));
		my $file = $from =~ m,/fd/(\d+)$, ? $fd[$1] : $now{name_of($from)};
		name_change($to => $file);
	} elsif (/^rename(?:at2?)?\((?:\w+, )?$string, (?:\w+, )?$string/) {
		my ($from, $to) = (name_of(text($1)), name_of(text($2)));
		name_change($from => undef, $to => $now{$from});
	} elsif (/^unlink(?:at)?\((?:\w+, )?$string/) {
		name_change(name_of(text($1)) => undef);
	} elsif (/^(?:write|fsetxattr|fremovexattr|mmap)\b/) {
		die "not understood: $_\n" unless /^write\([12],|^mmap/;
		return 0;
	}
	return /^(?:pwrite|copy|ftrunc|fallo|link|rename|unlink|f\w*sync)/;
}

# ---- states ----------------------------------------------------------------

# Changes of names, and of all files that some choice of names may show.
sub late_files {
	my %file = map { $_ => $_ } grep { ref } values %now, values %disk,
		   map { values %$_ } @late;
	return sort { $a <=> $b } values %file;
}

# keep(n): is the nth change on disk?
sub disk_state {
	my ($keep) = @_;
	my %name = %disk;
	my (%data, $n);

	for my $to (@late) {
		next unless $keep->($n++);
		@name{keys %$to} = values %$to;
	}
	for my $file (late_files()) {
		my $data = $file->{disk};
		my $size = length $data;
		for my $late (@{$file->{late}}) {
			next unless $keep->($n++);
			my ($off, $part) = @$late;
			if (!defined $part) {
				$size = $off;
				next;
			}
			$data .= "\0" x ($off + length($part) - length $data)
				if $off + length $part > length $data;
			substr($data, $off, length $part) = $part;
		}
		$data .= "\0" x ($size - length $data) if $size > length $data;
		$data{$file} = substr($data, 0, $size);
	}
	return { map { $_ => $data{$name{$_}} } grep { $name{$_} } keys %name };
}

sub choices {
	my $n = @late;
	$n += @{$_->{late}} for late_files();
	my @keep = (sub { 0 }, sub { 1 });

	return @keep unless $n;
	for my $one (0 .. ($n < 24 ? $n - 1 : 23)) {
		my $i = $n < 24 ? $one : int rand $n;
		push @keep, sub { $_[0] == $i }, sub { $_[0] != $i },
			    sub { $_[0] < $i };
	}
	for (1 .. 8) {
		my @random = map { int rand 2 } 1 .. $n;
		push @keep, sub { $random[$_[0]] };
	}
	return @keep;
}

# ---- a verb ----------------------------------------------------------------

my $states = 0;

sub lay {
	my ($state) = @_;
	unlink grep { !exists $state->{$_} } names();
	for my $name (keys %$state) {
		my $there = slurp($name);
		spew($name, $state->{$name})
			unless defined $there && $there eq $state->{$name};
	}
}

# Every state behind this system call that was not yet looked at.
sub power_fails {
	my ($verb, $seen, $right) = @_;

	for my $keep (choices()) {
		my $state = disk_state($keep);
		my $key = join "\0", map { $_, $state->{$_} } sort keys %$state;
		next if $seen->{$key}++;
		$states++;
		my $id = "$verb, state " . keys %$seen;
		next if $only && $only ne $id;
		lay($state);
		my $wrong = $right->($state);
		return "POWER=\"$id\": $wrong" if $wrong;
		exit 0 if $only && $only eq $id && diag("see $dir/w");
	}
	return '';
}

# With the files as they are, run moo; right(state) says what is wrong, or ''.
sub verb {
	my ($verb, $words, $right) = @_;
	my %before = map { $_ => slurp($_) } names();
	my ($wrong, $changes, %seen) = ('', 0);

	system("$strace -xx -s 1000000 -o '$dir/trace' '$moo' $words " .
	       ">'$dir/out' 2>'$dir/err'");
	my $status = $? >> 8;
	my %after = map { $_ => slurp($_) } names();
	%now = map { $_ => new_file($before{$_}) } keys %before;
	@fd = ();
	harden_names();
	open my $in, '<', "$dir/trace" or die "trace: $!\n";
	while (my $line = <$in>) {
		next if $line =~ / = -1 E/;
		# Short ones are filled up.
		$line =~ s/\) +=/) =/;
		$changes += my $change = seen($line);
		$wrong ||= power_fails($verb, \%seen, $right) if $change;
	}
	close $in;
	# What was understood is what happened, and all of it is on disk.
	$wrong ||= "not as strace has it" if grep {
		($after{$_} // '') ne ($now{$_} ? $now{$_}{now} : '') }
		keys %after, keys %now;
	$wrong ||= 'it ended before all was on disk'
		if @late || grep { @{$_->{late}} } values %now;
	is("$status $wrong", '0 ', "$verb: $changes changes, " .
	   keys(%seen) . ' states');
	lay(\%after);
}

sub same {
	my ($state, %want) = @_;
	for my $name (keys %want) {
		return "$name has changed"
			if ($state->{$name} // '') ne $want{$name};
	}
	return '';
}

# OUT is missing, as it was, or reads as CONTENT.
sub whole {
	my ($out, $content, %others) = @_;
	my $before = slurp($out);

	return sub {
		my ($state) = @_;
		my $wrong = same($state, %others);

		return $wrong if $wrong || !defined $state->{$out};
		return '' if defined $before && $state->{$out} eq $before;
		return "$out is not sound"
			if $state->{$out} =~ /^OOOM/ && moo("check $out");
		return "$out can not be read"
			if moo("convert -f -V 0 $out ../content");
		return slurp('../content') eq $content ? '' : "$out is wrong";
	};
}

# ---- the verbs -------------------------------------------------------------

my $base = noise('base', 37);
my $new = $base;
substr($new, 5 * PIECE, 9 * PIECE) = noise('new', 9);
substr($new, 30 * PIECE, PIECE) = "\0" x PIECE;

spew('base', $base);
utime 1000000000, 1000000000, 'base';
spew('image', $new);
for my $version (3, 4) {
	moo("convert -V $version -b base image v$version.cow")
		and die slurp("$dir/err");
}
unlink 'image';
my %input = map { $_ => slurp($_) } names();

# [words, what OUT reads as]
for (['create -V 3 out base', $base],
     ['create -V 4 out v3.cow', $new],
     ['merge v3.cow out', $new],
     ['merge v4.cow out', $new],
     ['convert -V 0 v4.cow out', $new],
     ['convert -V 3 v4.cow out', $new],
     ['convert -V 4 v3.cow out', $new]) {
	my ($words, $content) = @$_;

	unlink 'out';
	verb($words, $words, whole('out', $content, %input));
	$words =~ s/^(\w+)/$1 -f/;
	spew('out', 'old');
	verb($words, $words, whole('out', $content, %input));
}
unlink 'out';

# ---- in place --------------------------------------------------------------

# FILE is sound, but for leaks, and reads as one of these.
sub reads {
	my ($file, @contents) = @_;

	return sub {
		my $status = moo("check $file");

		return "$file is not sound: " . slurp("$dir/err")
			if $status && $status != 3;
		return "$file can not be read"
			if moo("convert -f -V 0 $file ../content");
		my $content = slurp('../content');
		return (grep { $_ eq $content } @contents) ? '' :
			"$file is wrong";
	};
}

sub set_out {
	my ($commands) = @_;

	for my $command (split /; /, $commands) {
		moo($command) and die "$command: " . slurp("$dir/err");
	}
}

my $other = $base;
substr($other, 2 * PIECE, 20 * PIECE) = noise('other', 20);
spew('other', $other);
moo("dump v4.cow text") and die slurp("$dir/err");
verb('restore', 'restore text out', whole('out', $new, %input));
unlink 'out', 'text';

for my $version (3, 4) {
	spew('out', $input{"v$version.cow"});
	verb("rebase, V$version", 'rebase -b other out', reads('out', $new));
	spew('out', $input{"v$version.cow"});
	verb("rebase -u, V$version", 'rebase -u -b other out',
	     reads('out', $new, do {
		my $mixed = $other;
		substr($mixed, 5 * PIECE, 9 * PIECE) = noise('new', 9);
		substr($mixed, 30 * PIECE, PIECE) = "\0" x PIECE;
		$mixed;
	     }));
}

# The first sectors stand last in the file, and what was before them is free.
my $mixed = $other;
substr($mixed, 24 * PIECE) = noise('more', 13);
spew('image', $mixed);
unlink 'out';
set_out('convert -V 4 -b other image out; rebase -b base out; ' .
	'resize --shrink out 12288');
$mixed = substr($mixed, 0, 12288);
verb('compact', 'compact out', reads('out', $mixed));
verb('resize --shrink', 'resize --shrink out 6144',
     reads('out', $mixed, substr($mixed, 0, 6144)));

# Then by one level of the index more, and back.
set_out('rebase -f -b image out; compact out');
my $small = substr($mixed, 0, 6144);
moo('resize out 2099200') and die slurp("$dir/err");
moo('convert -f -V 0 out ../content') and die slurp("$dir/err");
my $grown = slurp('../content');
is(substr($grown, 0, 6144), $small, 'what was there is there');
moo('resize --shrink out 6144') and die slurp("$dir/err");
verb('resize', 'resize out 2099200', reads('out', $small, $grown));
verb('resize back', 'resize --shrink out 6144', reads('out', $small, $grown));


# A seal is there as a whole, or not; and of nothing but what the file holds.
sub sealed_or_not {
	my ($file, @contents) = @_;
	my $reads = reads($file, @contents);

	return sub {
		my $wrong = $reads->();

		return $wrong if $wrong;
		moo("info $file");
		return '' unless slurp("$dir/out") =~ /^sealed: yes$/m;
		return moo("check --data $file") % 3 ?
			"$file is not what was sealed: " . slurp("$dir/err") :
			'';
	};
}

spew('other', $other);
unlink 'out';
set_out('convert -V 4 -b base other out');
verb('seal', 'seal out', sealed_or_not('out', $other));
spew('sealed', slurp('out'));
verb('compact, sealed', 'compact out', sealed_or_not('out', $other));
spew('out', slurp('sealed'));
unlink 'sealed';
verb('rebase, sealed', 'rebase -b other out', sealed_or_not('out', $other));
moo('seal out') and die slurp("$dir/err");
verb('resize --shrink, sealed', 'resize --shrink out 6144',
     sealed_or_not('out', $other, substr($other, 0, 6144)));
unlink 'out';
set_out('create --flat -V 4 --size=18944 out');
verb('seal in place', 'seal out', sealed_or_not('out', "\0" x 18944));
verb('resize in place, sealed', 'resize out 29696',
     sealed_or_not('out', "\0" x 18944, "\0" x 29696));

unlink 'out';
set_out('create --flat -V 4 --size=18944 out');
verb('resize in place', 'resize out 20480',
     reads('out', "\0" x 18944, "\0" x 20480));
verb('resize --shrink in place', 'resize --shrink out 4096',
     reads('out', "\0" x 20480, "\0" x 4096));
unlink 'out', 'image', 'other';

# ---- roll back ---------------------------------------------------------------

# The top reads as it did until it is dropped, and as its parent from then on;
# the parent is what it was; and the same command does what is left. On its way to
# be deleted a V3 file loses its record first, and is then refused.
sub rolled_back {
	my ($low, $top, $words) = @_;

	return sub {
		my ($state) = @_;
		my ($is_gone, $content) = (!-e 'out');

		return 'out is gone too early'
			if $is_gone && $words !~ /--delete/;
		for my $again (0, 1) {
			return "low can not be read: " . slurp("$dir/err")
				if bare('convert -f -V 0 low ../content');
			return 'low has changed'
				if slurp('../content') ne $low;
			last if !-e 'out';
			last if $words =~ /--delete/ && !-e 'out.moo' &&
				!-e 'low.moo' && slurp('out') =~ /\A.{8}\0{4}/s;
			return "out can not be read: " . slurp("$dir/err")
				if bare('convert -f -V 0 out ../content');
			$content = slurp('../content');
			return 'out is wrong' if $content ne $low &&
				($again || $content ne $top);
			return "not again: " . slurp("$dir/err")
				if !$again && bare($words);
		}
		return bare('info low') || slurp("$dir/out") =~ /frozen/ ?
			'low is frozen' : '';
	};
}

# low, frozen, and out, which is its successor; what each reads as
sub freeze {
	my ($version) = @_;
	my $v4 = "perl '$FindBin::Bin/../fast/v4.pl'";
	my $low = noise('low', 37);
	my $top = $low;

	substr($top, 5 * PIECE, 9 * PIECE) = noise('top', 9);
	unlink 'low', 'out', 'low.moo';
	spew('low', $low);
	if ($version == 4) {
		set_out('convert -V 4 -b base low out');
		rename 'out', 'low' or die "low: $!\n";
	}
	spew('image', $top);
	set_out("convert -V $version -b low image out");
	unlink 'image';
	system($version == 4 ? "$v4 low freeze $dir/w/out" :
	       "$v4 low record $dir/w/out >low.moo") == 0 or die "low\n";
	return ($low, $top);
}

for my $version (3, 4) {
	for my $words ('rollback --discard out',
		       'rollback --discard --delete out') {
		my ($low, $top) = freeze($version);

		verb("$words, V$version", $words,
		     rolled_back($low, $top, $words));
	}
}
unlink 'low', 'out', 'low.moo';

# A mark is there or not.
sub marked_or_not {
	my ($content) = @_;

	return sub {
		return 'the layer can not be read' if bare('info v4.cow');
		return 'low can not be read' if bare('info low');
		return 'low is wrong' if slurp('low') ne $content;
		return 'the layer is not sound' if bare('check v4.cow');
		return '';
	};
}

spew('low', $base);
verb('protect', 'protect v4.cow low', marked_or_not($base));
verb('protect --off', 'protect --off v4.cow low', marked_or_not($base));
unlink 'low', 'low.moo';
cmp_ok($states, '>', 100, "$states states");
done_testing();
chdir '/';
