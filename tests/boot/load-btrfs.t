#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: btrfs under load while snapshots come and go.
. "${0%/*}/lib.sh"
. "$boot_dir/load.sh"
load btrfs "mkfs.btrfs -q -f" "btrfs check"
