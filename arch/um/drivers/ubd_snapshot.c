// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mconsole command "snapshot": words in, answers out.
 *
 * Duty: to understand the words, and to see the engine's task through.
 *
 * Invariants: see ubd_job.h.
 */
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/string.h>
#include "ubd_job.h"

struct snapshot_job {
	struct ubd_job job;
	struct ubd_snapshot snap;
	char name[MCONSOLE_MAX_DATA];
	bool told;	/* what it waits for */
};

static struct snapshot_job *snapshot_of(struct ubd_job *job)
{
	return container_of(job, struct snapshot_job, job);
}

static void snapshot_done(struct ubd_job *job)
{
	const struct cow_snapshot_result *result =
		&snapshot_of(job)->snap.result;
	u64 pause = DIV_ROUND_UP_ULL(result->pause_ns, 10000);
	u32 hundredths;

	pause = div_u64_rem(pause, 100, &hundredths);
	snprintf(job->text, sizeof(job->text),
		 "ubd%c: %s on %s, paused %llu.%02u ms", ubd_letter(job),
		 result->top, result->frozen, pause, hundredths);
}

/* What it waits for is said once, to the host too: the client may be gone. */
static void snapshot_tick(void *arg)
{
	struct snapshot_job *snapshot = arg;
	struct ubd_job *job = &snapshot->job;
	const char *why = snapshot->snap.task->error.text;
	int len;

	if (snapshot->told || !*why)
		return;
	snapshot->told = true;
	ubd_host_say(why);
	len = scnprintf(job->text, sizeof(job->text), "ubd%c: %s\n",
			ubd_letter(job), why);
	mconsole_reply_len(&job->req, job->text, min_t(int, len, UBD_PIECE), 0,
			   1);
}

static bool snapshot_fails(struct ubd_job *job)
{
	struct snapshot_job *snapshot = snapshot_of(job);
	struct ubd_snapshot *snap = &snapshot->snap;
	bool failed;

	snap->file = ubd_file(job->dev);
	snap->args.name = snapshot->name;
	if (ubd_call(ubd_host_snapshot, snap)) {
		strscpy(job->text, snap->err.text, sizeof(job->text));
		return true;
	}
	ubd_step(job->dev, snap->task, snapshot_tick, snapshot);
	failed = ubd_task_failed(job, snap->task);
	if (!failed)
		snapshot_done(job);
	ubd_call(ubd_host_snapshot_end, snap->task);
	if (!failed)
		ubd_auto_merge(job->dev);
	return failed;
}

static void refuse_version(struct mc_request *req, const char *word)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "%.40s: no format that a snapshot can have: V3 or V4", word);
	ubd_refuse(req, text);
}

static void snapshot_command(struct mc_request *req, struct ubd *dev,
			     const struct ubd_words *words)
{
	struct snapshot_job *job = ubd_job_new(sizeof(*job), dev, req);

	if (!job) {
		ubd_refuse(req, "no memory in the guest");
		return;
	}
	strscpy(job->name, words->file, sizeof(job->name));
	job->snap.args.version = words->version;
	ubd_job_run(&job->job, snapshot_fails);
}

/* "snapshot", "snapshot ubda", "snapshot ubda=FILE [V3|V4]" */
void mconsole_snapshot(struct mc_request *req)
{
	const char *error = ubd_obstacle(req);
	struct ubd_words words;
	struct ubd *dev;

	if (error) {
		ubd_refuse(req, error);
		return;
	}
	ubd_parse_snapshot(ubd_arguments(req, "snapshot"), &words);
	dev = words.unit < 0 ? NULL : ubd_device(words.unit);
	if (*words.device && !dev) {
		ubd_refuse_device(req, words.device);
	} else if (!words.file) {
		ubd_list_chains(req, dev);
	} else if (!dev || !*words.file) {
		ubd_refuse(req, "say which and where: snapshot ubda=FILE [V3|V4]");
	} else if (words.unknown) {
		refuse_version(req, words.unknown);
	} else {
		snapshot_command(req, dev, &words);
	}
}
