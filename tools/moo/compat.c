// SPDX-License-Identifier: GPL-2.0-only
/*
 * The argument forms of uml_moo and uml_mkcow.
 *
 * Duty: programs and people that call the old tools find their options, in the
 * documented orders too, and their exit codes: 1 for all that fails, of
 * uml_mkcow 2 for wrong arguments.
 */
#include <errno.h>
#include <getopt.h>

#include "moo.h"

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ 0 },
};

static int moo_usage(FILE *to)
{
	fputs("Usage: uml_moo [-b BASE] COW OUT\n"
	      "       uml_moo [-b BASE] -d COW\n"
	      "Write the content of the layer COW and of its backing file to the raw file\n"
	      "OUT, replacing it; or, with -d, write what COW owns into its backing file.\n\n"
	      "  -b BASE  the backing file, where it is not the one that COW names\n"
	      "  -d       merge in place\n\n"
	      "'moo merge --help' tells of the same work by its newer name.\n", to);
	return MOO_FAILED;
}

static int print_version(void)
{
	printf("%s (moo) " MOO_VERSION "\n", program_invocation_short_name);
	return moo_finish(0, NULL);
}

static int merge(const struct moo_args *args)
{
	struct cow_error err = { "" };
	int ret;

	if (args->in_place)
		ret = moo_merge_in_place(args, args->file[0], &err);
	else
		ret = moo_write_raw(args, args->file[0], args->file[1], &err);
	ret = moo_finish(ret, &err);
	if (ret)
		moo_cancel_end();
	return ret;
}

int moo_uml_moo(int argc, char **argv)
{
	struct moo_args args = { 0 };
	int key;

	while ((key = getopt_long(argc, argv, "b:dh", long_options, NULL)) !=
	       -1) {
		switch (key) {
		case 'b':
			args.base = optarg;
			break;
		case 'd':
			args.in_place = true;
			break;
		case 'h':
			moo_usage(stdout);
			return moo_finish(0, NULL);
		case 'v':
			return print_version();
		default:
			return moo_usage(stderr);
		}
	}
	args.file = argv + optind;
	args.files = argc - optind;
	if (args.files != (args.in_place ? 1 : 2))
		return moo_usage(stderr);
	/* The old tool writes over what is there; frozen files stay refused. */
	args.force = !args.in_place;
	return merge(&args);
}

static int mkcow_usage(FILE *to)
{
	fputs("Usage: uml_mkcow [-f] COW BASE\n"
	      "Make the layer COW over BASE, which is a raw file.\n\n"
	      "  -f       replace COW if it exists\n\n"
	      "'moo create --help' tells of the same work by its newer name.\n", to);
	return 2;
}

int moo_uml_mkcow(int argc, char **argv)
{
	struct cow_create_args create = { .version = 3 };
	struct cow_error err = { "" };
	bool force = false;
	int key;

	while ((key = getopt_long(argc, argv, "fh", long_options, NULL)) !=
	       -1) {
		switch (key) {
		case 'f':
			force = true;
			break;
		case 'h':
			mkcow_usage(stdout);
			return moo_finish(0, NULL);
		case 'v':
			return print_version();
		default:
			return mkcow_usage(stderr);
		}
	}
	if (argc - optind != 2)
		return mkcow_usage(stderr);
	create.parent = argv[optind + 1];
	return moo_finish(moo_create_layer(&create, argv[optind], force, &err),
			  &err);
}
