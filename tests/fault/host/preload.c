// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program's system calls and memory that fail, as the environment says.
 *
 * Duty: with interpose.c a library to be loaded before the C library:
 *
 *	FAULT="CLASSES ERRNO HOW N"	as in struct call_fault, numbers
 *	FAULT_MET=FILE			made when the fault is met
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../interpose.h"

static const char *met_file;

/* The Nth is met once, all others are the same fault. */
static void met(enum call_class class)
{
	(void)class;
	if (!met_file)
		return;
	close(syscall(SYS_openat, AT_FDCWD, met_file, O_CREAT | O_WRONLY,
		      0600));
	met_file = NULL;
}

__attribute__((constructor))
static void begin(void)
{
	const char *text = getenv("FAULT");
	struct call_fault fault = { 0 };
	unsigned int how;

	if (!text || sscanf(text, "%u %d %u %lu", &fault.classes, &fault.error,
			    &how, &fault.nth) != 4)
		return;
	fault.how = (enum call_how)how;
	met_file = getenv("FAULT_MET");
	interpose.met = met;
	interpose_arm(&fault);
}

/* ---- memory ------------------------------------------------------------ */

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t n, size_t len);

void *malloc(size_t len)
{
	return interpose_fails(CALL_HEAP) ? NULL : __libc_malloc(len);
}

void *calloc(size_t n, size_t len)
{
	return interpose_fails(CALL_HEAP) ? NULL : __libc_calloc(n, len);
}
