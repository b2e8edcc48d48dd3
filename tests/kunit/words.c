// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is said to the driver: names of devices, arguments of a device, and the
 * commands of mconsole, as long as nothing comes of them.
 *
 * Duty: every refusal is the one line that it should be, and leaves nothing
 * behind.
 */
#include <kunit/test.h>
#include <linux/irqflags.h>
#include "console.h"
#include "ubd.h"

/* ---- names of devices -------------------------------------------------- */

static const struct {
	const char *text;
	int unit;
	unsigned int used;
} units[] = {
	{ "0", 0, 1 },
	{ "7=f", 7, 1 },
	{ "15=f", 15, 2 },
	{ "00", 0, 2 },
	{ "a", 0, 1 },
	{ "p=f", 15, 1 },
	{ "ab", 0, 1 },
	{ "0r=f", 0, 1 },
	{ "", -EINVAL, 0 },
	{ "=f", -EINVAL, 0 },
	{ "16", -EINVAL, 0 },
	{ "99", -EINVAL, 0 },
	{ "123", -EINVAL, 0 },
	{ "001", -EINVAL, 0 },
	{ "q", -EINVAL, 0 },
	{ "A", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 },
	{ " 1", -EINVAL, 0 },
};

static void unit_names(struct kunit *test)
{
	const char *at;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(units); i++) {
		at = units[i].text;
		KUNIT_EXPECT_EQ_MSG(test, ubd_parse_unit(&at), units[i].unit,
				    "\"%s\"", units[i].text);
		if (units[i].unit >= 0)
			KUNIT_EXPECT_PTR_EQ_MSG(test, at,
						units[i].text + units[i].used,
						"\"%s\"", units[i].text);
	}
}

static void unit_numbers(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < UBD_DEVICES; i++)
		KUNIT_EXPECT_EQ(test, ubd_unit(ubd_device(i)), i);
}

/* ---- commands that are refused ----------------------------------------- */

#define NO_UNIT	"expected a device, 0 to 15 or a to p, behind \"ubd\""
#define NO_FLAG	"expected '=' or a flag, once: A R S W c d t L V0 V3 V4 " \
		"C<n> H<n> S<n> M<n> Ma P<n> B<n>"
#define UNSNAPSHOT	"unsnapshot ubda [nowait] [delete] [force] [discard]"
#define NO_FILE	"expected a file behind '='"
#define NO_DEVICE	": no such device: ubda to ubdp, or ubd0 to ubd15"
#define NO_CHAIN	"ubdp: it is not configured"
#define NO_FIRST	"ubdo: it is not configured"
#define WHERE	"say which and where: snapshot ubda=FILE [ubdb=FILE ...] " \
		"or all=DIR"

struct refusal {
	console_handler handler;
	const char *command;
	const char *answer;
};

static const struct refusal refusals[] = {
	{ mconsole_config, "config ubdz=f", NO_UNIT },
	{ mconsole_config, "config ubd16=f", NO_UNIT },
	{ mconsole_config, "config ubd=f", NO_UNIT },
	{ mconsole_config, "config ubdpx=f", NO_FLAG },
	{ mconsole_config, "config ubdprr2=f", NO_FLAG },
	{ mconsole_config, "config ubdpV=f", NO_FLAG },
	{ mconsole_config, "config ubdpV5=f", NO_FLAG },
	{ mconsole_config, "config ubdpV3V4=f", NO_FLAG },
	{ mconsole_config, "config ubdpC=f", NO_FLAG },
	{ mconsole_config, "config ubdpC0=f", NO_FLAG },
	{ mconsole_config, "config ubdpC65536=f", NO_FLAG },
	{ mconsole_config, "config ubdpC4294967297=f", NO_FLAG },
	{ mconsole_config, "config ubdpC5C6=f", NO_FLAG },
	{ mconsole_config, "config ubdpH256=f", NO_FLAG },
	{ mconsole_config, "config ubdpS63S=", NO_FILE },
	{ mconsole_config, "config ubdpC65535H255S255V0=", NO_FILE },
	{ mconsole_config, "config ubdp=", NO_FILE },
	{ mconsole_config, "config ubdp=,f", NO_FILE },
	{ mconsole_config, "config ubdr=f", NO_UNIT },
	{ mconsole_config, "config ubdprstdcV4=", NO_FILE },
	{ mconsole_config, "config ubdz",
	  "no such device: ubd0 to ubd15, or ubda to ubdp" },
	{ mconsole_remove, "remove ubdz", "Couldn't parse device number" },
	{ mconsole_remove, "remove ubdp", "Device doesn't exist" },
	{ mconsole_snapshot, "snapshot ubdz", "ubdz" NO_DEVICE },
	{ mconsole_snapshot, "snapshot ubdz=f", "ubdz" NO_DEVICE },
	{ mconsole_snapshot, "snapshot ubdpp=f", "ubdpp" NO_DEVICE },
	{ mconsole_snapshot, "snapshot sda=f", "sda" NO_DEVICE },
	{ mconsole_snapshot, "snapshot =f", WHERE },
	{ mconsole_snapshot, "snapshot ubdp=", WHERE },
	{ mconsole_snapshot, "snapshot ubdp limit=5", WHERE },
	{ mconsole_snapshot, "snapshot ubdp=f ubdo=", WHERE },
	{ mconsole_snapshot, "snapshot all=", WHERE },
	{ mconsole_snapshot, "snapshot ubdp=f ubdz=g", "ubdz" NO_DEVICE },
	{ mconsole_snapshot, "snapshot ubdp=f ubdp=g",
	  "ubdp: it is named twice" },
	{ mconsole_snapshot, "snapshot ubdp=f ubd15=g",
	  "ubd15: it is named twice" },
	{ mconsole_snapshot, "snapshot all=d ubdp=f",
	  "all: no other device beside it" },
	{ mconsole_snapshot, "snapshot ubdp=f limit=0",
	  "limit=0: no time limit: 1 to 3600 seconds" },
	{ mconsole_snapshot, "snapshot ubdp=f ubdo=g crash", NO_FIRST },
	{ mconsole_snapshot, "snapshot all=d",
	  "there is no disk that can be written" },
	{ mconsole_snapshot, "snapshot ubdp=f", NO_CHAIN },
	{ mconsole_snapshot, "snapshot ubdp=f V3", NO_CHAIN },
	{ mconsole_snapshot, "snapshot ubdp=f V2",
	  "V2: no format that a snapshot can have: V3 or V4" },
	{ mconsole_snapshot, "snapshot ubd15", NO_CHAIN },
	{ mconsole_unsnapshot, "unsnapshot",
	  "say which: " UNSNAPSHOT },
	{ mconsole_unsnapshot, "unsnapshot ubdz", "ubdz" NO_DEVICE },
	{ mconsole_unsnapshot, "unsnapshot ubdp", NO_CHAIN },
	{ mconsole_unsnapshot, "unsnapshot ubdp  nowait\tforce", NO_CHAIN },
	{ mconsole_snapshot, "snapshot ubdp --json", NO_CHAIN },
	{ mconsole_hold, "hold", "say which: hold ubda [off]" },
	{ mconsole_hold, "hold ubdz", "ubdz" NO_DEVICE },
	{ mconsole_hold, "hold ubdp on",
	  "on: unknown word: hold ubda [off]" },
	{ mconsole_hold, "hold ubdp off", NO_CHAIN },
	{ mconsole_resume, "resume", "say which: resume ubda" },
	{ mconsole_resume, "resume ubdp off",
	  "off: unknown word: resume ubda" },
	{ mconsole_resume, "resume ubdp", NO_CHAIN },
	{ mconsole_unsnapshot, "unsnapshot ubdp quickly",
	  "quickly: unknown word: " UNSNAPSHOT },
};

static void refusal_name(const struct refusal *refusal, char *desc)
{
	strscpy(desc, refusal->command, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(refusal, refusals, refusal_name);

/* Device p is free, and so it is after each refusal. */
static void expect_free(struct kunit *test, struct console *console)
{
	console_ask(test, console, mconsole_config, "config ubdp");
	KUNIT_EXPECT_EQ(test, console->error, 0u);
	KUNIT_EXPECT_STREQ(test, console->text, "");
}

static void refused_command(struct kunit *test)
{
	const struct refusal *refusal = test->param_value;
	struct console *console = console_open(test);

	expect_free(test, console);
	console_ask(test, console, refusal->handler, "%s", refusal->command);
	KUNIT_EXPECT_NE(test, console->error, 0u);
	KUNIT_EXPECT_STREQ(test, console->text, refusal->answer);
	expect_free(test, console);
}

static void no_such_file(struct kunit *test)
{
	const char *path = files_name(test, "missing");
	struct console *console = console_open(test);

	console_ask(test, console, mconsole_config, "config ubdp=%s", path);
	KUNIT_EXPECT_NE(test, console->error, 0u);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(console->text, path), "%s",
				  console->text);
	KUNIT_EXPECT_NULL(test, strchr(console->text, '\n'));
	expect_free(test, console);
}

/* The protocol cuts what is longer, which must not become another name. */
static void cut_command(struct kunit *test)
{
	struct console *console = console_open(test);

	console_ask(test, console, mconsole_snapshot, "snapshot ubdp=%0500d",
		    0);
	KUNIT_EXPECT_NE(test, console->error, 0u);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(console->text, "511 bytes"),
				  "%s", console->text);
	expect_free(test, console);
}

static const struct refusal stopped[] = {
	{ mconsole_config, "config ubdp=f", "" },
	{ mconsole_remove, "remove ubdp", "" },
	{ mconsole_snapshot, "snapshot ubdp=f", "" },
	{ mconsole_snapshot, "snapshot", "" },
	{ mconsole_unsnapshot, "unsnapshot ubdp", "" },
	{ mconsole_hold, "hold ubdp", "" },
	{ mconsole_resume, "resume ubdp", "" },
};

/* As "stop" calls handlers: none of them may sleep. */
static void stopped_machine(struct kunit *test)
{
	struct console *console = console_open(test);
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(stopped); i++) {
		local_irq_save(flags);
		console_send(console, stopped[i].handler, "%s",
			     stopped[i].command);
		local_irq_restore(flags);
		console_listen(test, console);
		KUNIT_EXPECT_NE(test, console->error, 0u);
		KUNIT_EXPECT_STREQ_MSG(test, console->text,
				       "the machine is stopped: say \"go\" first",
				       "%s", stopped[i].command);
	}
	expect_free(test, console);
}

static struct kunit_case words_cases[] = {
	KUNIT_CASE(unit_names),
	KUNIT_CASE(unit_numbers),
	KUNIT_CASE_PARAM(refused_command, refusal_gen_params),
	KUNIT_CASE(no_such_file),
	KUNIT_CASE(cut_command),
	KUNIT_CASE(stopped_machine),
	{}
};

static struct kunit_suite words_suite = {
	.name = "ubd-words",
	.test_cases = words_cases,
};

kunit_test_suite(words_suite);

MODULE_DESCRIPTION("KUnit tests of what is said to ubd");
MODULE_LICENSE("GPL");
