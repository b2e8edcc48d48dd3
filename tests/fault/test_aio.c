// SPDX-License-Identifier: GPL-2.0-only
/*
 * libaio's answers, of which the Nth is an error or less than was asked for, and
 * submissions that the host refuses for a while, or for good.
 *
 * The answers are changed between the host and the back end: what was to be done
 * was done, which nobody can tell from a failure.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
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
#define DESCS	(2 * PIECES)
#define MOST	1000u

/* What becomes of an answer; 0: half of it. */
static const struct kind {
	const char *name;
	int answer;
	int result;		/* what the descriptor shall come to, 1: all */
} kinds[] = {
	{ "EINTR", -EINTR, 1 },
	{ "EAGAIN", -EAGAIN, 1 },
	{ "half", 0, 1 },
	{ "EIO", -EIO, -EIO },
	{ "ENOSPC", -ENOSPC, -ENOSPC },
};

/* Of a file that does not know RWF_NOWAIT: only where that was asked for. */
static const struct kind deaf = { "EOPNOTSUPP", -EOPNOTSUPP, 1 };

static struct io_backend *backend;
static unsigned int pending;

/* Which answer, or submission, is met; NULL before it is. */
static const struct kind *kind;
static unsigned int nth, seen;
static const struct io_desc *victim;
static int refusal;
static bool refused;

/* ---- between the host and the back end --------------------------------- */

static void *host(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

int io_submit(io_context_t context, long n, struct iocb **iocbs)
{
	static int (*submit)(io_context_t context, long n,
			     struct iocb **iocbs);

	if (!submit)
		submit = (int (*)(io_context_t, long, struct iocb **))
			 host("io_submit");
	if (refusal && ++seen == nth) {
		refused = true;
		return refusal;
	}
	/* One after the other, so that each can be refused. */
	return submit(context, refusal ? 1 : n, iocbs);
}

/* What the host itself refuses (EAGAIN, for a time to be set) is no answer. */
static void change(struct io_event *event)
{
	if ((long)event->res <= 0)
		return;
	if (kind == &deaf && !event->obj->aio_rw_flags)
		return;
	if (!kind || victim || ++seen != nth)
		return;
	victim = event->data;
	event->res = kind->answer ? (unsigned long)kind->answer :
		     event->res / 2;
}

int io_getevents(io_context_t context, long least, long most,
		 struct io_event *events, struct timespec *timeout)
{
	static int (*get)(io_context_t context, long least, long most,
			  struct io_event *events, struct timespec *timeout);
	int i, n;

	if (!get)
		get = (int (*)(io_context_t, long, long, struct io_event *,
			       struct timespec *))host("io_getevents");
	n = get(context, least, most, events, timeout);
	for (i = 0; i < n; i++)
		change(&events[i]);
	return n;
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
	backend->collect(backend);
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
	while (pending)
		collect();
}

static uint8_t byte_of(unsigned int piece, unsigned int at)
{
	return piece * 41 + at / 7 + 1;
}

struct memory {
	uint8_t data[PIECES][BYTES];
	struct cow_vec vec[PIECES][2];
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
			.op = op, .fd = fd, .direct = true,
			.offset = i * BYTES, .len = BYTES,
			.vec = mem->vec[i], .nvec = 2,
		};
	}
}

static bool is_right(const struct io_desc *desc)
{
	int want = desc == victim ? kind->result : 1;

	return desc->result == (want == 1 ? (int64_t)desc->len : want);
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

/* Writes, reads of the same; true if all came to what it should. */
static bool one(int fd)
{
	static struct memory mem __attribute__((aligned(4096)));
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
	run(desc, PIECES);
	memset(mem.data, 0, sizeof(mem.data));
	run(desc + PIECES, PIECES);
	return all_right(desc, &mem);
}

/*
 * Past the host's cache, and with its room set aside; the number is one that no
 * other file has had, of which something may be remembered.
 */
static int open_file(void)
{
	static const uint8_t zeros[PIECES * BYTES];
	static int number = 20;
	char path[300];
	int fd, direct;

	snprintf(path, sizeof(path), "%s/file", rig_disk_dir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || cow_io_sync.pwrite(NULL, fd, zeros, sizeof(zeros), 0) ||
	    cow_io_sync.sync(NULL, fd)) {
		printf("Bail out! %s\n", path);
		exit(1);
	}
	direct = cow_io_sync.reopen(NULL, fd, IO_OPEN_WRITE | IO_OPEN_DIRECT);
	close(fd);
	if (direct < 0)
		skip_all("no direct I/O in /var/tmp; name a directory with DISKDIR");
	fd = fcntl(direct, F_DUPFD_CLOEXEC, number++);
	close(direct);
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
	ok(good && nth > PIECES, "an answer becomes %s: %u runs", kind->name,
	   nth);
	kind = NULL;
	close(fd);
}

/* The first answer says it; from then on the flag is left away. */
static void without_flag(void)
{
	int fd = open_file();

	kind = &deaf;
	nth = 1;
	ok(one(fd) && victim, "a file does not know RWF_NOWAIT");
	ok(one(fd) && !victim, "it is not asked for that again");
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
	int ret = io_aio_start(&backend, 2, IO_NO_INLINE);

	if (ret)
		skip_all("the host does not allow asynchronous I/O");
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		answers(&kinds[i]);
	submissions(-EINTR);
	submissions(-EAGAIN);
	submissions(-EINVAL);
	submissions(-EOPNOTSUPP);
	without_flag();
	backend->stop(backend);
	return plan_done();
}
