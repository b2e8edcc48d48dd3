// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freezes and the program that is told of them, as far as that goes without a file
 * system and without programs.
 *
 * Duty: what there is nothing to do for ends well, says so, and leaves nothing.
 */
#include <kunit/test.h>
#include <linux/bits.h>
#include <linux/string.h>
#include "ubd_freeze.h"
#include "ubd_hook.h"

static bool never(void *arg)
{
	struct kunit *test = arg;

	KUNIT_FAIL(test, "the time limit of a freeze of nothing");
	return true;
}

static void nothing_to_freeze(struct kunit *test)
{
	struct ubd_freeze *freeze = kunit_kzalloc(test, sizeof(*freeze),
						  GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, freeze);
	freeze->limit = 1;
	freeze->expire = never;
	freeze->arg = test;
	ubd_freeze_init(freeze);
	KUNIT_EXPECT_EQ(test, ubd_freeze_find(freeze), 0);
	KUNIT_EXPECT_EQ(test, ubd_freeze_hold(freeze), 0);
	ubd_freeze_release(freeze);
	ubd_freeze_end(freeze);
	KUNIT_EXPECT_EQ(test, freeze->count, 0u);
	KUNIT_EXPECT_EQ(test, freeze->held_ns, 0ull);
	KUNIT_EXPECT_STREQ(test, freeze->why, "");
}

/* As after a program that said no: nothing was looked for. */
static void end_without_beginning(struct kunit *test)
{
	struct ubd_freeze *freeze = kunit_kzalloc(test, sizeof(*freeze),
						  GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, freeze);
	ubd_freeze_init(freeze);
	ubd_freeze_release(freeze);
	ubd_freeze_end(freeze);
	KUNIT_EXPECT_STREQ(test, freeze->why, "");
}

static void no_such_program(struct kunit *test)
{
	char why[64] = "";

	KUNIT_EXPECT_EQ(test, ubd_hook("/nowhere/hook", "freeze", BIT(3), 60,
				       why, sizeof(why)), -ENOENT);
	KUNIT_EXPECT_STREQ(test, why, "it can not be run, error 2");
}

static struct kunit_case freeze_cases[] = {
	KUNIT_CASE(nothing_to_freeze),
	KUNIT_CASE(end_without_beginning),
	KUNIT_CASE(no_such_program),
	{}
};

static struct kunit_suite freeze_suite = {
	.name = "ubd-freeze",
	.test_cases = freeze_cases,
};

kunit_test_suite(freeze_suite);

MODULE_DESCRIPTION("KUnit tests of freezes for snapshots");
MODULE_LICENSE("GPL");
