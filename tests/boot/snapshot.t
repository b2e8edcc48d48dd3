#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: snapshot and unsnapshot of a running guest: answers, lists, errors.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo
need_strace

pattern base.img BASE 524288
pattern fixed.img BASE 64
pattern shared.img BASE 64
pattern raw.img RAWW 2048

start guest ubd0=delta.cow,base.img ubd1r=fixed.img ubd2c=shared.img \
	ubd3=raw.img <<'EOF'
sect storm /dev/ubda "$S/log" 11 65536 2048 999999999 "$S/go.end" &
sect put /dev/ubda AAAA 0 100
point a
sect put /dev/ubda BBBB 50 100
sect map /dev/ubda 0 200
point b
sect put /dev/ubda CCCC 120 10
sect map /dev/ubda 0 200
point c
sect map /dev/ubda 0 200
point d
sect put /dev/ubda BIGG 100000 262144 2048
point big
sect map /dev/ubda 0 200
sect map /dev/ubda 100000 262144 2048
point end
wait
sync
sect map /dev/ubda 0 200
EOF

# refused WORDS REGEX WHAT: an error of one line, and the chains are unchanged
refused()
{
	before=$(mconsole guest snapshot | awk '{ $5 = ""; print }')
	status=0
	# shellcheck disable=SC2086
	text=$(mconsole guest $1) || status=$?
	holds "$3: the client's exit code tells" test "$status" -ne 0
	is "$(printf '%s\n' "$text" | sed '/^$/d' | wc -l)" 1 "$3: one line"
	like "$text" "^ERR .*$2" "$3: which says why"
	is "$(mconsole guest snapshot | awk '{ $5 = ""; print }')" "$before" \
		"$3: nothing changed"
}

await guest a
status=0
text=$(mconsole guest snapshot "ubda=one.cow") || status=$?
is "$status" 0 "a snapshot: exit code"
like "$text" "^OK ubda: $T/one.cow on $T/delta.cow, paused [0-9]+\.[0-9]{2} ms" \
	"a snapshot: the answer"
is "$(chain guest ubda)" "one.cow V4 top
delta.cow V3 frozen
base.img raw frozen" "a snapshot: the list"
like "$(mconsole guest snapshot ubda)" \
	" $T/delta.cow +V3 +268435456 +[1-9][0-9]* +frozen" \
	"the list has path, format, size, and bytes owned"
like "$(mconsole guest snapshot | tr '\n' ' ')" "ubda .*ubdb .*ubdc .*ubdd " \
	"the list of all devices"

go a
await guest b
moo merge delta.cow frozen.img
is "$("$SECT" map frozen.img 0 200)" "0+100=AAAA 100+100=BASE" \
	"the frozen file, read beside the guest, is as at the snapshot"
is "$(sed -n 1p share/guest.out)" "0+50=AAAA 50+100=BBBB 150+50=BASE" \
	"the guest sees what it wrote after it"

mkdir other
like "$(mconsole guest snapshot "ubda=$T/other/two.cow")" \
	"^OK ubda: $T/other/two.cow on $T/one.cow, paused " \
	"a second one, by its full name"
go b
await guest c

# Errors
: >other/there.cow
refused "snapshot ubda=there.cow" "there.cow.*exist" "the file exists"
refused "snapshot ubdq=x.cow" "ubdq" "no such device"
refused "snapshot ubde=x.cow" "ubde" "a device that is not configured"
refused "snapshot ubdb=x.cow" "(read-only|fixed.img)" "a read-only device"
refused "snapshot ubdc=x.cow" "(shared|flag c|locks)" "a shared device"
refused "snapshot ubda=missing/x.cow" "missing/x.cow" "no such directory"
refused "snapshot ubda=$(printf '%0250d' 0 | sed 's,0,./,g')x.cow" "511" \
	"a name too long for the protocol"
refused "unsnapshot ubdd" "raw.img" "unsnapshot of a raw disk"
refused "unsnapshot ubda quickly" "quickly" "an unknown word"
fails "no error left a file" test -e other/x.cow
if mkdir small && mount -t tmpfs -o size=4k small small 2>/dev/null; then
	boot_on_exit="umount $T/small"
	dd if=/dev/zero of=small/fill bs=4k count=1 2>/dev/null || :
	refused "snapshot ubda=$T/small/x.cow" "small/x.cow" "no space"
	fails "and nothing is left there" test -e small/x.cow
else
	skip "no tmpfs can be mounted here"
fi

mconsole guest stop >/dev/null
for words in "snapshot ubda=x.cow" "unsnapshot ubda"; do
	text=$(MCONSOLE_TIMEOUT=10 mconsole guest "$words") || :
	like "$text" "^ERR .*stop" "under stop: $words is refused"
done
mconsole guest go >/dev/null
fails "and makes no file" test -e other/x.cow

# Back
status=0
text=$(mconsole guest unsnapshot ubda) || status=$?
is "$status" 0 "unsnapshot: exit code"
like "$text" "ubda: .*one.cow" "unsnapshot: the answer names the new top"
is "$(chain guest ubda)" "one.cow V4 top
delta.cow V3 frozen
base.img raw frozen" "unsnapshot: the list"
holds "the emptied file is kept" test -e other/two.cow
go c
await guest d
is "$(sed -n 2p share/guest.out)" \
	"0+50=AAAA 50+70=BBBB 120+10=CCCC 130+20=BBBB 150+50=BASE" \
	"the guest saw all of it before"
is "$(sed -n 3p share/guest.out)" "$(sed -n 2p share/guest.out)" \
	"and the same after"
like "$(mconsole guest unsnapshot ubda delete)" "ubda: .*delta.cow" \
	"unsnapshot delete"
fails "deletes the emptied file" test -e one.cow
is "$(chain guest ubda)" "delta.cow V3 top
base.img raw frozen" "the chain is what it was at the start"
refused "unsnapshot ubda" "force" "the delta of the start needs force"

like "$(mconsole guest snapshot "ubda=big.cow")" "^OK ubda: " "once more"
go d
await guest big
# The host copies slowly while the merge is to be seen under way.
trace guest copies -e trace=copy_file_range \
	-e inject=copy_file_range:delay_enter=200000
like "$(mconsole guest unsnapshot ubda nowait)" "^OK ubda: " "nowait answers"
like "$(mconsole guest snapshot ubda=x.cow)" "^ERR ubda: .*under way" \
	"a snapshot meanwhile is refused"
like "$(mconsole guest unsnapshot ubda)" "^ERR ubda: .*under way" \
	"another unsnapshot, too"
untrace
go big
await guest end
merged()
{
	chain guest ubda | grep -q "^delta.cow V3 top"
}
holds "the merge comes to its end by itself" until_true 60 merged
is "$(sed -n 5p share/guest.out)" "100000+262144=BIGG" \
	"the guest read the right data meanwhile"
like "$(mconsole guest unsnapshot ubda force)" "ubda: .*base.img" \
	"with force, the delta of the start goes into its base"
go end
ended_well guest "the guest ended well"
is "$(sed -n 6p share/guest.out)" "$(sed -n 3p share/guest.out)" \
	"and saw its data to the last"
like "$("$SECT" verify base.img share/log 11 65536 2048 BASE)" "^0 of 2048 " \
	"all that was written under snapshots and merges is in the base"
finish
