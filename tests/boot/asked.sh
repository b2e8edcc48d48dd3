# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Duty: a guest, called "guest", that does what it is asked while the test goes
# on: each command in a shell of its own, beside those that have not ended.

# start_asked ARGUMENTS...: it works until "go end"
start_asked()
{
	echo 0 >asked
	start guest "$@" <<'EOF'
n=1
run()
{
	status=0
	sh -eu "$S/do.$1" >"$S/said.$1" 2>&1 || status=$?
	echo "$status" >"$S/ending.$1"
	mv "$S/ending.$1" "$S/ended.$1"
}
while [ ! -e "$S/go.end" ]; do
	if [ -e "$S/do.$n" ]; then
		run "$n" &
		n=$((n + 1))
	fi
	sleep 0.02
done
EOF
	until_true 30 mconsole_up guest || diag "the guest does not come up"
}

# guest_begins COMMAND: its number is in $job
guest_begins()
{
	job=$(($(cat asked) + 1))
	echo "$job" >asked
	echo "$1" >share/next
	mv share/next "share/do.$job"
}

# ended JOB
ended()
{
	[ -e "share/ended.$1" ]
}

# ended_with JOB: its status, when it has ended
ended_with()
{
	if until_true 40 ended "$1"; then
		cat "share/ended.$1"
	else
		echo "no answer"
	fi
}

# guest_does COMMAND: prints what it said, and "failed" if it did
guest_does()
{
	guest_begins "$1"
	said_status=$(ended_with "$job")
	cat "share/said.$job"
	[ "$said_status" = 0 ] || echo failed
}
