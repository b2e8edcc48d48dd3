#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: xfs under load while snapshots come and go.
. "${0%/*}/lib.sh"
. "$boot_dir/load.sh"
load xfs "mkfs.xfs -q -f" "xfs_repair -n"
