#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# cppcheck over what is built for the host: the engine, moo, the tests.
# ctuuninitvar takes every buffer that is handed down to be filled for a read;
# memory that a test asked for in vain ends it, and what is said of that in the
# engine (ctunullpointer...) comes from tests too.
set -eu

if ! command -v cppcheck >/dev/null; then
	echo "1..0 # SKIP no cppcheck"
	exit 0
fi

set -- arch/um/drivers/cow arch/um/drivers/ubd_parse.c \
	arch/um/drivers/ubd_json.c
for dir in tools/moo tests/engine tests/crash tests/fault tests/fuzz \
	tests/damage; do
	[ ! -d "$dir" ] || set -- "$@" "$dir"
done
for quiet in ctuuninitvar ctunullpointer ctunullpointerOutOfMemory \
	nullPointerOutOfMemory:tests/* nullPointerArithmeticOutOfMemory:tests/* \
	normalCheckLevelMaxBranches; do
	set -- "$@" "--suppress=$quiet"
done

echo "1..1"
if out=$(cppcheck --quiet --std=c11 --language=c --inline-suppr \
	--error-exitcode=1 --enable=warning,portability,performance \
	-D_GNU_SOURCE -D__x86_64__ -Iarch/um/drivers/cow "$@" 2>&1); then
	echo "ok 1 - cppcheck"
else
	echo "$out" | sed 's/^/# /'
	echo "not ok 1 - cppcheck"
fi
