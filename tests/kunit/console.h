/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A client of mconsole inside the kernel.
 *
 * Duty: to call a command's handler with a request as it comes off the socket,
 * and to put together its answer as the client uml_mconsole does.
 *
 * The socket writes to itself, so that nobody else is needed: what the handler
 * sends to the address of the client is what console_ask() reads.
 */
#ifndef KUNIT_CONSOLE_H
#define KUNIT_CONSOLE_H

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/string.h>
#include <linux/un.h>
#include <os.h>
#include "files.h"
#include "mconsole.h"

#define CONSOLE_PATIENCE	(120 * HZ)

/**
 * struct console - a client
 * @text: the last answer, all pieces of it
 * @error: what the last piece said of it, 0 for success
 */
struct console {
	int fd;
	struct mc_request req;
	struct mconsole_reply reply;
	char text[8192];
	u32 error;
};

typedef void (*console_handler)(struct mc_request *req);

static inline void console_close(void *arg)
{
	struct console *console = arg;

	os_close_file(console->fd);
}

static inline struct console *console_open(struct kunit *test)
{
	struct console *console = kunit_kzalloc(test, sizeof(*console),
						GFP_KERNEL);
	const char *path = files_name(test, "console");
	struct sockaddr_un *address;

	KUNIT_ASSERT_NOT_NULL(test, console);
	address = (struct sockaddr_un *)console->req.origin;
	address->sun_family = AF_UNIX;
	KUNIT_ASSERT_GT_MSG(test, strscpy(address->sun_path, path), 0, "%s",
			    path);
	console->fd = os_create_unix_socket(path, sizeof(address->sun_path), 1);
	KUNIT_ASSERT_GE(test, console->fd, 0);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action(test, console_close, console));
	KUNIT_ASSERT_EQ(test, os_set_fd_block(console->fd, 0), 0);
	console->req.originating_fd = console->fd;
	console->req.originlen = sizeof(*address);
	return console;
}

static inline void console_vsend(struct console *console,
				 console_handler handler, const char *format,
				 va_list args)
{
	struct mconsole_request *request = &console->req.request;

	request->len = vscnprintf(request->data, sizeof(request->data), format,
				  args);
	handler(&console->req);
}

/* Send a command, which is given as to printf(). */
static inline void __printf(3, 4)
console_send(struct console *console, console_handler handler,
	     const char *format, ...)
{
	va_list args;

	va_start(args, format);
	console_vsend(console, handler, format, args);
	va_end(args);
}

/* One piece of an answer; false if none comes. */
static inline bool console_piece(struct console *console)
{
	struct mconsole_reply *reply = &console->reply;
	unsigned long end = jiffies + CONSOLE_PATIENCE;
	int len;

	while ((len = os_read_file(console->fd, reply, sizeof(*reply))) ==
	       -EAGAIN && time_before(jiffies, end))
		msleep(20);
	return len > (int)offsetof(struct mconsole_reply, data);
}

/* The answer, in @console->text and @console->error. */
static inline void console_listen(struct kunit *test, struct console *console)
{
	console->text[0] = '\0';
	do {
		KUNIT_ASSERT_TRUE_MSG(test, console_piece(console),
				      "no answer to \"%s\"",
				      console->req.request.data);
		strlcat(console->text, console->reply.data,
			sizeof(console->text));
	} while (console->reply.more);
	console->error = console->reply.err;
}

/* Send a command and wait for its answer. */
static inline void __printf(4, 5)
console_ask(struct kunit *test, struct console *console,
	    console_handler handler, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	console_vsend(console, handler, format, args);
	va_end(args);
	console_listen(test, console);
}

#endif
