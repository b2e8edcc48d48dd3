#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What moo says of itself, and how it refuses what it does not understand.
set -eu
. "${0%/*}/lib.sh"

for verb in create info map merge check convert diff adopt rebase dump restore resize compact; do
	# diff ends as cmp does.
	wrong=1
	[ "$verb" != diff ] || wrong=2

	moo "$verb" --help >help
	like "$(head -n 1 help)" "^Usage: moo $verb " "$verb --help"
	is "$(moo "$verb" -h)" "$(cat help)" "$verb -h is the same"
	like "$(moo --help)" "^  $verb " "$verb is listed"
	like "$(sed 's,.fB,,' "$top/Documentation/moo.1")" "^moo $verb" \
		"$verb has its form in the man page"
	is "$(awk 'length > 80' help)" "" "$verb --help fits 80 columns"

	status=0
	moo "$verb" >stdout 2>stderr || status=$?
	is "$status" "$wrong" "$verb without a file fails"
	like "$(head -n 1 stderr)" "^moo: $verb: a file name is missing" \
		"$verb says so"
	is "$(wc -c <stdout)" 0 "$verb writes no error to standard output"

	status=0
	moo "$verb" --nonsense a b >stdout 2>stderr || status=$?
	is "$status" "$wrong" "$verb: an unknown option fails"
	like "$(head -n 1 stderr)" "^moo: .*nonsense" "$verb names it"

	status=0
	moo "$verb" a b c d >stdout 2>stderr || status=$?
	is "$status" "$wrong" "$verb: too many files fail"
done

like "$(moo --version)" "^moo [0-9]" "--version"
refused 1 "^moo: frob: no such verb" "an unknown verb" moo frob
status=0
moo >stdout 2>stderr || status=$?
is "$status" 1 "no verb"
like "$(cat stderr)" "^Usage: moo" "no verb: usage"

refused 1 "^moo: no/such.cow: .*No such file" "a missing file" \
	moo info no/such.cow
refused 1 "^moo: \.: " "a directory" moo info .
mkfifo pipe
refused 1 "^moo: pipe: " "a FIFO does not block" moo info pipe

# Every option that a verb takes is in its form in the man page.
for verb in create info map merge check convert diff adopt rebase dump restore resize compact; do
	moo "$verb" --help | sed -n 's/^ .*\(--[a-z-]*\).*/\1/p' | sort -u \
		>options
	while read -r option; do
		holds "$verb $option is in the man page" grep -qF -e \
			"$(echo "${option#--}" | sed 's/-/\\-/g')" \
			"$top/Documentation/moo.1"
	done <options
done
finish
