// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests that the host refused: held until the administrator says to go on,
 * instead of failing in the guest.
 *
 * Duty: the list of them, and the mconsole commands "hold" and "resume".
 *
 * Invariants: see ubd_hold.h. They are submitted again in the order in which
 * they failed, each as it was: the block layer must not join them with others,
 * which may be on their way already.
 */
#include <linux/blk-mq.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "ubd_hold.h"
#include "ubd_job.h"
#include "ubd_status.h"

/**
 * struct hold - of one device; under ubd_engine_lock
 * @on: refused requests are held
 * @list: those that are
 * @count: how many
 * @told: of the first one, the host's administrator
 */
static struct hold {
	bool on;
	struct ubd_list list;
	unsigned int count;
	struct work_struct told;
} holds[UBD_DEVICES];

static struct hold *hold_of(struct ubd *dev)
{
	return &holds[ubd_unit(dev)];
}

/* ---- what is held ------------------------------------------------------ */

static const struct refusal {
	int error;
	const char *text;
	const char *remedy;
} refusals[] = {
	{ -ENOSPC, "no space left on the host", "make room" },
	{ -EDQUOT, "the disk quota on the host is exceeded", "raise it" },
	{ -EIO, "the host can not read or write", "mend its disk" },
};

static const struct refusal *refusal_of(int error)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].error == error)
			return &refusals[i];
	return NULL;
}

static const struct refusal *first_refusal(const struct hold *hold)
{
	return hold->count ? refusal_of(hold->list.first->io.result) : NULL;
}

bool ubd_hold_keep(struct ubd *dev, struct ubd_request *ur)
{
	const struct common_file *file = ubd_file(dev);
	struct hold *hold = hold_of(dev);

	if (!hold->on || !refusal_of(ur->io.result) || !file ||
	    ur->io.op == COMMON_READ || cow_failed(file))
		return false;
	ubd_list_add(&hold->list, ur);
	if (!hold->count++)
		schedule_work(&hold->told);
	return true;
}

struct ubd_held ubd_held(struct ubd *dev)
{
	const struct hold *hold = hold_of(dev);
	const struct refusal *refusal = first_refusal(hold);

	return (struct ubd_held){
		.on = hold->on,
		.count = hold->count,
		.why = refusal ? refusal->text : NULL,
	};
}

bool ubd_holding(struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	bool holding = hold_of(dev)->count;

	ubd_leave(flags);
	return holding;
}

/* ---- the host's administrator ------------------------------------------ */

/* The file that takes the writes. */
static const char *target_of(struct ubd *dev)
{
	const struct common_file *file = ubd_file(dev);
	struct cow_layer_info info = { .path = "?" };

	if (file && !cow_layer(file, 0, &info) &&
	    info.state == COW_STATE_DRAINING)
		cow_layer(file, 1, &info);
	return info.path;
}

static void first_line(struct ubd *dev, char *buf, size_t size)
{
	const struct refusal *refusal = first_refusal(hold_of(dev));
	char letter = 'a' + ubd_unit(dev);

	if (refusal)
		snprintf(buf, size,
			 "%s: ubd%c holds requests of the guest: %s; %s, then say resume ubd%c",
			 target_of(dev), letter, refusal->text,
			 refusal->remedy, letter);
}

/* Whoever reads the host's standard error may be slow: a thread waits for it. */
static void tell(struct ubd *dev,
		 void (*print)(struct ubd *dev, char *buf, size_t size))
{
	const size_t size = COW_PATH_MAX + 256;
	char *line = kvzalloc(size, GFP_KERNEL);
	unsigned long flags;

	if (!line)
		return;
	flags = ubd_enter();
	print(dev, line, size);
	ubd_leave(flags);
	if (*line)
		ubd_call(ubd_host_tell, line);
	kvfree(line);
}

static void tell_first(struct work_struct *work)
{
	struct hold *hold = container_of(work, struct hold, told);

	tell(ubd_device(hold - holds), first_line);
}

static void gave_up_line(struct ubd *dev, char *buf, size_t size)
{
	snprintf(buf, size,
		 "%s: the machine halts: what ubd%c held has failed in the guest",
		 target_of(dev), 'a' + ubd_unit(dev));
}

/* ---- letting go -------------------------------------------------------- */

static struct ubd_request *take(struct ubd *dev, unsigned int *count)
{
	struct hold *hold = hold_of(dev);

	*count = hold->count;
	hold->count = 0;
	return ubd_list_take(&hold->list);
}

static unsigned int resume(struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	struct ubd_request *list, *ur;
	unsigned int count;

	list = take(dev, &count);
	ubd_leave(flags);
	while ((ur = list)) {
		struct request *rq = blk_mq_rq_from_pdu(ur);

		list = ur->next;
		rq->rq_flags |= RQF_DONTPREP;
		blk_mq_requeue_request(rq, !list);
	}
	return count;
}

/* From here on errors are held, or reported with all that were held. */
static unsigned int hold_switch(struct ubd *dev, bool on)
{
	unsigned long flags = ubd_enter();
	struct ubd_request *list = NULL, *ur;
	unsigned int count = 0;

	hold_of(dev)->on = on;
	if (!on)
		list = take(dev, &count);
	ubd_leave(flags);
	while ((ur = list)) {
		list = ur->next;
		ubd_status_count(dev, UBD_ERRORS);
		blk_mq_end_request(blk_mq_rq_from_pdu(ur),
				   errno_to_blk_status(ur->io.result));
	}
	return count;
}

void ubd_hold_give_up(struct ubd *dev)
{
	if (hold_switch(dev, false))
		tell(dev, gave_up_line);
}

void ubd_hold_begin(struct ubd *dev, bool on)
{
	INIT_WORK(&hold_of(dev)->told, tell_first);
	hold_switch(dev, on);
}

void ubd_hold_end(struct ubd *dev)
{
	hold_switch(dev, false);
	cancel_work_sync(&hold_of(dev)->told);
}

/* ---- commands ---------------------------------------------------------- */

static const char *plural(unsigned int count)
{
	return count == 1 ? "" : "s";
}

static void hold_command(struct mc_request *req, struct ubd *dev,
			 const struct ubd_words *words)
{
	char letter = 'a' + ubd_unit(dev);
	unsigned int count;
	char text[128];

	if (ubd_refuse_unconfigured(req, dev))
		return;
	count = hold_switch(dev, !words->off);
	if (words->off)
		snprintf(text, sizeof(text),
			 "ubd%c: requests that the host refuses fail, %u request%s did",
			 letter, count, plural(count));
	else
		snprintf(text, sizeof(text),
			 "ubd%c: requests that the host refuses are held",
			 letter);
	mconsole_reply(req, text, 0, 0);
}

void mconsole_hold(struct mc_request *req)
{
	static const struct ubd_command command = {
		.name = "hold",
		.usage = "hold ubda [off]",
		.parse = ubd_parse_hold,
		.run = hold_command,
	};

	ubd_run_command(req, &command);
}

static void resume_command(struct mc_request *req, struct ubd *dev,
			   const struct ubd_words *words)
{
	unsigned int count;
	char text[64];

	if (ubd_refuse_unconfigured(req, dev))
		return;
	count = resume(dev);
	snprintf(text, sizeof(text), "ubd%c: %u request%s submitted again",
		 'a' + ubd_unit(dev), count, plural(count));
	mconsole_reply(req, text, 0, 0);
}

void mconsole_resume(struct mc_request *req)
{
	static const struct ubd_command command = {
		.name = "resume",
		.usage = "resume ubda",
		.parse = ubd_parse_resume,
		.run = resume_command,
	};

	ubd_run_command(req, &command);
}
