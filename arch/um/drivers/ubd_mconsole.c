// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mconsole commands "snapshot" and "unsnapshot": words in, answers out.
 *
 * Duty: to understand the words, to run the work on a kthread of its own, and
 * to bring its progress and its end to the client.
 *
 * Invariants:
 *  - A handler returns at once. Under "stop" it is called where it must not
 *    sleep, and refuses.
 *  - The client looks at the error of the last piece of an answer, and only
 *    the first piece of a reply carries one: an error is one piece.
 *  - The work goes on whatever becomes of the client.
 */
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "mconsole_kern.h"
#include "ubd.h"

#define PIECE		(MCONSOLE_MAX_DATA - 1)
#define STALL_WAIT	500	/* times 20 ms, for a client that does not read */
#define BUSY_WAIT	25	/* times 20 ms, for work before this one */

/**
 * struct job - a command that takes its time
 * @req: whom to answer
 * @answer: somebody waits; else the end is told on the host's console
 * @dev: claimed while @fails runs
 * @fails: the work
 * @told: percent in the last line of progress; of a snapshot, that it waits
 * @next: jiffies from when on there may be another
 */
struct job {
	struct mc_request req;
	bool answer;
	bool nowait;
	struct ubd *dev;
	bool (*fails)(struct job *job);
	char name[MCONSOLE_MAX_DATA];
	struct ubd_snapshot snap;
	struct ubd_merge merge;
	unsigned int told;
	unsigned long next;
	char text[2 * COW_PATH_MAX + 128];
};

/* ---- answers ----------------------------------------------------------- */

/* The socket does not block; a client that prints slowly is waited for. */
static int send_piece(struct mc_request *req, const char *text, int len,
		      int err, int more)
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

static void answer(struct mc_request *req, const char *text)
{
	size_t left = strlen(text);

	while (left > PIECE) {
		if (send_piece(req, text, PIECE, 0, 1))
			return;
		text += PIECE;
		left -= PIECE;
	}
	send_piece(req, text, left, 0, 0);
}

static void refuse(struct mc_request *req, const char *text)
{
	mconsole_reply_len(req, text, min_t(size_t, strlen(text), PIECE), 1, 0);
}

/* Tell how it ended: @job->text, which is an error if @failed. */
static void job_answer(struct job *job, bool failed)
{
	size_t len = min_t(size_t, strlen(job->text), PIECE);

	if (!job->answer)
		ubd_host_say(job->text);
	else if (failed)
		send_piece(&job->req, job->text, len, 1, 0);
	else
		answer(&job->req, job->text);
}

static char letter(const struct job *job)
{
	return 'a' + ubd_unit(job->dev);
}

/* ---- words ------------------------------------------------------------- */

/* What stands behind the command's name, without blanks around it. */
static char *arguments(struct mc_request *req, const char *command)
{
	return strim(req->request.data + strlen(command));
}

/* NULL if the command can be run at all, or what stands in its way. */
static const char *obstacle(const struct mc_request *req)
{
	if (irqs_disabled())
		return "the machine is stopped: say \"go\" first";
	if (req->request.len >= PIECE)
		return "commands end at 511 bytes, this one may have been cut: use a shorter name";
	return NULL;
}

static struct ubd *find_device(const struct ubd_words *words)
{
	return words->unit < 0 ? NULL : ubd_device(words->unit);
}

static void refuse_device(struct mc_request *req, const char *name)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "%.40s: no such device: ubda to ubdp, or ubd0 to ubd15",
		 name);
	refuse(req, text);
}

/* ---- jobs -------------------------------------------------------------- */

static struct job *job_new(struct ubd *dev, const struct mc_request *req)
{
	struct job *job = kvzalloc(sizeof(*job), GFP_KERNEL);

	if (!job)
		return NULL;
	job->dev = dev;
	if (req) {
		job->req = *req;
		job->answer = true;
	}
	return job;
}

/* A merge is in the midst of it, and not at its first or last steps. */
static bool draining(struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	struct common_file *file = ubd_file(dev);
	struct cow_layer_info info;
	bool yes;

	yes = file && !cow_layer(file, 0, &info) &&
	      info.state == COW_STATE_DRAINING;
	ubd_leave(flags);
	return yes;
}

/* NULL or what is wrong. Work that takes a moment only is waited for. */
static const char *job_claim(struct job *job)
{
	unsigned int i;
	int ret;

	for (i = 0; i < BUSY_WAIT; i++) {
		ret = ubd_claim(job->dev);
		if (ret != -EBUSY)
			return ret ? "it is not configured" : NULL;
		if (draining(job->dev))
			break;
		msleep(20);
	}
	return "a snapshot or merge of it is under way; wait for its end";
}

static void job_error(struct job *job, const char *error)
{
	snprintf(job->text, sizeof(job->text), "ubd%c: %s", letter(job),
		 error);
	job_answer(job, true);
}

/*
 * The device is free again before the client learns that it can go on. Reclaim
 * in here must not wait for the device that is being worked on.
 */
static int job_main(void *arg)
{
	unsigned int noio = memalloc_noio_save();
	struct job *job = arg;
	const char *error = job_claim(job);
	bool failed;

	if (error) {
		job_error(job, error);
	} else {
		failed = job->fails(job);
		ubd_release(job->dev);
		job_answer(job, failed);
	}
	kvfree(job);
	memalloc_noio_restore(noio);
	return 0;
}

/* Do @fails on a thread; it says whether it failed, and why in job->text. */
static void job_run(struct job *job, bool (*fails)(struct job *job))
{
	struct task_struct *thread;

	job->fails = fails;
	thread = kthread_run(job_main, job, "ubd%c-job", letter(job));
	if (!IS_ERR(thread))
		return;
	job_error(job, "no memory in the guest for a thread");
	kvfree(job);
}

/* ---- snapshot ---------------------------------------------------------- */

static void snapshot_done(struct job *job)
{
	const struct cow_snapshot_result *result = &job->snap.result;
	u64 pause = DIV_ROUND_UP_ULL(result->pause_ns, 10000);
	u32 hundredths;

	pause = div_u64_rem(pause, 100, &hundredths);
	snprintf(job->text, sizeof(job->text),
		 "ubd%c: %s on %s, paused %llu.%02u ms", letter(job),
		 result->top, result->frozen, pause, hundredths);
}

/* How a task ended: true if badly, and job->text says why. */
static bool task_failed(struct job *job, const struct cow_task *task)
{
	if (!task->result)
		return false;
	strscpy(job->text, task->error.text, sizeof(job->text));
	return true;
}

/* What it waits for is said once, to the host too: the client may be gone. */
static void snapshot_tick(void *arg)
{
	struct job *job = arg;
	const char *why = job->snap.task->error.text;
	int len;

	if (job->told || !*why)
		return;
	job->told = 1;
	ubd_host_say(why);
	len = scnprintf(job->text, sizeof(job->text), "ubd%c: %s\n",
			letter(job), why);
	mconsole_reply_len(&job->req, job->text, min_t(int, len, PIECE), 0, 1);
}

static bool snapshot_fails(struct job *job)
{
	struct ubd_snapshot *snap = &job->snap;
	bool failed;

	snap->file = ubd_file(job->dev);
	snap->args.name = job->name;
	if (ubd_call(ubd_host_snapshot, snap)) {
		strscpy(job->text, snap->err.text, sizeof(job->text));
		return true;
	}
	ubd_step(job->dev, snap->task, snapshot_tick, job);
	failed = task_failed(job, snap->task);
	if (!failed)
		snapshot_done(job);
	ubd_call(ubd_host_snapshot_end, snap->task);
	return failed;
}

/* ---- the table --------------------------------------------------------- */

static const char *format_name(enum cow_format format)
{
	static const char * const names[] = { "raw", "V1", "V2", "V3", "V4" };

	return names[format];
}

static void state_name(const struct cow_layer_info *info, char *buf,
		       size_t len)
{
	if (info->state == COW_STATE_DRAINING)
		snprintf(buf, len, "draining %u %%", info->drained);
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
		size_t part = min_t(size_t, left - done, PIECE);

		if (send_piece(req, text + done, part, 0, 1))
			break;
		done += part;
	}
	kvfree(text);
}

static int list_main(void *arg)
{
	struct job *job = arg;
	unsigned int i;

	send_piece(&job->req, "\n", 1, 0, 1);
	for (i = 0; i < UBD_DEVICES; i++)
		if (!job->dev || job->dev == ubd_device(i))
			send_table(&job->req, ubd_device(i));
	send_piece(&job->req, "", 0, 0, 0);
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
static void list_chains(struct mc_request *req, struct ubd *dev)
{
	struct task_struct *thread = ERR_PTR(-ENOMEM);
	struct job *job = NULL;
	char text[64];

	if (dev && !configured(dev)) {
		snprintf(text, sizeof(text), "ubd%c: it is not configured",
			 'a' + ubd_unit(dev));
		refuse(req, text);
		return;
	}
	job = job_new(dev, req);
	if (job)
		thread = kthread_run(list_main, job, "ubd-list");
	if (!IS_ERR(thread))
		return;
	kvfree(job);
	refuse(req, "no memory in the guest");
}

static void refuse_version(struct mc_request *req, const char *word)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "%.40s: no format that a snapshot can have: V3 or V4", word);
	refuse(req, text);
}

/* "snapshot", "snapshot ubda", "snapshot ubda=FILE [V3|V4]" */
void mconsole_snapshot(struct mc_request *req)
{
	const char *error = obstacle(req);
	struct ubd_words words;
	struct ubd *dev;
	struct job *job;

	if (error) {
		refuse(req, error);
		return;
	}
	ubd_parse_snapshot(arguments(req, "snapshot"), &words);
	dev = find_device(&words);
	if (*words.device && !dev) {
		refuse_device(req, words.device);
	} else if (!words.file) {
		list_chains(req, dev);
	} else if (!dev || !*words.file) {
		refuse(req, "say which and where: snapshot ubda=FILE [V3|V4]");
	} else if (words.unknown) {
		refuse_version(req, words.unknown);
	} else {
		job = job_new(dev, req);
		if (!job) {
			refuse(req, "no memory in the guest");
			return;
		}
		strscpy(job->name, words.file, sizeof(job->name));
		job->snap.args.version = words.version;
		job_run(job, snapshot_fails);
	}
}

/* ---- unsnapshot -------------------------------------------------------- */

static u64 mib(u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, 1 << 20);
}

/* A line each second, and one for each tenth of the way. */
static void merge_tick(void *arg)
{
	struct job *job = arg;
	struct cow_merge_progress *progress = &job->merge.progress;
	u64 total = max_t(u64, progress->total, 1);
	unsigned int percent = div64_u64(progress->done * 100, total);
	char line[128];
	int len;

	if (!job->answer || job->nowait || percent == job->told)
		return;
	if (percent / 10 == job->told / 10 && time_before(jiffies, job->next))
		return;
	job->told = percent;
	job->next = jiffies + HZ;
	len = scnprintf(line, sizeof(line),
			"ubd%c: %u %%, %llu of %llu MiB\n", letter(job),
			percent, mib(progress->done), mib(total));
	/* A client that does not read misses it, and sees the next one. */
	mconsole_reply_len(&job->req, line, len, 0, 1);
}

static void merge_done(struct job *job)
{
	const struct cow_merge_progress *progress = &job->merge.progress;

	snprintf(job->text, sizeof(job->text),
		 "ubd%c: %s is the top again, %llu MiB merged", letter(job),
		 progress->top, mib(progress->total));
}

/* From here on the client is not waiting. */
static void detach(struct job *job)
{
	snprintf(job->text, sizeof(job->text),
		 "ubd%c: merging in the background", letter(job));
	job_answer(job, false);
	job->answer = false;
}

static bool merge_fails(struct job *job)
{
	struct ubd_merge *merge = &job->merge;
	bool failed;

	merge->file = ubd_file(job->dev);
	job->next = jiffies + HZ;
	if (ubd_call(ubd_host_merge, merge)) {
		strscpy(job->text, merge->err.text, sizeof(job->text));
		return true;
	}
	if (job->nowait)
		detach(job);
	ubd_step(job->dev, merge->task, merge_tick, job);
	failed = task_failed(job, merge->task);
	if (!failed)
		merge_done(job);
	ubd_call(ubd_host_merge_end, merge->task);
	return failed;
}

void ubd_resume_merge(struct ubd *dev)
{
	struct job *job = job_new(dev, NULL);

	if (!job)
		return;
	job->merge.args.resume = true;
	job_run(job, merge_fails);
}

static void merge_command(struct mc_request *req, struct ubd *dev,
			  const struct ubd_words *words)
{
	struct job *job = job_new(dev, req);
	char text[160];

	if (!job) {
		refuse(req, "no memory in the guest");
		return;
	}
	if (!words->unknown) {
		job->nowait = words->nowait;
		job->merge.args.remove = words->remove;
		job->merge.args.force = words->force;
		job_run(job, merge_fails);
		return;
	}
	snprintf(text, sizeof(text),
		 "%.40s: unknown word: unsnapshot ubd%c [nowait] [delete] [force]",
		 words->unknown, letter(job));
	refuse(req, text);
	kvfree(job);
}

/* "unsnapshot ubda [nowait] [delete] [force]" */
void mconsole_unsnapshot(struct mc_request *req)
{
	const char *error = obstacle(req);
	struct ubd_words words;
	struct ubd *dev;

	if (error) {
		refuse(req, error);
		return;
	}
	ubd_parse_unsnapshot(arguments(req, "unsnapshot"), &words);
	dev = find_device(&words);
	if (!*words.device)
		refuse(req, "say which: unsnapshot ubda [nowait] [delete] [force]");
	else if (!dev)
		refuse_device(req, words.device);
	else
		merge_command(req, dev, &words);
}
