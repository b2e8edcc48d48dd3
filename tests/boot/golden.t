#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: stock's kernel and ours see the same in the golden images, ours also in
# those that stock can not read; what ours writes to them is there again.
. "${0%/*}/lib.sh"
ours_only
need_moo
OURS=$UML

perl "$boot_top/tests/golden/make.pl" . "$(pwd -P)"

readonly_images="v1-tail-on-data v2-tail-on-data"
v3="v3 v3-align-512 v3-align-1000 v3-broken"
shared="v1-le v2 $readonly_images $v3"
written="v1-le v2 $v3 v1-be v4 v4-torn v4-thin v4-disk"

# attach IMAGE...: $disks for the kernel, a list for the guest
attach()
{
	disks=
	letters=abcdefghijklmnop
	for image; do
		letter=${letters%"${letters#?}"}
		letters=${letters#?}
		disks="$disks ubd$letter=$image.cow"
		echo "/dev/ubd$letter $image $(sectors "$image")"
	done >share/disks
}

# dump GUEST IMAGE...: each disk, sector by sector, to IMAGE.one, and in large
# requests, of which stock garbles those of mixed owners (D2), to IMAGE.big
dump()
{
	guest=$1
	shift
	attach "$@"
	rm -f share/*.one share/*.big
	# shellcheck disable=SC2086
	boot "$guest" $disks <<'GUEST'
while read -r disk image sectors; do
	dd if="$disk" of="$S/$image.one" ibs=512 obs=64k iflag=direct
	dd if="$disk" of="$S/$image.big" bs=64k iflag=direct
done <"$S/disks" 2>"$S/dd.log"
GUEST
	ended_well "$guest" "$guest: the guest reads every disk to its end"
}

sectors()
{
	echo $(($(stat -c %s "$1.raw") / 512))
}

sums()
{
	cksum ./*.cow ./*.img
	stat -c '%n %s %y' ./*.img
}

# parents_tail IMAGE SECTORS: the last ones as stock has them of the parent,
# whose partial last sector it repeats (D5)
parents_tail()
{
	perl -e '
		my ($expect, $first) = @ARGV;
		open my $in, "<", $expect or die "$expect: $!\n";
		my ($name) = map { /^parent (.*)/ ? $1 : () } <$in>;
		open my $parent, "<:raw", $name or die "$name: $!\n";
		seek $parent, 512 * $first, 0;
		while (my $n = read $parent, my $sector, 512) {
			print substr $sector x 512, 0, 512;
		}' "$1.expect" "$(($(sectors "$1") - $2))"
}

# stock_sees GUEST: all that the images have. But of V1 and V2 it does not load
# the bits of the last (sectors % 8) sectors, and finds zeros in their place.
stock_sees()
{
	if [ ! -x "$STOCK" ]; then
		skip "$1: $STOCK is not here"
		return
	fi
	UML=$STOCK
	# shellcheck disable=SC2086
	dump "$1" $shared
	UML=$OURS
	for image in $v3; do
		holds "$1: $image" cmp "share/$image.one" "$image.raw"
	done
	for image in v1-le v2 $readonly_images; do
		all=$(sectors "$image")
		tail=$((all % 8))
		is "$(stat -c %s "share/$image.one")" "$((all * 512))" \
			"$1: $image: size"
		holds "$1: $image: but for the last $tail sectors" \
			cmp -n "$(((all - tail) * 512))" \
			"share/$image.one" "$image.raw"
		parents_tail "$image" "$tail" >wanted
		tail -c "$((tail * 512))" "share/$image.one" >got
		holds "$1: $image: these are taken from the parent" \
			cmp got wanted
	done
}

# ours_sees GUEST
ours_sees()
{
	# shellcheck disable=SC2086
	dump "$1" $written $readonly_images
	for image in $written $readonly_images; do
		holds "$1: $image" cmp "share/$image.one" "$image.raw"
		holds "$1: $image, in large requests" \
			cmp "share/$image.big" "$image.raw"
	done
}

sums >before
stock_sees stock
is "$(sums)" "$(cat before)" "stock: reading changes nothing"
ours_sees ours
is "$(sums)" "$(cat before)" "ours: reading changes nothing"

# Who opens what is sealed to write to it gives the seal up.
written="$written v4-sealed v4-disk-sealed"

# The first sector, some that no image owns, the last ones across the end of
# what V1 and V2 have bits for, and one of these alone.
cat >share/puts <<'EOF'
sect put "$1" FIRST 0 1
sect put "$1" MIDDLE 20 3
sect put "$1" LAST "$(($2 - 4))" 4
sect put "$1" TAIL "$(($2 - 2))" 1
EOF
# shellcheck disable=SC2086
attach $written
# shellcheck disable=SC2086
boot write $disks <<'EOF'
while read -r disk image sectors; do
	sh -eu "$S/puts" "$disk" "$sectors"
	sect flush "$disk"
done <"$S/disks"
EOF
ended_well write "the guest writes to each"
for image in $written; do
	PATH=$S/bin:$PATH sh -eu share/puts "$image.raw" \
		"$(sectors "$image")"
done

# shellcheck disable=SC2086
attach $readonly_images
sums >before
# shellcheck disable=SC2086
boot refuse $disks <<'EOF'
while read -r disk image sectors; do
	sect info "$disk" | grep -o ro=1
	for at in 0 20 "$((sectors - 1))"; do
		! sect put "$disk" OVER "$at" 1 2>/dev/null || echo "$at written"
	done
done <"$S/disks"
EOF
ended_well refuse "the bits of the tail on data sector 0: the guest comes up"
is "$(out refuse)" "$(printf 'ro=1\nro=1')" "such disks are read-only"
is "$(sums)" "$(cat before)" "and stay as they are"
for image in $readonly_images; do
	holds "the host is told of $image" host_says refuse \
		"/$image\.cow is opened read-only: .*moo convert"
done

ours_sees reboot
stock_sees stock-reboot
for image in $written; do
	fails "reboot: $image can be written" host_says reboot \
		"/$image\.cow is opened read-only"
	rm -f merged
	moo merge "$image.cow" merged || diag "$image: not merged"
	holds "moo merges $image to the same" cmp merged "$image.raw"
done
is "$(stat -c '%s %Y' small.img v1odd.img v2odd.img | tr '\n' ' ')" \
	"33892 1133395200 951808 1133395200 2000384 1133395200 " \
	"no parent was written"

boot heads ubd0r=head-4.cow ubd1r=head-67.cow <<'EOF'
for d in a b; do sect info /dev/ubd$d; done
for d in a b; do dd if=/dev/ubd$d of="$S/head.$d" bs=512 2>/dev/null; done
EOF
ended_well heads "two headers of one image"
like "$(out heads | sed -n 1p)" "heads=4 sectors=4 cylinders=4" "one geometry"
like "$(out heads | sed -n 2p)" "heads=1 sectors=1 cylinders=67" "another one"
for d in a b; do
	holds "the same data" cmp share/head.$d head-4.raw
done
finish
