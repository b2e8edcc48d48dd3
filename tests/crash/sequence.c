// SPDX-License-Identifier: GPL-2.0-only
/*
 * One run of a sequence, see sequence.h.
 *
 * Duty: the chains, the frame of a run, the order of answers, and the text that
 * names a sequence.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alphabet.h"
#include "format.h"
#include "seen.h"
#include "tap.h"

#define SECTORS		45u	/* the last block of V4 is not whole */
#define SEED		1u

/* ---- chains ------------------------------------------------------------ */

/* From the base upwards; a header of its own for what cow_create() makes not. */
struct layer_kind {
	unsigned int version;
	bool little_endian;
	bool broken;
	bool disk;		/* the data of the base, behind a header */
	bool header;		/* of the base, which stays as it is */
};

struct chain_kind {
	const char *name;
	unsigned int sectors;
	bool direct;		/* past the host's cache */
	struct layer_kind layer[2];
};

static const struct chain_kind chains[] = {
	{ "raw", SECTORS, false, { } },
	{ "V1be", 48, false, { { .version = 1 } } },
	{ "V1le", 48, false, { { .version = 1, .little_endian = true } } },
	{ "V2", 48, false, { { .version = 2 } } },
	{ "V3", SECTORS, false, { { .version = 3 } } },
	{ "V3broken", SECTORS, false, { { .version = 3, .broken = true } } },
	{ "V4", SECTORS, false, { { .version = 4 } } },
	{ "V4-V3", SECTORS, false, { { .version = 3 }, { .version = 4 } } },
	{ "V4-V4", SECTORS, false, { { .version = 4 }, { .version = 4 } } },
	{ "disk", SECTORS, false, { { .version = 4, .disk = true } } },
	{ "V4-disk", SECTORS, false, { { .version = 4, .disk = true }, { .version = 4 } } },
	{ "header", SECTORS, false, { { .version = 4, .header = true } } },
	{ "V4-header", SECTORS, false, { { .version = 4, .header = true }, { .version = 4 } } },
	{ "V3-direct", SECTORS, true, { { .version = 3 } } },
	{ "V4-V3-direct", SECTORS, true, { { .version = 3 }, { .version = 4 } } },
};

unsigned int sequence_chains(void)
{
	return ARRAY_SIZE(chains);
}

const char *sequence_chain(unsigned int chain)
{
	return chains[chain].name;
}

/* As other programs have made them. */
static void old_layer(struct world *w, const struct layer_kind *kind)
{
	struct cow_header *hdr = calloc(1, sizeof(*hdr));
	struct io_stat st;
	uint8_t *file, *whole;
	size_t len;

	vdisk_ops.lookup(w->disk, w->boot, &st);
	hdr->format = kind->version;
	hdr->little_endian = kind->little_endian;
	hdr->broken = kind->broken;
	hdr->size = st.size;
	hdr->mtime = st.mtime_sec;
	hdr->sectorsize = COW_SECTOR_SIZE;
	strcpy(hdr->parent, w->boot);
	file = calloc(1, COW_HEADER_MAX);
	if (cow_header_emit(hdr, file) < 0)
		world_fail(w, "no header for V%u", kind->version);
	len = hdr->data_offset + hdr->size;
	whole = calloc(1, COW_HEADER_MAX + len);
	memcpy(whole, file, COW_HEADER_MAX);
	free(file);
	strcpy(w->boot_parent, w->boot);
	snprintf(w->boot, sizeof(w->boot), "/layer%u", w->names++);
	vdisk_put(w->disk, w->boot, whole, len);
	free(whole);
	free(hdr);
}

/* Each layer has a few sectors, so that the next one hides something. */
static void fill(struct world *w, uint64_t first)
{
	if (world_open(w))
		return;
	world_start(w, COMMON_WRITE, 0, first, 7);
	world_start(w, COMMON_WRITE, 0, first + 12, 1);
	world_flush(w);
	common_close(w->file);
	w->file = NULL;
}

static void build(struct world *w, const struct chain_kind *kind)
{
	unsigned int i;

	world_base(w, "/base");
	for (i = 0; i < 2 && kind->layer[i].version; i++) {
		const struct layer_kind *layer = &kind->layer[i];

		if (layer->disk)
			world_disk(w);
		else if (layer->header)
			world_header(w);
		else if (layer->version < 3 || layer->broken)
			old_layer(w, layer);
		else
			world_layer(w, layer->version);
		if (!w->run->failed)
			fill(w, 4 + 9 * i);
	}
}

/* ---- order of answers -------------------------------------------------- */

struct playback {
	struct order *order;
	unsigned int at;
};

/* Beyond the end of what is played back, the first one. */
static unsigned int choose(void *arg, unsigned int n)
{
	struct playback *play = arg;
	struct order *order = play->order;

	if (play->at == ORDER_MAX)
		return 0;
	if (play->at == order->n) {
		order->pick[order->n] = 0;
		order->n++;
	}
	order->of[play->at] = n;
	return order->pick[play->at++];
}

bool order_next(struct order *order)
{
	while (order->n) {
		unsigned int last = order->n - 1;

		if (order->pick[last] + 1u < order->of[last]) {
			order->pick[last]++;
			return true;
		}
		order->n--;
	}
	return false;
}

/* ---- a run ------------------------------------------------------------- */

static void perform(struct world *w, const struct sequence *seq)
{
	char name[64];
	unsigned int i;

	for (i = 0; i < seq->n && !w->run->failed && w->file; i++) {
		alphabet_name(seq->op[i], name, sizeof(name));
		world_trace(w, "%s", name);
		alphabet_run(w, seq->op[i]);
		world_power(w);
	}
	if (w->run->failed || !w->file)
		return;
	world_end(w);
	world_power(w);
	w->checks = false;
	if (!w->run->failed)
		world_compare(w, "at the end");
}

void sequence_run(struct run *run, const struct sequence *seq,
		  struct order *order)
{
	const struct chain_kind *kind = &chains[seq->chain];
	struct playback play = { .order = order };
	struct world *w = world_new(run, SEED);

	w->sectors = kind->sectors;
	w->direct = kind->direct;
	w->check_percent = 10;
	vdisk_grain(w->disk, seq->grain);
	oracle_init(&w->oracle, w->sectors, 1, NULL);
	build(w, kind);
	if (!run->failed && !world_open(w)) {
		w->checks = true;
		w->thorough = true;
		vdisk_hook(w->disk, world_hook, w);
		vdisk_async(w->disk, seq->async, 0);
		vdisk_choose(w->disk, choose, &play);
		perform(w, seq);
		vdisk_hook(w->disk, NULL, NULL);
	}
	world_delete(w);
}

/* ---- names ------------------------------------------------------------- */

void sequence_print(const struct sequence *seq, char *text, size_t len)
{
	char name[64];
	unsigned int i;
	size_t at;

	at = snprintf(text, len, "%s %s %u", chains[seq->chain].name,
		      seq->async ? "async" : "sync", seq->grain);
	for (i = 0; i < seq->n && at < len; i++) {
		alphabet_name(seq->op[i], name, sizeof(name));
		at += snprintf(text + at, len - at, " %s", name);
	}
}

static bool parse_chain(struct sequence *seq, const char *word)
{
	while (seq->chain < ARRAY_SIZE(chains) &&
	       strcmp(word, chains[seq->chain].name))
		seq->chain++;
	return seq->chain < ARRAY_SIZE(chains);
}

static bool parse_op(struct sequence *seq, const char *word)
{
	char name[64];
	unsigned int op;

	for (op = 0; op < sequence_ops(); op++) {
		alphabet_name(op, name, sizeof(name));
		if (!strcmp(word, name))
			break;
	}
	if (op == sequence_ops() || seq->n == SEQUENCE_MAX)
		return false;
	seq->op[seq->n++] = op;
	return true;
}

bool sequence_parse(struct sequence *seq, const char *text)
{
	char *copy = strdup(text), *save = NULL, *word;
	unsigned int n = 0;
	bool good = true;

	memset(seq, 0, sizeof(*seq));
	for (word = strtok_r(copy, " ", &save); word && good; n++) {
		if (!n)
			good = parse_chain(seq, word);
		else if (n == 1)
			seq->async = !strcmp(word, "async");
		else if (n == 2)
			seq->grain = strtoul(word, NULL, 10);
		else
			good = parse_op(seq, word);
		word = strtok_r(NULL, " ", &save);
	}
	free(copy);
	return good && n > 3 && seq->grain >= COW_SECTOR_SIZE;
}
