// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mconsole command "snapshot": words in, answers out.
 *
 * Duty: to understand the words, and to see it through: files are made, the
 * guest's file systems are frozen, all tops are swapped, the file systems are
 * thawed, and what is on disk comes to its end.
 *
 * Invariants: see ubd_job.h. Whether the swap or the time limit of the freeze comes
 * first is decided under the engine's lock: a swap behind the limit would be of
 * file systems that are at work.
 */
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time.h>
#include <os.h>
#include "ubd_freeze.h"
#include "ubd_hook.h"
#include "ubd_job.h"
#include "ubd_status.h"

/**
 * struct part - one device of a snapshot
 * @name: of its new file
 * @done: its task is
 * @told: what it waits for
 */
struct part {
	struct ubd *dev;
	struct cow_snapshot_result result;
	char name[MCONSOLE_MAX_DATA + 32];
	bool done;
	bool told;
};

/**
 * struct snapshot_job - a snapshot that somebody asked for
 * @part: those of @group.member, in the order of their numbers
 * @wake: one of the tasks can take a step
 * @hook: what the hook failed of after the snapshot, or ""
 */
struct snapshot_job {
	struct ubd_job job;
	struct ubd_snapshot_words words;
	struct ubd_group group;
	struct part *part;
	struct completion wake;
	struct ubd_freeze freeze;
	char hook[192];
};

static struct snapshot_job *snapshot_of(struct ubd_job *job)
{
	return container_of(job, struct snapshot_job, job);
}

/* ---- the answer -------------------------------------------------------- */

/* One line is kept back: the last one ends the answer. */
static void __printf(2, 3) add_line(struct ubd_job *job, const char *format,
				    ...)
{
	va_list args;

	if (*job->text) {
		strlcat(job->text, "\n", sizeof(job->text));
		ubd_send_part(&job->req, job->text);
	}
	va_start(args, format);
	vsnprintf(job->text, sizeof(job->text), format, args);
	va_end(args);
}

/* "0.01": hundredths of a ms, up. */
static const char *ms_of(u64 ns, char buf[24])
{
	u32 hundredths;
	u64 ms = div_u64_rem(DIV_ROUND_UP_ULL(ns, 10000), 100, &hundredths);

	snprintf(buf, 24, "%llu.%02u", ms, hundredths);
	return buf;
}

static void tell_part(struct snapshot_job *snapshot, const struct part *part)
{
	const struct cow_snapshot_result *result = &part->result;
	char unit = 'a' + ubd_unit(part->dev);
	char held[24], swap[24];

	ms_of(result->pause_ns, swap);
	if (!snapshot->freeze.count) {
		add_line(&snapshot->job, "ubd%c: %s on %s, paused %s ms", unit,
			 result->top, result->frozen, swap);
		return;
	}
	add_line(&snapshot->job,
		 "ubd%c: %s on %s, writes held %s ms, swapped in %s ms", unit,
		 result->top, result->frozen,
		 ms_of(snapshot->freeze.held_ns, held), swap);
}

static void tell_left_out(struct ubd_job *job)
{
	unsigned int unit;
	const char *why;

	for (unit = 0; unit < UBD_DEVICES; unit++) {
		if (job->units & BIT(unit))
			continue;
		why = ubd_left_out(ubd_device(unit));
		if (why && *why)
			add_line(job, "ubd%c: left out, %s", 'a' + unit, why);
	}
}

static void snapshot_done(struct snapshot_job *snapshot)
{
	struct ubd_job *job = &snapshot->job;
	unsigned int i;

	for (i = 0; i < snapshot->group.count; i++)
		tell_part(snapshot, &snapshot->part[i]);
	if (snapshot->words.all)
		tell_left_out(job);
	if (*snapshot->freeze.open)
		add_line(job, "not quiesced: %s", snapshot->freeze.open);
	if (*snapshot->hook)
		add_line(job, "%s", snapshot->hook);
}

/* ---- steps ------------------------------------------------------------- */

static bool swapped(struct snapshot_job *snapshot)
{
	unsigned long flags = ubd_enter();
	bool yes = cow_snapshot_swapped(snapshot->group.member[0].task);

	ubd_leave(flags);
	return yes;
}

/*
 * What it waits for is said once, to the host too: the client may be gone. Before the
 * swap it waits for nobody; there, it is being undone.
 */
static void snapshot_tick(struct snapshot_job *snapshot, unsigned int i)
{
	struct part *part = &snapshot->part[i];
	const char *why = snapshot->group.member[i].task->error.text;
	struct ubd_job *job = &snapshot->job;

	if (part->told || !*why || !swapped(snapshot))
		return;
	part->told = true;
	ubd_host_say(why);
	snprintf(job->text, sizeof(job->text), "ubd%c: %s\n",
		 'a' + ubd_unit(part->dev), why);
	mconsole_reply_len(&job->req, job->text,
			   min_t(size_t, strlen(job->text), UBD_PIECE), 0, 1);
	*job->text = '\0';
}

/* One step of each task. COW_STEP_DONE: all of them are done. */
static enum cow_step step_all(struct snapshot_job *snapshot)
{
	enum cow_step all = COW_STEP_DONE;
	unsigned int i;

	reinit_completion(&snapshot->wake);
	for (i = 0; i < snapshot->group.count; i++) {
		struct part *part = &snapshot->part[i];
		enum cow_step step;

		if (part->done)
			continue;
		step = ubd_step_once(part->dev, snapshot->group.member[i].task,
				     &snapshot->wake);
		part->done = step == COW_STEP_DONE;
		if (part->done)
			continue;
		if (all != COW_STEP_AGAIN)
			all = step;
		snapshot_tick(snapshot, i);
	}
	return all;
}

/* To the end, or only until the tops are swapped. */
static void step_until(struct snapshot_job *snapshot, bool end)
{
	enum cow_step step;

	while (end || !swapped(snapshot)) {
		step = step_all(snapshot);
		if (step == COW_STEP_DONE)
			break;
		if (step == COW_STEP_WAIT)
			wait_for_completion_timeout(&snapshot->wake, HZ);
		else
			cond_resched();
	}
}

static bool call_off(void *arg)
{
	struct snapshot_job *snapshot = arg;
	unsigned long flags = ubd_enter();
	bool yes = cow_snapshot_abort(snapshot->group.member[0].task);

	ubd_leave(flags);
	return yes;
}

/* ---- quiesce ----------------------------------------------------------- */

/* True if there is none, or it succeeded; else @why says what it failed of. */
static bool tell_hook(struct snapshot_job *snapshot, const char *event,
		      char *why, size_t size)
{
	const char *program = ubd_hook_program();
	char reason[64];

	if (!program || !ubd_hook(program, event, snapshot->job.units,
				  snapshot->words.limit, reason,
				  sizeof(reason)))
		return true;
	snprintf(why, size, "hook %.64s %s: %s", program, event, reason);
	return false;
}

static bool hold(struct snapshot_job *snapshot)
{
	struct ubd_freeze *freeze = &snapshot->freeze;

	freeze->units = snapshot->job.units;
	freeze->limit = snapshot->words.limit;
	freeze->expire = call_off;
	freeze->arg = snapshot;
	return tell_hook(snapshot, "freeze", freeze->why,
			 sizeof(freeze->why)) &&
	       !ubd_freeze_find(freeze) && !ubd_freeze_hold(freeze);
}

/*
 * What is thawed may wait for flushes, and these for the tasks, which therefore are
 * taken to their end meanwhile; and so it is with the hook.
 */
static void step_frozen(struct snapshot_job *snapshot)
{
	if (hold(snapshot))
		step_until(snapshot, false);
	else
		call_off(snapshot);
	ubd_freeze_release(&snapshot->freeze);
	step_until(snapshot, true);
	ubd_freeze_end(&snapshot->freeze);
	tell_hook(snapshot, "thaw", snapshot->hook, sizeof(snapshot->hook));
}

/* ---- parts ------------------------------------------------------------- */

static void name_by_time(struct part *part, const char *dir, time64_t now)
{
	struct tm tm;

	time64_to_tm(now, 0, &tm);
	snprintf(part->name, sizeof(part->name),
		 "%s/ubd%c-%04ld%02d%02d-%02d%02d%02d.cow", dir,
		 'a' + ubd_unit(part->dev), tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void name_part(struct part *part, const struct ubd_snapshot_words *words,
		      time64_t now)
{
	unsigned int i;

	if (words->all) {
		name_by_time(part, words->all, now);
		return;
	}
	for (i = 0; i < words->count; i++)
		if (words->target[i].unit == ubd_unit(part->dev))
			strscpy(part->name, words->target[i].file,
				sizeof(part->name));
}

static bool make_parts(struct snapshot_job *snapshot)
{
	struct ubd_group *group = &snapshot->group;
	unsigned int unit;
	time64_t now;

	/* Of the host, whatever the guest takes for the time. */
	now = div_u64(os_persistent_clock_emulation(), NSEC_PER_SEC);
	snapshot->part = kvcalloc(hweight_long(snapshot->job.units),
				  sizeof(*snapshot->part), GFP_KERNEL);
	if (!snapshot->part)
		return false;
	for_each_set_bit(unit, &snapshot->job.units, UBD_DEVICES) {
		struct cow_member *member = &group->member[group->count];
		struct part *part = &snapshot->part[group->count++];

		part->dev = ubd_device(unit);
		member->file = ubd_file(part->dev);
		name_part(part, &snapshot->words, now);
		member->args.name = part->name;
		member->args.version = snapshot->words.version;
		member->result = &part->result;
	}
	return true;
}

/* ---- the work ---------------------------------------------------------- */

/* The first one that failed of itself; the others may have failed with it. */
static bool snapshot_failed(struct snapshot_job *snapshot)
{
	struct ubd_job *job = &snapshot->job;
	bool failed = false;
	unsigned int i;

	for (i = 0; i < snapshot->group.count && !failed; i++)
		failed = ubd_task_failed(job, snapshot->group.member[i].task);
	if (failed && *snapshot->freeze.why)
		snprintf(job->text, sizeof(job->text),
			 "no snapshot was made: %s", snapshot->freeze.why);
	return failed;
}

/* A file system could not be written out, and would wait for ever. */
static bool is_held(struct snapshot_job *snapshot)
{
	unsigned int i;

	for (i = 0; i < snapshot->group.count; i++) {
		struct ubd *dev = snapshot->part[i].dev;

		if (!ubd_holding(dev))
			continue;
		snprintf(snapshot->job.text, sizeof(snapshot->job.text),
			 "ubd%c: requests are held: say \"resume ubd%c\" first, or take the snapshot with \"crash\"",
			 'a' + ubd_unit(dev), 'a' + ubd_unit(dev));
		return true;
	}
	return false;
}

static void all_done(struct snapshot_job *snapshot)
{
	unsigned int i;

	snapshot_done(snapshot);
	for (i = 0; i < snapshot->group.count; i++) {
		ubd_status_count(snapshot->part[i].dev, UBD_SNAPSHOTS);
		ubd_auto_merge(snapshot->part[i].dev);
	}
}

static bool snapshot_fails(struct snapshot_job *snapshot)
{
	struct ubd_job *job = &snapshot->job;
	struct ubd_group *group = &snapshot->group;
	unsigned int i;
	bool failed;

	if (!snapshot->words.crash && is_held(snapshot))
		return true;
	for (i = 0; i < group->count; i++)
		ubd_status_work(snapshot->part[i].dev, UBD_SNAPSHOT, NULL);
	if (ubd_call(ubd_host_group, group)) {
		strscpy(job->text, group->err.text, sizeof(job->text));
		return true;
	}
	if (snapshot->words.crash)
		step_until(snapshot, true);
	else
		step_frozen(snapshot);
	failed = snapshot_failed(snapshot);
	for (i = 0; i < group->count; i++)
		ubd_call(ubd_host_snapshot_end, group->member[i].task);
	if (!failed)
		all_done(snapshot);
	return failed;
}

static bool job_fails(struct ubd_job *job)
{
	struct snapshot_job *snapshot = snapshot_of(job);
	bool failed = true;

	init_completion(&snapshot->wake);
	ubd_freeze_init(&snapshot->freeze);
	if (make_parts(snapshot)) {
		failed = snapshot_fails(snapshot);
		kvfree(snapshot->part);
	} else {
		strscpy(job->text, "no memory in the guest", sizeof(job->text));
	}
	return failed;
}

/* ---- words ------------------------------------------------------------- */

static void refuse_word(struct mc_request *req, const char *word,
			const char *error)
{
	char text[160];

	snprintf(text, sizeof(text), "%.40s: %s", word, error);
	ubd_refuse(req, text);
}

static void refuse_place(struct mc_request *req)
{
	ubd_refuse(req,
		   "say which and where: snapshot ubda=FILE [ubdb=FILE ...] or all=DIR");
}

/* True if an answer was given: something is wrong with a name. */
static bool names_are_wrong(const struct snapshot_job *snapshot,
			    struct mc_request *req)
{
	const struct ubd_snapshot_words *words = &snapshot->words;
	unsigned int i;

	if (words->all && *words->all && !words->error)
		return false;
	for (i = 0; i < words->count; i++) {
		const struct ubd_target *target = &words->target[i];

		if (!words->all && *target->device && target->unit < 0) {
			ubd_refuse_device(req, target->device);
			return true;
		}
		if (!*target->device || !target->file || !*target->file) {
			refuse_place(req);
			return true;
		}
	}
	if (words->error)
		refuse_word(req, words->unknown, words->error);
	return words->error;
}

/* Which devices. False: there is none. */
static bool choose(struct snapshot_job *snapshot)
{
	const struct ubd_snapshot_words *words = &snapshot->words;
	unsigned long *units = &snapshot->job.units;
	unsigned int i;

	for (i = 0; words->all && i < UBD_DEVICES; i++)
		if (!ubd_left_out(ubd_device(i)))
			*units |= BIT(i);
	for (i = 0; !words->all && i < words->count; i++)
		*units |= BIT(words->target[i].unit);
	return *units;
}

/* True if it goes on from here. */
static bool take(struct snapshot_job *snapshot, struct mc_request *req)
{
	if (names_are_wrong(snapshot, req))
		return false;
	if (!choose(snapshot)) {
		ubd_refuse(req, "there is no disk that can be written");
		return false;
	}
	ubd_job_run(&snapshot->job, job_fails);
	return true;
}

static void show(struct mc_request *req, const char *device, int unit, bool json)
{
	struct ubd *dev = unit < 0 ? NULL : ubd_device(unit);

	if (*device && !dev)
		ubd_refuse_device(req, device);
	else
		ubd_list_chains(req, dev, json);
}

/* "snapshot [ubda] [--json]", "snapshot ubda=FILE ubdb=FILE [V3|V4] ..." */
void mconsole_snapshot(struct mc_request *req)
{
	const char *error = ubd_obstacle(req);
	struct snapshot_job *snapshot;
	struct ubd_snapshot_words *words;
	char *text;
	bool json;

	if (error) {
		ubd_refuse(req, error);
		return;
	}
	snapshot = ubd_job_new(sizeof(*snapshot), NULL, req);
	if (!snapshot) {
		ubd_refuse(req, "no memory in the guest");
		return;
	}
	words = &snapshot->words;
	text = ubd_arguments(&snapshot->job.req, "snapshot");
	json = ubd_parse_json(text);
	ubd_parse_snapshot(text, words);
	if (!words->count)
		show(req, words->device, words->unit, json);
	else if (take(snapshot, req))
		return;
	kvfree(snapshot);
}
