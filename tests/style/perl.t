#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# perl compiles the benchmark without a warning: no test runs all of it.  (What
# tests do when perl compiles them, they show themselves.)
set -eu

n=0
for file in bench/run bench/Bench/*.pm; do
	n=$((n + 1))
	if out=$(perl -Ibench -wc "$file" 2>&1) && [ "$out" = "$file syntax OK" ]
	then
		echo "ok $n - $file"
	else
		echo "$out" | sed 's/^/# /'
		echo "not ok $n - $file"
	fi
done
echo "1..$n"
