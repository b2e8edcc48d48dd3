#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: chains whose files lie in the lower directory of an overlay. The host
# copies such a file when it is opened to be written, and the copy was born later:
# it still is the file that was frozen, whenever the machine is killed, and who had
# it open before reads what was written since. With flag A and without.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo
[ "$(id -u)" -eq 0 ] || skip_all "only root can mount"

overlay_up()
{
	mount -t overlay overlay -o "lowerdir=$T/vm,upperdir=$T/upper" \
		-o "workdir=$T/work" "$T/vm" 2>mount.log
}

overlay_end()
{
	umount "$T/vm" 2>/dev/null || umount -l "$T/vm" 2>/dev/null || :
}

# three NAME FLAGS: a V4 file on a raw one, a raw one, and one to be folded
three()
{
	start "$1" "ubd0$2=vm/a.cow,vm/a.img" "ubd1$2=vm/b.img" "ubd2$2=vm/c.img"
}

mkdir vm upper work
overlay_up || skip_all "no overlay here: $(cat mount.log)"
overlay_end

# Made where there is no overlay: all but the tops are frozen.
for d in a b c; do
	pattern vm/$d.img BASE 65536
done
three plain V4 <<'EOF'
for d in a b c; do sect put /dev/ubd$d AAAA 0 16384; done
point a
for d in a b c; do sect put /dev/ubd$d BBBB 4096 16384; done
point b
for d in a b c; do sect put /dev/ubd$d CCCC 8192 16384; done
EOF
await plain a
for d in a b c; do
	mconsole plain snapshot "ubd$d=$T/vm/$d.1.cow" >/dev/null
done
go a
await plain b
mconsole plain snapshot "ubdc=$T/vm/c.2.cow" >/dev/null
go b
ended_well plain "chains are made"
sums=$(cat vm/* | sha256sum)
written="0+4096=AAAA 4096+4096=BBBB 8192+16384=CCCC 24576+8192=BASE"

progress()
{
	mconsole guest snapshot "$1" | sed -n 's/.*draining \([0-9]*\) %.*/\1/p'
}

half_done()
{
	[ "$(progress "$1")" -ge 20 ] 2>/dev/null
}

# is_top DEVICE FILE: the merge into it has come to its end
is_top()
{
	chain again "$1" | sed -n 1p | grep -q "^$2 "
}

# under FLAGS WHAT
under()
{
	forget_points
	rm -rf upper work share/log.*
	mkdir upper work
	overlay_up
	boot_on_exit=overlay_end

	three guest "$1" <<'EOF'
for d in a b c; do
	sect map /dev/ubd$d 0 32768 2048
	sect storm /dev/ubd$d $S/log.$d 7 32768 32768 999999999 $S/go.end &
done
point read
wait
EOF
	await guest read
	is "$(out guest)" "$written
$written
$written" "$2: the names that are frozen lead to the tops"
	go read
	for d in a b; do
		mconsole guest merge ubd$d speed=1 >/dev/null
		mconsole guest unsnapshot ubd$d nowait >/dev/null
	done
	like "$(mconsole guest merge ubdc)" "folded into .*c.img" \
		"$2: a layer is folded"
	for d in a b; do
		until_true 30 half_done ubd$d || :
		like "$(progress ubd$d)" "^[2-9]" "$2: ubd$d is being merged"
	done
	for file in a.cow b.img c.img c.1.cow; do
		holds "$2: $file was copied" test -e "upper/$file"
	done
	kill9 guest

	forget_points
	three again "$1" <<'EOF'
look()
{
	for d in a b c; do
		sect map /dev/ubd$d 0 32768 2048
		sect verify /dev/ubd$d $S/log.$d 7 32768 32768 BASE
	done
}
look
point checked
look
EOF
	await again checked
	until_true 30 is_top ubda a.cow || :
	until_true 30 is_top ubdb b.img || :
	is "$(chain again ubda)" "a.cow V4 top
a.img raw frozen" "$2: the merge comes to its end after kill -9"
	is "$(chain again ubdb)" "b.img raw top" "$2: that into a raw file, too"
	is "$(chain again ubdc)" "c.2.cow V4 top
c.img raw frozen" "$2: what was folded stays so"
	go checked
	ended_well again "$2: all is there that was flushed"
	is "$(out again | grep '=' | sort -u)" "$written" \
		"$2: and all that was there before"
	# A machine that was killed may have left blocks that nobody uses.
	for file in a.cow c.2.cow; do
		holds "$2: $file is sound" no_faults -r leaks "vm/$file"
	done
	overlay_end
	boot_on_exit=
	is "$(cat vm/* | sha256sum)" "$sums" "$2: nothing below was written"
}

under "" "cached"
under A "flag A"
finish
