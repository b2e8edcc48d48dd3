# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Duty: TAP output for shell tests.
#
# Invariant: a test that ends early has printed no plan, so that prove sees
# the gap; the exit status is not 0 if any point failed.

tap_count=0
tap_failed=0

diag()
{
	printf '%s\n' "$*" | sed 's/^/# /'
}

# ok STATUS NAME: STATUS is 0 for good
ok()
{
	tap_count=$((tap_count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_count - $2"
	else
		echo "not ok $tap_count - $2"
		tap_failed=$((tap_failed + 1))
	fi
	return 0
}

# holds NAME COMMAND...: good if the command succeeds
holds()
{
	tap_name=$1
	shift
	if "$@"; then
		ok 0 "$tap_name"
	else
		ok 1 "$tap_name"
		diag "failed: $*"
	fi
}

# fails NAME COMMAND...: good if the command does not succeed
fails()
{
	tap_name=$1
	shift
	if "$@"; then
		ok 1 "$tap_name"
		diag "succeeded: $*"
	else
		ok 0 "$tap_name"
	fi
}

# is GOT WANTED NAME
is()
{
	if [ "$1" = "$2" ]; then
		ok 0 "$3"
	else
		ok 1 "$3"
		diag "got:    $1"
		diag "wanted: $2"
	fi
}

# like TEXT EXTENDED-REGEX NAME
like()
{
	if printf '%s\n' "$1" | grep -Eq -- "$2"; then
		ok 0 "$3"
	else
		ok 1 "$3"
		diag "got:    $1"
		diag "wanted: $2"
	fi
}

skip()
{
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - # SKIP $1"
}

skip_all()
{
	echo "1..0 # SKIP $1"
	exit 0
}

finish()
{
	echo "1..$tap_count"
	[ "$tap_failed" -eq 0 ]
	exit
}
