#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Duty: send mconsole datagrams, sound and broken, that no proper client sends.
#
#	mcsend.pl SOCKET send [KEY=VALUE...] [, [KEY=VALUE...]]...
#		text=WORDS (\n is a newline) magic=N version=N len=N pad=BYTES
#		cut=BYTES hex=BYTES:
#		one datagram after the other; prints "sent", then the answers,
#		one on a line; waits 3 seconds for one that does not come
#	mcsend.pl SOCKET unbound|gone|deaf [KEY=VALUE...]
#		one datagram, whose sender can not be answered, has gone, or
#		asks 14 times and never reads
#	mcsend.pl SOCKET flood SECONDS
#		every malformed datagram, over and over
#
# Invariant: a client's own socket is unlinked when it ends by itself.
use strict;
use warnings;
use Socket;
use Time::HiRes qw(time);

use constant { MAGIC => 0xcafebabe, VERSION => 2, PATIENCE => 3 };

my ($server, $what, @args) = @ARGV;
die "usage: mcsend.pl SOCKET send|unbound|gone|deaf|flood ...\n" unless $what;
my $to = pack_sockaddr_un($server);
my $mine;
$| = 1;
END { unlink $mine if defined $mine }

sub client
{
	my ($bound) = @_;

	socket(my $sock, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
	return $sock unless $bound;
	$mine = "$server.$$";
	bind($sock, pack_sockaddr_un($mine)) or die "$mine: $!\n";
	return $sock;
}

# datagram(KEY => VALUE...): what is not said is as a proper client has it
sub datagram
{
	my %d = (text => '', magic => MAGIC, version => VERSION, @_);

	return pack('H*', $d{hex}) if defined $d{hex};
	$d{text} =~ s/\\n/\n/g;
	my $len = $d{len} // length($d{text});
	my $bytes = pack('LLL', oct_or_dec($d{magic}), $d{version},
			 oct_or_dec($len) & 0xffffffff) . $d{text};
	$bytes .= "\0" x $d{pad} if $d{pad};
	return defined $d{cut} ? substr($bytes, 0, $d{cut}) : $bytes;
}

sub oct_or_dec
{
	my ($n) = @_;
	return $n =~ /^0/ ? oct($n) : $n;
}

sub options
{
	return map { split(/=/, $_, 2) } @_;
}

sub answers
{
	my ($sock, $left) = @_;

	while ($left--) {
		my $ready = '';
		vec($ready, fileno($sock), 1) = 1;
		last unless select($ready, undef, undef, PATIENCE) > 0;
		defined recv($sock, my $answer, 65536, 0) or die "recv: $!\n";
		if ($answer =~ /^ERR /) {
			print "$answer\n";
			next;
		}
		my ($err, undef, undef, $text) = unpack('LLLZ*', $answer);
		print $err ? 'ERR ' : 'OK ', $text =~ s/\n.*//sr, "\n";
	}
}

sub do_send
{
	my $sock = client(1);
	my $sent = 0;
	my @one;

	for my $arg (@args, ',') {
		if ($arg ne ',') {
			push @one, $arg;
			next;
		}
		send($sock, datagram(options(@one)), 0, $to)
			// die "$server: $!\n";
		@one = ();
		$sent++;
	}
	print "sent\n";
	answers($sock, $sent);
}

sub do_one
{
	my ($bound, $times) = @_;
	my $sock = client($bound);
	my $bytes = datagram(options(@args));

	for (1 .. $times) {
		send($sock, $bytes, 0, $to) // die "$server: $!\n";
	}
	return $sock;
}

# No canary among these may ever reach the guest's log.
sub malformed
{
	my @bad = map { datagram(%$_) } (
		{ hex => '' },
		(map { { text => 'log CANARY\n', cut => $_ } } 1 .. 21),
		(map { { text => 'log CANARY\n', magic => $_ } }
			0, 1, 0xbebafeca, 0xffffffff),
		(map { { text => 'log CANARY\n', version => $_ } }
			0, 1, 3, 0x7fffffff, 0xffffffff),
		(map { { text => 'log CANARY\n', len => $_ } }
			12, 511, 512, 513, 0x7fffffff, 0x80000000, 0xffffffff),
		{ text => "log CANARY\n" . 'x' x 502 },
		{ text => 'log CANARY\n', pad => 20000 },
		{ text => 'halt', len => 3 },
		(map { { text => $_ } }
			'', ' ', "\0", "\n", 'snap', 'snapshotx', 'snapshot=',
			'unsnapshotubda', 'un', 'g', 'gox', 'h', 'haltx',
			'hal', 'rebootx', 'stopx', 'cadx', 'logCANARY',
			'LOG CANARY', 'sysrqb', "\xc3\xa9t\xe9", "halt\x80",
			"halt\xff", " halt", "\thalt", "\x01halt", '%s%n%s%n',
			'x' x 511, "\xff" x 511, '/' x 511));

	return @bad, 'log CANARY\n', "\xff" x 4096, "\0" x 524;
}

# The answers are not looked at, but make room for more.
sub do_flood
{
	my ($seconds) = @args;
	my @bad = malformed();
	my $sock = client(1);
	my $sent = 0;

	for (my $end = time() + $seconds; time() < $end;) {
		for my $bytes (@bad) {
			send($sock, $bytes, 0, $to) // die "$server: $!\n";
			$sent++;
			1 while defined recv($sock, my $answer, 65536,
					     MSG_DONTWAIT);
		}
	}
	print scalar(@bad), " kinds, $sent datagrams\n";
}

if ($what eq 'send') {
	do_send();
} elsif ($what eq 'unbound') {
	do_one(0, 1);
} elsif ($what eq 'gone') {
	do_one(1, 1);
} elsif ($what eq 'deaf') {
	my $sock = do_one(1, 14);
	sleep 3600;
} elsif ($what eq 'flood') {
	do_flood();
} else {
	die "mcsend.pl: $what: unknown\n";
}
