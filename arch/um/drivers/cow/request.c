// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests: from one struct common_io to pieces of plain I/O and back.
 *
 * Duty: common_ops.submit of a chain. A request is carried on by advance()
 * until it has to wait; whoever it waits for calls advance() again.
 *
 * Invariants:
 *  - A write's target is fixed when it begins, so it lies wholly on one side of
 *    a snapshot.
 *  - A sector changes its owner only when its data write has succeeded.
 *  - The first sector of the device never becomes a COW header, unless the
 *    administrator said that the file is raw (flag d). It is checked in a copy:
 *    the guest may change its own memory while the write is under way.
 *  - While the top drains, writes go to its parent; the top's ownership of these
 *    sectors ends when they are written.
 */
#include <string.h>
#include "engine.h"

struct req {
	struct cow_wait wait;
	struct chain *chain;
	struct layer *target;
	struct req *prev;
	struct req *next;
	uint64_t pos;		/* bytes handed out so far */
	unsigned int pending;
	int error;
	bool busy;		/* advance() is at work on it */
	bool parked;		/* wait is on some queue */
	bool flushing;
	bool async;		/* the submitter was told -EINPROGRESS */
	bool finished;
};

_Static_assert(sizeof(struct req) <= sizeof(uint64_t) * COMMON_IO_PRIVATE,
	       "struct common_io reserves too little");

static struct req *req_of(struct common_io *io)
{
	return (struct req *)io->priv;
}

static struct common_io *io_of(struct req *req)
{
	return cow_container_of(req, struct common_io, priv);
}

static uint64_t req_sector(struct req *req)
{
	return (io_of(req)->offset + req->pos) >> COW_SECTOR_SHIFT;
}

static uint64_t req_left(struct req *req)
{
	return (io_of(req)->len - req->pos) >> COW_SECTOR_SHIFT;
}

/* ---- pieces ------------------------------------------------------------ */

struct sub *cow_sub_get(struct chain *chain)
{
	struct sub *sub = chain->free_subs;

	if (!sub)
		return NULL;
	chain->free_subs = sub->next;
	memset(sub, 0, sizeof(*sub));
	sub->chain = chain;
	return sub;
}

void cow_sub_put(struct sub *sub)
{
	struct chain *chain = sub->chain;
	struct cow_wait *wait = cow_queue_take(&chain->sub_waiters);

	sub->next = chain->free_subs;
	chain->free_subs = sub;
	if (wait)
		cow_wake_one(chain, wait, 0);
}

static unsigned int layer_use(struct layer *layer)
{
	layer->inflight++;
	layer->io_of_phase[layer->phase]++;
	return layer->phase;
}

static void layer_release(struct layer *layer, unsigned int phase)
{
	layer->inflight--;
	if (!layer->inflight)
		cow_wake(layer->chain, &layer->idle, 0);
	if (!--layer->io_of_phase[phase] && phase != layer->phase)
		cow_room_quiet(layer);
}

static void sub_over(struct sub *sub)
{
	if (sub->source)
		layer_release(sub->source, sub->source_phase);
	if (sub->target)
		layer_release(sub->target, sub->target_phase);
	sub->finish(sub);
}

static void sub_done(struct io_desc *io)
{
	struct sub *sub = cow_container_of(io, struct sub, io);
	struct chain *chain = sub->chain;

	sub_over(sub);
	cow_run(chain);
}

void cow_sub_submit(struct sub *sub)
{
	const struct cow_env *env = &sub->chain->env;
	int ret;

	sub->io.done = sub_done;
	if (sub->source)
		sub->source_phase = layer_use(sub->source);
	if (sub->target)
		sub->target_phase = layer_use(sub->target);
	ret = env->io->submit(env->ctx, &sub->io);
	if (ret != -EINPROGRESS)
		sub_over(sub);
}

/* ---- waiting ----------------------------------------------------------- */

/* Every page is in use: let a flush make some of them clean. */
static void need_pages(struct chain *chain)
{
	if (chain->cache.dirty)
		cow_flush_staged(chain);
}

void cow_wait_page(struct chain *chain, struct ipage *page,
		   struct cow_wait *wait)
{
	if (page) {
		cow_queue_add(&page->waiters, wait);
		return;
	}
	cow_queue_add(&chain->cache.waiters, wait);
	need_pages(chain);
}

static int park(struct req *req, struct cow_queue *queue)
{
	req->parked = true;
	cow_queue_add(queue, &req->wait);
	return -EAGAIN;
}

static int park_page(struct req *req, struct ipage *page)
{
	req->parked = true;
	cow_wait_page(req->chain, page, &req->wait);
	return -EAGAIN;
}

/* A piece for @req, or -EAGAIN and @req is parked. */
static int get_sub(struct req *req, struct sub **sub)
{
	*sub = cow_sub_get(req->chain);
	if (!*sub)
		return park(req, &req->chain->sub_waiters);
	(*sub)->owner = req;
	return 0;
}

/* ---- memory of a request ----------------------------------------------- */

static void zero_memory(struct common_io *io, uint64_t pos, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < io->nvec && len; i++) {
		const struct cow_vec *vec = &io->vec[i];
		uint64_t n;

		if (pos >= vec->len) {
			pos -= vec->len;
			continue;
		}
		n = vec->len - pos < len ? vec->len - pos : len;
		memset((char *)vec->base + pos, 0, n);
		len -= n;
		pos = 0;
	}
}

static void fill_io(struct sub *sub, struct req *req, enum io_op op,
		    const struct layer *layer, const struct cow_run *run)
{
	struct common_io *io = io_of(req);

	sub->io.op = op;
	sub->io.fd = cow_data_fd(layer);
	sub->io.direct = cow_is_direct(layer);
	sub->io.offset = run->place;
	sub->io.len = run->count << COW_SECTOR_SHIFT;
	sub->io.vec = io->vec;
	sub->io.nvec = io->nvec;
	sub->io.skip = req->pos;
	sub->sector = run->sector;
	sub->count = run->count;
}

static bool advance(struct req *req);

/* A piece has come to its end, with @err. */
static void piece_over(struct req *req, int err)
{
	req->pending--;
	if (err && !req->error)
		req->error = err;
	if (req->pending)
		return;
	cow_wake(req->chain, &req->chain->drain.window_idle, 0);
	if (!req->parked && !req->busy)
		advance(req);
}

/* ---- read -------------------------------------------------------------- */

/*
 * A short read is the end of the file. A raw file may end within its last
 * sector; anywhere else bytes are missing that were once there.
 */
static int read_short(struct sub *sub)
{
	struct req *req = sub->owner;
	uint64_t got = sub->io.result;
	const struct layer *layer = sub->source;

	if (layer->ops != &cow_raw_ops ||
	    sub->io.offset + got < layer->st.size)
		return -EIO;
	zero_memory(io_of(req), sub->io.skip + got, sub->io.len - got);
	return 0;
}

static void read_finish(struct sub *sub)
{
	struct req *req = sub->owner;
	int err = 0;

	if (sub->io.result < 0)
		err = sub->io.result;
	else if ((uint64_t)sub->io.result < sub->io.len)
		err = read_short(sub);
	cow_sub_put(sub);
	piece_over(req, err);
}

static int read_step(struct req *req)
{
	struct ipage *page = NULL;
	struct layer *owner;
	struct cow_run run;
	struct sub *sub;
	int err;

	err = cow_resolve(req->chain, req_sector(req), req_left(req), &run,
			  &owner, &page);
	if (err == -EAGAIN)
		return park_page(req, page);
	if (err)
		return err;
	if (run.state == COW_ZERO) {
		zero_memory(io_of(req), req->pos,
			    run.count << COW_SECTOR_SHIFT);
		req->pos += run.count << COW_SECTOR_SHIFT;
		return 0;
	}
	err = get_sub(req, &sub);
	if (err)
		return err;
	fill_io(sub, req, IO_READ, owner, &run);
	sub->source = owner;
	sub->finish = read_finish;
	req->pending++;
	req->pos += run.count << COW_SECTOR_SHIFT;
	cow_sub_submit(sub);
	return 0;
}

/* ---- write, zeroes, discard -------------------------------------------- */

/* The sectors of @sub change hands: their data is written. */
static void flip(struct sub *sub)
{
	struct layer *top = sub->chain->top;

	if (sub->set)
		sub->target->ops->set(sub->target, sub->page, sub->sector,
				      sub->count, sub->state);
	if (sub->clear)
		top->ops->set(top, sub->clear, sub->sector, sub->count,
			      COW_ABSENT);
}

static void unpin(struct sub *sub)
{
	if (sub->page)
		cow_page_unpin(sub->page);
	if (sub->clear)
		cow_page_unpin(sub->clear);
}

/* ---- sector 0 ---------------------------------------------------------- */

static bool needs_guard(const struct req *req, uint64_t sector)
{
	return !sector && !req->chain->raw &&
	       io_of((struct req *)req)->op == COMMON_WRITE;
}

/* Write sector 0 alone, from a copy that has been looked at. */
static int take_guard(struct sub *sub)
{
	struct req *req = sub->owner;
	struct guard *guard = &sub->chain->guard;

	memcpy(guard->copy, io_of(req)->vec[0].base, COW_SECTOR_SIZE);
	if (cow_is_magic(guard->copy))
		return -EPERM;
	guard->vec.base = guard->copy;
	guard->vec.len = COW_SECTOR_SIZE;
	guard->busy = true;
	sub->guarded = true;
	sub->io.vec = &guard->vec;
	sub->io.nvec = 1;
	sub->io.skip = 0;
	return 0;
}

static void drop_guard(struct sub *sub)
{
	struct guard *guard = &sub->chain->guard;

	if (!sub->guarded)
		return;
	guard->busy = false;
	cow_wake(sub->chain, &guard->waiters, 0);
}

static void write_finish(struct sub *sub)
{
	struct req *req = sub->owner;
	int err = sub->io.result < 0 ? (int)sub->io.result : 0;

	drop_guard(sub);
	/* Also after an error: part of it may have been written. */
	sub->target->unsynced = true;
	if (err)
		unpin(sub);
	else
		flip(sub);
	cow_sub_put(sub);
	piece_over(req, err);
}

/*
 * In a drain: limit @count to sectors that the top treats alike, and pin the
 * page that says that it owns them, if it does.
 */
static int pin_clear(struct req *req, uint64_t sector, uint64_t *count,
		     struct ipage **clear)
{
	struct layer *top = req->chain->top;
	struct ipage *page = NULL;
	struct cow_run run;
	int err;

	*clear = NULL;
	if (!req->chain->drain.active || req->target != top->parent)
		return 0;
	err = top->ops->map(top, sector, *count, &run, &page);
	if (!err && run.state != COW_ABSENT) {
		*count = run.count;
		err = top->ops->prepare_set(top, sector, *count, &run, &page);
		*clear = page;
	}
	if (err == -EAGAIN)
		return park_page(req, page);
	if (!err)
		*count = run.count < *count ? run.count : *count;
	return err;
}

/* Sectors before the window that a drain is copying; 0: wait for it. */
static uint64_t before_window(const struct chain *chain, uint64_t sector,
			      uint64_t count)
{
	const struct drain *drain = &chain->drain;

	if (sector >= drain->end || sector + count <= drain->start)
		return count;
	return sector < drain->start ? drain->start - sector : 0;
}

/*
 * Where sectors at @sector are to be written, at most @count: run->count of
 * them, at run->place. Pins *page if their state changes then.
 */
static int find_room(struct req *req, uint64_t sector, uint64_t count,
		     struct cow_run *run, struct ipage **page)
{
	struct layer *target = req->target;
	struct ipage *need = NULL;
	int err;

	*page = NULL;
	err = target->ops->map(target, sector, count, run, &need);
	if (!err && run->state != COW_DATA) {
		err = target->ops->reserve(target, sector, run->count, run,
					   &need);
		if (!err)
			*page = need;
	}
	if (err == -EAGAIN)
		return park_page(req, need);
	return err;
}

/* As find_room(), for sectors that shall read as zeros. */
static int find_zeroes(struct req *req, uint64_t sector, uint64_t count,
		       struct cow_run *run, struct ipage **page)
{
	struct layer *target = req->target;
	struct ipage *need = NULL;
	int err;

	*page = NULL;
	err = target->ops->prepare_set(target, sector, count, run, &need);
	if (err == -EAGAIN)
		return park_page(req, need);
	if (!err && target->ops != &cow_raw_ops)
		*page = need;
	return err;
}

static int write_step(struct req *req)
{
	bool zeroes = io_of(req)->op == COMMON_ZEROES;
	struct chain *chain = req->chain;
	uint64_t sector = req_sector(req);
	uint64_t count = before_window(chain, sector, req_left(req));
	struct ipage *clear, *page;
	struct cow_run run;
	struct sub *sub;
	int err;

	if (!count)
		return park(req, &chain->drain.held);
	if (needs_guard(req, sector)) {
		if (chain->guard.busy)
			return park(req, &chain->guard.waiters);
		count = 1;
	}
	err = get_sub(req, &sub);
	if (err)
		return err;
	err = pin_clear(req, sector, &count, &clear);
	if (err)
		goto put;
	if (zeroes)
		err = find_zeroes(req, sector, count, &run, &page);
	else
		err = find_room(req, sector, count, &run, &page);
	if (err)
		goto unpin;
	fill_io(sub, req, zeroes ? IO_ZERO : IO_WRITE, req->target, &run);
	sub->target = req->target;
	sub->page = page;
	sub->clear = clear;
	sub->set = page;
	sub->state = COW_DATA;
	sub->finish = write_finish;
	if (needs_guard(req, sector))
		err = take_guard(sub);
	if (err) {
		unpin(sub);
		goto put;
	}
	req->pending++;
	req->pos += run.count << COW_SECTOR_SHIFT;
	if (zeroes && req->target->ops == &cow_isam_ops) {
		/* No data to write: the state says it all. */
		sub->state = COW_ZERO;
		write_finish(sub);
		return 0;
	}
	cow_sub_submit(sub);
	return 0;

unpin:
	if (clear)
		cow_page_unpin(clear);
put:
	cow_sub_put(sub);
	return err;
}

/* Punch a hole where the target owns data; leave everything else as it is. */
static int discard_step(struct req *req)
{
	struct layer *target = req->target;
	struct chain *chain = req->chain;
	struct ipage *page = NULL;
	struct cow_run run;
	struct sub *sub;
	int err;

	/* What a draining top hides must not be touched below it. */
	if (chain->drain.active) {
		req->pos = io_of(req)->len;
		return 0;
	}
	err = target->ops->map(target, req_sector(req), req_left(req), &run,
			       &page);
	if (err == -EAGAIN)
		return park_page(req, page);
	if (err)
		return err;
	if (run.state != COW_DATA) {
		req->pos += run.count << COW_SECTOR_SHIFT;
		return 0;
	}
	err = get_sub(req, &sub);
	if (err)
		return err;
	fill_io(sub, req, IO_PUNCH, target, &run);
	sub->target = target;
	sub->finish = write_finish;
	req->pending++;
	req->pos += run.count << COW_SECTOR_SHIFT;
	if (target->ops != &cow_isam_ops) {
		cow_sub_submit(sub);
		return 0;
	}
	cow_page_pin(page);
	sub->page = page;
	sub->set = true;
	sub->state = COW_ZERO;
	write_finish(sub);
	return 0;
}

unsigned int cow_writes_in(struct chain *chain, uint64_t start, uint64_t end)
{
	unsigned int n = 0;
	struct req *req;

	for (req = chain->writes; req; req = req->next) {
		uint64_t first = io_of(req)->offset >> COW_SECTOR_SHIFT;
		uint64_t last = first + (io_of(req)->len >> COW_SECTOR_SHIFT);

		/* One without pieces will look at the window first. */
		if (first < end && last > start && req->pending)
			n++;
	}
	return n;
}

void cow_writes_move(struct chain *chain, struct layer *from, struct layer *to)
{
	struct req *req;

	for (req = chain->writes; req; req = req->next) {
		if (req->target != from)
			continue;
		req->target = to;
		from->writers--;
		to->writers++;
	}
	if (!from->writers)
		cow_wake(chain, &from->idle, 0);
}

/* ---- the life of a request --------------------------------------------- */

static bool is_write(enum common_op op)
{
	return op == COMMON_WRITE || op == COMMON_DISCARD ||
	       op == COMMON_ZEROES;
}

static void track(struct req *req)
{
	struct chain *chain = req->chain;

	req->target = chain->drain.active ? chain->top->parent : chain->top;
	req->target->writers++;
	req->next = chain->writes;
	if (req->next)
		req->next->prev = req;
	chain->writes = req;
}

static void untrack(struct req *req)
{
	struct chain *chain = req->chain;
	struct layer *target = req->target;

	if (!target)
		return;
	if (req->prev)
		req->prev->next = req->next;
	else
		chain->writes = req->next;
	if (req->next)
		req->next->prev = req->prev;
	req->target = NULL;
	target->writers--;
	if (!target->writers)
		cow_wake(chain, &target->idle, 0);
	cow_wake(chain, &chain->drain.window_idle, 0);
}

static void complete(struct req *req, int result)
{
	struct common_io *io = io_of(req);

	untrack(req);
	req->chain->requests--;
	req->finished = true;
	io->result = result;
	if (req->async)
		io->done(io);
}

static int step(struct req *req)
{
	switch (io_of(req)->op) {
	case COMMON_READ:
		return read_step(req);
	case COMMON_DISCARD:
		return discard_step(req);
	default:
		return write_step(req);
	}
}

/* Hand out pieces until there are no more (true) or it has to wait (false). */
static bool hand_out(struct req *req)
{
	struct common_io *io = io_of(req);
	int err = 0;

	req->busy = true;
	while (req->pos < io->len && !req->error && !err) {
		err = step(req);
		if (err && err != -EAGAIN)
			req->error = err;
	}
	req->busy = false;
	return err != -EAGAIN && !req->pending;
}

/* Carry on until it is complete (true) or has to wait (false). */
static bool advance(struct req *req)
{
	struct common_io *io = io_of(req);

	if (!hand_out(req))
		return false;
	/* Not a writer any more: a snapshot must not wait for its own flush. */
	untrack(req);
	if (!req->error && !req->flushing &&
	    (io->op == COMMON_FLUSH || (io->flags & COMMON_FUA))) {
		req->flushing = true;
		req->parked = true;
		cow_flush(req->chain, &req->wait);
		return false;
	}
	complete(req, req->error);
	return true;
}

static void req_run(struct cow_wait *wait)
{
	struct req *req = cow_container_of(wait, struct req, wait);

	req->parked = false;
	if (wait->result && !req->error)
		req->error = wait->result;
	/* After an error the pieces under way have to come back first. */
	if (!req->error || !req->pending)
		advance(req);
}

static int check(const struct chain *chain, const struct common_io *io)
{
	const struct common_file *file = &chain->file;

	if (io->op == COMMON_FLUSH)
		return 0;
	if ((io->offset | io->len) & (COW_SECTOR_SIZE - 1) || !io->len)
		return -EINVAL;
	if (io->offset >= file->size || io->len > file->size - io->offset)
		return -EINVAL;
	if (!is_write(io->op))
		return 0;
	if (file->read_only)
		return -EROFS;
	if (io->op == COMMON_WRITE && !io->offset && !chain->raw &&
	    cow_is_magic(io->vec[0].base))
		return -EPERM;
	return 0;
}

/*
 * A commit copies and writes all that is dirty, and the guest with it waits. So of a
 * disk that is written to all over it is done often, and never when the last page
 * is taken.
 */
static void begin_write(struct req *req)
{
	struct chain *chain = req->chain;

	if (chain->durable)
		io_of(req)->flags |= COMMON_FUA;
	track(req);
	if (!cow_pages_crowd(chain) || chain->flush.failed)
		return;
	cow_flush_staged(chain);
	cow_run(chain);
}

int cow_submit(struct common_file *file, struct common_io *io)
{
	struct chain *chain = cow_chain(file);
	struct req *req = req_of(io);
	int err = check(chain, io);

	if (err)
		return err;
	if (io->op == COMMON_FLUSH) {
		if (file->read_only)
			return 0;
		io->len = 0;
	}
	memset(req, 0, sizeof(*req));
	req->wait.run = req_run;
	req->chain = chain;
	chain->requests++;
	if (is_write(io->op))
		begin_write(req);
	if (!advance(req))
		cow_run(chain);
	if (req->finished)
		return io->result;
	req->async = true;
	return -EINPROGRESS;
}
