// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copying from one file of the host to another, blocking.
 *
 * Duty: io_copy(). One stretch is left to the host, which may share its blocks;
 * many short ones go through memory, since a call of the host that copies costs
 * more than the few pages of such a stretch.
 *
 * Invariants: any thread; no state; no memory but mmap() and what the descriptor
 * brings. On success all bytes are in the other file; bytes that the source lacks
 * are an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io.h"
#include "io_host.h"

#define BOUNCE_BYTES	(256u << 10)

/* ---- one stretch ------------------------------------------------------- */

static int copy_by_hand(const struct io_desc *desc, uint64_t done, char *buf)
{
	while (done < desc->len) {
		uint64_t left = desc->len - done;
		size_t part = left < BOUNCE_BYTES ? left : BOUNCE_BYTES;
		int64_t got;
		int ret;

		got = io_host_pread(NULL, desc->src_fd, buf, part,
				    desc->src_offset + done);
		if (got < 0)
			return (int)got;
		/* What is to be copied was once written: bytes are missing. */
		if (!got)
			return -EIO;
		ret = io_host_pwrite(NULL, desc->fd, buf, (size_t)got,
				     desc->offset + done);
		if (ret)
			return ret;
		done += (uint64_t)got;
	}
	return 0;
}

/*
 * Past the host's cache, blocks can be shared, which keeps the cache out of it;
 * copy_file_range() might go through it instead.
 */
static bool share_blocks(const struct io_desc *desc)
{
	struct file_clone_range range = {
		.src_fd = desc->src_fd,
		.src_offset = desc->src_offset,
		.src_length = desc->len,
		.dest_offset = desc->offset,
	};

	return !ioctl(desc->fd, FICLONERANGE, &range);
}

/* Returns the bytes copied: what the host refuses here is done by hand. */
static uint64_t copy_by_host(const struct io_desc *desc)
{
	uint64_t done = 0;

	if (desc->direct)
		return share_blocks(desc) ? desc->len : 0;
	while (done < desc->len) {
		off_t from = (off_t)(desc->src_offset + done);
		off_t to = (off_t)(desc->offset + done);
		ssize_t moved;

		moved = copy_file_range(desc->src_fd, &from, desc->fd, &to,
					desc->len - done, 0);
		if (moved > 0)
			done += (uint64_t)moved;
		else if (!moved || errno != EINTR)
			break;
	}
	return done;
}

static int copy_one(const struct io_desc *desc)
{
	uint64_t done = copy_by_host(desc);
	char *buf;
	int ret;

	if (done == desc->len)
		return 0;
	buf = io_map(BOUNCE_BYTES);
	if (!buf)
		return -ENOMEM;
	ret = copy_by_hand(desc, done, buf);
	io_unmap(buf, BOUNCE_BYTES);
	return ret;
}

/* ---- many short ones --------------------------------------------------- */

static bool read_at_once(int fd, const struct io_piece *piece)
{
	struct iovec iov = { .iov_base = piece->base, .iov_len = piece->len };
	ssize_t got;

	do {
		got = preadv2(fd, &iov, 1, (off_t)piece->src_offset,
			      RWF_NOWAIT);
	} while (got < 0 && errno == EINTR);
	return got == (ssize_t)piece->len;
}

/*
 * What the host has in its cache; it is asked to read the others, all of them,
 * before anybody waits for the first.
 */
static void read_cached(const struct io_desc *desc)
{
	unsigned int i;

	for (i = 0; i < desc->npieces; i++) {
		struct io_piece *piece = &desc->piece[i];

		piece->read = read_at_once(desc->src_fd, piece);
		if (!piece->read)
			posix_fadvise(desc->src_fd, (off_t)piece->src_offset,
				      piece->len, POSIX_FADV_WILLNEED);
	}
}

static int read_rest(const struct io_desc *desc)
{
	unsigned int i;

	for (i = 0; i < desc->npieces; i++) {
		const struct io_piece *piece = &desc->piece[i];
		int64_t got;

		if (piece->read)
			continue;
		got = io_host_pread(NULL, desc->src_fd, piece->base, piece->len,
				    piece->src_offset);
		if (got < (int64_t)piece->len)
			return got < 0 ? (int)got : -EIO;
	}
	return 0;
}

/* How many of @n pieces follow each other in memory and in the file. */
static unsigned int in_a_row(const struct io_piece *piece, unsigned int n,
			     size_t *len)
{
	unsigned int i = 1;

	*len = piece->len;
	while (i < n && piece[i].base == piece->base + *len &&
	       piece[i].offset == piece->offset + *len)
		*len += piece[i++].len;
	return i;
}

static int write_pieces(const struct io_desc *desc)
{
	unsigned int i = 0;

	while (i < desc->npieces) {
		const struct io_piece *piece = &desc->piece[i];
		size_t len;
		int ret;

		i += in_a_row(piece, desc->npieces - i, &len);
		ret = io_host_pwrite(NULL, desc->fd, piece->base, len,
				     piece->offset);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * What lies between the pieces goes along. A host that does not do this does it
 * at the sync. Not by the C library: the guest's kernel has a function of that name.
 */
static void begin_early(const struct io_desc *desc)
{
	const struct io_piece *piece = desc->piece;
	uint64_t begin = piece->offset, end = begin;
	unsigned int i;

	for (i = 0; i < desc->npieces; i++) {
		if (piece[i].offset < begin)
			begin = piece[i].offset;
		if (piece[i].offset + piece[i].len > end)
			end = piece[i].offset + piece[i].len;
	}
	syscall(SYS_sync_file_range, desc->fd, begin, end - begin,
		SYNC_FILE_RANGE_WRITE);
}

static int copy_pieces(const struct io_desc *desc)
{
	int ret;

	read_cached(desc);
	ret = read_rest(desc);
	if (!ret)
		ret = write_pieces(desc);
	if (!ret && desc->early)
		begin_early(desc);
	return ret;
}

int io_copy(const struct io_desc *desc)
{
	return desc->piece ? copy_pieces(desc) : copy_one(desc);
}
