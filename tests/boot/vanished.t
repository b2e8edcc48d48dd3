#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: a base that somebody deletes, or replaces, under a running machine: the
# guest goes on with the open file, and nothing is merged into it, since it will be
# gone when the machine ends; with its name it can be had again.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole

pattern gone.img BASE 40320
pattern other.img BASE 40320
pattern lost.img BASE 64

start guest ubd0V3=top3.cow,gone.img ubd1V4=top4.cow,other.img \
	ubd2=lost.img <<'EOF'
for d in a b; do
	sect put /dev/ubd$d AAAA 0 8
	sect flush /dev/ubd$d
done
point up
for d in a b; do
	sect put /dev/ubd$d BBBB 8 8
	sect flush /dev/ubd$d
	sect map /dev/ubd$d 0 40320 8
done
point written
for d in a b; do
	sect map /dev/ubd$d 0 40320 8
done
EOF
await guest up
ln gone.img kept-gone.img
ln other.img kept-other.img
rm gone.img other.img lost.img
pattern other.img EVIL 40320
go up
await guest written
is "$(out guest)" "0+8=AAAA 8+8=BBBB 16+40304=BASE
0+8=AAAA 8+8=BBBB 16+40304=BASE" "the guest goes on, and reads what was there"
for pair in a-gone b-other; do
	disk=ubd${pair%-*}
	base=${pair#*-}.img
	for words in force "force delete"; do
		like "$(mconsole guest unsnapshot "$disk" "$words")" \
			"^ERR $T/$base: it was deleted, or another file has its name" \
			"$disk: unsnapshot $words is refused"
	done
	is "$(chain guest "$disk" | head -n 1 | cut -d ' ' -f 3)" top \
		"$disk: the chain is as it was"
	mv "kept-$base" "$base"
	like "$(mconsole guest unsnapshot "$disk" force)" "$base is the top again" \
		"$disk: with its name back, it is merged"
done
like "$(mconsole guest snapshot ubdc=new.cow)" \
	"^ERR $T/lost.img: it was deleted, or another file has its name" \
	"nothing is built on a disk whose file was deleted"
fails "and no file is left" test -e new.cow
go written
ended_well guest "the guest ended well"
is "$(out guest | tail -n 2 | sort -u)" "0+8=AAAA 8+8=BBBB 16+40304=BASE" \
	"and read the same to the last"
is "$("$SECT" map gone.img 0 40320 8) $("$SECT" map other.img 0 40320 8)" \
	"0+8=AAAA 8+8=BBBB 16+40304=BASE 0+8=AAAA 8+8=BBBB 16+40304=BASE" \
	"the bases have it all"
finish
