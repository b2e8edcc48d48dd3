#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The man pages have no mistake that mandoc warns of.  A page that is just
# another name of one (.so) can be read only where it is installed.
set -eu

if ! command -v mandoc >/dev/null; then
	echo "1..0 # SKIP no mandoc"
	exit 0
fi
set -- Documentation/*.1
if [ ! -e "$1" ]; then
	echo "1..0 # SKIP no man pages"
	exit 0
fi

n=0
for page; do
	! head -n 1 "$page" | grep -q '^\.so ' || continue
	n=$((n + 1))
	if out=$(mandoc -T lint -W warning "$page"); then
		echo "ok $n - $page"
	else
		echo "$out" | sed 's/^/# /'
		echo "not ok $n - $page"
	fi
done
echo "1..$n"
