// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: moo info, map and check of a file of any bytes, which they must
 * not change; then check -r, of which twice is once; then seal, after which the
 * data is what was sealed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../tools/moo/moo.h"
#include "fix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char dir[32] = "/dev/shm/fuzz.XXXXXX";
static char top[8] = "top.cow";

static void put_file(const char *name, const uint8_t *data, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	close(fd);
}

static uint8_t *get_file(size_t *len)
{
	int fd = open(top, O_RDONLY);
	struct stat st;
	uint8_t *data;

	if (fd < 0 || fstat(fd, &st))
		abort();
	*len = st.st_size;
	data = malloc(*len + 1);
	if (read(fd, data, *len) != (ssize_t)*len)
		abort();
	close(fd);
	return data;
}

static bool is_same(const uint8_t *data, size_t len)
{
	size_t size;
	uint8_t *now = get_file(&size);
	bool same = size == len && !memcmp(now, data, len);

	free(now);
	return same;
}

static void same_file(const uint8_t *data, size_t len)
{
	if (!is_same(data, len))
		abort();
}

static void remove_files(void)
{
	unlink(top);
	unlink("base");
	rmdir(dir);
}

static void begin(void)
{
	static const uint8_t base[65536];
	static bool begun;

	if (begun)
		return;
	begun = true;
	/* What they say is not looked at; libFuzzer speaks on stderr. */
	if (!freopen("/dev/null", "w", stdout) || !mkdtemp(dir) || chdir(dir))
		abort();
	put_file("base", base, sizeof(base));
	atexit(remove_files);
}

static void repair(const struct moo_args *look)
{
	struct moo_args args = *look;
	uint8_t *once;
	size_t len;

	args.repair = MOO_REPAIR_ALL;
	moo_check.run(&args);
	once = get_file(&len);
	moo_check.run(&args);
	same_file(once, len);
	free(once);
}

static void seal(const struct moo_args *look)
{
	struct moo_args args = *look;
	uint8_t *before;
	size_t len;
	int status;

	before = get_file(&len);
	status = moo_seal.run(&args);
	moo_cancel_end();
	/* What was sealed already may be of anything. */
	if (!status && !is_same(before, len)) {
		status = moo_check.run(&args);
		args.data = true;
		if (moo_check.run(&args) != status)
			abort();
	}
	free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *file[2] = { top };
	struct moo_args args = { .file = file, .files = 1 };
	uint8_t *copy = malloc(len + 1);

	begin();
	memcpy(copy, data, len);
	fix_checksums(copy, len);
	put_file(top, copy, len);
	moo_info.run(&args);
	moo_check.run(&args);
	moo_map.run(&args);
	args.data = true;
	moo_check.run(&args);
	args.data = false;
	same_file(copy, len);
	repair(&args);
	seal(&args);
	free(copy);
	return 0;
}
