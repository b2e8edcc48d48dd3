// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that are opened past the host's cache (O_DIRECT).
 *
 * Duty: what the host asks of offsets, lengths and memory there, and a way
 * around for memory that is not as it should be.
 *
 * A sector is the unit: the host is asked by trying, since that answers for this
 * very file, on kernels too that do not tell (STATX_DIOALIGN). A file system that
 * takes O_DIRECT and uses its cache all the same does no harm.
 *
 * Invariants: any thread; no state; no memory but mmap().
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io.h"
#include "io_host.h"

#define UNIT		COW_SECTOR_SIZE
#define PROBE_BYTES	8192u
#define BOUNCE_BYTES	(256u << 10)

/* A sector that is at no larger boundary, in the file and in memory. */
int io_direct_probe(int fd)
{
	char *mem = io_map(PROBE_BYTES);
	int64_t got;

	if (!mem)
		return -ENOMEM;
	got = io_host_pread(NULL, fd, mem + UNIT, UNIT, UNIT);
	io_unmap(mem, PROBE_BYTES);
	if (got == -EINVAL)
		return -EOPNOTSUPP;
	return got < 0 ? (int)got : 0;
}

static bool fits(uint64_t n)
{
	return !(n % UNIT);
}

bool io_direct_fits(const struct io_desc *desc)
{
	unsigned int i;

	if (!fits(desc->offset | desc->len | desc->skip |
		  (uint64_t)desc->result))
		return false;
	for (i = 0; i < desc->nvec; i++) {
		if (!fits((uintptr_t)desc->vec[i].base | desc->vec[i].len))
			return false;
	}
	return true;
}

/* The next @len bytes of a descriptor's memory, to or from @buf. */
static void move(const struct io_desc *desc, char *buf, size_t len)
{
	struct io_desc part = *desc;
	struct iovec iov;

	part.len = (uint64_t)part.result + len;
	while (io_gather(&part, &iov, 1)) {
		if (desc->op == IO_WRITE)
			memcpy(buf, iov.iov_base, iov.iov_len);
		else
			memcpy(iov.iov_base, buf, iov.iov_len);
		buf += iov.iov_len;
		part.result += (int64_t)iov.iov_len;
	}
}

/* Returns the bytes moved, which are fewer at the end of the file. */
static int64_t bounce_part(struct io_desc *desc, char *buf, size_t len)
{
	uint64_t offset = desc->offset + (uint64_t)desc->result;
	int64_t ret;

	if (desc->op == IO_WRITE) {
		move(desc, buf, len);
		ret = io_host_pwrite(NULL, desc->fd, buf, len, offset);
		return ret ? ret : (int64_t)len;
	}
	ret = io_host_pread(NULL, desc->fd, buf, len, offset);
	if (ret > 0)
		move(desc, buf, (size_t)ret);
	return ret;
}

int64_t io_direct_bounce(struct io_desc *desc)
{
	char *buf = io_map(BOUNCE_BYTES);
	int64_t ret = 0;
	size_t part;

	if (!buf)
		return -ENOMEM;
	while ((uint64_t)desc->result < desc->len) {
		uint64_t left = desc->len - (uint64_t)desc->result;

		part = left < BOUNCE_BYTES ? left : BOUNCE_BYTES;
		ret = bounce_part(desc, buf, part);
		if (ret > 0)
			desc->result += ret;
		if (ret < (int64_t)part)
			break;
	}
	io_unmap(buf, BOUNCE_BYTES);
	return ret < 0 ? ret : desc->result;
}
