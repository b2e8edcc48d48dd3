// SPDX-License-Identifier: GPL-2.0-only
/*
 * The back end that writes down what another one does; see io_record.h.
 *
 * What blocks is the same for all back ends (io_host.h) and called directly.
 *
 * Invariants:
 *  - The inner back end gets descriptors of the recorder's own, and a copy of
 *    the bytes to be written: a guest may change its memory while a write is
 *    under way, and the record has to tell what the host was given.
 *  - Entries are added by the engine's thread, with the guest's interrupts off,
 *    and by threads with all signals blocked. So nobody who holds the lock is
 *    interrupted by somebody who wants it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io.h"
#include "io_host.h"
#include "io_record.h"

#define LINE_LEN	(COW_PATH_MAX + 64)

/* The record, of one recorder or more. */
struct record {
	void (*say)(const char *line);
	const char *path;
	pthread_mutex_t lock;
	unsigned int users;	/* from here on: under the lock */
	int fd;
	uint64_t count;		/* of entries */
	char line[LINE_LEN];
};

struct recorder {
	struct io_backend be;
	struct io_backend *inner;
	struct record *record;
};

/* A descriptor on its way through the inner back end, and its data. */
struct passage {
	struct io_desc desc;
	struct io_desc *outer;
	struct recorder *rec;
	struct io_record_entry entry;
	struct cow_vec vec;
	size_t room;
	char data[] __attribute__((aligned(COW_SECTOR_SIZE)));
};

/* ---- the record -------------------------------------------------------- */

static int put_all(int fd, struct iovec *iov, int n)
{
	while (n) {
		ssize_t put = writev(fd, iov, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		while (n && (size_t)put >= iov->iov_len) {
			put -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n) {
			iov->iov_base = (char *)iov->iov_base + put;
			iov->iov_len -= (size_t)put;
		}
	}
	return 0;
}

/* An entry follows the last one, or there are no more. */
static void add(struct record *rec, struct iovec *iov, int n)
{
	int ret;

	rec->count++;
	if (rec->fd < 0)
		return;
	ret = put_all(rec->fd, iov, n);
	if (!ret)
		return;
	close(rec->fd);
	rec->fd = -1;
	snprintf(rec->line, sizeof(rec->line),
		 "%s: the record ends here: %s", rec->path,
		 strerrordesc_np(-ret));
	rec->say(rec->line);
}

/* An operation begins. */
static struct io_record_entry begin(struct recorder *rec, enum io_record_op op,
				    int fd)
{
	struct io_record_entry entry = {
		.op = op,
		.fd = fd,
		.begun = io_host_now(NULL),
	};

	pthread_mutex_lock(&rec->record->lock);
	entry.after = rec->record->count;
	pthread_mutex_unlock(&rec->record->lock);
	return entry;
}

/* It is complete. */
static int64_t end(struct recorder *rec, struct io_record_entry *entry,
		   const void *extra, size_t len, int64_t result)
{
	static const char zeros[8];
	struct iovec iov[3] = {
		{ .iov_base = entry, .iov_len = sizeof(*entry) },
		{ .iov_base = (void *)extra, .iov_len = len },
		{ .iov_base = (void *)zeros, .iov_len = -len & 7 },
	};

	entry->result = result;
	entry->extra = (uint32_t)len;
	entry->done = io_host_now(NULL);
	pthread_mutex_lock(&rec->record->lock);
	add(rec->record, iov, 3);
	pthread_mutex_unlock(&rec->record->lock);
	return result;
}

static int64_t end_path(struct recorder *rec, struct io_record_entry *entry,
			const char *path, int64_t result)
{
	return end(rec, entry, path, strlen(path) + 1, result);
}

/* What was opened is told by its identity, since names can change. */
static void identify(struct io_record_entry *entry, int fd)
{
	struct io_stat st;

	if (fd < 0 || io_host_stat(NULL, fd, &st))
		return;
	entry->dev = st.id.dev;
	entry->ino = st.id.ino;
}

/* ---- the data path ----------------------------------------------------- */

static enum io_record_op op_of(enum io_op op)
{
	static const enum io_record_op ops[] = {
		[IO_READ] = IO_RECORD_READ,
		[IO_WRITE] = IO_RECORD_WRITE,
		[IO_SYNC] = IO_RECORD_SYNC,
		[IO_PUNCH] = IO_RECORD_PUNCH,
		[IO_ZERO] = IO_RECORD_ZERO,
		[IO_COPY] = IO_RECORD_COPY,
	};

	return ops[op];
}

static void take_data(struct passage *pass)
{
	struct io_desc *desc = &pass->desc;
	uint64_t done = 0;
	struct iovec iov;

	desc->result = 0;
	while (done < desc->len && io_gather(desc, &iov, 1)) {
		memcpy(pass->data + done, iov.iov_base, iov.iov_len);
		done += iov.iov_len;
		desc->result = (int64_t)done;
	}
	pass->vec.base = pass->data;
	pass->vec.len = (size_t)done;
	desc->vec = &pass->vec;
	desc->nvec = 1;
	desc->skip = 0;
}

/* Pieces are read, and then written. */
static void end_pieces(struct passage *pass, int64_t result)
{
	const struct io_desc *desc = &pass->desc;
	struct io_record_entry entry = pass->entry;
	unsigned int i;

	entry.op = IO_RECORD_READ;
	entry.fd = desc->src_fd;
	for (i = 0; i < desc->npieces; i++) {
		entry.offset = desc->piece[i].src_offset;
		entry.len = desc->piece[i].len;
		end(pass->rec, &entry, NULL, 0,
		    result < 0 ? result : desc->piece[i].len);
	}
	entry.op = IO_RECORD_WRITE;
	entry.fd = desc->fd;
	for (i = 0; i < desc->npieces; i++) {
		entry.offset = desc->piece[i].offset;
		entry.len = desc->piece[i].len;
		end(pass->rec, &entry, desc->piece[i].base, desc->piece[i].len,
		    result < 0 ? result : desc->piece[i].len);
	}
	pass->outer->result = result;
}

/* Ends the passage as well. */
static int64_t arrive(struct passage *pass, int64_t result)
{
	size_t len = pass->desc.op == IO_WRITE ? (size_t)pass->desc.len : 0;

	if (pass->desc.op == IO_COPY && pass->desc.piece)
		end_pieces(pass, result);
	else
		pass->outer->result = end(pass->rec, &pass->entry, pass->data,
					  len, result);
	io_unmap(pass, pass->room);
	return result;
}

static void passage_done(struct io_desc *desc)
{
	struct passage *pass = (struct passage *)desc;
	struct io_desc *outer = pass->outer;

	arrive(pass, desc->result);
	outer->done(outer);
}

static struct passage *depart(struct recorder *rec, struct io_desc *desc)
{
	size_t room = sizeof(struct passage);
	struct passage *pass;

	if (desc->op == IO_WRITE)
		room += (size_t)desc->len;
	pass = io_map(room);
	if (!pass)
		return NULL;
	pass->room = room;
	pass->rec = rec;
	pass->outer = desc;
	pass->desc = *desc;
	pass->desc.done = passage_done;
	if (desc->op == IO_WRITE)
		take_data(pass);
	pass->entry = begin(rec, op_of(desc->op), desc->fd);
	pass->entry.offset = desc->offset;
	pass->entry.len = desc->op == IO_SYNC ? 0 : desc->len;
	if (desc->op == IO_COPY) {
		pass->entry.src_fd = desc->src_fd;
		pass->entry.src_offset = desc->src_offset;
	}
	return pass;
}

static int record_submit(void *ctx, struct io_desc *desc)
{
	struct recorder *rec = ctx;
	struct io_backend *inner = rec->inner;
	struct passage *pass;
	int ret;

	/* What a call does comes by as operations of its own. */
	if (desc->op == IO_CALL)
		return inner->ops.submit(inner, desc);
	pass = depart(rec, desc);
	if (!pass)
		return -ENOMEM;
	ret = inner->ops.submit(inner, &pass->desc);
	return ret == -EINPROGRESS ? ret : (int)arrive(pass, ret);
}

static void record_kick(void *ctx)
{
	struct recorder *rec = ctx;

	rec->inner->ops.kick(rec->inner);
}

/* ---- what blocks ------------------------------------------------------- */

static int record_open(void *ctx, const char *path, unsigned int flags)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_OPEN, -1);
	int fd = io_host_open(NULL, path, flags);

	entry.len = flags;
	identify(&entry, fd);
	return (int)end_path(ctx, &entry, path, fd);
}

static int record_reopen(void *ctx, int fd, unsigned int flags)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_REOPEN, fd);
	int ret = io_host_reopen(NULL, fd, flags);

	entry.len = flags;
	identify(&entry, ret);
	return (int)end(ctx, &entry, NULL, 0, ret);
}

/* From the close on, another file may get the descriptor. */
static int record_close(void *ctx, int fd)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_CLOSE, fd);

	end(ctx, &entry, NULL, 0, 0);
	return io_host_close(NULL, fd);
}

static int record_create(void *ctx, const char *path, uint32_t mode,
			 uint32_t gid)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_CREATE, -1);
	int fd = io_host_create(NULL, path, mode, gid);

	entry.len = mode;
	identify(&entry, fd);
	return (int)end_path(ctx, &entry, path, fd);
}

static int record_publish(void *ctx, int fd, const char *path)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_PUBLISH, fd);

	return (int)end_path(ctx, &entry, path, io_host_publish(NULL, fd, path));
}

static int record_replace(void *ctx, int fd, const char *path)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_REPLACE, fd);

	return (int)end_path(ctx, &entry, path, io_host_replace(NULL, fd, path));
}

static int record_unlink(void *ctx, const char *path)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_UNLINK, -1);

	return (int)end_path(ctx, &entry, path, io_host_unlink(NULL, path));
}

static int record_stat(void *ctx, int fd, struct io_stat *st)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_STAT, fd);

	return (int)end(ctx, &entry, NULL, 0, io_host_stat(NULL, fd, st));
}

static int record_lookup(void *ctx, const char *path, struct io_stat *st)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_LOOKUP, -1);

	return (int)end_path(ctx, &entry, path, io_host_lookup(NULL, path, st));
}

static int record_realpath(void *ctx, const char *path, char buf[COW_PATH_MAX])
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_REALPATH, -1);
	int ret = io_host_realpath(NULL, path, buf);

	return (int)end_path(ctx, &entry, path, ret);
}

static int64_t record_next_data(void *ctx, int fd, uint64_t off)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_NEXT_DATA, fd);

	entry.offset = off;
	return end(ctx, &entry, NULL, 0, io_host_next_data(NULL, fd, off));
}

static int64_t record_pread(void *ctx, int fd, void *buf, size_t len,
			    uint64_t off)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_READ, fd);

	entry.offset = off;
	entry.len = len;
	return end(ctx, &entry, NULL, 0,
		   io_host_pread(NULL, fd, buf, len, off));
}

static int record_pwrite(void *ctx, int fd, const void *buf, size_t len,
			 uint64_t off)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_WRITE, fd);
	int ret = io_host_pwrite(NULL, fd, buf, len, off);

	entry.offset = off;
	entry.len = len;
	end(ctx, &entry, buf, len, ret ? ret : (int64_t)len);
	return ret;
}

static int record_sync(void *ctx, int fd)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_SYNC, fd);

	entry.len = 1;
	return (int)end(ctx, &entry, NULL, 0, io_host_sync(NULL, fd));
}

static int record_truncate(void *ctx, int fd, uint64_t size)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_TRUNCATE, fd);

	entry.offset = size;
	return (int)end(ctx, &entry, NULL, 0, io_host_truncate(NULL, fd, size));
}

static int record_lock(void *ctx, int fd, enum io_lock lock)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_LOCK, fd);

	entry.len = lock;
	return (int)end(ctx, &entry, NULL, 0, io_host_lock(NULL, fd, lock));
}

static int record_getattr(void *ctx, int fd, enum io_attr attr, void *buf,
			  size_t len)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_GETATTR, fd);

	entry.offset = attr;
	entry.len = len;
	return (int)end(ctx, &entry, NULL, 0,
			io_host_getattr(NULL, fd, attr, buf, len));
}

static int record_setattr(void *ctx, int fd, enum io_attr attr,
			  const void *buf, size_t len)
{
	struct io_record_entry entry = begin(ctx, IO_RECORD_SETATTR, fd);

	entry.offset = attr;
	entry.len = len;
	return (int)end(ctx, &entry, buf, len,
			io_host_setattr(NULL, fd, attr, buf, len));
}

/* ---- beginning and end ------------------------------------------------- */

static void record_collect(struct io_backend *be)
{
	struct recorder *rec = (struct recorder *)be;

	rec->inner->collect(rec->inner);
}

static void record_put(struct record *record)
{
	bool last;

	pthread_mutex_lock(&record->lock);
	last = !--record->users;
	pthread_mutex_unlock(&record->lock);
	if (!last)
		return;
	if (record->fd >= 0)
		close(record->fd);
	pthread_mutex_destroy(&record->lock);
	io_unmap(record, sizeof(*record));
}

static void record_stop(struct io_backend *be)
{
	struct recorder *rec = (struct recorder *)be;

	rec->inner->stop(rec->inner);
	record_put(rec->record);
	io_unmap(rec, sizeof(*rec));
}

static const struct io_ops record_ops = {
	.submit = record_submit,
	.kick = record_kick,
	.open = record_open,
	.close = record_close,
	.stat = record_stat,
	.lookup = record_lookup,
	.pread = record_pread,
	.pwrite = record_pwrite,
	.sync = record_sync,
	.truncate = record_truncate,
	.create = record_create,
	.publish = record_publish,
	.replace = record_replace,
	.unlink = record_unlink,
	.lock = record_lock,
	.reopen = record_reopen,
	.getattr = record_getattr,
	.setattr = record_setattr,
	.realpath = record_realpath,
	.next_data = record_next_data,
	.random = io_host_random,
	.now = io_host_now,
	.nap = io_host_nap,
};

/* A new file: one that is there may be a disk, named by mistake. */
static int open_record(const char *path)
{
	struct io_record_head head = {
		.magic = IO_RECORD_MAGIC,
		.version = IO_RECORD_VERSION,
		.entry_size = sizeof(struct io_record_entry),
	};
	struct iovec iov = { .iov_base = &head, .iov_len = sizeof(head) };
	int fd, ret;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
		  0600);
	if (fd < 0)
		return -errno;
	ret = put_all(fd, &iov, 1);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* Put a recorder in front of @be that writes to @record. */
static int put_in_front(struct io_backend **be, struct record *record)
{
	struct recorder *rec = io_map(sizeof(*rec));

	if (!rec)
		return -ENOMEM;
	pthread_mutex_lock(&record->lock);
	record->users++;
	pthread_mutex_unlock(&record->lock);
	rec->inner = *be;
	rec->record = record;
	rec->be.ops = record_ops;
	rec->be.ops.name = rec->inner->ops.name;
	rec->be.fd = rec->inner->fd;
	rec->be.collect = record_collect;
	rec->be.stop = record_stop;
	*be = &rec->be;
	return 0;
}

int io_record_start(struct io_backend **be, const char *path,
		    void (*say)(const char *line))
{
	struct record *record = io_map(sizeof(*record));
	int ret;

	if (!record)
		return -ENOMEM;
	ret = open_record(path);
	if (ret < 0) {
		io_unmap(record, sizeof(*record));
		return ret;
	}
	record->fd = ret;
	record->say = say;
	record->path = path;
	pthread_mutex_init(&record->lock, NULL);
	ret = put_in_front(be, record);
	if (ret) {
		record->users = 1;
		record_put(record);
	}
	return ret;
}

int io_record_share(struct io_backend **be, struct io_backend *recorder)
{
	return put_in_front(be, ((struct recorder *)recorder)->record);
}
