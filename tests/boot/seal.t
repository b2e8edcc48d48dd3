#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: layers that a running guest has below its tops are sealed, and held
# against their seals while it writes; taken back, or booted from, they are not
# sealed any more before they change.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole mkfs.ext4 e2fsck
need_moo

truncate -s 256M base.img
mkfs.ext4 -q -F base.img
holds "a layer" moo create -V 4 delta.cow base.img
holds "and a disk in place" moo create -V 4 --flat --size=128M flat.cow

cat >share/mounting <<'EOF'
for d in a b; do
	mkdir -p /tmp/$d
	mount /dev/ubd$d /tmp/$d
done
EOF
cat >share/writing <<'EOF'
n=0
while [ ! -e "$S/go.$point" ]; do
	n=$((n + 1))
	for d in a b; do
		head -c 3000000 /dev/urandom >/tmp/$d/new$((n % 5))
		echo $n >>/tmp/$d/old
	done
	sync
done
EOF
cat >share/ending <<'EOF'
(cd /tmp && find a b -type f -exec sha256sum {} +) >"$S/sums"
umount /tmp/a /tmp/b
EOF

start guest ubd0=delta.cow ubd1=flat.cow <<'EOF'
mkfs.ext4 -q -F /dev/ubdb
. "$S/mounting"
for d in a b; do
	head -c 16000000 /dev/urandom >/tmp/$d/old
done
sync
point old
point=frozen
. "$S/writing"
point written
point=thawed
. "$S/writing"
. "$S/ending"
EOF

# sealed FILE WHEN: and its data is what was sealed
sealed()
{
	like "$(moo info "$1")" "sealed: yes" "$2: $1 is sealed"
	status=0
	moo check --data --output=json "$1" >json 2>check.err || status=$?
	is "$status" 0 "$2: and as it was sealed"
	[ "$status" -eq 0 ] || diag "$(head -n 3 check.err)"
	verified=$(sed -n 's/.*"verified-clusters": \([0-9]*\).*/\1/p' json)
	holds "$2: $verified blocks of it" test "$verified" -gt 3000
}

unsealed()
{
	moo info -U "$1" >info.out || :
	fails "$2: $1 is sealed" grep -q sealed info.out
}

sound()
{
	status=0
	moo check "$1" >check.out 2>&1 || status=$?
	is "$status" 0 "$1: no fault, and nothing has leaked"
	[ "$status" -eq 0 ] || diag "$(cat check.out)"
}

await guest old
status=0
text=$(moo seal delta.cow flat.cow 2>&1) || status=$?
is "$status" 1 "tops of a running machine"
like "$text" "delta.cow: in use.*snapshot" "are not sealed"
like "$(mconsole guest snapshot ubda=a.cow)" "^OK" "a snapshot"
like "$(mconsole guest snapshot ubdb=b.cow)" "^OK" "and another"
go old
status=0
moo seal delta.cow flat.cow || status=$?
is "$status" 0 "what is frozen is sealed while the guest writes"
for turn in 1 2 3; do
	for f in delta flat; do
		sealed $f.cow "frozen, look $turn"
	done
done
cp delta.cow torn.cow
cp flat.cow ftorn.cow
go frozen
await guest written
go written
for d in a b; do
	like "$(mconsole guest unsnapshot ubd$d)" "^OK" "ubd$d is taken back"
done
unsealed delta.cow "taken back"
unsealed flat.cow "taken back"
go thawed
ended_well guest "the guest ended"
for f in delta flat; do
	sound $f.cow
	holds "$f.cow: moo merges it" moo merge $f.cow $f.img
	holds "$f.cow: e2fsck -fn finds nothing wrong" e2fsck -fn $f.img
done

# Damage that only a seal can tell of, in the midst of a file.
for f in torn ftorn; do
	perl -e 'open my $f, "+<", $ARGV[0] or die;
		seek $f, 12000000, 0; print $f "damage"' $f.cow
	status=0
	moo check --data $f.cow >check.out 2>&1 || status=$?
	is "$status" 2 "$f.cow: damage is found"
	like "$(cat check.out)" "; 1 are not what was sealed" \
		"$f.cow: in one block"
done

# A sealed layer below a top that is booted, and a sealed top.
forget_points
mv share/sums share/before
rm -f a.cow b.cow
moo create -V 4 a.cow delta.cow
moo seal delta.cow flat.cow
start again ubd0=a.cow ubd1=flat.cow <<'EOF'
. "$S/mounting"
(cd /tmp && sha256sum --quiet -c "$S/before")
point up
point=ending
. "$S/writing"
. "$S/ending"
EOF
await again up
sealed delta.cow "below a top"
unsealed flat.cow "a top"
go up
sleep 2
go ending
ended_well again "the guest found all its files, and wrote"
sealed delta.cow "as it was"
sound a.cow
sound flat.cow
finish
