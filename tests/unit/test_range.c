// SPDX-License-Identifier: GPL-2.0-only
/*
 * The range lock of src/range.c, with real threads. A thread never expects
 * anything itself: it notes what it saw, and the test looks. What threads use is
 * static, since a test that fails leaves them behind.
 */
#include <unistd.h>

#include "engine.h"
#include "tce2_range.h"

#define THREADS 6

/**
 * struct locker - a thread that locks a range, notes when, and unlocks it
 * @first: first entry
 * @count: entries
 * @killed: set to kill it
 * @ret: what locking returned
 * @order: when it got it, counted from 1
 */
struct locker {
	pthread_t thread;
	u64 first, count;
	bool killed;
	int ret;
	unsigned int order;
};

static struct tce2_range_lock rl;
static unsigned int got;

static void *run_locker(void *arg)
{
	struct locker *l = arg;
	struct tce2_range range;

	wait_killed = &l->killed;
	l->ret = tce2_range_lock(&rl, &range, l->first, l->count);
	if (!l->ret) {
		__atomic_store_n(&l->order,
				 __atomic_add_fetch(&got, 1, __ATOMIC_SEQ_CST),
				 __ATOMIC_SEQ_CST);
		tce2_range_unlock(&rl, &range);
	}
	return NULL;
}

static void await_waiters(unsigned int want)
{
	for (int i = 0; wait_count(&rl.wait) != want; i++) {
		if (i == 20000)
			sim_bug("%u threads do not wait", want);
		usleep(200);
	}
}

static void start(struct locker *l, u64 first, u64 count)
{
	*l = (struct locker){ .first = first, .count = count };
	pthread_create(&l->thread, NULL, run_locker, l);
}

static void begin_ranges(void)
{
	static struct lock_class_key key;

	platform_reset();
	tce2_range_lock_init(&rl, &key);
	got = 0;
	wait_for_others = true;
}

static void a_held_range_keeps_out_those_that_overlap_and_no_others(void)
{
	static struct tce2_range range;
	static struct locker before, behind, touch[3];

	begin_ranges();
	expect(tce2_range_lock(&rl, &range, 10, 10), 0);
	start(&before, 0, 10);
	start(&behind, 20, 1);
	pthread_join(before.thread, NULL);
	pthread_join(behind.thread, NULL);
	expect(got, 2);
	start(&touch[0], 0, 11);
	start(&touch[1], 19, 5);
	start(&touch[2], 12, 1);
	await_waiters(3);
	expect(got, 2);
	tce2_range_unlock(&rl, &range);
	for (int i = 0; i < 3; i++)
		pthread_join(touch[i].thread, NULL);
	expect(got, 5);
	expect(!rl.ranges, true);
}

static void overlapping_ranges_are_had_in_the_order_they_were_asked_for(void)
{
	static struct locker l[THREADS];
	static struct tce2_range range;

	begin_ranges();
	expect(tce2_range_lock(&rl, &range, 0, 1), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		start(&l[i], 0, 100 - i);
		await_waiters(i + 1);
	}
	tce2_range_unlock(&rl, &range);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(l[i].thread, NULL);
	for (unsigned int i = 0; i < THREADS; i++)
		expect(l[i].order, i + 1);
}

/* [0] is held, [0..9] waits for it, [9] waits for that */
static void a_killed_waiter_makes_room_for_those_behind_it(void)
{
	static struct locker wide, narrow;
	static struct tce2_range range;

	begin_ranges();
	expect(tce2_range_lock(&rl, &range, 0, 1), 0);
	start(&wide, 0, 10);
	await_waiters(1);
	start(&narrow, 9, 1);
	await_waiters(2);
	__atomic_store_n(&wide.killed, true, __ATOMIC_SEQ_CST);
	wake_up_all(&rl.wait);
	pthread_join(wide.thread, NULL);
	pthread_join(narrow.thread, NULL);
	expect(wide.ret, -EINTR);
	expect(narrow.ret, 0);
	tce2_range_unlock(&rl, &range);
	expect(!rl.ranges, true);
}

static const struct test range_tests[] = {
	TEST(a_held_range_keeps_out_those_that_overlap_and_no_others),
	TEST(overlapping_ranges_are_had_in_the_order_they_were_asked_for),
	TEST(a_killed_waiter_makes_room_for_those_behind_it),
};

SUITE(range_suite, range_tests);
