#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: each fuzz target for a while, from the golden images on, under ASan and
# UBSan: no crash, no hang, no file changed by who only looks.
#
# FUZZ_SECONDS=n (60) for each target; what they learn stays in build/fuzz, and a
# later run begins with it. An input that breaks something is named, and kept.
# FUZZER=afl: the same targets by AFL++ instead of clang's libFuzzer.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
fuzzer=${FUZZER:-libfuzzer}
seconds=${FUZZ_SECONDS:-60}

case $fuzzer in
libfuzzer)
	work=$top/build/fuzz
	cc=clang
	coverage=-fsanitize=fuzzer-no-link
	;;
afl)
	work=$top/build/fuzz-afl
	cc=afl-clang-fast
	coverage=
	export AFL_QUIET=1 AFL_NO_UI=1 AFL_AUTORESUME=1 AFL_SKIP_CPUFREQ=1 \
		AFL_NO_AFFINITY=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1
	;;
*)
	echo "Bail out! FUZZER is $fuzzer, and neither libfuzzer nor afl"
	exit 1
	;;
esac

mkdir -p "$work/golden" "$work/lines" "$work/texts"
if ! echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void)
	{ return 0; }' | $cc -fsanitize=fuzzer -x c -o "$work/try" - 2>/dev/null
then
	echo "1..0 # SKIP no $cc that makes fuzz targets"
	exit 0
fi
perl tests/golden/make.pl "$work/golden" / >/dev/null
rm -f "$work"/golden/*.raw "$work"/golden/*.expect
for image in "$work"/golden/*.cow; do
	build/moo dump "$image" >"$work/texts/${image##*/}" 2>/dev/null ||
		rm "$work/texts/${image##*/}"
done
# The first byte says to whom the rest is said, see fuzz_line.c.
printf '\0000rsAV4C9H8S7=a.cow,b.img,serial' >"$work/lines/device"
printf '\001sync,threads,record=f' >"$work/lines/options"
printf '\002ubda=f' >"$work/lines/snapshot"
printf '\003ubd15 nowait delete force' >"$work/lines/unsnapshot"

flags="-g -O1 -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
	-Iarch/um/drivers/cow -Iarch/um/drivers -Itests/engine -Itests/crash
	-fsanitize=address,undefined -fno-sanitize-recover=all"

# compile SOURCE: its object, if that is older
compile()
{
	object=$work/$(echo "$1" | tr / -).o
	[ -z "$(find "$1" -newer "$object" 2>/dev/null)" ] &&
		[ -e "$object" ] && return
	# shellcheck disable=SC2086
	$cc $flags $coverage -c -o "$object" "$1"
}

objects()
{
	for source; do
		echo "$work/$(echo "$source" | tr / -).o"
	done
}

engine=$(ls arch/um/drivers/cow/*.c)
tool="$(find tools/moo -name '*.c' ! -name moo.c) arch/um/drivers/ubd_json.c"
words=arch/um/drivers/ubd_parse.c
host="tests/crash/vdisk.c tests/engine/rig.c"

# A header that has changed is not known here: all of it is made anew.
if [ -n "$(find arch/um/drivers tests tools/moo -name '*.h' \
	-newer "$work/stamp" 2>/dev/null)" ] || [ ! -e "$work/stamp" ]; then
	rm -f "$work"/*.o
fi
: >"$work/stamp"
for source in $engine $tool $words $host tests/fuzz/*.c; do
	compile "$source"
done

run_libfuzzer()
{
	mkdir -p "$work/corpus.$1"
	exec "$work/$1" -max_total_time="$seconds" -max_len=65536 -timeout=20 \
		-detect_leaks=0 -close_fd_mask=3 -rss_limit_mb=4096 \
		-print_final_stats=1 -artifact_prefix="$work/$1-" \
		"$work/corpus.$1" "$2"
}

run_afl()
{
	exec afl-fuzz -i "$2" -o "$work/corpus.$1" -V "$seconds" -m none \
		-t 20000 -- "$work/$1"
}

# target NAME SEEDS SOURCE...: begin to run it
target()
{
	name=$1
	seeds=$work/$2
	shift 2
	# shellcheck disable=SC2046
	$cc -fsanitize=fuzzer,address,undefined -o "$work/$name" \
		$(objects "tests/fuzz/fuzz_$name.c" tests/fuzz/fix.c "$@") \
		-luring -laio -lpthread
	"run_$fuzzer" "$name" "$seeds" >"$work/$name.log" 2>&1 &
	echo $! >"$work/$name.pid"
}

# runs NAME: how many inputs were tried, if none of them broke anything
runs_libfuzzer()
{
	sed -n 's/^stat::number_of_executed_units: *//p' "$work/$1.log"
}

runs_afl()
{
	found=$(find "$work/corpus.$1" -path '*/crashes/id*' -o \
		-path '*/hangs/id*')
	if [ -n "$found" ]; then
		echo "$found" >>"$work/$1.log"
	else
		sed -n 's/^execs_done *: *//p' \
			"$work/corpus.$1/default/fuzzer_stats"
	fi
}

# shellcheck disable=SC2086
{
	target header golden $engine
	target chain golden $host $engine
	target moo golden $tool $engine
	target line lines $words $engine
	target text texts $tool $engine
}

n=0
for name in header chain moo line text; do
	n=$((n + 1))
	runs=
	if wait "$(cat "$work/$name.pid")"; then
		runs=$("runs_$fuzzer" "$name")
	fi
	if [ "${runs:-0}" -gt 0 ]; then
		echo "ok $n - $name: nothing found in $runs runs by $fuzzer"
	else
		echo "not ok $n - $name"
		tail -n 30 "$work/$name.log" | sed 's/^/# /'
	fi
done
echo "1..$n"
