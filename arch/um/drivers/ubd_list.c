// SPDX-License-Identifier: GPL-2.0-only
/*
 * The layers of the devices, as a table.
 *
 * Duty: the answer of "snapshot" where no new layer is asked for.
 *
 * Invariants: listing claims nothing, so that it can be had at any time.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "ubd_job.h"

static const char *format_name(enum cow_format format)
{
	static const char * const names[] = { "raw", "V1", "V2", "V3", "V4" };

	return names[format];
}

static void state_name(const struct cow_layer_info *info, char *buf,
		       size_t len)
{
	const char *paused = info->paused ? ", paused" : "";

	if (info->state == COW_STATE_DRAINING)
		snprintf(buf, len, "draining %u %%%s", info->drained, paused);
	else if (info->state == COW_STATE_FOLDING)
		snprintf(buf, len, "folding %u %%%s", info->drained, paused);
	else
		snprintf(buf, len, "%s",
			 info->state == COW_STATE_TOP ? "top" : "frozen");
}

/* Width of the column of names. */
static int table_width(const struct common_file *file)
{
	struct cow_layer_info info;
	unsigned int i;
	int width = 4;

	for (i = 0; !cow_layer(file, i, &info); i++)
		width = max_t(int, width, strlen(info.path));
	return width;
}

/*
 * As snprintf(): what would be needed is returned, so that the table can be
 * made in two goes, the first of them without memory. Under ubd_engine_lock.
 */
static size_t table_print(struct ubd *dev, char *buf, size_t size)
{
	const struct common_file *file = ubd_file(dev);
	struct cow_layer_info info;
	unsigned int i, n = 0;
	char state[32];
	int width;

	if (!file)
		return 0;
	width = table_width(file);
	n = snprintf(buf, size, "ubd%c\n%5s  %-*s  %-6s  %15s  %15s  %s\n",
		     'a' + ubd_unit(dev), "layer", width, "file", "format",
		     "size", "owned", "state");
	for (i = 0; !cow_layer(file, i, &info); i++) {
		state_name(&info, state, sizeof(state));
		n += snprintf(n < size ? buf + n : NULL,
			      n < size ? size - n : 0,
			      "%5u  %-*s  %-6s  %15llu  %15llu  %s\n", i,
			      width, info.path, format_name(info.format),
			      info.size, info.owned, state);
	}
	return n;
}

static char *table_try(struct ubd *dev, size_t size, size_t *need)
{
	char *buf = kvmalloc(size, GFP_KERNEL);
	unsigned long flags;

	if (!buf)
		return NULL;
	flags = ubd_enter();
	*need = table_print(dev, buf, size);
	ubd_leave(flags);
	return buf;
}

/* The table of one device, freed with kvfree(), or NULL. */
static char *table_of(struct ubd *dev)
{
	size_t size = 4096, need;
	char *buf;

	for (;;) {
		buf = table_try(dev, size, &need);
		if (!buf || need < size)
			break;
		kvfree(buf);
		size = need + 256;
	}
	if (buf && !need)
		*buf = '\0';
	return buf;
}

static void send_table(struct mc_request *req, struct ubd *dev)
{
	char *text = table_of(dev);
	size_t left = text ? strlen(text) : 0, done = 0;

	while (done < left) {
		size_t part = min_t(size_t, left - done, UBD_PIECE);

		if (ubd_send_piece(req, text + done, part, 0, 1))
			break;
		done += part;
	}
	kvfree(text);
}

static int list_main(void *arg)
{
	struct ubd_job *job = arg;
	unsigned int i;

	ubd_send_piece(&job->req, "\n", 1, 0, 1);
	for (i = 0; i < UBD_DEVICES; i++)
		if (!job->dev || job->dev == ubd_device(i))
			send_table(&job->req, ubd_device(i));
	ubd_send_piece(&job->req, "", 0, 0, 0);
	kvfree(job);
	return 0;
}

static bool configured(struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	bool there = ubd_file(dev);

	ubd_leave(flags);
	return there;
}

/* All devices if @dev is NULL. Listing claims nothing, a merge goes on. */
void ubd_list_chains(struct mc_request *req, struct ubd *dev)
{
	struct task_struct *thread = ERR_PTR(-ENOMEM);
	struct ubd_job *job = NULL;
	char text[64];

	if (dev && !configured(dev)) {
		snprintf(text, sizeof(text), "ubd%c: it is not configured",
			 'a' + ubd_unit(dev));
		ubd_refuse(req, text);
		return;
	}
	job = ubd_job_new(sizeof(*job), dev, req);
	if (job)
		thread = kthread_run(list_main, job, "ubd-list");
	if (!IS_ERR(thread))
		return;
	kvfree(job);
	ubd_refuse(req, "no memory in the guest");
}
