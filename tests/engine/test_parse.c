// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of ubd_parse.c: what is said to the block device is understood, or
 * refused with the line that it should be.
 */
#include <errno.h>
#include <string.h>

#include "tap.h"
#include "ubd_parse.h"

#define NO_UNIT	"expected a device, 0 to 15 or a to p, behind \"ubd\""
#define NO_FLAG	"expected '=' or a flag, once: A R S W c d t L V0 V3 V4 " \
		"C<n> H<n> S<n> M<n> Ma P<n> B<n>"
#define NO_SIGN	"expected '=' and a file"
#define NO_FILE	"expected a file behind '='"
#define NO_WORD	"expected sync, threads, uring, noinline, record=FILE or " \
		"hook=PROGRAM behind \"ubd=\""

/* A heap block of exactly its length, for the address sanitizer. */
static char *line_of(const char *text)
{
	char *line = strdup(text);

	if (!line)
		abort();
	return line;
}

static bool same(const char *one, const char *other)
{
	return !one == !other && (!one || !strcmp(one, other));
}

/* ---- boot arguments of a device ---------------------------------------- */

static const struct {
	const char *text;
	const char *error;
} wrong[] = {
	{ "", NO_UNIT }, { "=f", NO_UNIT }, { "16=f", NO_UNIT },
	{ "q=f", NO_UNIT }, { "A=f", NO_UNIT }, { "001=f", NO_UNIT },
	{ "-1=f", NO_UNIT }, { " 0=f", NO_UNIT },
	{ "0x=f", NO_FLAG }, { "0V=f", NO_FLAG }, { "0V5=f", NO_FLAG },
	{ "0V3V4=f", NO_FLAG }, { "0C=f", NO_FLAG }, { "0C0=f", NO_FLAG },
	{ "0C65536=f", NO_FLAG }, { "0C4294967297=f", NO_FLAG },
	{ "0C99999999999999999999=f", NO_FLAG }, { "0C5C6=f", NO_FLAG },
	{ "0Maa=f", NO_FLAG }, { "0MaMa=f", NO_FLAG }, { "0M4Ma=f", NO_FLAG },
	{ "0MaM4=f", NO_FLAG }, { "0MA=f", NO_FLAG }, { "0M65537=f", NO_FLAG },
	{ "0B=f", NO_FLAG }, { "0B0=f", NO_FLAG }, { "0B4097=f", NO_FLAG },
	{ "0B512B512=f", NO_FLAG }, { "0b512=f", NO_FLAG },
	{ "0H256=f", NO_FLAG }, { "0S256=f", NO_FLAG }, { "ab=f", NO_FLAG },
	{ "0", NO_SIGN }, { "0r", NO_SIGN },
	{ "0=", NO_FILE }, { "0=,f", NO_FILE }, { "0r=:f", NO_FILE },
};

static void wrong_devices(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct ubd_config config = { 0 };
		char *line = line_of(wrong[i].text);
		unsigned int unit;

		ok(same(ubd_parse_device(line, &unit, &config), wrong[i].error),
		   "\"ubd%s\" is refused", wrong[i].text);
		free(line);
	}
}

static const struct {
	const char *text;
	unsigned int unit;
	const char *file, *parent, *serial;
} names[] = {
	{ "0=f", 0, "f", NULL, NULL },
	{ "15=f", 15, "f", NULL, NULL },
	{ "p=f", 15, "f", NULL, NULL },
	{ "07=f", 7, "f", NULL, NULL },
	{ "a=f,g", 0, "f", "g", NULL },
	{ "a=f:g", 0, "f", "g", NULL },
	{ "a=f,g:s", 0, "f", "g", "s" },
	{ "a=f,,s", 0, "f", NULL, "s" },
	{ "a=f,", 0, "f", NULL, NULL },
	{ "a=f,g,s,more", 0, "f", "g", "s" },
	{ "a=f=g", 0, "f=g", NULL, NULL },
};

static void right_names(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		struct ubd_config config = { 0 };
		char *line = line_of(names[i].text);
		unsigned int unit = UBD_DEVICES;

		ok(!ubd_parse_device(line, &unit, &config) &&
		   unit == names[i].unit && same(config.file, names[i].file) &&
		   same(config.parent, names[i].parent) &&
		   same(config.serial, names[i].serial),
		   "\"ubd%s\" is understood", names[i].text);
		free(line);
	}
}

static const struct {
	const char *text;
	struct ubd_config config;
} flags[] = {
	{ "0=f", { 0 } },
	{ "0r=f", { .read_only = true } },
	{ "0R=f", { .read_only = true } },
	{ "0s=f", { .durable = true } },
	{ "0S=f", { .durable = true } },
	{ "0c=f", { .unlocked = true } },
	{ "0d=f", { .raw = true } },
	{ "0t=f", { .no_trim = true } },
	{ "0L=f", { .keep_link = true } },
	{ "0A=f", { .direct = true } },
	{ "0W=f", { .hold = true } },
	{ "0AM8V4=f", { .direct = true, .index_mib = 8, .version = 4,
			.version_given = true } },
	{ "0V0=f", { .raw = true, .version_given = true } },
	{ "0V3=f", { .version = 3, .version_given = true } },
	{ "0SV4=f", { .durable = true, .version = 4, .version_given = true } },
	{ "0M4=f", { .index_mib = 4 } },
	{ "0Ma=f", { .index_mib = UBD_INDEX_ALL } },
	{ "0Mar=f", { .index_mib = UBD_INDEX_ALL, .read_only = true } },
	{ "0P65536=f", { .padding = 65536 } },
	{ "0B4096=f", { .sector_size = 4096 } },
	{ "0S63=f", { .geometry = { .sectors = 63 } } },
	{ "0S255S=f", { .geometry = { .sectors = 255 }, .durable = true } },
	{ "0C65535H255S1=f", { .geometry = { 65535, 255, 1 } } },
	{ "0rr=f", { .read_only = true } },
};

static bool same_flags(const struct ubd_config *one,
		       const struct ubd_config *other)
{
	return one->read_only == other->read_only &&
	       one->durable == other->durable && one->raw == other->raw &&
	       one->unlocked == other->unlocked &&
	       one->no_trim == other->no_trim &&
	       one->keep_link == other->keep_link &&
	       one->direct == other->direct && one->hold == other->hold &&
	       one->version_given == other->version_given &&
	       one->version == other->version &&
	       one->index_mib == other->index_mib &&
	       one->padding == other->padding &&
	       one->sector_size == other->sector_size &&
	       one->geometry.cylinders == other->geometry.cylinders &&
	       one->geometry.heads == other->geometry.heads &&
	       one->geometry.sectors == other->geometry.sectors;
}

static void right_flags(void)
{
	struct ubd_config config = { .durable = true };
	char *line = line_of("0=f");
	unsigned int unit;
	size_t i;

	ok(!ubd_parse_device(line, &unit, &config) && config.durable,
	   "what is asked for anyway stays");
	free(line);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		config = (struct ubd_config){ 0 };
		line = line_of(flags[i].text);
		ok(!ubd_parse_device(line, &unit, &config) &&
		   same_flags(&config, &flags[i].config),
		   "\"ubd%s\" sets what it says", flags[i].text);
		free(line);
	}
}

/* ---- boot arguments of all devices ------------------------------------- */

static const struct {
	const char *text;
	const char *error;
	uint32_t host;
	bool durable;
	const char *record;
	const char *hook;
} options[] = {
	{ "sync", NULL, 0, true, NULL, NULL },
	{ "threads,noinline", NULL, UBD_THREADS | UBD_NOINLINE, false, NULL, NULL },
	{ "uring,record=f", NULL, UBD_URING, false, "f", NULL },
	{ "record=", NULL, 0, false, "", NULL },
	{ "hook=/sbin/h,sync", NULL, 0, true, NULL, "/sbin/h" },
	{ "", NO_WORD, 0, false, NULL, NULL },
	{ "sync,", NO_WORD, 0, true, NULL, NULL },
	{ "syncs", NO_WORD, 0, false, NULL, NULL },
	{ "record", NO_WORD, 0, false, NULL, NULL },
};

static void all_options(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		struct ubd_options got = { 0 };
		char *line = line_of(options[i].text);

		ok(same(ubd_parse_options(line, &got), options[i].error) &&
		   got.host == options[i].host &&
		   got.durable == options[i].durable &&
		   same(got.record, options[i].record) &&
		   same(got.hook, options[i].hook),
		   "\"ubd=%s\"", options[i].text);
		free(line);
	}
}

/* ---- commands ---------------------------------------------------------- */

#define NOTHING_SAID \
	.wish = UBD_NO_WISH, .speed = UBD_NO_NUMBER, .depth = UBD_NO_NUMBER

#define NO_VERSION	"no format that a snapshot can have: V3 or V4"
#define NO_LIMIT	"no time limit: 1 to 3600 seconds"
#define TWICE		"it is named twice"
#define ALONE		"no other device beside it"

/* With @device, layers are shown; a @limit of 0 stands for what it is if not said. */
static const struct {
	const char *text;
	struct ubd_snapshot_words words;
} snapshots[] = {
	{ "", { .device = "", .unit = -EINVAL } },
	{ "ubda", { .device = "ubda" } },
	{ "ubd15", { .device = "ubd15", .unit = 15 } },
	{ "ubd16", { .device = "ubd16", .unit = -EINVAL } },
	{ "ubdaa", { .device = "ubdaa", .unit = -EINVAL } },
	{ "ub", { .device = "ub", .unit = -EINVAL } },
	{ "ubd", { .device = "ubd", .unit = -EINVAL } },
	{ "ubda V3", { .device = "ubda V3", .unit = -EINVAL } },
	{ "sda=f", { .target = { { "sda", -EINVAL, "f" } } } },
	{ "ubdb=f=g", { .target = { { "ubdb", 1, "f=g" } } } },
	{ "ubdb=", { .target = { { "ubdb", 1, "" } } } },
	{ "ubda=f V3", { .target = { { "ubda", 0, "f" } }, .version = 3 } },
	{ "ubda=a b \t V4", { .target = { { "ubda", 0, "a b" } },
			      .version = 4 } },
	{ "ubda=my V3 V4", { .target = { { "ubda", 0, "my V3" } },
			     .version = 4 } },
	{ "ubda=V3", { .target = { { "ubda", 0, "V3" } } } },
	{ "ubda= V3", { .target = { { "ubda", 0, "" } }, .version = 3 } },
	{ "ubda=fV3", { .target = { { "ubda", 0, "fV3" } } } },
	{ "ubda=f v3", { .target = { { "ubda", 0, "f v3" } } } },
	{ "ubda=f V", { .target = { { "ubda", 0, "f V" } } } },
	{ "ubda=f V3x", { .target = { { "ubda", 0, "f V3x" } } } },
	{ "ubda=f V0", { .target = { { "ubda", 0, "f" } }, .unknown = "V0",
			 .error = NO_VERSION } },
	{ "ubda=f V33", { .target = { { "ubda", 0, "f" } }, .unknown = "V33",
			  .error = NO_VERSION } },
	{ "=f", { .target = { { "", -EINVAL, "f" } } } },
	{ "ubda=f crash", { .target = { { "ubda", 0, "f" } }, .crash = true } },
	{ "ubda=f freeze", { .target = { { "ubda", 0, "f" } } } },
	{ "ubda=my crash freeze", { .target = { { "ubda", 0, "my crash" } } } },
	{ "ubda=f crashed", { .target = { { "ubda", 0, "f crashed" } } } },
	{ "ubda=crash", { .target = { { "ubda", 0, "crash" } } } },
	{ "ubda=f limit=60", { .target = { { "ubda", 0, "f" } }, .limit = 60 } },
	{ "ubda=f limit=3600 V4", { .target = { { "ubda", 0, "f" } },
				    .limit = 3600, .version = 4 } },
	{ "ubda=f V3 limit=1 crash", { .target = { { "ubda", 0, "f" } },
				       .limit = 1, .version = 3,
				       .crash = true } },
	{ "ubda=f limit=0", { .target = { { "ubda", 0, "f" } },
			      .unknown = "limit=0", .error = NO_LIMIT } },
	{ "ubda=f limit=3601", { .target = { { "ubda", 0, "f" } },
				 .unknown = "limit=3601", .error = NO_LIMIT } },
	{ "ubda=f limit=", { .target = { { "ubda", 0, "f" } },
			     .unknown = "limit=", .error = NO_LIMIT } },
	{ "ubda=f limit=5s", { .target = { { "ubda", 0, "f" } },
			       .unknown = "limit=5s", .error = NO_LIMIT } },
	{ "ubda=f limit=5 limit=6", { .target = { { "ubda", 0, "f limit=5" } },
				      .limit = 6 } },
	{ "ubda=f ubdb=g", { .target = { { "ubda", 0, "f" },
					 { "ubdb", 1, "g" } } } },
	{ "ubdp=my file \t ubd2=your file V4 crash",
	  { .target = { { "ubdp", 15, "my file" }, { "ubd2", 2, "your file" } },
	    .version = 4, .crash = true } },
	{ "ubda=f V3 ubdb=g V3", { .target = { { "ubda", 0, "f V3" },
					       { "ubdb", 1, "g" } },
				   .version = 3 } },
	{ "ubda=fubdb=g", { .target = { { "ubda", 0, "fubdb=g" } } } },
	{ "ubda=f ubd", { .target = { { "ubda", 0, "f ubd" } } } },
	{ "ubda=f ubdb g", { .target = { { "ubda", 0, "f ubdb g" } } } },
	{ "ubda=f ubdz=g", { .target = { { "ubda", 0, "f" },
					 { "ubdz", -EINVAL, "g" } } } },
	{ "ubda=f ubd=g", { .target = { { "ubda", 0, "f" },
					{ "ubd", -EINVAL, "g" } } } },
	{ "ubda=f ubd0=g", { .target = { { "ubda", 0, "f" },
					 { "ubd0", 0, "g" } },
			     .unknown = "ubd0", .error = TWICE } },
	{ "ubda limit=4", { .target = { { "ubda", 0, NULL } }, .limit = 4 } },
	{ "all=/d", { .target = { { "all", -EINVAL, "/d" } }, .all = "/d" } },
	{ "all=my d crash", { .target = { { "all", -EINVAL, "my d" } },
			      .all = "my d", .crash = true } },
	{ "all=", { .target = { { "all", -EINVAL, "" } }, .all = "" } },
	{ "all=d ubda=f", { .target = { { "all", -EINVAL, "d" },
					{ "ubda", 0, "f" } },
			    .all = "d", .unknown = "all", .error = ALONE } },
	{ "ubda=f all=d", { .target = { { "ubda", 0, "f" },
					{ "all", -EINVAL, "d" } },
			    .all = "d", .unknown = "all", .error = ALONE } },
};

static const struct {
	const char *text;
	struct ubd_words words;
} unsnapshots[] = {
	{ "", { .device = "", .unit = -EINVAL } },
	{ "ubdc", { .device = "ubdc", .unit = 2 } },
	{ "ubdc force", { .device = "ubdc", .unit = 2, .force = true } },
	{ "ubdc \t nowait  delete", { .device = "ubdc", .unit = 2,
				      .nowait = true, .remove = true } },
	{ "ubdc forced", { .device = "ubdc", .unit = 2, .unknown = "forced" } },
	{ "ubdc delete x y", { .device = "ubdc", .unit = 2, .remove = true,
			       .unknown = "x" } },
	{ "ubdz force", { .device = "ubdz", .unit = -EINVAL, .force = true } },
	{ "ubda discard", { .device = "ubda", .discard = true } },
}, merges[] = {
	{ "", { .device = "", .unit = -EINVAL, NOTHING_SAID } },
	{ "ubdc", { .device = "ubdc", .unit = 2, NOTHING_SAID } },
	{ "ubdc force nowait", { .device = "ubdc", .unit = 2, .force = true,
				 .nowait = true, NOTHING_SAID } },
	{ "ubda=f", { .device = "ubda", .file = "f", NOTHING_SAID } },
	{ "ubda=my f delete", { .device = "ubda", .file = "my f",
				.remove = true, NOTHING_SAID } },
	{ "ubda=f delete \t force", { .device = "ubda", .file = "f",
				      .remove = true, .force = true,
				      NOTHING_SAID } },
	{ "ubda=delete", { .device = "ubda", .file = "delete", NOTHING_SAID } },
	{ "ubda=f pause", { .device = "ubda", .file = "f pause",
			    NOTHING_SAID } },
	{ "ubda pause", { .device = "ubda", .wish = COW_MERGE_PAUSE,
			  .speed = UBD_NO_NUMBER, .depth = UBD_NO_NUMBER } },
	{ "ubda resume", { .device = "ubda", .wish = COW_MERGE_RUN,
			   .speed = UBD_NO_NUMBER, .depth = UBD_NO_NUMBER } },
	{ "ubda cancel", { .device = "ubda", .wish = COW_MERGE_CANCEL,
			   .speed = UBD_NO_NUMBER, .depth = UBD_NO_NUMBER } },
	{ "ubda speed=20", { .device = "ubda", .wish = UBD_NO_WISH,
			     .speed = 20, .depth = UBD_NO_NUMBER } },
	{ "ubda auto=0 delete", { .device = "ubda", .wish = UBD_NO_WISH,
				  .speed = UBD_NO_NUMBER, .remove = true } },
	{ "ubda speed=", { .device = "ubda", .unknown = "speed=",
			   NOTHING_SAID } },
	{ "ubda speed=1x", { .device = "ubda", .unknown = "speed=1x",
			     NOTHING_SAID } },
	{ "ubda auto=1234567890", { .device = "ubda",
				    .unknown = "auto=1234567890",
				    NOTHING_SAID } },
	{ "ubda discard", { .device = "ubda", .unknown = "discard",
			    NOTHING_SAID } },
}, holds[] = {
	{ "", { .device = "", .unit = -EINVAL } },
	{ "ubdc", { .device = "ubdc", .unit = 2 } },
	{ "ubdc \t off", { .device = "ubdc", .unit = 2, .off = true } },
	{ "ubdc on", { .device = "ubdc", .unit = 2, .unknown = "on" } },
	{ "ubdc off x", { .device = "ubdc", .unit = 2, .off = true,
			  .unknown = "x" } },
}, resumes[] = {
	{ "ubdc", { .device = "ubdc", .unit = 2 } },
	{ "ubdc off", { .device = "ubdc", .unit = 2, .unknown = "off" } },
};

static const struct {
	const char *text;
	bool json;
	const char *rest;
} lists[] = {
	{ "", false, "" }, { "ubda", false, "ubda" },
	{ "--json", true, "" }, { "ubda \t--json", true, "ubda" },
	{ "ubda--json", false, "ubda--json" }, { "-json", false, "-json" },
	{ "ubda --json x", false, "ubda --json x" },
	{ "ubda=f --json", false, "ubda=f --json" },
};

#undef NOTHING_SAID

static bool same_targets(const struct ubd_snapshot_words *got,
			 const struct ubd_snapshot_words *want)
{
	unsigned int i;

	for (i = 0; i < got->count; i++) {
		const struct ubd_target *one = &got->target[i];
		const struct ubd_target *other = &want->target[i];

		if (!same(one->device, other->device) ||
		    one->unit != other->unit || !same(one->file, other->file))
			return false;
	}
	return i == UBD_DEVICES || !want->target[i].device;
}

static bool same_snapshot(const struct ubd_snapshot_words *got,
			  const struct ubd_snapshot_words *want)
{
	bool shows = want->device;

	if (!got->count != shows)
		return false;
	if (shows)
		return same(got->device, want->device) &&
		       got->unit == want->unit;
	return same_targets(got, want) && same(got->all, want->all) &&
	       got->version == want->version && got->crash == want->crash &&
	       got->limit == (want->limit ? want->limit : UBD_LIMIT) &&
	       same(got->unknown, want->unknown) &&
	       same(got->error, want->error);
}

static void snapshot_commands(void)
{
	struct ubd_snapshot_words words;
	char *line;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(snapshots); i++) {
		line = line_of(snapshots[i].text);
		ubd_parse_snapshot(line, &words);
		ok(same_snapshot(&words, &snapshots[i].words),
		   "snapshot \"%s\"", snapshots[i].text);
		free(line);
	}
}

/* One more than there are, each of which could be one. */
static void too_many_devices(void)
{
	static const char *const names[] = {
		"ubda", "ubdb", "ubdc", "ubdd", "ubde", "ubdf", "ubdg", "ubdh",
		"ubdi", "ubdj", "ubdk", "ubdl", "ubdm", "ubdn", "ubdo", "ubdp",
		"ubdz",
	};
	struct ubd_snapshot_words words;
	char text[256] = "", *line;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "%s%s=f", i ? " " : "", names[i]);
	line = line_of(text);
	ubd_parse_snapshot(line, &words);
	ok(words.count == UBD_DEVICES &&
	   same(words.error, "more devices than there are"),
	   "one device too many");
	free(line);
}

static bool same_words(const struct ubd_words *one,
		       const struct ubd_words *other)
{
	return same(one->device, other->device) && one->unit == other->unit &&
	       same(one->file, other->file) &&
	       same(one->unknown, other->unknown) &&
	       one->nowait == other->nowait && one->remove == other->remove &&
	       one->force == other->force && one->off == other->off &&
	       one->discard == other->discard && one->wish == other->wish &&
	       one->speed == other->speed && one->depth == other->depth;
}

static void hold_commands(void)
{
	struct ubd_words words;
	char *line;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(holds); i++) {
		line = line_of(holds[i].text);
		ubd_parse_hold(line, &words);
		ok(same_words(&words, &holds[i].words), "hold \"%s\"",
		   holds[i].text);
		free(line);
	}
	for (i = 0; i < ARRAY_SIZE(resumes); i++) {
		line = line_of(resumes[i].text);
		ubd_parse_resume(line, &words);
		ok(same_words(&words, &resumes[i].words), "resume \"%s\"",
		   resumes[i].text);
		free(line);
	}
}

static void list_commands(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		char *line = line_of(lists[i].text);

		ok(ubd_parse_json(line) == lists[i].json &&
		   same(line, lists[i].rest), "\"snapshot %s\"",
		   lists[i].text);
		free(line);
	}
}

static void commands(void)
{
	struct ubd_words words;
	char *line;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(unsnapshots); i++) {
		line = line_of(unsnapshots[i].text);
		ubd_parse_unsnapshot(line, &words);
		ok(same_words(&words, &unsnapshots[i].words),
		   "unsnapshot \"%s\"", unsnapshots[i].text);
		free(line);
	}
	for (i = 0; i < ARRAY_SIZE(merges); i++) {
		line = line_of(merges[i].text);
		ubd_parse_merge(line, &words);
		ok(same_words(&words, &merges[i].words), "merge \"%s\"",
		   merges[i].text);
		free(line);
	}
}

int main(void)
{
	wrong_devices();
	right_names();
	right_flags();
	all_options();
	snapshot_commands();
	too_many_devices();
	commands();
	hold_commands();
	list_commands();
	return plan_done();
}
