// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshot: a fresh delta on top, while the guest runs.
 *
 * Duty: the protocol and its order on disk.
 *
 *	prepare    the new file, provisional, complete and durable under its
 *	           name; room for its record, if it is V3, and for that of the
 *	           old top, which will name it as successor
 *	FLUSH      the old top is flushed early, so that little is left later
 *	SWAP       the new layer becomes the top: this is the pause, and the same
 *	           one for all members of a group
 *	WRITERS    writes that began before the swap finish on the old top
 *	FREEZE     the old top is complete and durable
 *	IDENTIFY   a raw old top is looked at again: size and time are final;
 *	           a V4 one writes down its free blocks
 *	ADOPT      the new layer names its parent's identity; durable
 *	ADOPTED    the others of the group are as far
 *	LINK       the old top names its successor; durable
 *	SETTLE     flushes of the new epoch go on
 *
 * Invariants:
 *  - A crash before LINK is durable opens the old top by its old name; nothing
 *    of the new epoch has been acknowledged as durable by then.
 *  - After it, the old name leads to the new top, which then is complete.
 *  - A failure before SWAP leaves nothing behind, of the whole group.
 *  - After SWAP, lack of room or memory on the host is waited out, while flushes
 *    fail; no other failure is.
 */
#include <string.h>
#include "layer.h"
#include "snapshot.h"

enum {
	SNAP_FLUSH,
	SNAP_SWAP,
	SNAP_WRITERS,
	SNAP_FREEZE,
	SNAP_IDENTIFY,
	SNAP_ADOPT,
	SNAP_ADOPTED,
	SNAP_LINK,
	SNAP_SETTLE,
	SNAP_DONE,
};

static uint64_t sectors_of(const struct io_stat *st)
{
	return (st->size + COW_SECTOR_SIZE - 1) >> COW_SECTOR_SHIFT;
}

static struct snapshot *snapshot_of(struct work *work)
{
	return cow_container_of(work, struct snapshot, work);
}

/* ---- where it may block ------------------------------------------------ */

/* What a V3 file has of the state of a new layer. */
static int store_state(struct snapshot *snap, uint32_t state)
{
	const struct cow_env *env = &snap->work.chain->env;
	struct layer *top = snap->top;

	top->record.state = state;
	top->record.self = top->st.id;
	return cow_record_store(env, top->fd, top->path, &top->record);
}

/* Set the record of an old top that has no header of its own for it. */
static int store_record(struct snapshot *snap, uint32_t state)
{
	const struct cow_env *env = &snap->work.chain->env;
	struct cow_record *rec = &snap->record;

	rec->state = state | (snap->old->record.state & COW_IS_SNAPSHOT);
	rec->self = snap->old->st.id;
	memcpy(rec->successor, snap->name, sizeof(rec->successor));
	return cow_record_store(env, snap->old->fd, snap->old->path, rec);
}

static int identify_call(void *arg)
{
	struct snapshot *snap = snapshot_of(arg);
	const struct cow_env *env = &snap->work.chain->env;
	int ret;

	/* If the list can not be stored, blocks leak; that is all. */
	if (snap->old->hdr.format == COW_V4) {
		cow_free_store(snap->old);
		return 0;
	}
	/* The time that the new layer will name must not be lost by a crash. */
	ret = cow_sync_now(env, cow_data_fd(snap->old));
	return ret ? ret : env->io->stat(env->ctx, snap->old->fd,
					 &snap->frozen);
}

/* The header first: without the record it is the file that it should be. */
static int adopt_call(void *arg)
{
	struct snapshot *snap = snapshot_of(arg);
	const struct cow_env *env = &snap->work.chain->env;
	struct layer *top = snap->top;
	const struct {
		uint32_t mtime;
		uint64_t size;
	} __attribute__((packed)) parent = {
		.mtime = cow_be32(top->hdr.mtime),
		.size = cow_be64(top->hdr.size),
	};
	int ret;

	_Static_assert(offsetof(struct cow_disk_v3, size) -
		       offsetof(struct cow_disk_v3, mtime) ==
		       sizeof(parent.mtime), "in V3 the size follows the time");
	ret = cow_header_patch(top, offsetof(struct cow_disk_v3, mtime),
			       &parent, sizeof(parent));
	if (!ret)
		ret = cow_sync_now(env, cow_data_fd(top));
	return ret ? ret : store_state(snap, COW_IS_SNAPSHOT);
}

static int link_call(void *arg)
{
	return store_record(snapshot_of(arg), COW_IS_FROZEN);
}

static int settle_call(void *arg)
{
	struct snapshot *snap = snapshot_of(arg);
	const struct cow_env *env = &snap->work.chain->env;

	/* Should that fail, readers have to wait: no reason to fail here. */
	env->io->lock(env->ctx, snap->old->fd, IO_SHARED);
	return 0;
}

/* Take back what prepare() did. Nothing was swapped. */
static int undo_call(void *arg)
{
	struct snapshot *snap = snapshot_of(arg);
	const struct cow_env *env = &snap->work.chain->env;

	if (snap->top && snap->top->hdr.format != COW_V4)
		cow_record_leave(env, snap->top->path);
	env->io->unlink(env->ctx, snap->name);
	if (snap->old->hdr.format != COW_V4)
		cow_record_thaw(snap->old);
	return snap->error;
}

/* ---- the steps --------------------------------------------------------- */

void cow_snapshot_swap(struct snapshot *snap)
{
	struct chain *chain = snap->work.chain;

	snap->top->parent = snap->old;
	snap->old->state = COW_STATE_FROZEN;
	snap->top->state = COW_STATE_TOP;
	chain->top = snap->top;
	chain->flush.blocked = true;
	cow_chain_relinked(chain);
	snap->swapped = true;
}

/* The size places the bitmap: another one would be another layout. */
static int adopt_v3(struct snapshot *snap)
{
	struct cow_header *hdr = &snap->top->hdr;

	if (sectors_of(&snap->frozen) != snap->top->sectors)
		return -ESTALE;
	hdr->mtime = snap->frozen.mtime_sec;
	hdr->size = snap->frozen.size;
	return cow_work_call(&snap->work, adopt_call);
}

static int adopt(struct snapshot *snap)
{
	struct cow_disk_v4 *v4 = &snap->top->hdr.v4;

	if (snap->old->hdr.format != COW_V4)
		snap->old->st = snap->frozen;
	if (snap->top->hdr.format != COW_V4)
		return adopt_v3(snap);
	cow_v4_identify(v4, snap->old);
	v4->state &= ~COW_IS_PROVISIONAL;
	snap->top->record.state &= ~COW_IS_PROVISIONAL;
	snap->top->header_dirty = true;
	return cow_work_commit(&snap->work, snap->top);
}

static int link_v4(struct snapshot *snap)
{
	cow_v4_link(snap->old, &snap->link);
	return cow_work_commit(&snap->work, snap->old);
}

static int settle(struct snapshot *snap)
{
	struct chain *chain = snap->work.chain;

	snap->old->record.state |= COW_IS_FROZEN;
	snap->old->record.self = snap->old->st.id;
	memcpy(snap->old->record.successor, snap->name, sizeof(snap->name));
	cow_chain_relinked(chain);
	cow_flush_unblock(chain);
	return cow_work_call(&snap->work, settle_call);
}

/* One state's work; the next state is entered when it has been answered. */
static int begin(struct snapshot *snap)
{
	struct work *work = &snap->work;

	switch (work->state) {
	case SNAP_FLUSH:
		return cow_work_flush(work);
	case SNAP_SWAP:
		return cow_group_swap(snap);
	case SNAP_WRITERS:
		if (snap->old->writers)
			return cow_work_wait(work, &snap->old->idle);
		return 0;
	case SNAP_FREEZE:
		return cow_work_commit(work, snap->old);
	case SNAP_IDENTIFY:
		if (cow_room_busy(snap->old))
			return cow_work_wait(work, &snap->old->idle);
		if (snap->old->room)
			cow_room_collect(snap->old, true);
		return cow_work_call(work, identify_call);
	case SNAP_ADOPT:
		return adopt(snap);
	case SNAP_ADOPTED:
		return cow_group_adopted(snap);
	case SNAP_LINK:
		if (snap->old->hdr.format == COW_V4)
			return link_v4(snap);
		return cow_work_call(work, link_call);
	case SNAP_SETTLE:
		return settle(snap);
	}
	return 1;
}

/* The new epoch can not be made durable: every flush of it has to fail. */
static int fail_swapped(struct snapshot *snap, int error)
{
	struct chain *chain = snap->work.chain;

	snap->top->failed = error;
	cow_chain_relinked(chain);
	cow_flush_unblock(chain);
	cow_group_pass(snap);
	return cow_fail(&snap->work.task.error, error,
			"%s: the snapshot could not be made durable (%s); flushes fail until the machine is started again",
			snap->old->path, cow_reason(error));
}

/* The steps from FREEZE on may be taken any number of times. */
static int wait_for_room(struct snapshot *snap, int error)
{
	struct work *work = &snap->work;

	cow_fail(&work->task.error, error,
		 "%s: the snapshot can not be made durable yet: %s; make room, until then flushes fail",
		 snap->old->path, cow_reason(error));
	cow_flush_refuse(work->chain, error);
	cow_group_pass(snap);
	work->state = SNAP_FREEZE;
	return cow_work_wait(work, &work->chain->flush.again);
}

static bool may_wait(const struct snapshot *snap, int error)
{
	return (error == -ENOSPC || error == -EDQUOT || error == -ENOMEM) &&
	       !snap->old->failed && !snap->top->failed;
}

static int fail(struct snapshot *snap, int error)
{
	struct work *work = &snap->work;

	if (snap->error)
		return snap->error;
	if (snap->swapped && may_wait(snap, error))
		return wait_for_room(snap, error);
	if (snap->swapped)
		return fail_swapped(snap, error);
	snap->error = error;
	cow_group_fail(snap, error);
	return cow_work_call(work, undo_call);
}

/* What is waited for may come and go several times before it is all gone. */
static bool not_yet(const struct snapshot *snap)
{
	if (snap->work.state == SNAP_WRITERS)
		return snap->old->writers;
	return snap->work.state == SNAP_IDENTIFY && cow_room_busy(snap->old);
}

static int snapshot_advance(struct work *work, int answer)
{
	struct snapshot *snap = snapshot_of(work);
	bool again;
	int ret;

	if (answer || snap->error)
		return fail(snap, answer);
	again = not_yet(snap);
	ret = begin(snap);
	if (ret < 0 && ret != -EINPROGRESS)
		return fail(snap, ret);
	if (ret != 1 && !again)
		work->state++;
	return ret;
}

/* ---- prepare ----------------------------------------------------------- */

static int full_name(struct snapshot *snap, const char *name)
{
	const char *old = snap->old->path;
	size_t dir = name[0] == '/' ? 0 : strlen(old);
	size_t len = strlen(name);

	while (dir && old[dir - 1] != '/')
		dir--;
	if (!len || dir + len >= sizeof(snap->name))
		return -ENAMETOOLONG;
	memcpy(snap->name, old, dir);
	memcpy(snap->name + dir, name, len + 1);
	return 0;
}

/*
 * A V3 header has no state: until it is adopted its parent's time is 0, at which
 * stock and we refuse it.
 */
static int fill_v3(const struct layer *old, int fd, struct cow_header *hdr)
{
	hdr->size = old->st.size;
	return cow_v3_format(&old->chain->env, fd, hdr);
}

static int fill_v4(const struct layer *old, int fd, struct cow_header *hdr)
{
	hdr->size = old->sectors << COW_SECTOR_SHIFT;
	hdr->v4.sectorsize = old->chain->sector_size;
	hdr->v4.cylinders = old->hdr.v4.cylinders;
	hdr->v4.heads = old->hdr.v4.heads;
	hdr->v4.sectors = old->hdr.v4.sectors;
	cow_v4_identify(&hdr->v4, old);
	hdr->v4.state = COW_IS_PROVISIONAL | COW_IS_SNAPSHOT;
	return cow_v4_format(&old->chain->env, fd, hdr);
}

static int make_file(struct snapshot *snap, unsigned int version)
{
	const struct cow_env *env = &snap->work.chain->env;
	const struct layer *old = snap->old;
	struct cow_header *hdr = env->alloc(sizeof(*hdr));
	int fd, ret;

	if (!hdr)
		return -ENOMEM;
	memcpy(hdr->parent, old->path, strlen(old->path) + 1);
	fd = env->io->create(env->ctx, snap->name, old->st.mode, old->st.gid);
	ret = fd;
	if (fd >= 0) {
		ret = version == COW_V3 ? fill_v3(old, fd, hdr) :
					  fill_v4(old, fd, hdr);
		if (!ret)
			ret = env->io->publish(env->ctx, fd, snap->name);
		env->io->close(env->ctx, fd);
	}
	env->free(hdr, sizeof(*hdr));
	return ret;
}

static int prepare_link(struct snapshot *snap)
{
	const struct cow_env *env = &snap->work.chain->env;
	struct layer *old = snap->old;

	if (old->hdr.format == COW_V4)
		return cow_v4_put_name(env, cow_data_fd(old),
				       COW_V4_SUCCESSOR_BLOCK,
				       &old->hdr.v4.successor, snap->name,
				       &snap->link);
	return store_record(snap, COW_IS_PROVISIONAL);
}

/* What stands in the way of a V3 file over the old top. */
static int refuse_v3(const struct snapshot *snap, struct cow_error *err)
{
	const struct cow_env *env = &snap->work.chain->env;
	const struct layer *old = snap->old;
	struct io_stat st;
	int ret;

	if (old->hdr.format != COW_RAW || cow_layer_has_magic(old))
		return cow_fail(err, -EINVAL,
				"%s: V3 needs a raw file below it, and %s is a COW file or looks like one; choose V4",
				snap->name, old->path);
	ret = env->io->stat(env->ctx, old->fd, &st);
	if (!ret && sectors_of(&st) != old->sectors)
		return cow_fail(err, -EINVAL,
				"%s: V3 needs to know the size of %s, which was changed; start the machine again, or choose V4",
				snap->name, old->path);
	return ret ? cow_fail(err, ret, "%s: %s", old->path, cow_reason(ret)) :
		     0;
}

static int prepare_file(struct snapshot *snap,
			const struct cow_snapshot_args *args,
			struct cow_error *err)
{
	const struct cow_env *env = &snap->work.chain->env;
	struct io_stat st;
	int ret;

	ret = cow_layer_named(snap->old, err);
	if (ret)
		return ret;
	ret = full_name(snap, args->name);
	if (!ret && !env->io->lookup(env->ctx, snap->name, &st))
		ret = -EEXIST;
	if (!ret && args->version == COW_V3) {
		ret = refuse_v3(snap, err);
		if (ret)
			return ret;
	}
	if (!ret)
		ret = make_file(snap, args->version);
	return ret ? cow_fail(err, ret, "%s: %s", args->name,
			      cow_reason_new(ret)) : 0;
}

static int prepare_top(struct snapshot *snap, struct cow_error *err)
{
	int ret;

	ret = cow_layer_open(snap->work.chain, snap->name, COW_EXPECT_COW,
			     &snap->top, err);
	if (!ret)
		ret = cow_layer_claim(snap->top, 0, err);
	if (ret)
		return ret;
	if (snap->work.chain->direct)
		cow_layer_direct(snap->top, true);
	ret = cow_layer_writable(snap->top);
	if (!ret && snap->top->hdr.format != COW_V4)
		ret = store_state(snap, COW_IS_PROVISIONAL | COW_IS_SNAPSHOT);
	return ret ? cow_fail(err, ret, "%s: its state can not be recorded: %s",
			      snap->name, cow_reason(ret)) : 0;
}

/* Everything that can fail for want of room or rights is done here. */
static int prepare(struct snapshot *snap, const struct cow_snapshot_args *args,
		   struct cow_error *err)
{
	int ret = prepare_file(snap, args, err);

	if (ret)
		return ret;
	ret = prepare_top(snap, err);
	if (!ret) {
		ret = prepare_link(snap);
		cow_layer_suspect(snap->old, ret);
		if (ret)
			cow_fail(err, ret,
				 "%s: its successor can not be recorded: %s",
				 snap->old->path, cow_reason(ret));
	}
	if (ret)
		undo_call(&snap->work);
	return ret;
}

static int may_snapshot(const struct chain *chain, struct cow_error *err)
{
	const char *path = chain->top->path;

	if (chain->file.read_only)
		return cow_fail(err, -EROFS, "%s: it is open read-only", path);
	if (chain->unlocked)
		return cow_fail(err, -EOPNOTSUPP,
				"%s: it is shared with other machines (flag c); snapshots would tear it",
				path);
	if (chain->top->st.fleeting)
		return cow_fail(err, -EOPNOTSUPP,
				"%s: its file system numbers its files anew each time it is mounted, so that no successor can be recorded; keep the disk on another one",
				path);
	if (chain->task)
		return cow_fail(err, -EBUSY,
				"%s: a snapshot or merge is under way; wait for its end",
				path);
	if (chain->drain.active || chain->top->record.state & COW_IS_DRAINING)
		return cow_fail(err, -EBUSY,
				"%s: its merge has not come to its end; run unsnapshot again first",
				path);
	if (chain->depth == COW_MAX_DEPTH)
		return cow_fail(err, -ELOOP,
				"%s: the chain has %u layers; merge some of them first",
				path, chain->depth);
	return 0;
}

static void snapshot_free(struct snapshot *snap)
{
	const struct cow_env *env = &snap->work.chain->env;

	if (!snap->swapped)
		cow_layer_put(snap->top);
	else if (!snap->work.task.result)
		cow_layer_rest(snap->old);
	env->free(snap, sizeof(*snap));
}

static void forget(struct snapshot *snap)
{
	snap->work.chain->task = NULL;
	snapshot_free(snap);
}

int cow_snapshot_prepare(struct group *group, struct common_file *file,
			 const struct cow_snapshot_args *args,
			 struct cow_snapshot_result *result,
			 struct cow_error *err)
{
	struct chain *chain = cow_chain(file);
	struct snapshot *snap;
	int ret;

	ret = may_snapshot(chain, err);
	if (ret)
		return ret;
	snap = chain->env.alloc(sizeof(*snap));
	if (!snap)
		return cow_fail(err, -ENOMEM, "%s: %s", args->name,
				cow_reason(-ENOMEM));
	cow_work_init(&snap->work, chain, snapshot_advance);
	snap->old = chain->top;
	snap->result = result;
	ret = prepare(snap, args, err);
	if (ret) {
		forget(snap);
		return ret;
	}
	memcpy(result->top, snap->top->path, strlen(snap->top->path) + 1);
	memcpy(result->frozen, snap->old->path, strlen(snap->old->path) + 1);
	cow_group_join(group, snap);
	return 0;
}

void cow_snapshot_undo(struct snapshot *snap)
{
	undo_call(&snap->work);
	cow_group_leave(snap);
	forget(snap);
}

void cow_snapshot_end(struct cow_task *task)
{
	struct work *work = cow_container_of(task, struct work, task);
	struct snapshot *snap = snapshot_of(work);

	cow_group_leave(snap);
	snapshot_free(snap);
}
