#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What moo makes of the golden images: NAME.raw, byte for byte, and each sector
# where NAME.expect has it; directly, and by way of V3 and of V4.
set -eu
. "${0%/*}/../fast/lib.sh"

perl "$top/tests/golden/make.pl" . "$(pwd -P)"

# A merge into a raw file leaves off what lies behind the parent's end, if
# nobody has written data there.
for name in v4 v4-torn v4-sealed; do
	tail -c +33893 $name.raw | tr -d '\0' >rest
	is "$(size $name.raw) $(size rest)" "34304 0" \
		"$name: zeros alone are behind its parent's end"
	truncate -s 33892 $name.raw
done

# sectors NAME [STATES]: "sector place" of what NAME owns, as make.pl has it
sectors()
{
	awk -v states="${2:-data}" '$1 == "sector" && $3 ~ states {
		print $2, $4
	}' "$1.expect"
}

# owned FILE: the same of data, by its map
owned()
{
	moo map --output=json "$1" >json
	extents json >map
	awk '$3 == 0 && $4 ~ /d/ {
		for (i = 0; i < $2; i += 512)
			print ($1 + i) / 512, $5 + i
	}' map
}

# numbers: of the sectors alone
numbers()
{
	cut -d ' ' -f 1
}

# total NAME: bytes of the sectors that NAME owns, as data or as zeros
total()
{
	echo $(($(grep -c ^sector "$1.expect") * 512))
}

# reads FILE NAME LABEL: the content of FILE is that of the image NAME
reads()
{
	rm -f flat
	moo merge "$1" flat || true
	original=$2.raw
	[ -e "$original" ] || original=$2.img
	holds "$3: content" cmp flat "$original"
}

# checks FILE STATUS LABEL
checks()
{
	status=0
	moo check "$1" >checked || status=$?
	is "$status" "$2" "$3: check"
}

# field FILE KEY...: of what info says of FILE
field()
{
	moo info --output=json "$1" >json
	shift
	json json "$@"
}

# converts NAME VERSION: into a layer that is sound and says the same. V3 has
# no zeros but as data.
converts()
{
	label="$1 to V$2"
	states=data
	[ "$2" = 4 ] || states='data|zero'
	rm -f out.cow
	moo convert -V "$2" "$1.cow" out.cow || true
	is "$(field out.cow format-specific data version)" "$2" "$label: version"
	is "$(field out.cow backing-filename)" \
		"$(field "$1.cow" backing-filename)" "$label: parent"
	reads out.cow "$1" "$label"
	checks out.cow 0 "$label"
	is "$(field out.cow format-specific data owned)" "$(total "$1")" \
		"$label: owned"
	is "$(owned out.cow | numbers)" \
		"$(sectors "$1" "$states" | numbers)" \
		"$label: the same sectors"
	fails "$label: can be written" grep -q read-only checked
}

while read -r name status version; do
	cow=$name.cow
	moo info "$cow" >text || true
	is "$(sed -n 's/^file format: //p' text)" "cow ($version)" \
		"$name: version"
	reads "$cow" "$name" "$name"
	checks "$cow" "$status" "$name"
	is "$(field "$cow" format-specific data owned)" "$(total "$name")" \
		"$name: owned"
	is "$(owned "$cow")" "$(sectors "$name")" "$name: places"
	converts "$name" 4
	[ "${name#v4-disk}" != "$name" ] || [ "$name" = v4-thin ] || converts "$name" 3
	rm -f raw
	moo convert -V 0 "$cow" raw || true
	holds "$name to raw" cmp raw "$name.raw"
	echo "$name" >>seen
done <<'END'
v1-be 0 V1
v1-le 0 V1, little endian
v1-tail-on-data 0 V1, little endian
v2 0 V2
v2-tail-on-data 0 V2
v3 0 V3
v3-align-1000 0 V3
v3-align-512 0 V3
v3-broken 0 V3, the layout with 64-bit padding
v4 3 V4
v4-disk 0 V4, data in place
v4-disk-sealed 0 V4, data in place
v4-sealed 3 V4
v4-thin 0 V4, without parent
v4-torn 3 V4
END
is "$(sort seen)" "$(printf '%s\n' v*.cow | sed 's/\.cow$//' | sort)" \
	"no image was left out"

# The leaf that generation 4 has left in block 9.
moo check --output=json v4.cow >json || true
is "$(json json leaks)" 1 "v4: one block is used by nothing, which is no fault"

# The checksums are those of the document; and of what moo makes itself.
for name in v4-sealed v4-disk-sealed; do
	status=0
	moo check --data $name.cow >checked 2>&1 || status=$?
	is "$((status % 3))" 0 "$name: is what was sealed"
	like "$(cat checked)" "[1-9] blocks of data.*; 0 are not" \
		"$name: all of it"
	cp $name.cow again.cow
	moo create -V 4 kid.cow again.cow
	moo merge --in-place --delete kid.cow
	is "$(field again.cow format-specific data sealed)" 0 \
		"$name: opened to be written"
	moo seal again.cow
	perl -ne 'print if /^(seal|checksum)/' $name.expect >want
	is "$(field again.cow format-specific data sealed-clusters)" \
		"$(grep -c ^checksum want)" "$name: sealed again"
	moo check --data again.cow >checked 2>&1 || status=$?
	is "$((status % 3))" 0 "$name: as what was sealed"
done

# Of one image there are two headers, which have no data and a geometry each.
for name in head-4 head-67; do
	reads $name.cow small $name
	checks $name.cow 0 $name
	is "$(field $name.cow backing-filename)" "$(pwd -P)/small.img" \
		"$name: its image"
done
moo info head-4.cow >text
like "$(cat text)" "geometry: 4 cylinders, 4 heads, 4 sectors" "head-4: geometry"
moo info head-67.cow >text
like "$(cat text)" "geometry: 67 cylinders, 1 heads, 1 sectors" \
	"head-67: geometry"

# Where the bits of the last sectors are, or would be.
for name in v1-le v1-be v2; do
	is "$(owned $name.cow | numbers | tail -n 2 | tr '\n' ' ')" "64 66 " \
		"$name: the bits behind its bitmap count"
	moo info $name.cow >text
	fails "$name: can be written" grep -q read-only text
done
for name in v1-tail-on-data v2-tail-on-data; do
	moo info $name.cow >text
	like "$(cat text)" "read-only" "$name: is told to be read-only"
done

for name in v4-disk v4-disk-sealed v4-thin; do
	refused 1 "$name.cow: has no parent" "$name to V3" \
		moo convert -V 3 $name.cow no.cow
done
fails "and nothing is made" test -e no.cow
finish
