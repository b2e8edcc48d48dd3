// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device is at work on, and what it has done: see ubd_status.h.
 */
#include <linux/atomic.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include "ubd_hold.h"
#include "ubd_status.h"

/* @work and @progress under ubd_engine_lock */
static struct activity {
	enum ubd_work work;
	const struct cow_merge_progress *progress;
	atomic_t count[UBD_COUNTS];
} activities[UBD_DEVICES];

static const char * const work_names[] = {
	[UBD_IDLE] = "idle",
	[UBD_SNAPSHOT] = "snapshot",
	[UBD_DRAIN] = "drain",
	[UBD_FOLD] = "fold",
};

static struct activity *activity_of(struct ubd *dev)
{
	return &activities[ubd_unit(dev)];
}

static const char *token_of(const struct activity *activity)
{
	if (activity->progress && activity->progress->paused)
		return "paused";
	return work_names[activity->work];
}

static int percent_of(const struct cow_merge_progress *progress)
{
	if (!progress)
		return -1;
	if (!progress->total)
		return 0;
	return div64_u64(progress->done * 100, progress->total);
}

void ubd_status(struct ubd *dev, struct ubd_status *status)
{
	struct activity *activity = activity_of(dev);
	unsigned long flags = ubd_enter();
	struct common_file *file = ubd_file(dev);
	struct ubd_held held = ubd_held(dev);
	unsigned int i;

	*status = (struct ubd_status){
		.work = token_of(activity),
		.percent = percent_of(activity->progress),
		.depth = file ? cow_depth(file) : 0,
		.held = held.count,
		.hold = held.on,
	};
	for (i = 0; i < UBD_COUNTS; i++)
		status->count[i] = atomic_read(&activity->count[i]);
	ubd_leave(flags);
}

void ubd_status_begin(struct ubd *dev)
{
	struct activity *activity = activity_of(dev);
	unsigned int i;

	ubd_status_work(dev, UBD_IDLE, NULL);
	for (i = 0; i < UBD_COUNTS; i++)
		atomic_set(&activity->count[i], 0);
}

void ubd_status_work(struct ubd *dev, enum ubd_work work,
		     const struct cow_merge_progress *progress)
{
	struct activity *activity = activity_of(dev);
	unsigned long flags = ubd_enter();

	activity->work = work;
	activity->progress = progress;
	ubd_leave(flags);
}

void ubd_status_count(struct ubd *dev, enum ubd_count count)
{
	atomic_inc(&activity_of(dev)->count[count]);
}
