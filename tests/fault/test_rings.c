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

#include "answers.h"
#include "rig.h"
#include "tap.h"

#define DESCS	(2 * ANSWERS_PIECES + 1)

static struct io_uring *ring;

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
	if (answers.refusal && ++answers.seen == answers.nth) {
		answers.refused = true;
		return answers.refusal;
	}
	return submit(r);
}

static int less(int res)
{
	return res > 0 ? (res + 1) / 2 : res;
}

static void change_answers(void)
{
	const struct answer_kind *kind = answers.kind;
	struct io_uring_cqe *cqe;
	unsigned int head;

	io_uring_for_each_cqe(ring, head, cqe) {
		if (!kind || answers.victim || ++answers.seen != answers.nth)
			continue;
		answers.victim = io_uring_cqe_get_data(cqe);
		cqe->res = kind->answer ? kind->answer : less(cqe->res);
	}
}

/* So that each has its turn: none comes between the change and the reading. */
static void await_answers(unsigned int n)
{
	unsigned int ms = answers.kind ? 20000 : 0;

	while (io_uring_cq_ready(ring) < n && ms--)
		poll(NULL, 0, 1);
}

/* ------------------------------------------------------------------------ */

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

static void meet(const struct answer_kind *kind)
{
	int fd = open_file();
	unsigned int runs = answers_each(fd, kind);

	ok(runs == DESCS + 1, "an answer becomes %s: %u runs", kind->name,
	   runs);
	close(fd);
}

static void refuse(int error)
{
	int fd = open_file();
	unsigned int runs = answers_refuse(fd, error);

	ok(runs > 1, "a submission is refused, %s: %u runs", strerror(-error),
	   runs);
	close(fd);
}

int main(void)
{
	unsigned int i;
	int ret = io_rings_start(&answers.backend, 2, IO_NO_INLINE);

	if (ret)
		skip_all("the host does not allow io_uring");
	answers.collect = change_answers;
	answers.await = await_answers;
	for (i = 0; i < ANSWER_KINDS; i++)
		meet(&answer_kinds[i]);
	refuse(-EINTR);
	refuse(-EAGAIN);
	refuse(-EBUSY);
	answers.backend->stop(answers.backend);
	return plan_done();
}
