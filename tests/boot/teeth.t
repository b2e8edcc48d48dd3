#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: show that the tests of the stock driver's defects can fail: on Debian's
# stock kernel each of them must, in points that carry the defect's number and
# in no others.
BOOT_TIMEOUT=${BOOT_TIMEOUT:-400}
UML=${STOCK:-/usr/bin/linux.uml}
export UML
. "${0%/*}/lib.sh"
is_stock || skip_all "$UML is not a stock kernel"

for test in "$boot_dir"/d[0-9][0-9]-*.t; do
	test=${test##*/}
	number=$(echo "$test" | sed 's/^d0*\([0-9]*\)-.*/D\1/')
	env -u BOOT_LIMITED BOOT_TIMEOUT=90 sh "$boot_dir/$test" \
		>"$test.out" 2>"$test.err" || :
	if grep -q '^1\.\.0 # SKIP' "$test.out"; then
		skip "$test: $(sed -n 's/^1\.\.0 # SKIP //p' "$test.out")"
		continue
	fi
	shown=$(grep -c "^not ok [0-9]* - $number:" "$test.out") || :
	other=$(grep "^not ok" "$test.out" | grep -vc " - $number:") || :
	ended=$(grep -c '^1\.\.[1-9]' "$test.out") || :
	is "shown=$((shown > 0)) other=$other ended=$ended" \
		"shown=1 other=0 ended=1" "$test fails on stock as it must"
	grep "^not ok" "$test.out" | sed 's/^/# /'
done
finish
