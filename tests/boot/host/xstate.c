// SPDX-License-Identifier: GPL-2.0-only
/*
 * Duty: let Debian's prebuilt UML start on hosts whose XSAVE area is larger
 * than the 2696 bytes that it was built for (AMX: 11008 bytes).
 *
 * Preloaded. PTRACE_SETREGSET of the extended state fails with EFAULT unless
 * the whole area is given; what the caller did not save is taken from the
 * tracee as it stands.
 *
 * Invariant: a call that succeeds without help is passed through unchanged,
 * and nothing is allocated (malloc belongs to the guest's kernel).
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned char area[65536];

static long set_extended(long pid, const struct iovec *part)
{
	struct iovec whole = { .iov_base = area, .iov_len = sizeof(area) };

	if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &whole))
		return -1;
	if (part->iov_len > whole.iov_len) {
		errno = EFAULT;
		return -1;
	}
	memcpy(area, part->iov_base, part->iov_len);
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &whole);
}

/* The C library's wrapper: the peeking requests return the word itself. */
long ptrace(enum __ptrace_request request, ...)
{
	long pid, addr, data, word, ret;
	int peek = request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA ||
		   request == PTRACE_PEEKUSER;
	va_list ap;

	va_start(ap, request);
	pid = va_arg(ap, long);
	addr = va_arg(ap, long);
	data = va_arg(ap, long);
	va_end(ap);

	ret = syscall(SYS_ptrace, request, pid, addr,
		      peek ? (long)&word : data);
	if (ret < 0 && errno == EFAULT && request == PTRACE_SETREGSET &&
	    addr == NT_X86_XSTATE)
		return set_extended(pid, (const struct iovec *)data);
	if (ret < 0 || !peek)
		return ret;
	errno = 0;
	return word;
}
