// SPDX-License-Identifier: GPL-2.0-only
/*
 * Carrying out one descriptor, blocking; and the back end that does just that.
 *
 * Duty: io_perform(), which the tools' back end is made of and the threads of
 * the others call; the ways around what a host's file system lacks.
 *
 * Invariants: any thread; no state; no memory but mmap(). A range that was to
 * be cleared reads as zeros on success, and nothing outside of it is changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io.h"
#include "io_host.h"

/* On a stack that may be short: 512 bytes. */
#define TRANSFER_VECS	32u

#define ZERO_BYTES	(64u << 10)

static char zeros[ZERO_BYTES] __attribute__((aligned(4096)));

void *io_map(size_t len)
{
	void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

void io_unmap(void *mem, size_t len)
{
	if (mem)
		munmap(mem, len);
}

unsigned int io_gather(const struct io_desc *desc, struct iovec *iov,
		       unsigned int max)
{
	uint64_t left = desc->len - (uint64_t)desc->result;
	size_t skip = desc->skip + (size_t)desc->result;
	unsigned int i, n = 0;

	for (i = 0; i < desc->nvec && n < max && left; i++) {
		const struct cow_vec *vec = &desc->vec[i];
		size_t len;

		if (skip >= vec->len) {
			skip -= vec->len;
			continue;
		}
		len = vec->len - skip;
		if (len > left)
			len = left;
		iov[n].iov_base = (char *)vec->base + skip;
		iov[n].iov_len = len;
		n++;
		left -= len;
		skip = 0;
	}
	return n;
}

int64_t io_transfer(const struct io_desc *desc, bool nowait)
{
	uint64_t offset = desc->offset + (uint64_t)desc->result;
	struct iovec iov[TRANSFER_VECS];
	unsigned int n = io_gather(desc, iov, TRANSFER_VECS);
	ssize_t moved;

	do {
		if (desc->op == IO_WRITE)
			moved = pwritev(desc->fd, iov, (int)n, (off_t)offset);
		else if (nowait)
			moved = preadv2(desc->fd, iov, (int)n, (off_t)offset,
					RWF_NOWAIT);
		else
			moved = preadv(desc->fd, iov, (int)n, (off_t)offset);
	} while (moved < 0 && errno == EINTR);
	return moved < 0 ? -errno : moved;
}

static int64_t transfer_all(struct io_desc *desc)
{
	if (desc->direct && !io_direct_fits(desc))
		return io_direct_bounce(desc);
	while ((uint64_t)desc->result < desc->len) {
		int64_t moved = io_transfer(desc, false);

		if (moved < 0)
			return moved;
		if (!moved)
			return desc->op == IO_READ ? desc->result : -ENOSPC;
		desc->result += moved;
	}
	return desc->result;
}

/* ---- clearing ---------------------------------------------------------- */

static int allocate(int fd, int mode, uint64_t offset, uint64_t len)
{
	int ret;

	do {
		ret = fallocate(fd, mode, (off_t)offset, (off_t)len);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

/*
 * Done, or a full or broken disk, around which there is no other way. All else
 * says that the host can not, or may not, do it like this.
 */
static bool final(int ret)
{
	return !ret || ret == -ENOSPC || ret == -EDQUOT || ret == -EIO ||
	       ret == -EFBIG;
}

static int write_zeros(int fd, uint64_t offset, uint64_t len)
{
	while (len) {
		size_t part = len < ZERO_BYTES ? len : ZERO_BYTES;
		int ret = io_host_pwrite(NULL, fd, zeros, part, offset);

		if (ret)
			return ret;
		offset += part;
		len -= part;
	}
	return 0;
}

/* What lies beyond the end of a file reads as zeros already. */
static int size_of(int fd, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : UINT64_MAX;
	return 0;
}

static int clear_inside(int fd, uint64_t offset, uint64_t len)
{
	uint64_t size;
	int ret;

	ret = allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
		       len);
	if (final(ret))
		return ret;
	ret = allocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset,
		       len);
	if (final(ret))
		return ret;
	ret = size_of(fd, &size);
	if (ret)
		return ret;
	if (offset >= size)
		return 0;
	if (len > size - offset)
		len = size - offset;
	return write_zeros(fd, offset, len);
}

/*
 * The end is moved by writing the range's own last bytes. Setting the size
 * instead could cut off what another thread appends at the same time.
 */
static int write_end(int fd, uint64_t offset, uint64_t len)
{
	uint64_t last = len < COW_SECTOR_SIZE ? len : COW_SECTOR_SIZE;

	return write_zeros(fd, offset + len - last, last);
}

static int clear_and_grow(int fd, uint64_t offset, uint64_t len)
{
	uint64_t size;
	int ret;

	ret = allocate(fd, FALLOC_FL_ZERO_RANGE, offset, len);
	if (final(ret))
		return ret;
	ret = size_of(fd, &size);
	if (ret)
		return ret;
	if (offset < size) {
		uint64_t inside = size - offset;

		ret = clear_inside(fd, offset, len < inside ? len : inside);
		if (ret)
			return ret;
	}
	return size < offset + len ? write_end(fd, offset, len) : 0;
}

int64_t io_perform(struct io_desc *desc)
{
	switch (desc->op) {
	case IO_READ:
	case IO_WRITE:
		return transfer_all(desc);
	case IO_SYNC:
		return io_host_datasync(desc->fd);
	case IO_PUNCH:
		return clear_inside(desc->fd, desc->offset, desc->len);
	case IO_ZERO:
		return clear_and_grow(desc->fd, desc->offset, desc->len);
	case IO_COPY:
		return io_copy(desc);
	case IO_CALL:
		return desc->call(desc->arg);
	}
	return -EINVAL;
}

/* ---- the back end ------------------------------------------------------ */

static int sync_submit(void *ctx, struct io_desc *desc)
{
	(void)ctx;
	desc->result = 0;
	desc->result = io_perform(desc);
	return (int)desc->result;
}

static void sync_kick(void *ctx)
{
	(void)ctx;
}

const struct io_ops cow_io_sync = {
	.name = "sync",
	.submit = sync_submit,
	.kick = sync_kick,
	.open = io_host_open,
	.close = io_host_close,
	.stat = io_host_stat,
	.lookup = io_host_lookup,
	.pread = io_host_pread,
	.pwrite = io_host_pwrite,
	.sync = io_host_sync,
	.truncate = io_host_truncate,
	.create = io_host_create,
	.publish = io_host_publish,
	.replace = io_host_replace,
	.unlink = io_host_unlink,
	.lock = io_host_lock,
	.reopen = io_host_reopen,
	.getattr = io_host_getattr,
	.setattr = io_host_setattr,
	.realpath = io_host_realpath,
	.next_data = io_host_next_data,
	.random = io_host_random,
	.now = io_host_now,
	.nap = io_host_nap,
};
