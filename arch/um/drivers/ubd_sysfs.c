// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest sees of a device in sysfs: /sys/block/ubda/serial, and the
 * directory /sys/block/ubda/ubd.
 *
 * Duty: one value for each file.
 *
 * Invariant: of the host there is nothing: no names, times or sizes. What the
 * files mean stands in Documentation/ubd.rst, and does not change.
 */
#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/sysfs.h>
#include "ubd_status.h"
#include "ubd_sysfs.h"

static struct ubd *to_ubd(struct device *dev)
{
	return dev_to_disk(dev)->private_data;
}

static ssize_t serial_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%s\n", ubd_serial(to_ubd(dev)));
}
static DEVICE_ATTR_RO(serial);

static struct attribute *disk_attrs[] = {
	&dev_attr_serial.attr,
	NULL,
};

static const struct attribute_group disk_group = {
	.attrs = disk_attrs,
};

static ssize_t state_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	struct ubd_status status;

	ubd_status(to_ubd(dev), &status);
	return sysfs_emit(buf, "%s\n", status.work);
}
static DEVICE_ATTR_RO(state);

static ssize_t progress_show(struct device *dev, struct device_attribute *attr,
			     char *buf)
{
	struct ubd_status status;

	ubd_status(to_ubd(dev), &status);
	if (status.percent < 0)
		return sysfs_emit(buf, "\n");
	return sysfs_emit(buf, "%d\n", status.percent);
}
static DEVICE_ATTR_RO(progress);

static ssize_t depth_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	struct ubd_status status;

	ubd_status(to_ubd(dev), &status);
	return sysfs_emit(buf, "%u\n", status.depth);
}
static DEVICE_ATTR_RO(depth);

static ssize_t held_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	struct ubd_status status;

	ubd_status(to_ubd(dev), &status);
	return sysfs_emit(buf, "%u\n", status.held);
}
static DEVICE_ATTR_RO(held);

static ssize_t show_count(struct device *dev, char *buf, enum ubd_count count)
{
	struct ubd_status status;

	ubd_status(to_ubd(dev), &status);
	return sysfs_emit(buf, "%u\n", status.count[count]);
}

static ssize_t snapshots_show(struct device *dev, struct device_attribute *attr,
			      char *buf)
{
	return show_count(dev, buf, UBD_SNAPSHOTS);
}
static DEVICE_ATTR_RO(snapshots);

static ssize_t merges_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	return show_count(dev, buf, UBD_MERGES);
}
static DEVICE_ATTR_RO(merges);

static ssize_t errors_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	return show_count(dev, buf, UBD_ERRORS);
}
static DEVICE_ATTR_RO(errors);

static struct attribute *chain_attrs[] = {
	&dev_attr_state.attr,
	&dev_attr_progress.attr,
	&dev_attr_depth.attr,
	&dev_attr_snapshots.attr,
	&dev_attr_merges.attr,
	&dev_attr_held.attr,
	&dev_attr_errors.attr,
	NULL,
};

static const struct attribute_group chain_group = {
	.name = "ubd",
	.attrs = chain_attrs,
};

const struct attribute_group *ubd_groups[] = {
	&disk_group,
	&chain_group,
	NULL,
};
