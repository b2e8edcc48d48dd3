// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program of the guest that is told of snapshots, see ubd_hook.h.
 *
 * Duty: to run it, and to go on without it when it does not end.
 *
 * Invariants:
 *  - struct hook lives as long as somebody may look at it: he who waits for the
 *    program, or the one who started it and is not waited for any more.
 *  - No file system is frozen by us meanwhile: the program lies on one.
 */
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/kref.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/umh.h>
#include <linux/workqueue.h>
#include "ubd_hook.h"
#include "ubd_parse.h"

#define NAME_LEN	8

/**
 * struct hook - one run
 * @child: the program, once it is there
 * @waiter: who waits for it
 * @late: it took too long
 */
struct hook {
	struct kref ref;
	struct delayed_work limit;
	struct pid *child;
	struct task_struct *waiter;
	bool late;
	char *program;
	char name[UBD_DEVICES][NAME_LEN];
	char *argv[UBD_DEVICES + 3];
};

static char *hook_environment[] = {
	"HOME=/",
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	NULL,
};

static void hook_release(struct kref *ref)
{
	struct hook *hook = container_of(ref, struct hook, ref);

	put_pid(hook->child);
	kfree(hook->program);
	kfree(hook);
}

/* It may be stuck where it can not be killed: then it is left to itself. */
static void hook_late(struct work_struct *work)
{
	struct hook *hook = container_of(to_delayed_work(work), struct hook,
					 limit);
	struct pid *child = READ_ONCE(hook->child);

	hook->late = true;
	if (child)
		kill_pid(child, SIGKILL, 1);
	send_sig(SIGKILL, hook->waiter, 1);
}

/* In the child, before it becomes the program. */
static int hook_born(struct subprocess_info *info, struct cred *cred)
{
	struct hook *hook = info->data;

	WRITE_ONCE(hook->child, get_pid(task_pid(current)));
	return 0;
}

static void hook_cleanup(struct subprocess_info *info)
{
	struct hook *hook = info->data;

	kref_put(&hook->ref, hook_release);
}

static struct hook *hook_new(const char *program, const char *event,
			     unsigned long units)
{
	struct hook *hook = kzalloc(sizeof(*hook), GFP_KERNEL);
	unsigned int unit, n = 0;

	if (!hook)
		return NULL;
	kref_init(&hook->ref);
	INIT_DELAYED_WORK(&hook->limit, hook_late);
	hook->waiter = current;
	hook->program = kstrdup(program, GFP_KERNEL);
	hook->argv[n++] = hook->program;
	hook->argv[n++] = (char *)event;
	for_each_set_bit(unit, &units, UBD_DEVICES) {
		snprintf(hook->name[unit], NAME_LEN, "ubd%c", 'a' + unit);
		hook->argv[n++] = hook->name[unit];
	}
	if (hook->program)
		return hook;
	kref_put(&hook->ref, hook_release);
	return NULL;
}

/* What a wait says, or a negative errno. A signal ends the wait, not us. */
static int hook_exec(struct hook *hook, unsigned int limit)
{
	struct subprocess_info *info;
	int ret;

	info = call_usermodehelper_setup(hook->program, hook->argv,
					 hook_environment, GFP_KERNEL,
					 hook_born, hook_cleanup, hook);
	if (!info)
		return -ENOMEM;
	kref_get(&hook->ref);
	allow_kernel_signal(SIGKILL);
	schedule_delayed_work(&hook->limit, limit * HZ);
	ret = call_usermodehelper_exec(info, UMH_WAIT_PROC | UMH_KILLABLE);
	cancel_delayed_work_sync(&hook->limit);
	disallow_signal(SIGKILL);
	flush_signals(current);
	return ret;
}

static int hook_verdict(const struct hook *hook, int status, unsigned int limit,
			char *why, size_t size)
{
	if (hook->late) {
		snprintf(why, size, "it took more than %u s", limit);
		return -ETIMEDOUT;
	}
	if (status < 0) {
		snprintf(why, size, "it can not be run, error %d", -status);
		return status;
	}
	if (status & 0x7f)
		snprintf(why, size, "signal %d ended it", status & 0x7f);
	else
		snprintf(why, size, "exit status %d", status >> 8);
	return status ? -EIO : 0;
}

int ubd_hook(const char *program, const char *event, unsigned long units,
	     unsigned int limit, char *why, size_t size)
{
	struct hook *hook = hook_new(program, event, units);
	int ret;

	if (!hook) {
		snprintf(why, size, "no memory in the guest");
		return -ENOMEM;
	}
	ret = hook_verdict(hook, hook_exec(hook, limit), limit, why, size);
	kref_put(&hook->ref, hook_release);
	return ret;
}
