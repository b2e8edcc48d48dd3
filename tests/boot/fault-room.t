#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: delta and base on a small file system that runs full: the guest sees
# the error, nothing old is lost, and it goes on once there is room.
. "${0%/*}/lib.sh"
. "$boot_dir/small.sh"
ours_only
need uml_mconsole
need_moo

small_disk 3
small_layers

start guest ubd0=small/delta3.cow ubd1=small/delta4.cow <<'EOF'
try()
{
	"$@" 2>&1 || echo refused
}
both()
{
	for d in /dev/ubda /dev/ubdb; do
		"$@" $d
	done
}
old()
{
	sect put "$1" OLDD 0 64
	sect flush "$1"
}
new()
{
	try sect put "$1" MORE 32 4096 256 | tail -n 1
	sect map "$1" 0 32 16
	sect map "$1" 4200 600 200
}
again()
{
	sect put "$1" NEXT 32 4096 256
	sect flush "$1"
	sect map "$1" 0 4200 200
}
look()
{
	sect map "$1" 0 4200 200
}
both old
point old
both new
point full
both again
point again
both look
point look
both look
point end
EOF

# lines FROM COUNT: of what the guest said
lines()
{
	out guest | tail -n "+$1" | head -n "$2"
}

await guest old
full
go old
await guest full
for disk in 0 1; do
	is "$(lines $((disk * 3 + 1)) 1)" "refused" \
		"disk $disk: a write that finds no room is refused"
	is "$(lines $((disk * 3 + 2)) 1)" "0+32=OLDD" \
		"disk $disk: what was there before is there"
	like "$(lines $((disk * 3 + 3)) 1)" "^4200\+600=zero$" \
		"disk $disk: what nobody wrote is as it was"
done

# What needs a file says so, and leaves none.
for disk in a b; do
	text=$(mconsole guest snapshot "ubd$disk=$T/small/x$disk.cow") || :
	like "$text" "^ERR .*x$disk.cow.*space" "ubd$disk: no room for a snapshot"
	fails "ubd$disk: and none is begun" test -e "small/x$disk.cow"
done
room 16
go full
await guest again
for disk in 0 1; do
	is "$(lines $((disk + 7)) 1)" "0+32=OLDD 32+4096=NEXT 4128+72=zero" \
		"disk $disk: with room, the same write and a flush succeed"
done

# A merge into a base that finds no room.
full
for disk in a b; do
	status=0
	text=$(mconsole guest unsnapshot ubd$disk force) || status=$?
	holds "ubd$disk: a merge that finds no room fails" test $status -ne 0
	like "$text" "^ERR .*space" "ubd$disk: and says why"
done
go again
await guest look
for disk in 0 1; do
	is "$(lines $((disk + 9)) 1)" "0+32=OLDD 32+4096=NEXT 4128+72=zero" \
		"disk $disk: half a merge changes nothing of what the guest reads"
done
room 16
for disk in a b; do
	status=0
	text=$(mconsole guest unsnapshot ubd$disk force) || status=$?
	is $status 0 "ubd$disk: with room, the merge comes to its end"
done
go look
await guest end
for disk in 0 1; do
	is "$(lines $((disk + 11)) 1)" "0+32=OLDD 32+4096=NEXT 4128+72=zero" \
		"disk $disk: and the guest reads the same"
done
go end
ended_well guest "the guest ended well"
for disk in 3 4; do
	is "$("$SECT" map small/base$disk.img 0 4200 200)" \
		"0+32=OLDD 32+4096=NEXT 4128+72=zero" \
		"base$disk.img has it all"
done
finish
