#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: "snapshot --json" is valid JSON whatever the files are called, says what
# "moo info" says of the same files, and what the device is at work on.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole perl
need_moo
need_strace
io_on_threads

pattern base.img BASE 65536
pattern raw.img RAWW 2048

# Prints the value of a path like 0.layers.1.filename in JSON text: a number, true,
# false or a string; the size of an array.
cat >value.pl <<'EOF'
use strict;
use warnings;
use JSON::PP;

my ($file, $path) = @ARGV;
open my $in, '<:raw', $file or die "$file: $!\n";
my $text = do { local $/; <$in> };
my $at = JSON::PP->new->utf8->decode($text);
for my $step (split /\./, $path) {
	$at = ref $at eq 'ARRAY' ? $at->[$step] : $at->{$step};
	defined $at or print("none\n"), exit;
}
$at = @$at if ref $at eq 'ARRAY';
$at = $at ? 'true' : 'false' if ref $at eq 'JSON::PP::Boolean';
binmode STDOUT, ':utf8';
print "$at\n";
EOF

value()
{
	perl value.pl "$1" "$2" 2>&1
}

# list WORDS: into the file "list", without the line that begins with OK
list()
{
	mconsole guest "$*" | sed 1d >list
}

odd=$(printf 'o"d\\d \003\n\303\244\377.cow')

start guest ubd0V4=delta.cow,base.img ubd1B4096r=raw.img <<'EOF'
point up
sect put /dev/ubda NEWW 0 40960 2048
sect flush /dev/ubda
point written
EOF
await guest up

list snapshot --json
is "$(value list .)" 2 "both devices"
is "$(value list 0.device) $(value list 1.device)" "ubda ubdb" "by name"
is "$(value list 0.virtual-size)" 33554432 "size"
is "$(value list 0.sector-size) $(value list 1.sector-size)" "512 4096" \
	"sector size"
is "$(value list 0.read-only) $(value list 1.read-only)" "false true" "read-only"
is "$(value list 0.task) $(value list 0.progress)" "idle none" "idle"
is "$(value list 0.layers) $(value list 1.layers)" "2 1" "layers"
is "$(value list 1.layers.0.format)" raw "a raw file"
list snapshot ubdb --json
is "$(value list .) $(value list 0.device)" "1 ubdb" "one device"
like "$(mconsole guest snapshot ubdc --json)" "^ERR ubdc: it is not configured" \
	"one that is not there"

is "$(mconsole guest "snapshot ubda=$odd" | head -c 9)" "OK ubda: " \
	"a file with an odd name"
go up
await guest written
list snapshot ubda --json
is "$(value list .)" 1 "its list is valid"
is "$(value list 0.layers.0.filename)" \
	"$(printf '%s/o"d\\d \003\n\303\244\357\277\275.cow' "$T")" \
	"with the name in it, and a mark for what is no text"
is "$(value list 0.layers.1.filename)" "$T/delta.cow" "one that is not odd"
is "$(value list 0.snapshots) $(value list 0.merges)" "1 0" "one snapshot"

# The same words as moo's
moo info -U --backing-chain --output=json "$odd" >told
for n in 0 1 2; do
	for key in format virtual-size actual-size backing-filename \
		full-backing-filename backing-filename-format; do
		is "$(value list "0.layers.$n.$key")" "$(value told "$n.$key")" \
			"layer $n: $key as moo has it"
	done
done
for n in 0 1; do
	for key in type data.version data.owned; do
		is "$(value list "0.layers.$n.format-specific.$key")" \
			"$(value told "$n.format-specific.$key")" \
			"layer $n: $key as moo has it"
	done
done
is "$(value list 0.layers.0.format-specific.data.state)" top "top"
is "$(value list 0.layers.1.format-specific.data.state)" frozen "frozen"

# A file that has been moved away is not taken for the one with its name
mv delta.cow moved.cow
list snapshot ubda --json
is "$(value list 0.layers.1.actual-size)" none \
	"what is known by another name is left out"
: >delta.cow
list snapshot ubda --json
is "$(value list 0.layers.1.actual-size)" none "or of another file"
mv moved.cow delta.cow

# A layer in the middle, while it is merged; the host is slow meanwhile
mconsole guest snapshot ubda=last.cow >/dev/null
trace guest met -e trace=copy_file_range,pwrite64,pwritev \
	-e inject=copy_file_range,pwrite64,pwritev:delay_enter=300000
mconsole guest "merge ubda=$odd nowait" >/dev/null
folding()
{
	list snapshot ubda --json
	[ "$(value list 0.layers.1.format-specific.data.state)" = folding ]
}
holds "a layer that is folded" until_true 20 folding
is "$(value list 0.task)" fold "and the task"
like "$(value list 0.layers.1.format-specific.data.progress)" "^[0-9]+$" \
	"and how far it is"
is "$(value list 0.layers.1.format-specific.data.paused)" false "it goes on"
untrace
merged()
{
	list snapshot ubda --json
	[ "$(value list 0.layers) $(value list 0.task)" = "3 idle" ]
}
holds "it comes to its end" until_true 30 merged
is "$(value list 0.merges)" 1 "one merge"
go written
ended_well guest "the guest ended"
finish
