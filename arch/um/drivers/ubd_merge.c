// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mconsole commands "unsnapshot" and "merge": words in, answers out.
 *
 * Duty: to understand the words, to see the engine's tasks through, to tell how
 * far they are, and to bring them what is said about them meanwhile.
 *
 * Invariants: see ubd_job.h. A device has one merge at a time, since it is
 * claimed for that.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/string.h>
#include "ubd_job.h"
#include "ubd_status.h"

#define NAP		20	/* ms */
#define MOST_NAP	(100 * NSEC_PER_MSEC)

/**
 * struct merge_job - merges that somebody asked for, or that go on
 * @nowait: the client is told that it has begun, and no more
 * @all: fold the lowest layer, again and again, down to @depth
 * @layers: merged so far, with @bytes in all
 * @name: a layer to fold, or ""
 * @told: percent in the last line of progress
 * @next: jiffies from when on there may be another
 * @window: ns when the window began that is being copied
 * @begun: jiffies when the copying began, or went on
 * @before: bytes that had been moved by then
 */
struct merge_job {
	struct ubd_job job;
	struct ubd_merge merge;
	bool nowait;
	bool all;
	unsigned int depth;
	unsigned int layers;
	u64 bytes;
	char name[MCONSOLE_MAX_DATA];
	unsigned int told;
	unsigned long next;
	u64 window;
	unsigned long begun;
	u64 before;
};

/**
 * struct merging - what is to be known of a device's merges; under ubd_enter()
 * @task: under way
 * @speed: MiB in a second at most; 0: no limit
 * @depth: fold by itself when there are more layers; 0: never
 * @remove: and delete them
 */
static struct merging {
	struct cow_task *task;
	u32 speed;
	u32 depth;
	bool remove;
} merging[UBD_DEVICES];

static struct merge_job *merge_of(struct ubd_job *job)
{
	return container_of(job, struct merge_job, job);
}

static struct merging *merging_of(struct ubd *dev)
{
	return &merging[ubd_unit(dev)];
}

/* ---- while it runs ----------------------------------------------------- */

static u64 mib(u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, 1 << 20);
}

/* How fast it is since it began, or went on. */
static u64 rate(const struct merge_job *merge)
{
	unsigned long ms = jiffies_to_msecs(jiffies - merge->begun);
	u64 bytes = merge->merge.progress.done - merge->before;

	return div64_u64(bytes * MSEC_PER_SEC, ms + 1);
}

static void start_clock(struct merge_job *merge)
{
	merge->begun = jiffies;
	merge->before = merge->merge.progress.done;
}

/* What is measured over less than a second says nothing. */
static int tell_rate(const struct merge_job *merge, u64 left, char *line,
		     size_t size)
{
	u64 speed = rate(merge);

	if (time_before(jiffies, merge->begun + HZ))
		return 0;
	return scnprintf(line, size, ", %llu MiB/s, %llu s left", mib(speed),
			 div64_u64(left, max_t(u64, speed, 1)));
}

/* A line each second, and one for each tenth of the way. */
static void tell_progress(struct merge_job *merge)
{
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
	len = scnprintf(line, sizeof(line), "ubd%c: %u %%, %llu of %llu MiB",
			ubd_letter(job), percent, mib(progress->done),
			mib(total));
	len += tell_rate(merge, total - min(total, progress->done), line + len,
			 sizeof(line) - len);
	len += scnprintf(line + len, sizeof(line) - len, "\n");
	/* A client that does not read misses it, and sees the next one. */
	mconsole_reply_len(&job->req, line, len, 0, 1);
}

/* It is ahead of its limit. */
static bool too_fast(struct merge_job *merge)
{
	struct merging *state = merging_of(merge->job.dev);
	unsigned long flags = ubd_enter();
	u64 limit = (u64)state->speed << 20;

	ubd_leave(flags);
	return limit && rate(merge) > limit;
}

/* Between two windows: no write is held. */
static bool rests(struct merge_job *merge, bool *guest_works)
{
	unsigned long flags = ubd_enter();
	bool yes = cow_merge_rests(merge->merge.task);

	*guest_works = cow_requests(merge->merge.file);
	ubd_leave(flags);
	return yes;
}

/* The guest goes first: while it works, a merge has half of the time at most. */
static void give_way(struct merge_job *merge)
{
	u64 took = ktime_get_ns() - merge->window;

	fsleep(div_u64(min_t(u64, took, MOST_NAP), NSEC_PER_USEC));
}

static void merge_tick(void *arg)
{
	struct merge_job *merge = arg;
	bool guest_works;

	if (merge->merge.progress.paused)
		start_clock(merge);
	tell_progress(merge);
	if (!rests(merge, &guest_works))
		return;
	if (guest_works)
		give_way(merge);
	while (too_fast(merge))
		msleep(NAP);
	merge->window = ktime_get_ns();
}

static void set_task(struct ubd *dev, struct cow_task *task)
{
	unsigned long flags = ubd_enter();

	merging_of(dev)->task = task;
	ubd_leave(flags);
}

/* False: there is none. */
static bool control(struct ubd *dev, enum cow_merge_wish wish)
{
	unsigned long flags = ubd_enter();
	struct cow_task *task = merging_of(dev)->task;

	if (task)
		cow_merge_control(task, wish);
	ubd_leave(flags);
	return task;
}

/* From here on the client is not waiting. */
static void detach(struct ubd_job *job)
{
	snprintf(job->text, sizeof(job->text),
		 "ubd%c: merging in the background", ubd_letter(job));
	ubd_job_answer(job, false);
	job->answer = false;
}

/* One layer into its parent. */
static bool one_fails(struct merge_job *own)
{
	struct ubd_job *job = &own->job;
	struct ubd_merge *merge = &own->merge;
	bool failed;

	ubd_status_work(job->dev, merge->args.layer ? UBD_FOLD : UBD_DRAIN,
			&merge->progress);
	if (ubd_call(ubd_host_merge, merge)) {
		strscpy(job->text, merge->err.text, sizeof(job->text));
		return true;
	}
	if (own->nowait && job->answer)
		detach(job);
	own->told = 0;
	own->next = jiffies + HZ;
	own->window = ktime_get_ns();
	start_clock(own);
	set_task(job->dev, merge->task);
	ubd_step(job->dev, merge->task, merge_tick, own);
	set_task(job->dev, NULL);
	failed = ubd_task_failed(job, merge->task);
	if (!failed)
		ubd_status_count(job->dev, UBD_MERGES);
	ubd_call(ubd_host_merge_end, merge->task);
	own->layers++;
	own->bytes += merge->progress.total;
	return failed;
}

/* ---- which layer ------------------------------------------------------- */

static unsigned int depth_of(struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	unsigned int depth = cow_depth(ubd_file(dev));

	ubd_leave(flags);
	return depth;
}

/* The whole name, or what stands behind its last '/'. */
static bool is_named(const char *path, const char *name)
{
	return !strcmp(path, name) || !strcmp(kbasename(path), name);
}

/* Number of the layer of that name, or -ENOENT. */
static int find_layer(struct ubd *dev, const char *name)
{
	unsigned long flags = ubd_enter();
	struct cow_layer_info info;
	int found = -ENOENT;
	unsigned int i;

	for (i = 0; found < 0 && !cow_layer(ubd_file(dev), i, &info); i++)
		if (is_named(info.path, name))
			found = i;
	ubd_leave(flags);
	return found;
}

/* ---- jobs -------------------------------------------------------------- */

static void unsnapshot_done(struct merge_job *own)
{
	const struct cow_merge_progress *progress = &own->merge.progress;
	struct ubd_job *job = &own->job;

	if (own->merge.args.discard)
		snprintf(job->text, sizeof(job->text),
			 "ubd%c: %s is the top again, what %s held is dropped",
			 ubd_letter(job), progress->top, progress->drained);
	else
		snprintf(job->text, sizeof(job->text),
			 "ubd%c: %s is the top again, %llu MiB merged",
			 ubd_letter(job), progress->top, mib(progress->total));
}

static bool unsnapshot_fails(struct ubd_job *job)
{
	struct merge_job *own = merge_of(job);

	own->merge.file = ubd_file(job->dev);
	if (one_fails(own))
		return true;
	unsnapshot_done(own);
	return false;
}

/* What the guest has in its caches must not outlive the change. */
static bool discard_fails(struct ubd_job *job)
{
	bool failed;

	if (ubd_exclude(job->dev)) {
		snprintf(job->text, sizeof(job->text),
			 "ubd%c: the disk is in use in the guest: unmount it, or use moo rollback when it is down",
			 ubd_letter(job));
		return true;
	}
	failed = unsnapshot_fails(job);
	ubd_include(job->dev);
	return failed;
}

static void fold_done(struct merge_job *own)
{
	const struct cow_merge_progress *progress = &own->merge.progress;
	struct ubd_job *job = &own->job;

	if (!own->layers)
		snprintf(job->text, sizeof(job->text),
			 "ubd%c: there is nothing to fold", ubd_letter(job));
	else if (own->all)
		snprintf(job->text, sizeof(job->text),
			 "ubd%c: %u %s folded into %s, %llu MiB",
			 ubd_letter(job), own->layers,
			 own->layers == 1 ? "layer" : "layers", progress->parent,
			 mib(own->bytes));
	else
		snprintf(job->text, sizeof(job->text),
			 "ubd%c: %s folded into %s, %llu MiB", ubd_letter(job),
			 progress->drained, progress->parent, mib(own->bytes));
}

static bool pending(struct ubd *dev, struct cow_merge_args *args)
{
	unsigned long flags = ubd_enter();
	bool yes = cow_merge_pending(ubd_file(dev), args);

	ubd_leave(flags);
	return yes;
}

/* What was begun before; else the lowest layer: so no byte is moved twice. */
static unsigned int next_layer(struct ubd *dev, unsigned int depth)
{
	struct cow_merge_args begun;

	return pending(dev, &begun) && begun.layer ? begun.layer : depth - 2;
}

static bool fold_all_fails(struct merge_job *own)
{
	struct ubd *dev = own->job.dev;
	unsigned int depth;

	while ((depth = depth_of(dev)) > own->depth) {
		own->merge.args.layer = next_layer(dev, depth);
		if (one_fails(own))
			return true;
	}
	return false;
}

static bool fold_named_fails(struct merge_job *own)
{
	struct ubd_job *job = &own->job;
	int layer = find_layer(job->dev, own->name);

	if (layer > 0) {
		own->merge.args.layer = layer;
		return one_fails(own);
	}
	snprintf(job->text, sizeof(job->text), "ubd%c: %s: %s",
		 ubd_letter(job), own->name,
		 layer ? "no layer has that name; \"snapshot\" lists them" :
			 "it is the top, which \"unsnapshot\" merges");
	return true;
}

static bool fold_fails(struct ubd_job *job)
{
	struct merge_job *own = merge_of(job);

	own->merge.file = ubd_file(job->dev);
	if (own->all ? fold_all_fails(own) : fold_named_fails(own))
		return true;
	fold_done(own);
	return false;
}

static bool resume_fails(struct ubd_job *job)
{
	struct merge_job *own = merge_of(job);

	own->merge.file = ubd_file(job->dev);
	while (pending(job->dev, &own->merge.args))
		if (one_fails(own))
			return true;
	snprintf(job->text, sizeof(job->text),
		 "ubd%c: %s merged into %s, %llu MiB", ubd_letter(job),
		 own->merge.progress.drained, own->merge.progress.parent,
		 mib(own->bytes));
	return false;
}

/* ---- without a client -------------------------------------------------- */

void ubd_resume_merge(struct ubd *dev)
{
	struct merge_job *own = ubd_job_new(sizeof(*own), dev, NULL);

	if (own)
		ubd_job_run(&own->job, resume_fails);
}

void ubd_auto_merge(struct ubd *dev)
{
	struct merging state;
	struct merge_job *own;
	unsigned long flags;

	flags = ubd_enter();
	state = *merging_of(dev);
	ubd_leave(flags);
	if (!state.depth || depth_of(dev) <= state.depth)
		return;
	own = ubd_job_new(sizeof(*own), dev, NULL);
	if (!own)
		return;
	own->all = true;
	own->depth = state.depth;
	own->merge.args.remove = state.remove;
	ubd_job_run(&own->job, fold_fails);
}

void ubd_stop_merge(struct ubd *dev)
{
	control(dev, COW_MERGE_STOP);
}

void ubd_forget_merge(struct ubd *dev)
{
	unsigned long flags = ubd_enter();

	memset(merging_of(dev), 0, sizeof(struct merging));
	ubd_leave(flags);
}

/* ---- commands ---------------------------------------------------------- */

static const char merge_usage[] =
	"merge ubda[=LAYER] [nowait] [delete] [force] | pause | resume | cancel | speed=N | auto=N";

static void begin_job(struct mc_request *req, struct ubd *dev,
		      const struct ubd_words *words,
		      bool (*fails)(struct ubd_job *job))
{
	struct merge_job *own = ubd_job_new(sizeof(*own), dev, req);

	if (!own) {
		ubd_refuse(req, "no memory in the guest");
		return;
	}
	own->nowait = words->nowait;
	own->all = !words->file;
	own->depth = 2;
	if (words->file)
		strscpy(own->name, words->file, sizeof(own->name));
	own->merge.args.remove = words->remove;
	own->merge.args.force = words->force;
	own->merge.args.discard = words->discard;
	ubd_job_run(&own->job, fails);
}

static void unsnapshot_command(struct mc_request *req, struct ubd *dev,
			       const struct ubd_words *words)
{
	begin_job(req, dev, words,
		  words->discard ? discard_fails : unsnapshot_fails);
}

void mconsole_unsnapshot(struct mc_request *req)
{
	static const struct ubd_command command = {
		.name = "unsnapshot",
		.usage = "unsnapshot ubda [nowait] [delete] [force] [discard]",
		.parse = ubd_parse_unsnapshot,
		.run = unsnapshot_command,
	};

	ubd_run_command(req, &command);
}

static void say_wish(struct mc_request *req, struct ubd *dev,
		     enum cow_merge_wish wish)
{
	static const char * const told[] = {
		[COW_MERGE_RUN] = "the merge goes on",
		[COW_MERGE_PAUSE] = "the merge pauses",
		[COW_MERGE_CANCEL] = "the merge is given up",
	};
	char text[64];

	if (!control(dev, wish)) {
		ubd_refuse(req, "no merge is under way");
		return;
	}
	snprintf(text, sizeof(text), "ubd%c: %s", 'a' + ubd_unit(dev),
		 told[wish]);
	mconsole_reply(req, text, 0, 0);
}

static void say_setting(struct mc_request *req, struct ubd *dev,
			const struct ubd_words *words)
{
	struct merging *state = merging_of(dev);
	unsigned long flags = ubd_enter();
	char text[96];

	if (words->speed != UBD_NO_NUMBER)
		state->speed = words->speed;
	if (words->depth != UBD_NO_NUMBER) {
		state->depth = words->depth;
		state->remove = words->remove;
	}
	snprintf(text, sizeof(text),
		 "ubd%c: speed %u MiB/s%s, folds by itself from %u layers on%s",
		 'a' + ubd_unit(dev), state->speed,
		 state->speed ? "" : " (no limit)", state->depth,
		 state->depth ? "" : " (never)");
	ubd_leave(flags);
	mconsole_reply(req, text, 0, 0);
}

static void merge_command(struct mc_request *req, struct ubd *dev,
			  const struct ubd_words *words)
{
	bool setting = words->speed != UBD_NO_NUMBER ||
		       words->depth != UBD_NO_NUMBER;

	if (words->depth == 1)
		ubd_refuse(req,
			   "auto=1: a disk and its top are two layers; say 2 or more, or 0 for never");
	else if (words->wish != UBD_NO_WISH)
		say_wish(req, dev, words->wish);
	else if (setting)
		say_setting(req, dev, words);
	else
		begin_job(req, dev, words, fold_fails);
}

void mconsole_merge(struct mc_request *req)
{
	static const struct ubd_command command = {
		.name = "merge",
		.usage = merge_usage,
		.parse = ubd_parse_merge,
		.run = merge_command,
	};

	ubd_run_command(req, &command);
}
