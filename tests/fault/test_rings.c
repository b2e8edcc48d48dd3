// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_uring's answers, of which the Nth is an error or less than was asked for,
 * and submissions that the host refuses for a while.
 *
 * The answers are changed in the ring, between the host and the back end: what
 * was to be done was done, which nobody can tell from a failure.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "rig.h"
#include "tap.h"

#define PIECES	6u
#define BYTES	12288u
#define SYNCED	(2 * PIECES)	/* the descriptor that syncs */
#define DESCS	(2 * PIECES + 1)
#define MOST	1000u

/* What becomes of an answer; 0: half of it. */
static const struct kind {
	const char *name;
	int answer;
	int write, read, sync;	/* what the descriptor shall come to, 1: all */
} kinds[] = {
	{ "EINTR", -EINTR, 1, 1, 1 },
	{ "EAGAIN", -EAGAIN, 1, 1, 1 },
	{ "half", 0, 1, 1, 1 },
	{ "EIO", -EIO, -EIO, -EIO, -EIO },
	{ "ENOSPC", -ENOSPC, -ENOSPC, -ENOSPC, -ENOSPC },
};

static struct io_uring *ring;
static struct io_backend *backend;
static unsigned int pending;

/* Which answer, or submission, is met; NULL before it is. */
static const struct kind *kind;
static unsigned int nth, seen;
static const struct io_desc *victim;
static int refusal;
static bool refused;

/* ---- between the host and the back end --------------------------------- */

int io_uring_queue_init(unsigned int entries, struct io_uring *r,
			unsigned int flags)
{
	struct io_uring_params params = { .flags = flags };

	ring = r;
	return io_uring_queue_init_params(entries, r, &params);
}

int io_uring_submit(struct io_uring *r)
{
	static int (*submit)(struct io_uring *r);

	if (!submit)
		submit = (int (*)(struct io_uring *))dlsym(RTLD_NEXT,
							   "io_uring_submit");
	if (refusal && ++seen == nth) {
		refused = true;
		return refusal;
	}
	return submit(r);
}

static int less(int res)
{
	return res > 0 ? (res + 1) / 2 : res;
}

static void change_answers(void)
{
	struct io_uring_cqe *cqe;
	unsigned int head;

	io_uring_for_each_cqe(ring, head, cqe) {
		if (!kind || victim || ++seen != nth)
			continue;
		victim = io_uring_cqe_get_data(cqe);
		cqe->res = kind->answer ? kind->answer : less(cqe->res);
	}
}

/* ---- descriptors ------------------------------------------------------- */

static void done(struct io_desc *desc)
{
	(void)desc;
	pending--;
}

static void collect(void)
{
	struct pollfd pfd = { .fd = backend->fd, .events = POLLIN };

	if (poll(&pfd, 1, 20000) != 1) {
		printf("Bail out! nothing completes\n");
		exit(1);
	}
	change_answers();
	backend->collect(backend);
}

/* So that each has its turn: none comes between the change and the reading. */
static void await_answers(unsigned int n)
{
	unsigned int ms = 20000;

	while (io_uring_cq_ready(ring) < n && ms--)
		poll(NULL, 0, 1);
}

/* All at once: answers come in any order. */
static void run(struct io_desc *desc, unsigned int n)
{
	unsigned int i;

	pending = n;
	for (i = 0; i < n; i++) {
		desc[i].done = done;
		if (backend->ops.submit(backend, &desc[i]) != -EINPROGRESS)
			pending--;
	}
	backend->ops.kick(backend);
	if (kind)
		await_answers(n);
	while (pending)
		collect();
}

static uint8_t byte_of(unsigned int piece, unsigned int at)
{
	return piece * 41 + at / 7 + 1;
}

struct memory {
	struct cow_vec vec[PIECES][2];
	uint8_t data[PIECES][BYTES];
};

static void prepare(struct memory *mem, struct io_desc *desc, enum io_op op,
		    int fd)
{
	unsigned int i;

	for (i = 0; i < PIECES; i++) {
		mem->vec[i][0] = (struct cow_vec){ mem->data[i], 512 };
		mem->vec[i][1] = (struct cow_vec){ mem->data[i] + 512,
						   BYTES - 512 };
		desc[i] = (struct io_desc){
			.op = op, .fd = fd, .offset = i * BYTES, .len = BYTES,
			.vec = mem->vec[i], .nvec = 2,
		};
	}
}

static bool came_to(const struct io_desc *desc, int want)
{
	int64_t all = desc->op == IO_SYNC ? 0 : (int64_t)desc->len;

	return desc->result == (want == 1 ? all : want);
}

static bool is_right(const struct io_desc *desc)
{
	if (desc != victim)
		return came_to(desc, 1);
	switch (desc->op) {
	case IO_WRITE:
		return came_to(desc, kind->write);
	case IO_READ:
		return came_to(desc, kind->read);
	default:
		return came_to(desc, kind->sync);
	}
}

static bool all_right(const struct io_desc *desc, const struct memory *mem)
{
	unsigned int i, at;

	for (i = 0; i < DESCS; i++) {
		if (!is_right(&desc[i])) {
			diag("descriptor %u: %lld", i,
			     (long long)desc[i].result);
			return false;
		}
	}
	for (i = 0; i < PIECES; i++) {
		if (desc[PIECES + i].result < 0)
			continue;
		for (at = 0; at < BYTES; at++) {
			if (mem->data[i][at] != byte_of(i, at))
				return false;
		}
	}
	return true;
}

/* Writes, reads of the same, a sync; true if all came to what it should. */
static bool one(int fd)
{
	static struct memory mem;
	struct io_desc desc[DESCS];
	unsigned int i, at;

	seen = 0;
	victim = NULL;
	refused = false;
	for (i = 0; i < PIECES; i++)
		for (at = 0; at < BYTES; at++)
			mem.data[i][at] = byte_of(i, at);
	prepare(&mem, desc, IO_WRITE, fd);
	prepare(&mem, desc + PIECES, IO_READ, fd);
	desc[SYNCED] = (struct io_desc){ .op = IO_SYNC, .fd = fd };
	run(desc, PIECES);
	run(&desc[SYNCED], 1);
	memset(mem.data, 0, sizeof(mem.data));
	run(desc + PIECES, PIECES);
	return all_right(desc, &mem);
}

static int open_file(void)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/file", rig_dir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		printf("Bail out! %s\n", path);
		exit(1);
	}
	return fd;
}

static void answers(const struct kind *which)
{
	bool good = true;
	int fd = open_file();

	kind = which;
	for (nth = 1; good && nth < MOST; nth++) {
		good = one(fd);
		if (good && !victim)
			break;
	}
	ok(good && nth == DESCS + 1, "an answer becomes %s: %u runs", kind->name,
	   nth);
	kind = NULL;
	close(fd);
}

static void submissions(int error)
{
	bool good = true;
	int fd = open_file();

	refusal = error;
	for (nth = 1; good && nth < MOST; nth++) {
		good = one(fd);
		if (good && !refused)
			break;
	}
	ok(good && nth > 1, "a submission is refused, %s: %u runs",
	   strerror(-error), nth);
	refusal = 0;
	close(fd);
}

int main(void)
{
	unsigned int i;
	int ret = io_rings_start(&backend, 2, IO_NO_INLINE);

	if (ret)
		skip_all("the host does not allow io_uring");
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		answers(&kinds[i]);
	submissions(-EINTR);
	submissions(-EAGAIN);
	submissions(-EBUSY);
	backend->stop(backend);
	return plan_done();
}
