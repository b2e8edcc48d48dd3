// SPDX-License-Identifier: GPL-2.0-only
/*
 * The contract of a verb: its options, its arguments, its help.
 *
 * Duty: one table of all options; a verb names those that it takes. What
 * --help prints and what is accepted come from the same place.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "moo.h"

#define LONG_ONLY	256
#define HELP		(LONG_ONLY + MOO_OPTS)

/* ---- values ------------------------------------------------------------ */

static int set_version(const char *value, struct moo_args *args)
{
	if (*value == 'V' || *value == 'v')
		value++;
	if (*value < '0' || *value > '4' || value[1]) {
		moo_complain("-V %s: formats are 0 to 4", value);
		return -EINVAL;
	}
	args->version = *value - '0';
	args->version_set = true;
	return 0;
}

static int set_size(const char *value, struct moo_args *args)
{
	if (moo_parse_size(value, &args->size) || !args->size ||
	    args->size % COW_SECTOR_SIZE) {
		moo_complain("--size=%s: give a multiple of 512 bytes, such as 4G",
			     value);
		return -EINVAL;
	}
	args->size_set = true;
	return 0;
}

static int set_output(const char *value, struct moo_args *args)
{
	args->json = !strcmp(value, "json");
	if (args->json || !strcmp(value, "human"))
		return 0;
	moo_complain("--output=%s: give json or human", value);
	return -EINVAL;
}

static int set_repair(const char *value, struct moo_args *args)
{
	if (!strcmp(value, "leaks"))
		args->repair = MOO_REPAIR_LEAKS;
	else if (!strcmp(value, "all"))
		args->repair = MOO_REPAIR_ALL;
	else
		moo_complain("-r %s: give leaks or all", value);
	return args->repair ? 0 : -EINVAL;
}

static int set_padding(const char *value, struct moo_args *args)
{
	if (!moo_parse_size(value, &args->padding) && args->padding)
		return 0;
	moo_complain("--padding=%s: give a number of bytes, such as 64K", value);
	return -EINVAL;
}

static int set_sector_size(const char *value, struct moo_args *args)
{
	uint64_t size;

	if (!moo_parse_size(value, &size) && size <= COW_BLOCK_SIZE &&
	    cow_is_sector_size(size)) {
		args->sector_size = size;
		return 0;
	}
	moo_complain("--sector-size=%s: give 512, 1024, 2048 or 4096", value);
	return -EINVAL;
}

static int set_geometry(const char *value, struct moo_args *args)
{
	struct cow_geometry *geometry = &args->geometry;
	char more;

	if (sscanf(value, "%5u/%3u/%3u%c", &geometry->cylinders,
		   &geometry->heads, &geometry->sectors, &more) == 3 &&
	    geometry->cylinders && geometry->cylinders <= UINT16_MAX &&
	    geometry->heads && geometry->heads <= UINT8_MAX &&
	    geometry->sectors && geometry->sectors <= UINT8_MAX)
		return 0;
	moo_complain("--geometry=%s: give cylinders/heads/sectors, at most 65535/255/255",
		     value);
	return -EINVAL;
}

static int set_base(const char *value, struct moo_args *args)
{
	args->base = value;
	return 0;
}

/* ---- all options ------------------------------------------------------- */

/**
 * struct opt_def - an option of any verb
 * @name: behind two hyphens
 * @letter: behind one, or 0
 * @value: what its value is called in the help, or NULL if it has none
 * @set: takes the value; NULL: the option is a flag
 * @flag: where that stands in struct moo_args
 */
struct opt_def {
	const char *name;
	char letter;
	const char *value;
	int (*set)(const char *value, struct moo_args *args);
	size_t flag;
};

#define VALUE(name, letter, value, set)	{ name, letter, value, set, 0 }
#define FLAG(name, letter, member) \
	{ name, letter, NULL, NULL, offsetof(struct moo_args, member) }

static const struct opt_def defs[MOO_OPTS] = {
	[MOO_OPT_VERSION] = VALUE("format", 'V', "N", set_version),
	[MOO_OPT_FORCE] = FLAG("force", 'f', force),
	[MOO_OPT_BASE] = VALUE("base", 'b', "FILE", set_base),
	[MOO_OPT_SHARE] = FLAG("force-share", 'U', share),
	[MOO_OPT_RAW] = FLAG("raw", 0, raw),
	[MOO_OPT_SIZE] = VALUE("size", 's', "N", set_size),
	[MOO_OPT_CHAIN] = FLAG("backing-chain", 0, chain),
	[MOO_OPT_OUTPUT] = VALUE("output", 0, "FORMAT", set_output),
	[MOO_OPT_IN_PLACE] = FLAG("in-place", 'i', in_place),
	[MOO_OPT_DELETE] = FLAG("delete", 'd', remove),
	[MOO_OPT_HEADER] = FLAG("header", 0, header),
	[MOO_OPT_FLAT] = FLAG("flat", 0, flat),
	[MOO_OPT_PADDING] = VALUE("padding", 0, "N", set_padding),
	[MOO_OPT_SECTOR] = VALUE("sector-size", 0, "N", set_sector_size),
	[MOO_OPT_GEOMETRY] = VALUE("geometry", 0, "C/H/S", set_geometry),
	[MOO_OPT_REPAIR] = VALUE("repair", 'r', "WHAT", set_repair),
	[MOO_OPT_DATA] = FLAG("data", 0, data),
	[MOO_OPT_UNSAFE] = FLAG("unsafe", 'u', unsafe),
	[MOO_OPT_SHRINK] = FLAG("shrink", 0, shrink),
	[MOO_OPT_OFF] = FLAG("off", 0, off),
	[MOO_OPT_DISCARD] = FLAG("discard", 0, discard),
};

static int set_option(enum moo_opt opt, const char *value,
		      struct moo_args *args)
{
	const struct opt_def *def = &defs[opt];

	if (def->set)
		return def->set(value, args);
	*(bool *)((char *)args + def->flag) = true;
	return 0;
}

/* ---- help -------------------------------------------------------------- */

static int opt_key(enum moo_opt opt)
{
	return defs[opt].letter ? defs[opt].letter : LONG_ONLY + (int)opt;
}

static void print_option(const struct moo_use *use)
{
	const struct opt_def *def = &defs[use->opt];
	char left[40];
	const char *line = use->help, *end;

	if (def->letter)
		snprintf(left, sizeof(left), "-%c, --%s", def->letter,
			 def->name);
	else
		snprintf(left, sizeof(left), "    --%s", def->name);
	if (def->value) {
		strcat(left, "=");
		strcat(left, def->value);
	}
	for (; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		printf("  %-22s %.*s\n", left, (int)(end - line), line);
		left[0] = '\0';
	}
}

static void print_synopsis(FILE *to, const struct moo_verb *verb)
{
	const char *line = verb->synopsis, *end;
	const char *lead = "Usage:";

	for (; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		fprintf(to, "%s moo %s %.*s\n", lead, verb->name,
			(int)(end - line), line);
		lead = "      ";
	}
}

static void print_help(const struct moo_verb *verb)
{
	unsigned int i;

	print_synopsis(stdout, verb);
	printf("\n%s\n\nOptions:\n", verb->text);
	for (i = 0; i < verb->nuses; i++)
		print_option(&verb->uses[i]);
	printf("  %-22s %s\n", "-h, --help", "print this text");
}

/* ---- the command line -------------------------------------------------- */

/* What getopt_long() is to accept; @lng has room for all options and two. */
static void fill_tables(const struct moo_verb *verb, char *shrt,
			struct option *lng)
{
	const struct opt_def *def;
	unsigned int i;

	*shrt++ = 'h';
	for (i = 0; i < verb->nuses; i++) {
		def = &defs[verb->uses[i].opt];
		if (def->letter)
			*shrt++ = def->letter;
		if (def->letter && def->value)
			*shrt++ = ':';
		*lng++ = (struct option){
			.name = def->name,
			.has_arg = def->value ? required_argument : no_argument,
			.val = opt_key(verb->uses[i].opt),
		};
	}
	*shrt = '\0';
	*lng++ = (struct option){ .name = "help", .val = HELP };
	*lng = (struct option){ 0 };
}

static bool misused(const struct moo_verb *verb, int *status)
{
	print_synopsis(stderr, verb);
	fprintf(stderr, "'moo %s --help' says more.\n", verb->name);
	*status = verb->misuse ? verb->misuse : MOO_FAILED;
	return false;
}

/* Such as -1G, which getopt_long() would take for options. */
static bool is_amount(const char *arg)
{
	return *arg == '-' && arg[1] >= '0' && arg[1] <= '9';
}

bool moo_parse(const struct moo_verb *verb, int argc, char **argv,
	       struct moo_args *args, int *status)
{
	struct option lng[MOO_OPTS + 2];
	char shrt[2 * MOO_OPTS + 2];
	bool amount = verb->amount && is_amount(argv[argc - 1]);
	unsigned int i;
	int key;

	*args = (struct moo_args){ 0 };
	fill_tables(verb, shrt, lng);
	argv[0] = program_invocation_short_name;
	while ((key = getopt_long(argc - amount, argv, shrt, lng, NULL)) != -1) {
		if (key == 'h' || key == HELP) {
			print_help(verb);
			*status = moo_finish(0, NULL);
			return false;
		}
		for (i = 0; i < verb->nuses; i++)
			if (opt_key(verb->uses[i].opt) == key)
				break;
		if (i == verb->nuses ||
		    set_option(verb->uses[i].opt, optarg, args))
			return misused(verb, status);
	}
	args->file = argv + optind;
	args->files = argc - optind;
	if (args->files < verb->min || args->files > verb->max) {
		moo_complain("%s: %s", verb->name,
			     args->files < verb->min ? "a file name is missing" :
						       "too many file names");
		return misused(verb, status);
	}
	return true;
}
