/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the block device say to each other.
 *
 * Duty: the host side (ubd_host.c, compiled against the C library) for the
 * kernel side (ubd_kern.c, ubd_job.c and the commands); below that, what the
 * files of the kernel side share.
 *
 * Invariant: nothing here has a size that differs between the two sides.
 */
#ifndef UBD_H
#define UBD_H

#include "cow/cow.h"
#include "ubd_parse.h"

/* ---- host side --------------------------------------------------------- */

/**
 * struct ubd_open - one common_open(), on its way to a helper thread
 * @args: which chain, and how
 * @index_mib: bound on the memory for its index, MiB; 0: the engine chooses
 * @index_all: all of its index is to be in memory, if it fits into that
 * @file: the device, on success
 * @err: the line for people, on failure
 */
struct ubd_open {
	struct cow_open_args args;
	uint32_t index_mib;
	bool index_all;
	struct common_file *file;
	struct cow_error err;
};

/**
 * ubd_host_start() - start the back end
 * @options: UBD_*
 * @record: file to record all operations to, or NULL; stays valid
 *
 * Return: descriptor that becomes readable, with a SIGIO, when something has
 * completed; or a negative errno, and everything is done at once, blocking.
 */
int ubd_host_start(uint32_t options, const char *record);

/**
 * ubd_host_start_direct() - start the back end of devices with flag A
 *
 * Once, after ubd_host_start(). Return: as there; without it such devices are
 * like others.
 */
int ubd_host_start_direct(void);

/* ubd_engine_lock held: carry out; hand over what was gathered. */
int ubd_host_submit(struct io_desc *desc);
void ubd_host_kick(void);

/* The same: call done() of what that back end has completed. */
void ubd_host_collect(void);
void ubd_host_collect_direct(void);

/* One line to the host's administrator, whom alone paths concern. */
void ubd_host_say(const char *line);

/**
 * struct ubd_allocated - how much room a layer takes, for a helper thread
 * @path: its name
 * @id: which file that has to be
 * @bytes: what the host has set aside for it
 */
struct ubd_allocated {
	char path[COW_PATH_MAX];
	struct io_id id;
	uint64_t bytes;
};

/**
 * struct ubd_group - one cow_group_start(), on its way to a helper thread
 * struct ubd_merge - one cow_merge_start(), the same
 */
struct ubd_group {
	struct cow_member member[UBD_DEVICES];
	unsigned int count;
	struct cow_error err;
};

struct ubd_merge {
	struct common_file *file;
	struct cow_merge_args args;
	struct cow_merge_progress progress;
	struct cow_task *task;
	struct cow_error err;
};

/**
 * struct ubd_rest - one cow_rest_start(), the same
 */
struct ubd_rest {
	struct common_file *file;
	struct cow_task *task;
};

/* For ubd_call(): they block. The argument is what the name says. */
int ubd_host_open(void *open);
int ubd_host_close(void *file);
int ubd_host_exists(void *path);
int ubd_host_tell(void *line);
int ubd_host_allocated(void *allocated);
int ubd_host_group(void *group);
int ubd_host_snapshot_end(void *task);
int ubd_host_merge(void *merge);
int ubd_host_merge_end(void *task);
int ubd_host_rest(void *rest);
int ubd_host_rest_end(void *task);

/* ---- kernel side ------------------------------------------------------- */

#ifndef __UM_HOST__

struct completion;
struct gendisk;
struct ubd;

/* Every entry to the engine, whatever the device, lies between these two. */
unsigned long ubd_enter(void);
void ubd_leave(unsigned long flags);

/**
 * ubd_call() - run a function that blocks while the guest goes on
 * @fn: of the host side
 * @arg: its argument
 *
 * Sleeps. Return: what @fn returned.
 */
int ubd_call(int (*fn)(void *arg), void *arg);

/* The device of that number, and its number; configured or not. */
struct ubd *ubd_device(unsigned int unit);
unsigned int ubd_unit(const struct ubd *dev);

/* What its argument said; "" if nothing. Not while it may be removed. */
const char *ubd_serial(const struct ubd *dev);

/* Requests that the host refused wait for the administrator. */
bool ubd_holding(struct ubd *dev);

/* The open chain, or NULL; stays while the device is claimed. */
struct common_file *ubd_file(struct ubd *dev);

/* Its disk; of a claimed device. */
struct gendisk *ubd_disk(const struct ubd *dev);

/*
 * NULL if a snapshot of all devices is one of this one too, or else why not; "" if
 * there is no such device.
 */
const char *ubd_left_out(struct ubd *dev);

/* The guest's program that is told of snapshots, or NULL. */
const char *ubd_hook_program(void);

/**
 * ubd_claim() - keep a device from being removed while work on it goes on
 *
 * Return: 0, -ENODEV if it is not configured, -EBUSY if claimed already.
 */
int ubd_claim(struct ubd *dev);
void ubd_release(struct ubd *dev);

/**
 * ubd_exclude() - nobody opens the disk until ubd_include()
 * @dev: claimed
 *
 * Sleeps. Return: 0, or -EBUSY if somebody has it open.
 */
int ubd_exclude(struct ubd *dev);
void ubd_include(struct ubd *dev);

/**
 * ubd_step() - take a task to its end; for a kthread
 * @dev: claimed
 * @task: started on the device's chain
 * @tick: called between steps, at least about once a second; may be NULL
 * @arg: for @tick
 */
void ubd_step(struct ubd *dev, struct cow_task *task, void (*tick)(void *arg),
	      void *arg);

/**
 * ubd_step_once() - take one step of a task; for a kthread
 * @dev: claimed
 * @task: started on the device's chain
 * @wake: completed when another step can be taken, which may be at once
 *
 * Return: as cow_task_step(). After COW_STEP_DONE @wake is not used any more.
 */
enum cow_step ubd_step_once(struct ubd *dev, struct cow_task *task,
			    struct completion *wake);

/* Go on with merges that were under way when the machine stopped. */
void ubd_resume_merge(struct ubd *dev);

/* The device has a layer more: fold some, if that was asked for. */
void ubd_auto_merge(struct ubd *dev);

/* End a merge under way; it goes on when the device is configured again. */
void ubd_stop_merge(struct ubd *dev);

/* The device is removed: nothing of what was said about its merges holds. */
void ubd_forget_merge(struct ubd *dev);

#endif /* __UM_HOST__ */

#endif
