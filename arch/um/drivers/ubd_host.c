// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block device's host side: choice of the back end, and what the engine
 * finds in struct cow_env when it runs inside a guest's kernel.
 *
 * Invariants:
 *  - One back end serves all devices, but those with flag A, which share a
 *    second one.
 *  - What the engine allocates is mapped: its threads must not call malloc(),
 *    which here is the guest kernel's.
 *  - Lines with names and sizes of host files go to the host's stderr, and
 *    never to the guest's log.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cow/io.h"
#include "cow/io_host.h"
#include "cow/io_record.h"
#include "ubd.h"

/* Calls and syncs may last; with io_uring there is hardly anything else. */
#define CALL_THREADS	4u
#define IO_THREADS	16u

static struct io_backend *backend;
static struct io_backend *direct;	/* of devices with flag A */
static uint32_t inline_flags;
static bool recorded;

static struct cow_env env = {
	.io = &cow_io_sync,
	.alloc = io_map,
	.free = io_unmap,
	.say = ubd_host_say,
};

void ubd_host_say(const char *line)
{
	struct iovec iov[3] = {
		{ .iov_base = "ubd: ", .iov_len = 5 },
		{ .iov_base = (void *)line, .iov_len = strlen(line) },
		{ .iov_base = "\n", .iov_len = 1 },
	};
	ssize_t ret;

	do {
		ret = writev(STDERR_FILENO, iov, 3);
	} while (ret < 0 && errno == EINTR);
}

static int start(uint32_t options)
{
	inline_flags = options & UBD_NOINLINE ? IO_NO_INLINE : 0;
	if (!(options & UBD_THREADS)) {
		if (!io_rings_start(&backend, CALL_THREADS, inline_flags))
			return 0;
		if (options & UBD_URING)
			ubd_host_say("the host does not allow io_uring, using threads");
	}
	return io_threads_start(&backend, IO_THREADS, inline_flags);
}

static void start_record(const char *path)
{
	static struct cow_error err;
	int ret = io_record_start(&backend, path, ubd_host_say);

	recorded = !ret;
	if (!ret)
		return;
	snprintf(err.text, sizeof(err.text),
		 "%s: nothing is recorded: %s; name a new file", path,
		 strerrordesc_np(-ret));
	ubd_host_say(err.text);
}

static int start_direct(void)
{
	struct io_backend *be;
	int ret = io_aio_start(&be, IO_THREADS, inline_flags);

	if (ret)
		return ret;
	if (recorded)
		ret = io_record_share(&be, backend);
	if (ret) {
		be->stop(be);
		return ret;
	}
	direct = be;
	return be->fd;
}

int ubd_host_start_direct(void)
{
	static struct cow_error err;
	int ret;

	/* Without a back end that completes later there is no waiting for it. */
	if (!backend)
		return -EOPNOTSUPP;
	ret = start_direct();
	if (ret < 0) {
		snprintf(err.text, sizeof(err.text),
			 "flag A has no effect: the host refuses asynchronous I/O: %s; raise fs.aio-max-nr",
			 strerrordesc_np(-ret));
		ubd_host_say(err.text);
	}
	return ret;
}

int ubd_host_start(uint32_t options, const char *record)
{
	int ret = start(options);

	if (ret)
		return ret;
	if (record)
		start_record(record);
	env.io = &backend->ops;
	env.ctx = backend;
	return backend->fd;
}

int ubd_host_submit(struct io_desc *desc)
{
	return env.io->submit(env.ctx, desc);
}

void ubd_host_kick(void)
{
	env.io->kick(env.ctx);
	if (direct)
		direct->ops.kick(direct);
}

void ubd_host_collect(void)
{
	if (backend)
		backend->collect(backend);
}

void ubd_host_collect_direct(void)
{
	direct->collect(direct);
}

int ubd_host_open(void *arg)
{
	struct ubd_open *open = arg;
	struct cow_env own = env;

	own.index_bytes = (size_t)open->index_mib << 20;
	own.index_all = open->index_all;
	if (open->args.direct) {
		own.io = &direct->ops;
		own.ctx = direct;
	}
	return common_open(&own, &open->args, &open->file, &open->err);
}

int ubd_host_close(void *file)
{
	common_close(file);
	return 0;
}

int ubd_host_exists(void *path)
{
	struct io_stat st;

	return io_host_lookup(NULL, path, &st);
}

int ubd_host_tell(void *line)
{
	ubd_host_say(line);
	return 0;
}

int ubd_host_allocated(void *arg)
{
	struct ubd_allocated *allocated = arg;
	struct io_stat st;
	int ret = env.io->lookup(env.ctx, allocated->path, &st);

	if (ret)
		return ret;
	/* Another file may have that name by now. */
	if (st.id.dev != allocated->id.dev || st.id.ino != allocated->id.ino)
		return -ENOENT;
	allocated->bytes = st.allocated;
	return 0;
}

int ubd_host_group(void *arg)
{
	struct ubd_group *group = arg;

	return cow_group_start(group->member, group->count, &group->err);
}

int ubd_host_snapshot_end(void *task)
{
	cow_snapshot_end(task);
	return 0;
}

int ubd_host_merge(void *arg)
{
	struct ubd_merge *merge = arg;

	return cow_merge_start(merge->file, &merge->args, &merge->progress,
			       &merge->task, &merge->err);
}

int ubd_host_merge_end(void *task)
{
	cow_merge_end(task);
	return 0;
}

int ubd_host_rest(void *arg)
{
	struct ubd_rest *rest = arg;

	return cow_rest_start(rest->file, &rest->task);
}

int ubd_host_rest_end(void *task)
{
	cow_rest_end(task);
	return 0;
}
