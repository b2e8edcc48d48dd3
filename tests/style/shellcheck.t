#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Every script is clean for shellcheck that names sh or bash in its first line.
set -eu

if ! command -v shellcheck >/dev/null; then
	echo "1..0 # SKIP no shellcheck"
	exit 0
fi

n=0
list=$(mktemp)
trap 'rm -f "$list"' EXIT
find . \( -name .git -o -path ./build \) -prune -o -type f -print |
	sort >"$list"
while read -r file; do
	head -n 1 "$file" | grep -qE '^#!/bin/(ba)?sh' || continue
	n=$((n + 1))
	if out=$(shellcheck "$file"); then
		echo "ok $n - $file"
	else
		echo "$out" | sed 's/^/# /'
		echo "not ok $n - $file"
	fi
done <"$list"
echo "1..$n"
