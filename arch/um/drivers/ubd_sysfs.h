/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Duty: what a disk is added with, so that it has its files in sysfs from the
 * beginning.
 */
#ifndef UBD_SYSFS_H
#define UBD_SYSFS_H

#include <linux/sysfs.h>

extern const struct attribute_group *ubd_groups[];

#endif
