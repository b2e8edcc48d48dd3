// SPDX-License-Identifier: GPL-2.0-only
/*
 * What one file says of itself.
 *
 * Duty: header, state and links of a file, without opening its parent.
 *
 * Invariants: the file is only read. A state that was written about another
 * file, and came here by a copy, is not in force.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "moo.h"
#include "record.h"

const char *moo_format_name(enum cow_format format)
{
	return format == COW_RAW ? "raw" : "cow";
}

static int damaged(const struct moo_probe *probe, int ret, const char *why,
		   struct cow_error *err)
{
	if (ret == -ENOTSUP)
		return moo_fail(err, ret,
				"%s: %s; a newer program may know it",
				probe->name, why);
	if (!why)
		return moo_fail(err, ret, "%s: %s", probe->name,
				strerror(-ret));
	return moo_fail(err, ret,
			"%s: not a valid COW file: %s; restore it from a copy",
			probe->name, why);
}

/* A copy of a frozen file is a file of its own. */
static void take_state(struct moo_probe *p, uint32_t state,
		       const struct io_id *recorded, const char *successor)
{
	p->state = state;
	if (!cow_record_about(recorded, &p->st))
		p->state &= ~COW_IS_FROZEN;
	if (p->state & COW_IS_FROZEN)
		memcpy(p->successor, successor, COW_PATH_MAX);
}

static int probe_v4(struct moo_probe *p, struct cow_error *err)
{
	struct cow_disk_v4 *v4 = &p->hdr.v4;
	const char *why = NULL;
	int ret;

	p->hdr.format = COW_V4;
	ret = cow_v4_load(&p->env, p->fd, v4, &why);
	if (ret)
		return damaged(p, ret, why, err);
	ret = cow_v4_name(&p->env, p->fd, &v4->parent, COW_V4_PARENT_BLOCK,
			  p->hdr.parent);
	if (ret)
		return damaged(p, ret, "its parent's name is damaged", err);
	ret = cow_v4_name(&p->env, p->fd, &v4->successor,
			  COW_V4_SUCCESSOR_BLOCK, p->record.successor);
	if (ret)
		return damaged(p, ret, "its successor's name is damaged", err);
	p->device = v4->size;
	p->record.self = (struct io_id){
		.dev = v4->self.dev,
		.ino = v4->self.ino,
		.birth_sec = v4->self.birth_sec,
		.birth_nsec = v4->self.birth_nsec,
	};
	take_state(p, v4->state | (cow_v4_protected(v4) ? COW_IS_PROTECTED : 0),
		   &p->record.self, p->record.successor);
	return 0;
}

/* V0 to V3 keep their state in a record. */
static int probe_record(struct moo_probe *p, struct cow_error *err)
{
	int ret;

	ret = cow_record_load(&p->env, p->fd, p->path, &p->record);
	if (ret == -ENODATA || ret == -EOPNOTSUPP)
		return 0;
	if (ret)
		return moo_fail(err, ret,
				"%s: its state record (attribute user.moo, or %s.moo) can not be used: %s; restore it from a copy",
				p->name, p->path, strerror(-ret));
	take_state(p, p->record.state, &p->record.self, p->record.successor);
	return 0;
}

static int probe_header(struct moo_probe *p, const void *buf, int64_t len,
			bool raw, struct cow_error *err)
{
	int version = raw ? 0 : cow_header_version(buf, len);
	const char *why = NULL;
	int ret;

	if (version == COW_V4)
		return probe_v4(p, err);
	if (version) {
		ret = cow_header_parse(buf, len, p->st.size, &p->hdr, &why);
		if (ret)
			return damaged(p, ret, why, err);
	} else {
		p->hdr.format = COW_RAW;
		p->hdr.size = p->st.size;
	}
	p->device = moo_round_up(p->hdr.size, COW_SECTOR_SIZE);
	return probe_record(p, err);
}

static int read_header(struct moo_probe *p, bool raw, struct cow_error *err)
{
	void *buf = malloc(COW_HEADER_MAX);
	int64_t len;
	int ret;

	if (!buf)
		return moo_fail(err, -ENOMEM, "%s: out of memory", p->name);
	len = p->env.io->pread(p->env.ctx, p->fd, buf, COW_HEADER_MAX, 0);
	if (len < 0)
		ret = moo_fail(err, len, "%s: can not be read: %s", p->name,
			       strerror(-len));
	else
		ret = probe_header(p, buf, len, raw, err);
	free(buf);
	return ret;
}

static int open_file(struct moo_probe *p, bool share, struct cow_error *err)
{
	const struct io_ops *io = p->env.io;
	int ret;

	p->fd = io->open(p->env.ctx, p->name, 0);
	/* Of what is no file nothing can be said, least that it is damaged. */
	if (p->fd == -EINVAL)
		return moo_fail(err, -ENODEV,
				"%s: it is neither a file nor a block device",
				p->name);
	if (p->fd < 0)
		return moo_fail(err, p->fd, "%s: can not be opened: %s",
				p->name, strerror(-p->fd));
	ret = io->stat(p->env.ctx, p->fd, &p->st);
	if (!ret)
		ret = io->realpath(p->env.ctx, p->name, p->path);
	if (ret)
		return moo_fail(err, ret, "%s: %s", p->name, strerror(-ret));
	if (share) {
		/* Before the header is read: what it names is not used again. */
		io->lock(p->env.ctx, p->fd, IO_PIN);
		return 0;
	}
	ret = io->lock(p->env.ctx, p->fd, IO_SHARED);
	if (ret == -EAGAIN)
		return moo_fail(err, -EBUSY,
				"%s: in use by a running machine; take a snapshot and look at this layer then, or give -U",
				p->name);
	return 0;
}

int moo_probe(const char *name, bool raw, bool share, struct moo_probe **probe,
	      struct cow_error *err)
{
	struct moo_probe *p = calloc(1, sizeof(*p));
	int ret;

	*probe = p;
	if (!p)
		return moo_fail(err, -ENOMEM, "%s: out of memory", name);
	moo_host(&p->env);
	p->name = name;
	p->fd = -1;
	ret = open_file(p, share, err);
	if (!ret)
		ret = read_header(p, raw, err);
	/* A file that grows meanwhile: all that its header names is there now. */
	if (!ret && share) {
		ret = p->env.io->stat(p->env.ctx, p->fd, &p->st);
		if (ret)
			moo_fail(err, ret, "%s: %s", name, strerror(-ret));
	}
	if (ret) {
		moo_probe_end(p);
		*probe = NULL;
	}
	return ret;
}

void moo_probe_end(struct moo_probe *probe)
{
	if (!probe)
		return;
	if (probe->fd >= 0)
		probe->env.io->close(probe->env.ctx, probe->fd);
	free(probe);
}

static uint64_t count_bits(const uint8_t *bytes, uint64_t nbits)
{
	uint8_t last = nbits % 8 ? bytes[nbits / 8] : 0;

	last &= (1u << nbits % 8) - 1;
	return cow_count_bits(bytes, nbits / 8) + cow_count_bits(&last, 1);
}

/*
 * Count the bits of a bitmap, those past the last sector left out. Of V1 and V2
 * the last byte may lie behind the end of the file.
 */
static int count_bitmap(const struct moo_probe *p, uint8_t *buf,
			uint64_t *sectors, struct cow_error *err)
{
	uint64_t bits = moo_min(p->device >> COW_SECTOR_SHIFT,
				p->hdr.bitmap_len * 8);
	const uint64_t bytes = (bits + 7) / 8;
	uint64_t at, len = 0;
	int64_t got;

	*sectors = 0;
	for (at = 0; at < bytes; at += len) {
		got = p->env.io->next_data(p->env.ctx, p->fd,
					   p->hdr.bitmap_offset + at);
		if (got >= (int64_t)(p->hdr.bitmap_offset + bytes))
			break;
		if (got >= 0) {
			at = got - p->hdr.bitmap_offset;
			len = moo_min(COW_BITS_PART, bytes - at);
			got = p->env.io->pread(p->env.ctx, p->fd, buf, len,
					       p->hdr.bitmap_offset + at);
		}
		if (got < 0)
			return moo_fail(err, got,
					"%s: its bitmap can not be read: %s",
					p->name, strerror(-got));
		memset(buf + got, 0, len - got);
		*sectors += count_bits(buf, moo_min(bits - at * 8, len * 8));
	}
	return 0;
}

int moo_owned(const struct moo_probe *probe, uint64_t *owned,
	      struct cow_error *err)
{
	uint64_t sectors = 0;
	uint8_t *buf;
	int ret;

	if (probe->hdr.format == COW_RAW) {
		*owned = probe->device;
		return 0;
	}
	if (probe->hdr.format == COW_V4) {
		*owned = probe->hdr.v4.owned << COW_SECTOR_SHIFT;
		return 0;
	}
	buf = malloc(COW_BITS_PART);
	if (!buf)
		return moo_fail(err, -ENOMEM, "%s: out of memory", probe->name);
	ret = count_bitmap(probe, buf, &sectors, err);
	free(buf);
	*owned = sectors << COW_SECTOR_SHIFT;
	return ret;
}
