# SPDX-License-Identifier: GPL-2.0-only
# Duty: what every guest script begins with.
# shellcheck shell=sh
set -eu
S=/mnt/share

# point NAME: tells the test, waits until it says go
point()
{
	: >"$S/at.$1"
	until [ -e "$S/go.$1" ]; do
		sleep 0.05
	done
}

# disks: which of the driver's disks can be opened, on one line
disks()
{
	for d in /dev/ubd[a-p]; do
		! sect info "$d" >/dev/null 2>&1 || printf '%s ' "${d#/dev/}"
	done
	echo
}
