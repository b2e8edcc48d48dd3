#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: ext4 under load while snapshots come and go.
. "${0%/*}/lib.sh"
. "$boot_dir/load.sh"
load ext4 "mkfs.ext4 -q -F" "e2fsck -fn"
