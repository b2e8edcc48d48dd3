// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the engine lives in here: the C library and the synchronous back end.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <stdlib.h>

#include "io.h"
#include "moo.h"

#define PAGE	4096u

static void *host_alloc(size_t len)
{
	void *mem;

	if (len < PAGE)
		return calloc(1, len);
	mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return mem == MAP_FAILED ? NULL : mem;
}

static void host_free(void *mem, size_t len)
{
	if (!mem)
		return;
	if (len < PAGE)
		free(mem);
	else
		munmap(mem, len);
}

static void host_say(const char *line)
{
	moo_complain("%s", line);
}

void moo_host(struct cow_env *env)
{
	*env = (struct cow_env){
		.io = &cow_io_sync,
		.alloc = host_alloc,
		.free = host_free,
		.say = host_say,
	};
}

uint32_t moo_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}
