/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of moo check share: findings, who looks for them, and who
 * mends them.
 */
#ifndef MOO_CHECK_H
#define MOO_CHECK_H

#include "moo.h"

/* What would mend a fault. */
enum check_mend {
	CHECK_LASTS = 0,	/* nothing, or nobody knows what */
	CHECK_SLOT = 1,		/* the header once more */
	CHECK_COUNT = 2,	/* a header with what was counted */
	CHECK_LINK = 4,		/* a header without a successor */
	CHECK_LIST = 8,		/* another list of free blocks */
	CHECK_BITS = 16,	/* a bitmap without bits of no sector */
	CHECK_SEAL = 32,	/* a header without a seal */
};

/**
 * struct check_map - V4: who uses which block
 * @used: a bit for each block that the header, the index and the seal use
 * @listed: a bit for each that the list of free blocks uses or names
 * @blocks: how many bits there are; used blocks may lie behind
 * @top: first block behind all that the index uses
 * @owned: sectors that the index owns
 */
struct check_map {
	uint8_t *used;
	uint8_t *listed;
	uint64_t blocks;
	uint64_t top;
	uint64_t owned;
};

/**
 * struct check - what was found in one file
 * @probe: the file
 * @share: somebody may be writing it
 * @data: its data is held against its seal, too
 * @corruptions: places where it, or what it says of its chain, is wrong
 * @lasting: how many of those in the file itself nothing would mend
 * @mend: sum of CHECK_*: what would mend the others
 * @chain: what it says of its chain is wrong, or the chain is
 * @torn: one header slot was not written as a whole, which is no fault
 * @leaks: blocks that nothing refers to
 * @verified: blocks that were held against the seal
 * @bad: how many of them are not what was sealed
 * @total: units that the device has: sectors, V4 blocks
 * @allocated: how many of them stand in this file
 * @fragmented: how many of these do not follow the one before
 * @end: bytes of the file that are in use
 * @map: V4: filled by check_v4()
 * @fixed: repairs were asked for, and these counts say what they came to
 * @corruptions_fixed: places that are right since
 * @leaks_fixed: blocks that were given back
 */
struct check {
	const struct moo_probe *probe;
	bool share;
	bool data;
	uint64_t corruptions;
	uint64_t lasting;
	unsigned int mend;
	bool chain;
	bool torn;
	uint64_t leaks;
	uint64_t verified;
	uint64_t bad;
	uint64_t total;
	uint64_t allocated;
	uint64_t fragmented;
	uint64_t end;
	struct check_map map;
	bool fixed;
	uint64_t corruptions_fixed;
	uint64_t leaks_fixed;
};

/**
 * check_found() - count a corruption, and tell of the first ones
 */
void check_found(struct check *check, enum check_mend mend,
		 const char *format, ...)
	__printf(3, 4);

/**
 * check_read() - read all of @len bytes; what lies past the end is zero
 */
int check_read(const struct check *check, void *buf, size_t len,
	       uint64_t offset, struct cow_error *err);

/**
 * check_file() - look at the file of @check->probe, and at its chain
 * @beside: take no locks
 *
 * Return: 0 even if something was found, or a negative errno if the file could
 * not be looked at. End it with check_end().
 */
int check_file(struct check *check, bool beside, struct cow_error *err);
void check_end(struct check *check);

/* What follows the header; V4: seal and list, once the index was looked at. */
int check_bitmap(struct check *check, struct cow_error *err);
int check_v4(struct check *check, struct cow_error *err);
int check_seal(struct check *check, struct cow_error *err);
int check_list(struct check *check, struct cow_error *err);

/* An index page is read whole or not at all, even if zeros are all it lacks. */
static inline bool check_block_whole(const struct check *check, uint64_t block)
{
	return (block + 1) << COW_BLOCK_SHIFT <= check->probe->st.size;
}

static inline bool check_bit(const uint8_t *map, uint64_t block)
{
	return map[block / 8] >> block % 8 & 1;
}

static inline void check_set_bit(uint8_t *map, uint64_t block)
{
	map[block / 8] |= 1u << block % 8;
}

/**
 * check_repair() - look at a file, mend it, and look again
 * @args: repair, data, json and file[0] are used
 * @report: is called with what there is at the end
 *
 * Return: the exit code.
 */
int check_repair(const struct moo_args *args,
		 int (*report)(const struct check *check, bool json));

/**
 * check_refuse() - the exit code for a file whose header is not understood
 */
int check_refuse(int error, const struct cow_error *err);

/**
 * check_refuse_data() - refuse --data for a file that is not sealed
 */
int check_refuse_data(const struct moo_probe *probe,
		      const struct moo_args *args, struct cow_error *err);

/**
 * check_raw() - the exit code for a raw file
 */
int check_raw(const struct moo_probe *probe);

/**
 * repair_v4() - write what mends @check
 * @fd: its file, locked, for writing
 * @mend: sum of CHECK_*
 *
 * Interrupted at any point, it leaves a file that reads the same, and has no
 * fault that it did not have before; but leaks may be more.
 */
int repair_v4(const struct check *check, int fd, unsigned int mend,
	      struct cow_error *err);

/**
 * repair_bitmap() - the same for V1 to V3
 */
int repair_bitmap(const struct check *check, int fd, struct cow_error *err);

#endif
