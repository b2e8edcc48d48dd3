#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: each fuzz target for a while, from the golden images on, under ASan and
# UBSan: no crash, no hang, no file changed by who only looks.
#
# FUZZ_SECONDS=n (60) for each target; what they learn stays in build/fuzz, and a
# later run begins with it. An input that breaks something is named, and kept.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
work=$top/build/fuzz
seconds=${FUZZ_SECONDS:-60}

mkdir -p "$work/golden"
if ! echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void)
	{ return 0; }' | clang -fsanitize=fuzzer -x c -o "$work/try" - 2>/dev/null
then
	echo "1..0 # SKIP no clang with libFuzzer"
	exit 0
fi
perl tests/golden/make.pl "$work/golden" / >/dev/null
rm -f "$work"/golden/*.raw "$work"/golden/*.expect

flags="-g -O1 -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
	-Iarch/um/drivers/cow -Itests/engine -Itests/crash
	-fsanitize=address,undefined -fno-sanitize-recover=all"

# compile SOURCE: its object, if that is older
compile()
{
	object=$work/$(echo "$1" | tr / -).o
	[ -z "$(find "$1" -newer "$object" 2>/dev/null)" ] &&
		[ -e "$object" ] && return
	# shellcheck disable=SC2086
	clang $flags -fsanitize=fuzzer-no-link -c -o "$object" "$1"
}

objects()
{
	for source; do
		echo "$work/$(echo "$source" | tr / -).o"
	done
}

engine=$(ls arch/um/drivers/cow/*.c)
tool=$(find tools/moo -name '*.c' ! -name moo.c)
host="tests/crash/vdisk.c tests/engine/rig.c"

# A header that has changed is not known here: all of it is made anew.
if [ -n "$(find arch/um/drivers/cow tests tools/moo -name '*.h' \
	-newer "$work/stamp" 2>/dev/null)" ] || [ ! -e "$work/stamp" ]; then
	rm -f "$work"/*.o
fi
: >"$work/stamp"
for source in $engine $tool $host tests/fuzz/*.c; do
	compile "$source"
done

# target NAME SOURCE...: begin to run it
target()
{
	name=$1
	shift
	mkdir -p "$work/corpus.$name"
	# shellcheck disable=SC2046
	clang -fsanitize=fuzzer,address,undefined -o "$work/$name" \
		$(objects "tests/fuzz/fuzz_$name.c" tests/fuzz/fix.c "$@") \
		-luring -lpthread
	"$work/$name" -max_total_time="$seconds" -max_len=65536 -timeout=20 \
		-detect_leaks=0 -close_fd_mask=3 -rss_limit_mb=4096 \
		-print_final_stats=1 -artifact_prefix="$work/$name-" \
		"$work/corpus.$name" "$work/golden" >"$work/$name.log" 2>&1 &
	echo $! >"$work/$name.pid"
}

# shellcheck disable=SC2086
{
	target header $engine
	target chain $host $engine
	target moo $tool $engine
}

n=0
for name in header chain moo; do
	n=$((n + 1))
	runs=
	if wait "$(cat "$work/$name.pid")"; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' \
			"$work/$name.log")
	fi
	if [ "${runs:-0}" -gt 0 ]; then
		echo "ok $n - $name: nothing found in $runs runs"
	else
		echo "not ok $n - $name"
		tail -n 30 "$work/$name.log" | sed 's/^/# /'
	fi
done
echo "1..$n"
