#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: the self-tests for guests (tests/kselftest), run in a guest, one point for
# each of theirs; and that they are skipped where no disk is named.
. "${0%/*}/lib.sh"
ours_only

compile ../kselftest/ubd_ioctl.c ubd_ioctl -static
cp "$BOOT_BUILD/ubd_ioctl" "$boot_top/tests/kselftest/ubd_sysfs.sh" share

pattern base.img BASE 40320
for disk in a b c d e; do
	pattern $disk.img DISK 40320
done

boot guest ubd0=delta.cow,base.img ubd1R=a.img ubd2B4096=b.img \
	ubd3C5H16S63=c.img ubd4t=d.img ubd5=e.img,,ABC-1 <<'EOF'
for test in ubd_ioctl ubd_sysfs.sh; do
	status=0
	"$S/$test" >"$S/$test.none" || status=$?
	echo "$status" >"$S/$test.skipped"
	export UBD_SCRATCH=ubda UBD_READONLY=ubdb UBD_SECTOR=ubdc
	export UBD_GEOMETRY=ubdd UBD_NO_TRIM=ubde UBD_SERIAL=ubdf
	status=0
	"$S/$test" >"$S/$test.tap" || status=$?
	echo "$status" >"$S/$test.status"
	unset UBD_SCRATCH UBD_READONLY UBD_SECTOR UBD_GEOMETRY UBD_NO_TRIM \
		UBD_SERIAL
done
EOF
ended_well guest "the guest ended"

# take TEST: its points become points of this one
take()
{
	while read -r line; do
		case $line in
		"ok "*) ok 0 "$1: ${line#ok * - }" ;;
		"not ok "*) ok 1 "$1: ${line#not ok * - }" ;;
		"# "*) diag "$line" ;;
		esac
	done <"share/$1.tap"
}

for test in ubd_ioctl ubd_sysfs.sh; do
	take $test
	is "$(cat share/$test.status)" 0 "$test: it ended well"
	is "1..$(grep -c '^ok' share/$test.tap)" "$(tail -n 1 share/$test.tap)" \
		"$test: with all that was planned"
	fails "$test: nothing was skipped" grep -q SKIP share/$test.tap
	is "$(cat share/$test.skipped)" 4 "$test: without disks all is skipped"
	fails "$test: and none of it is done" \
		grep -v -e SKIP -e '^TAP' -e '^1\.\.' -q share/$test.none
done
finish
