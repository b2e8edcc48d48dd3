// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands of mconsole that take their time: a kthread each, and answers.
 *
 * Duty: what the commands (ubd_snapshot.c, ubd_merge.c, ubd_list.c) share: to
 * claim the devices, to run the work, and to bring its end to the client.
 *
 * Invariants: see ubd_job.h.
 */
#include <linux/bitops.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "ubd_job.h"

#define STALL_WAIT	500	/* times 20 ms, for a client that does not read */
#define BUSY_WAIT	25	/* times 20 ms, for work before this one */

/* ---- answers ----------------------------------------------------------- */

/* The socket does not block; a client that prints slowly is waited for. */
int ubd_send_piece(struct mc_request *req, const char *text, int len, int err,
		   int more)
{
	unsigned int i;
	int ret;

	for (i = 0; i < STALL_WAIT; i++) {
		ret = mconsole_reply_len(req, text, len, err, more);
		if (ret != -EAGAIN)
			return ret;
		msleep(20);
	}
	return ret;
}

/* All pieces but the last one; that, or NULL if the client went away. */
static const char *send_pieces(struct mc_request *req, const char *text)
{
	size_t left;

	for (left = strlen(text); left > UBD_PIECE; left -= UBD_PIECE) {
		if (ubd_send_piece(req, text, UBD_PIECE, 0, 1))
			return NULL;
		text += UBD_PIECE;
	}
	return text;
}

void ubd_send_part(struct mc_request *req, const char *text)
{
	text = send_pieces(req, text);
	if (text)
		ubd_send_piece(req, text, strlen(text), 0, 1);
}

void ubd_answer(struct mc_request *req, const char *text)
{
	text = send_pieces(req, text);
	if (text)
		ubd_send_piece(req, text, strlen(text), 0, 0);
}

void ubd_refuse(struct mc_request *req, const char *text)
{
	mconsole_reply_len(req, text, min_t(size_t, strlen(text), UBD_PIECE), 1,
			   0);
}

/* Tell how it ended: @job->text, which is an error if @failed. */
void ubd_job_answer(struct ubd_job *job, bool failed)
{
	size_t len = min_t(size_t, strlen(job->text), UBD_PIECE);

	if (!job->answer)
		ubd_host_say(job->text);
	else if (failed)
		ubd_send_piece(&job->req, job->text, len, 1, 0);
	else
		ubd_answer(&job->req, job->text);
}

char ubd_letter(const struct ubd_job *job)
{
	return 'a' + ubd_unit(job->dev);
}

/* ---- words ------------------------------------------------------------- */

/* What stands behind the command's name, without blanks around it. */
char *ubd_arguments(struct mc_request *req, const char *command)
{
	return strim(req->request.data + strlen(command));
}

/* NULL if the command can be run at all, or what stands in its way. */
const char *ubd_obstacle(const struct mc_request *req)
{
	if (irqs_disabled())
		return "the machine is stopped: say \"go\" first";
	if (req->request.len >= UBD_PIECE)
		return "commands end at 511 bytes, this one may have been cut: use a shorter name";
	return NULL;
}

void ubd_refuse_device(struct mc_request *req, const char *name)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "%.40s: no such device: ubda to ubdp, or ubd0 to ubd15",
		 name);
	ubd_refuse(req, text);
}

bool ubd_refuse_unconfigured(struct mc_request *req, struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	bool there = ubd_file(dev);
	char text[64];

	ubd_leave(flags);
	if (there)
		return false;
	snprintf(text, sizeof(text), "ubd%c: it is not configured",
		 'a' + ubd_unit(dev));
	ubd_refuse(req, text);
	return true;
}

/* True, and the command was refused, if something is wrong with its words. */
static bool refuse_words(struct mc_request *req, const struct ubd_words *words,
			 const char *usage)
{
	char text[256];

	if (words->unknown) {
		snprintf(text, sizeof(text), "%.40s: unknown word: %s",
			 words->unknown, usage);
		ubd_refuse(req, text);
	} else if (!*words->device) {
		snprintf(text, sizeof(text), "say which: %s", usage);
		ubd_refuse(req, text);
	} else if (words->unit < 0) {
		ubd_refuse_device(req, words->device);
	} else {
		return false;
	}
	return true;
}

void ubd_run_command(struct mc_request *req, const struct ubd_command *command)
{
	const char *error = ubd_obstacle(req);
	struct ubd_words words;

	if (error) {
		ubd_refuse(req, error);
		return;
	}
	command->parse(ubd_arguments(req, command->name), &words);
	if (!refuse_words(req, &words, command->usage))
		command->run(req, ubd_device(words.unit), &words);
}

/* ---- jobs -------------------------------------------------------------- */

void *ubd_job_new(size_t size, struct ubd *dev, const struct mc_request *req)
{
	struct ubd_job *job = kvzalloc(size, GFP_KERNEL);

	if (!job)
		return NULL;
	job->dev = dev;
	if (dev)
		job->units = BIT(ubd_unit(dev));
	if (req) {
		job->req = *req;
		job->answer = true;
	}
	return job;
}

/* A merge is in the midst of it, and not at its first or last steps. */
static bool merging(struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	struct common_file *file = ubd_file(dev);
	struct cow_layer_info info;
	bool yes = false;
	unsigned int i;

	for (i = 0; file && !yes && !cow_layer(file, i, &info); i++)
		yes = info.state == COW_STATE_DRAINING ||
		      info.state == COW_STATE_FOLDING;
	ubd_leave(flags);
	return yes;
}

/* NULL or what is wrong. Work that takes a moment only is waited for. */
static const char *claim(struct ubd *dev)
{
	unsigned int i;
	int ret;

	for (i = 0; i < BUSY_WAIT; i++) {
		ret = ubd_claim(dev);
		if (ret != -EBUSY)
			return ret ? "it is not configured" : NULL;
		if (merging(dev))
			break;
		msleep(20);
	}
	return "a snapshot or merge of it is under way; wait for its end";
}

static void release_below(const struct ubd_job *job, unsigned int end)
{
	unsigned int unit;

	for_each_set_bit(unit, &job->units, end)
		ubd_release(ubd_device(unit));
}

/* All of its devices or none; then job->text says why. */
static bool job_claims(struct ubd_job *job)
{
	const char *error;
	unsigned int unit;

	for_each_set_bit(unit, &job->units, UBD_DEVICES) {
		error = claim(ubd_device(unit));
		if (!error)
			continue;
		release_below(job, unit);
		snprintf(job->text, sizeof(job->text), "ubd%c: %s", 'a' + unit,
			 error);
		return false;
	}
	return true;
}

void ubd_job_error(struct ubd_job *job, const char *error)
{
	snprintf(job->text, sizeof(job->text), "ubd%c: %s", ubd_letter(job),
		 error);
	ubd_job_answer(job, true);
}

/*
 * The devices are free again before the client learns that it can go on. Reclaim
 * in here must not wait for a device that is being worked on.
 */
static int job_main(void *arg)
{
	unsigned int noio = memalloc_noio_save();
	struct ubd_job *job = arg;
	bool failed = true;

	if (job_claims(job)) {
		failed = job->fails(job);
		release_below(job, UBD_DEVICES);
	}
	ubd_job_answer(job, failed);
	kvfree(job);
	memalloc_noio_restore(noio);
	return 0;
}

/* Do @fails on a thread; it says whether it failed, and why in job->text. */
void ubd_job_run(struct ubd_job *job, bool (*fails)(struct ubd_job *job))
{
	struct task_struct *thread;

	job->fails = fails;
	if (!job->dev)
		job->dev = ubd_device(__ffs(job->units));
	thread = kthread_run(job_main, job, "ubd%c-job", ubd_letter(job));
	if (!IS_ERR(thread))
		return;
	ubd_job_error(job, "no memory in the guest for a thread");
	kvfree(job);
}

bool ubd_task_failed(struct ubd_job *job, const struct cow_task *task)
{
	if (!task->result)
		return false;
	strscpy(job->text, task->error.text, sizeof(job->text));
	return true;
}
