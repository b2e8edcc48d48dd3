#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A file in use: its top is locked for writing, what is below it for reading, as
# a running machine does. moo reads what is frozen, and writes neither.
set -eu
. "${0%/*}/lib.sh"

# hold w|r FILE COMMAND...: run it while another process holds the lock
hold()
{
	perl -e '
		my ($how, $file, @command) = @ARGV;
		my $type = $how eq "w" ? 1 : 0;
		open my $f, "+<", $file or die "$file: $!\n";
		# struct flock of 64 bits; F_OFD_SETLK is 37.
		my $lock = pack "s s x4 q q i x4", $type, 0, 0, 0, 0;
		fcntl $f, 37, $lock or die "lock: $!\n";
		my $status = system { $command[0] } @command;
		exit($status & 127 ? 128 : $status >> 8);' "$@"
}

perl -e 'use Config; exit($Config{longsize} != 8)' ||
	skip_all "a lock is packed for 64 bits here"

noise base 65536
cowhdr low.cow "base=$PWD/base" own=1
moo create top.cow low.cow
cksum base low.cow top.cow >before

# The top of a running machine.
for verb in info map check; do
	refused 1 "top.cow: .*(in use|machine)" "$verb of a running top" \
		hold w top.cow "$bin/moo" $verb top.cow
	hold w top.cow "$bin/moo" $verb -U top.cow >out && status=0 || status=$?
	is "$status" 0 "$verb -U of a running top"
	holds "$verb -U has something to say" test -s out
done
refused 1 "top.cow: .*in use" "merge of a running top" \
	hold w top.cow "$bin/moo" merge top.cow out2
refused 1 "top.cow: .*in use" "merge in place of a running top" \
	hold w top.cow "$bin/moo" merge --in-place top.cow
refused 1 "top.cow: .*in use" "convert of a running top" \
	hold w top.cow "$bin/moo" convert -V 4 top.cow out2
refused 1 "top.cow: .*in use" "a layer over a running top" \
	hold w top.cow "$bin/moo" create out2 top.cow
fails "none of them makes anything" test -e out2

# What lies below it is read by the machine, and may be by us.
for verb in info map check; do
	hold r low.cow "$bin/moo" $verb low.cow >out && status=0 || status=$?
	is "$status" 0 "$verb of a frozen layer"
done
hold r low.cow "$bin/moo" merge low.cow out2 && status=0 || status=$?
is "$status" 0 "merge of a frozen layer"
refused 1 "low.cow: .*in use" "merge in place of a layer that is read" \
	hold r low.cow "$bin/moo" merge --in-place low.cow
refused 1 "base: .*in use" "merge in place into a base that is read" \
	hold r base "$bin/moo" merge --in-place -f low.cow

# Outputs.
for how in r w; do
	cp base out3
	refused 1 "out3: in use" "an output that is in use ($how)" \
		hold $how out3 "$bin/moo" merge -f low.cow out3
	holds "is left alone ($how)" cmp base out3
	refused 1 "out3: in use" "a new layer over it ($how)" \
		hold $how out3 "$bin/moo" create -f out3 base
done
is "$(cksum base low.cow top.cow)" "$(cat before)" "nothing has changed"
finish
