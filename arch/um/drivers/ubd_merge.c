// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mconsole command "unsnapshot": words in, answers out.
 *
 * Duty: to understand the words, to see the engine's task through, and to tell
 * how far it is.
 *
 * Invariants: see ubd_job.h.
 */
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/string.h>
#include "ubd_job.h"

/**
 * struct merge_job - a merge that somebody asked for, or one that goes on
 * @nowait: the client is told that it has begun, and no more
 * @told: percent in the last line of progress
 * @next: jiffies from when on there may be another
 */
struct merge_job {
	struct ubd_job job;
	struct ubd_merge merge;
	bool nowait;
	unsigned int told;
	unsigned long next;
};

static struct merge_job *merge_of(struct ubd_job *job)
{
	return container_of(job, struct merge_job, job);
}

static u64 mib(u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, 1 << 20);
}

/* A line each second, and one for each tenth of the way. */
static void merge_tick(void *arg)
{
	struct merge_job *merge = arg;
	struct ubd_job *job = &merge->job;
	struct cow_merge_progress *progress = &merge->merge.progress;
	u64 total = max_t(u64, progress->total, 1);
	unsigned int percent = div64_u64(progress->done * 100, total);
	char line[128];
	int len;

	if (!job->answer || merge->nowait || percent == merge->told)
		return;
	if (percent / 10 == merge->told / 10 &&
	    time_before(jiffies, merge->next))
		return;
	merge->told = percent;
	merge->next = jiffies + HZ;
	len = scnprintf(line, sizeof(line),
			"ubd%c: %u %%, %llu of %llu MiB\n", ubd_letter(job),
			percent, mib(progress->done), mib(total));
	/* A client that does not read misses it, and sees the next one. */
	mconsole_reply_len(&job->req, line, len, 0, 1);
}

static void merge_done(struct ubd_job *job)
{
	const struct cow_merge_progress *progress =
		&merge_of(job)->merge.progress;

	snprintf(job->text, sizeof(job->text),
		 "ubd%c: %s is the top again, %llu MiB merged", ubd_letter(job),
		 progress->top, mib(progress->total));
}

/* From here on the client is not waiting. */
static void detach(struct ubd_job *job)
{
	snprintf(job->text, sizeof(job->text),
		 "ubd%c: merging in the background", ubd_letter(job));
	ubd_job_answer(job, false);
	job->answer = false;
}

static bool merge_fails(struct ubd_job *job)
{
	struct merge_job *own = merge_of(job);
	struct ubd_merge *merge = &own->merge;
	bool failed;

	merge->file = ubd_file(job->dev);
	own->next = jiffies + HZ;
	if (ubd_call(ubd_host_merge, merge)) {
		strscpy(job->text, merge->err.text, sizeof(job->text));
		return true;
	}
	if (own->nowait)
		detach(job);
	ubd_step(job->dev, merge->task, merge_tick, own);
	failed = ubd_task_failed(job, merge->task);
	if (!failed)
		merge_done(job);
	ubd_call(ubd_host_merge_end, merge->task);
	return failed;
}

void ubd_resume_merge(struct ubd *dev)
{
	struct merge_job *job = ubd_job_new(sizeof(*job), dev, NULL);

	if (!job)
		return;
	job->merge.args.resume = true;
	ubd_job_run(&job->job, merge_fails);
}

static void merge_command(struct mc_request *req, struct ubd *dev,
			  const struct ubd_words *words)
{
	struct merge_job *job = ubd_job_new(sizeof(*job), dev, req);
	char text[160];

	if (!job) {
		ubd_refuse(req, "no memory in the guest");
		return;
	}
	if (!words->unknown) {
		job->nowait = words->nowait;
		job->merge.args.remove = words->remove;
		job->merge.args.force = words->force;
		ubd_job_run(&job->job, merge_fails);
		return;
	}
	snprintf(text, sizeof(text),
		 "%.40s: unknown word: unsnapshot ubd%c [nowait] [delete] [force]",
		 words->unknown, ubd_letter(&job->job));
	ubd_refuse(req, text);
	kvfree(job);
}

/* "unsnapshot ubda [nowait] [delete] [force]" */
void mconsole_unsnapshot(struct mc_request *req)
{
	const char *error = ubd_obstacle(req);
	struct ubd_words words;
	struct ubd *dev;

	if (error) {
		ubd_refuse(req, error);
		return;
	}
	ubd_parse_unsnapshot(ubd_arguments(req, "unsnapshot"), &words);
	dev = words.unit < 0 ? NULL : ubd_device(words.unit);
	if (!*words.device)
		ubd_refuse(req, "say which: unsnapshot ubda [nowait] [delete] [force]");
	else if (!dev)
		ubd_refuse_device(req, words.device);
	else
		merge_command(req, dev, &words);
}
