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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answers.h"
#include "rig.h"
#include "tap.h"

/* Of a file that does not know RWF_NOWAIT: only where that was asked for. */
static const struct answer_kind deaf = { "EOPNOTSUPP", -EOPNOTSUPP, 1 };

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
	if (answers.refusal && ++answers.seen == answers.nth) {
		answers.refused = true;
		return answers.refusal;
	}
	/* One after the other, so that each can be refused. */
	return submit(context, answers.refusal ? 1 : n, iocbs);
}

/* What the host itself refuses (EAGAIN, for a time to be set) is no answer. */
static void change(struct io_event *event)
{
	const struct answer_kind *kind = answers.kind;

	if ((long)event->res <= 0)
		return;
	if (kind == &deaf && !event->obj->aio_rw_flags)
		return;
	if (!kind || answers.victim || ++answers.seen != answers.nth)
		return;
	answers.victim = event->data;
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

/* ------------------------------------------------------------------------ */

/*
 * Past the host's cache, and with its room set aside; the number is one that no
 * other file has had, of which something may be remembered.
 */
static int open_file(void)
{
	static const uint8_t zeros[ANSWERS_PIECES * ANSWERS_BYTES];
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

static void meet(const struct answer_kind *kind)
{
	int fd = open_file();
	unsigned int runs = answers_each(fd, kind);

	ok(runs > ANSWERS_PIECES, "an answer becomes %s: %u runs", kind->name,
	   runs);
	close(fd);
}

/* The first answer says it; from then on the flag is left away. */
static void without_flag(void)
{
	int fd = open_file();

	answers.kind = &deaf;
	answers.nth = 1;
	ok(answers_one(fd) && answers.victim,
	   "a file does not know RWF_NOWAIT");
	ok(answers_one(fd) && !answers.victim,
	   "it is not asked for that again");
	answers.kind = NULL;
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
	int ret = io_aio_start(&answers.backend, 2, IO_NO_INLINE);

	if (ret)
		skip_all("the host does not allow asynchronous I/O");
	answers.direct = true;
	for (i = 0; i < ANSWER_KINDS; i++)
		meet(&answer_kinds[i]);
	refuse(-EINTR);
	refuse(-EAGAIN);
	refuse(-EINVAL);
	refuse(-EOPNOTSUPP);
	without_flag();
	answers.backend->stop(answers.backend);
	return plan_done();
}
