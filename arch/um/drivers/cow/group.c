// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several snapshots as one: all of them, of one instant, or none.
 *
 * Duty: to begin them, and to let each wait for the others where it has to.
 *
 * Invariants: see snapshot.h. The tasks of a group run on one thread, as all of
 * the engine does; so the step in which the last member becomes ready is the
 * instant.
 */
#include <string.h>
#include "layer.h"
#include "snapshot.h"

/* ---- members ----------------------------------------------------------- */

static size_t group_size(unsigned int count)
{
	return sizeof(struct group) + count * sizeof(struct snapshot *);
}

static struct group *group_new(const struct cow_env *env, unsigned int count)
{
	struct group *group = env->alloc(group_size(count));

	if (!group)
		return NULL;
	group->env = *env;
	group->count = count;
	group->behind = count;
	return group;
}

static void group_free(struct group *group)
{
	group->env.free(group, group_size(group->count));
}

void cow_group_join(struct group *group, struct snapshot *snap)
{
	snap->group = group;
	group->member[group->left++] = snap;
}

void cow_group_leave(struct snapshot *snap)
{
	struct group *group = snap->group;
	unsigned int i;

	for (i = 0; group->member[i] != snap; i++)
		;
	group->member[i] = group->member[--group->left];
	if (!group->left)
		group_free(group);
}

/* ---- waiting for each other -------------------------------------------- */

static void wake(struct group *group, int result)
{
	unsigned int i;

	for (i = 0; i < group->left; i++) {
		struct snapshot *snap = group->member[i];
		struct chain *chain = snap->work.chain;

		cow_wake(chain, &snap->turn, result);
		cow_run(chain);
	}
}

static void swap_all(struct group *group)
{
	const struct cow_env *env = &group->env;
	uint64_t start = env->io->now(env->ctx);
	uint64_t pause;
	unsigned int i;

	for (i = 0; i < group->left; i++)
		cow_snapshot_swap(group->member[i]);
	group->swapped = true;
	pause = env->io->now(env->ctx) - start;
	for (i = 0; i < group->left; i++)
		group->member[i]->result->pause_ns = pause;
}

int cow_group_swap(struct snapshot *snap)
{
	struct group *group = snap->group;

	if (group->error)
		return group->error;
	if (++group->ready < group->count)
		return cow_work_wait(&snap->work, &snap->turn);
	swap_all(group);
	wake(group, 0);
	return 0;
}

void cow_group_pass(struct snapshot *snap)
{
	struct group *group = snap->group;

	if (snap->passed)
		return;
	snap->passed = true;
	if (!--group->behind)
		wake(group, 0);
}

int cow_group_adopted(struct snapshot *snap)
{
	cow_group_pass(snap);
	if (!snap->group->behind)
		return 0;
	return cow_work_wait(&snap->work, &snap->turn);
}

/* ---- failing together -------------------------------------------------- */

static void fail(struct snapshot *snap, int error, const char *reason)
{
	struct group *group = snap->group;

	if (group->error)
		return;
	group->error = error;
	cow_fail(&group->why, error, "%s: no snapshot was made: %s",
		 snap->old->path, reason);
	wake(group, error);
}

void cow_group_fail(struct snapshot *snap, int error)
{
	fail(snap, error, cow_reason(error));
	snap->work.task.error = snap->group->why;
}

static struct snapshot *snapshot_of(const struct cow_task *task)
{
	const struct work *work = cow_container_of(task, struct work, task);

	return cow_container_of(work, struct snapshot, work);
}

bool cow_snapshot_swapped(const struct cow_task *task)
{
	return snapshot_of(task)->swapped;
}

bool cow_snapshot_abort(struct cow_task *task)
{
	struct snapshot *snap = snapshot_of(task);

	if (snap->group->swapped)
		return false;
	fail(snap, -ECANCELED, "it was called off");
	return true;
}

/* ---- beginning --------------------------------------------------------- */

/* The last one that goes takes the group along. */
static void undo(struct group *group)
{
	unsigned int left = group->left;

	if (!left)
		group_free(group);
	while (left--)
		cow_snapshot_undo(group->member[left]);
}

int cow_group_start(struct cow_member *member, unsigned int count,
		    struct cow_error *err)
{
	const struct cow_env *env = &cow_chain(member[0].file)->env;
	struct group *group = group_new(env, count);
	unsigned int i;
	int ret = 0;

	if (!group)
		return cow_fail(err, -ENOMEM, "%s: %s", member[0].args.name,
				cow_reason(-ENOMEM));
	for (i = 0; i < count && !ret; i++)
		ret = cow_snapshot_prepare(group, member[i].file,
					   &member[i].args, member[i].result,
					   err);
	if (ret) {
		undo(group);
		return ret;
	}
	for (i = 0; i < count; i++)
		member[i].task = &group->member[i]->work.task;
	return 0;
}

int cow_snapshot_start(struct common_file *file,
		       const struct cow_snapshot_args *args,
		       struct cow_snapshot_result *result,
		       struct cow_task **task, struct cow_error *err)
{
	struct cow_member member = {
		.file = file,
		.args = *args,
		.result = result,
	};
	int ret = cow_group_start(&member, 1, err);

	if (!ret)
		*task = member.task;
	return ret;
}
