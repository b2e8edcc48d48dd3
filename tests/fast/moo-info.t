#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# moo info: every version, chains, states; JSON by qemu-img's schema.
set -eu
. "${0%/*}/lib.sh"

noise base 100352
path=$(realpath base)

for v in 1 2 3; do
	cowhdr "v$v.cow" "base=$path" version=$v own=3,4,190
	moo info --output=json "v$v.cow" >json
	is "$(json json filename)" "v$v.cow" "V$v: filename"
	is "$(json json format)" cow "V$v: format"
	is "$(json json virtual-size)" 100352 "V$v: virtual-size"
	is "$(json json backing-filename)" "$path" "V$v: backing"
	is "$(json json backing-filename-format)" raw "V$v: raw"
	is "$(json json format-specific type)" cow "V$v: type"
	is "$(json json format-specific data version)" $v \
		"V$v: version"
	is "$(json json format-specific data owned)" 1536 \
		"V$v: owned"
	is "$(json json format-specific data state)" top \
		"V$v: state"
	is "$(json json actual-size)" \
		"$(($(stat -c %b "v$v.cow") * 512))" "V$v: actual-size"
	like "$(moo info "v$v.cow")" "^file format: cow \(V$v" "V$v: for people"
done
cowhdr le.cow "base=$path" version=1 endian=little magic=MOOO own=7
moo info --output=json le.cow >json
is "$(json json format-specific data little-endian)" 1 \
	"V1 of a little-endian machine"

moo info --output=json base >json
is "$(json json format)" raw "a raw file"
is "$(json json backing-filename)" none "has no parent"

moo create mid.cow v3.cow
moo create top.cow mid.cow
moo info --backing-chain --output=json top.cow >json
is "$(column json format)" "cow cow cow raw" \
	"the whole chain"
is "$(column json filename)" \
	"top.cow $PWD/mid.cow $PWD/v3.cow $path" "by names"
is "$(moo info --backing-chain top.cow | grep -c '^image: ')" 4 \
	"for people, too"

if command -v qemu-img >/dev/null; then
	qemu-img info --output=json base >qemu
	moo info --output=json base >json
	for key in virtual-size filename format actual-size; do
		is "$(json json $key)" "$(json qemu $key)" \
			"$key as qemu-img has it"
	done
else
	skip "no qemu-img"
fi

# A single file is shown whether its parent is there or not.
mv base gone
moo info v3.cow >text
is "$?" 0 "without its parent"
refused 1 "base" "the chain needs it" moo info --backing-chain v3.cow
mv gone base

# Frozen, and a copy of that.
v4 v3.cow record /some/where/new.cow >v3.cow.moo
moo info --output=json v3.cow >json
is "$(json json format-specific data state)" frozen "frozen"
is "$(json json format-specific data successor)" \
	/some/where/new.cow "and its successor"
like "$(moo info v3.cow)" "^state: frozen; /some/where/new.cow " \
	"for people, too"
cp v3.cow copy.cow
cp v3.cow.moo copy.cow.moo
moo info --output=json copy.cow >json
is "$(json json format-specific data state)" top \
	"a copy is a file of its own"
v4 base record /some/where/new.cow >base.moo
moo info --output=json base >json
is "$(json json format-specific data state)" frozen \
	"a frozen raw file"
put v3.cow.moo 70 00
refused 1 "v3.cow: .*record" "a damaged record" moo info v3.cow

# Stock's V2 has bits for whole bytes, and ends there if nothing was written.
noise nine 4608
cowhdr v2.cow "base=$PWD/nine" version=2 length=4121
like "$(moo info v2.cow)" "owned: 0 B" "the byte of the last bit is not there"

# Names that JSON has to take care of.
name=$(printf 'q"b\\t\tu\303\244x\377.img')
cp base "$name"
moo info --output=json "$name" >json
is "$(json json filename)" "$(printf 'q"b\\t\tu\303\244x\357\277\275.img')" \
	"a name with odd characters"
refused 1 'moo: one\?two: ' "an error stays on one line" moo info "one
two"
finish
