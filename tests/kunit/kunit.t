#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The KUnit suites inside build/linux.  The kernel reports KTAP: suites at the
# left margin, the cases of a suite indented by four.  Each case becomes one
# test here, named suite.case.
set -eu

linux=build/linux

if [ ! -x "$linux" ]; then
	echo "1..0 # SKIP no $linux: make kernel"
	exit 0
fi
set -- tests/kunit/*.c
if [ ! -e "$1" ]; then
	echo "1..0 # SKIP no suites"
	exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Without a root file system: KUnit runs before the kernel looks for one.
timeout 300 "$linux" mem=128M con=null con0=null,fd:1 kunit.enable=1 \
	kunit_shutdown=poweroff </dev/null >"$log" 2>&1 || :

awk -v suites=$# '
	{ gsub(/\r/, ""); sub(/^\[ *[0-9.]+\] /, "") }
	/^    # Subtest: / { suite = $3 }
	/^    (not )?ok [0-9]+ / {
		verdict = $1 == "not" ? "not ok" : "ok"
		sub(/^    (not )?ok [0-9]+ (- )?/, "")
		printf "%s %d - %s.%s\n", verdict, ++n, suite, $0
		next
	}
	/^(not )?ok [0-9]+ / { done++; next }
	/^ +# / { sub(/^ +/, ""); print; next }
	# What was expected and what was found.
	/^        / { sub(/^ +/, "# "); print }
	END {
		if (done < suites)
			printf "not ok %d - %d of %d suites came to an end\n",
				++n, done, suites
		print "1.." n
	}' "$log"
