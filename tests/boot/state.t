#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: what a device is at work on, in sysfs of the guest and in the list of
# mconsole; and a host without room in the midst of a snapshot or merge: the guest
# goes on, both sides are told, and with room the work comes to its end.
. "${0%/*}/lib.sh"
. "$boot_dir/asked.sh"
ours_only
need uml_mconsole
need_strace
io_on_threads

pattern base.img BASE 65536

start_asked ubd0V4=delta.cow,base.img
# in_guest NAME...: the values of these files, in a line
in_guest()
{
	guest_does "cd /sys/block/ubda/ubd && cat $*" | tr '\n' ' '
}

task()
{
	mconsole guest snapshot ubda --json |
		sed -n 's/^ *"task": "\(.*\)",$/\1/p'
}

task_is()
{
	[ "$(task)" = "$1" ]
}

told()
{
	host_says guest "$1"
}

is "$(in_guest state progress depth snapshots merges held errors)" \
	"idle  2 0 0 0 0 " "nothing is under way"
guest_does "sect put /dev/ubda OLDD 0 64; sect flush /dev/ubda" >old

# ---- a snapshot ---------------------------------------------------------------

# Slow, while it is looked at
trace guest met -e "trace=$SYNCS" -e "inject=$SYNCS:delay_enter=1500000"
mconsole guest snapshot ubda=one.cow >answer &
asker=$!
holds "a snapshot is under way" until_true 10 task_is snapshot
is "$(in_guest state progress)" "snapshot  " "the guest sees that"
untrace
wait $asker
like "$(cat answer)" "^OK " "it comes to its end"
is "$(in_guest state depth snapshots merges)" "idle 3 1 0 " "and is counted"

# ---- a snapshot that finds no room after the swap -------------------------------

waiting="one.cow: the snapshot can not be made durable yet: no space"

# What is written to the new file by its name is written after the swap.
trace guest met -P "$T/two.cow" -e trace=pwrite64,pwritev \
	-e inject=pwrite64,pwritev:error=ENOSPC
mconsole guest snapshot ubda=two.cow >answer &
asker=$!
until_true 20 told "$waiting" || :
holds "the host is told what it waits for" told "$waiting"
is "$(in_guest state)" "snapshot " "it waits"
is "$(guest_does "sect map /dev/ubda 0 128 64")" "0+64=OLDD 64+64=BASE" \
	"the guest reads meanwhile"
like "$(guest_does "sect flush /dev/ubda")" "No space" "its flushes fail"
like "$(mconsole guest snapshot ubda=three.cow)" "^ERR ubda: .* under way" \
	"no other one begins"
untrace
wait $asker
like "$(cat answer)" "^OK ubda: .*$waiting" "the client was told as well"
like "$(cat answer)" "^ubda: .*two.cow on .*one.cow" \
	"with room it comes to its end"
is "$(guest_does "sect put /dev/ubda NEWW 64 64; sect flush /dev/ubda
	sect map /dev/ubda 0 192 64")" "0+64=OLDD 64+64=NEWW 128+64=BASE" \
	"the guest goes on"
is "$(in_guest state depth snapshots)" "idle 4 2 " "and it is counted"

# ---- a merge --------------------------------------------------------------------

guest_does "sect put /dev/ubda BIGG 1024 40960 2048; sect flush /dev/ubda" >big
trace guest met -e trace=copy_file_range,pwrite64,pwritev \
	-e inject=copy_file_range,pwrite64,pwritev:delay_enter=400000
mconsole guest unsnapshot ubda nowait >answer
holds "a merge is under way" until_true 10 task_is drain
like "$(in_guest state progress)" "^drain [0-9]+ $" "the guest sees that, and how far it is"
untrace
idle()
{
	task_is idle
}
until_true 60 idle || :
is "$(in_guest state progress depth merges errors)" "idle  3 1 1 " \
	"it comes to its end, and is counted, as is the flush that failed"

# ---- a merge that finds no room ---------------------------------------------------

guest_does "sect put /dev/ubda LAST 2048 4096 2048; sect flush /dev/ubda" >last
trace guest met -e trace=copy_file_range,pwrite64,pwritev \
	-e inject=copy_file_range,pwrite64,pwritev:error=ENOSPC
mconsole guest unsnapshot ubda nowait >answer
stopped="one.cow: the merge into $T/delta.cow stopped: no space"
holds "a merge that nobody waits for tells the host why it stopped" \
	until_true 20 told "$stopped"
is "$(guest_does "sect map /dev/ubda 1984 128 64")" \
	"1984+64=BIGG 2048+64=LAST" "the guest reads what was there"
untrace
is "$(in_guest state merges)" "idle 1 " "it is over for now"
like "$(mconsole guest unsnapshot ubda)" "delta.cow is the top again" \
	"with room it can be started again"
is "$(in_guest state depth merges)" "idle 2 2 " "and is counted"
is "$(guest_does "sect put /dev/ubda DONE 0 64; sect flush /dev/ubda
	sect map /dev/ubda 0 8192 64")" \
	"0+64=DONE 64+64=NEWW 128+896=BASE 1024+1024=BIGG 2048+4096=LAST 6144+2048=BIGG" \
	"all is there"
go end
ended_well guest "the guest ended well"
finish
