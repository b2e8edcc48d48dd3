// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo - look at, make, merge and convert COW layers while no machine runs on
 * them.
 *
 * Duty: find the verb, or the old tool, that was asked for.
 */
#include <sys/resource.h>
#include <errno.h>
#include <string.h>

#include "moo.h"

static const struct moo_verb * const verbs[] = {
	&moo_create, &moo_info, &moo_map, &moo_merge, &moo_check, &moo_convert,
	&moo_diff, &moo_rebase, &moo_adopt, &moo_dump, &moo_restore,
	&moo_resize, &moo_compact, &moo_seal, &moo_protect, &moo_rollback,
};

#define NVERBS	ARRAY_SIZE(verbs)

static void print_usage(FILE *to)
{
	unsigned int i;

	fputs("Usage: moo VERB [OPTION]... FILE...\n"
	      "Work on the layers of User-mode Linux's COW disks.\n\n"
	      "Verbs:\n", to);
	for (i = 0; i < NVERBS; i++)
		fprintf(to, "  %-10s %s\n", verbs[i]->name, verbs[i]->brief);
	fputs("\n'moo VERB --help' tells more of a verb, moo(1) everything.\n",
	      to);
}

/* A chain of a thousand layers needs as many descriptors, and more. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run_verb(int argc, char **argv)
{
	struct moo_args args;
	unsigned int i;
	int status;

	for (i = 0; i < NVERBS; i++) {
		if (strcmp(argv[0], verbs[i]->name))
			continue;
		if (!moo_parse(verbs[i], argc, argv, &args, &status))
			return status;
		return verbs[i]->run(&args);
	}
	moo_complain("%s: no such verb; 'moo --help' lists them", argv[0]);
	return MOO_FAILED;
}

int main(int argc, char **argv)
{
	raise_file_limit();
	if (!strcmp(program_invocation_short_name, "uml_moo"))
		return moo_uml_moo(argc, argv);
	if (!strcmp(program_invocation_short_name, "uml_mkcow"))
		return moo_uml_mkcow(argc, argv);
	if (argc < 2) {
		print_usage(stderr);
		return MOO_FAILED;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_usage(stdout);
		return moo_finish(0, NULL);
	}
	if (!strcmp(argv[1], "--version")) {
		puts("moo " MOO_VERSION);
		return moo_finish(0, NULL);
	}
	return run_verb(argc - 1, argv + 1);
}
