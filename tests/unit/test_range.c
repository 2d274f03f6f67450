// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the range lock of src/range.c, with real threads. The threads only record
 * results, and the test checks them. The data of the threads is static, because
 * threads outlive a test that fails.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/ktime.h>

#include "engine.h"
#include "sim_trace.h"
#include "tce2_range.h"

#define THREADS 6

/**
 * struct locker - a thread that locks a range, records its turn, and unlocks the range
 * @first: first entry
 * @count: number of entries
 * @patience: requests for which the thread stops waiting, see enum tce2_patience
 * @killed: set by the test to kill the thread
 * @ret: result of locking
 * @order: position in which the thread got its range, counted from 1
 */
struct locker {
	pthread_t thread;
	u64 first, count;
	enum tce2_patience patience;
	bool killed;
	int ret;
	unsigned int order;
};

static struct tce2_range_lock rl;
static struct tce2_hurry hurry;
static unsigned int got;

static void *run_locker(void *arg)
{
	struct locker *l = arg;
	struct tce2_range range;

	wait_killed = &l->killed;
	l->ret = tce2_range_queue(&rl, &range, l->first, l->count,
				  l->patience);
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
	for (int i = 0; wait_count(&completions) != want; i++) {
		if (i == 20000)
			sim_bug("fewer or more than %u threads wait", want);
		usleep(200);
	}
}

static void start_with(struct locker *l, u64 first, u64 count,
		       enum tce2_patience patience)
{
	*l = (struct locker){
		.first = first, .count = count, .patience = patience,
	};
	pthread_create(&l->thread, NULL, run_locker, l);
}

static void start(struct locker *l, u64 first, u64 count)
{
	start_with(l, first, count, TCE2_STAYS);
}

static void begin_ranges(void)
{
	static struct lock_class_key key;

	platform_reset();
	tce2_range_lock_init(&rl, &hurry, &key);
	atomic_set(&hurry.turning_away, 0);
	atomic_set(&hurry.stopping, 0);
	got = 0;
	wait_for_others = true;
}

TEST(a_locked_range_blocks_only_overlapping_ranges)
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
	expect(!rl.last, true);
}

static void *lock_uninterruptibly(void *unused)
{
	static struct tce2_range range;

	tce2_range_lock_uninterruptible(&rl, &range, 0, 1);
	tce2_range_unlock(&rl, &range);
	return NULL;
}

TEST(each_wait_for_a_range_is_traced)
{
	static struct tce2_range range;
	static struct locker l;
	pthread_t thread;

	begin_ranges();
	sim_ns = 1;
	sim_trace(true);
	expect(tce2_range_lock(&rl, &range, 0, 1), 0);
	expect(strcmp(sim_events, ""), 0);
	start(&l, 0, 1);
	await_waiters(1);
	sim_ns = 8;
	tce2_range_unlock(&rl, &range);
	pthread_join(l.thread, NULL);
	expect(strcmp(sim_events, "wait 0 7\n"), 0);
	sim_trace(true);
	expect(tce2_range_lock(&rl, &range, 0, 1), 0);
	pthread_create(&thread, NULL, lock_uninterruptibly, NULL);
	await_waiters(1);
	sim_ns = 10;
	tce2_range_unlock(&rl, &range);
	pthread_join(thread, NULL);
	expect(strcmp(sim_events, "wait 0 2\n"), 0);
	sim_trace(false);
}

TEST(overlapping_ranges_are_locked_in_the_order_of_the_requests)
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

/* Entry 0 is locked, [0..9] waits for it, and [9] waits for [0..9] */
TEST(a_killed_waiter_does_not_block_later_waiters)
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
	wake_up_all(&completions);
	pthread_join(wide.thread, NULL);
	pthread_join(narrow.thread, NULL);
	expect(wide.ret, -EINTR);
	expect(narrow.ret, 0);
	tce2_range_unlock(&rl, &range);
	expect(!rl.last, true);
}

/* [0..9] and [10..19] are locked, and [5..14] waits for both */
TEST(a_waiter_wakes_once_when_its_last_blocker_is_unlocked)
{
	static struct tce2_range low, high;
	static struct locker wide;

	begin_ranges();
	for (int low_first = 0; low_first < 2; low_first++) {
		expect(tce2_range_lock(&rl, &low, 0, 10), 0);
		expect(tce2_range_trylock(&rl, &high, 10, 10), true);
		start(&wide, 5, 10);
		await_waiters(1);
		tce2_range_unlock(&rl, low_first ? &low : &high);
		/* No thread was woken that would have to wait again */
		expect(wait_count(&completions), 1);
		tce2_range_unlock(&rl, low_first ? &high : &low);
		pthread_join(wide.thread, NULL);
		expect(got, low_first + 1);
	}
	expect(!rl.last, true);
}

TEST(yielding_waiters_return_eagain_when_turned_away)
{
	static struct locker aside[3], stays;
	static struct tce2_range range;

	begin_ranges();
	expect(tce2_range_lock(&rl, &range, 0, 10), 0);
	for (int i = 0; i < 3; i++) {
		start_with(&aside[i], 9, 1 + i, TCE2_YIELDS);
		await_waiters(i + 1);
	}
	start(&stays, 0, 20);
	await_waiters(4);
	atomic_inc(&hurry.turning_away);
	tce2_range_turn_away(&rl);
	for (int i = 0; i < 3; i++) {
		pthread_join(aside[i].thread, NULL);
		expect(aside[i].ret, -EAGAIN);
	}
	expect(wait_count(&completions), 1);
	expect(got, 0);
	tce2_range_unlock(&rl, &range);
	pthread_join(stays.thread, NULL);
	expect(stays.ret, 0);
	expect(!rl.last, true);
}

/* A request that was turned away once yields to VFIO, but not again to the client's writers */
TEST(a_waiter_that_yields_to_vfio_waits_for_client_writers)
{
	static struct tce2_range range, other;
	static struct locker patient;

	begin_ranges();
	expect(tce2_range_lock(&rl, &range, 0, 10), 0);
	atomic_inc(&hurry.turning_away);
	start_with(&patient, 9, 1, TCE2_YIELDS_TO_VFIO);
	await_waiters(1);
	tce2_range_turn_away(&rl);
	expect(wait_count(&completions), 1);
	atomic_inc(&hurry.stopping);
	expect(tce2_range_queue(&rl, &other, 9, 1, TCE2_YIELDS_TO_VFIO),
	       -EAGAIN);
	tce2_range_turn_away(&rl);
	pthread_join(patient.thread, NULL);
	expect(patient.ret, -EAGAIN);
	tce2_range_unlock(&rl, &range);
	expect(!rl.last, true);
}

static bool came;

/* Runs as another request, in the middle of tce2_range_unlock() */
static void come_meanwhile(void)
{
	static struct tce2_range second;

	spin_unlocked = NULL;
	came = tce2_range_trylock(&rl, &second, 50, 1);
	if (came)
		tce2_range_unlock(&rl, &second);
}

/* If new ranges had to wait for it, a stream of requests could keep the unlock from returning */
TEST(a_new_range_does_not_wait_for_a_range_being_unlocked)
{
	static struct tce2_range wide;
	static struct locker narrow;

	begin_ranges();
	tce2_range_lock_uninterruptible(&rl, &wide, 0, 100);
	start(&narrow, 0, 1);
	await_waiters(1);
	came = false;
	spin_unlocked = come_meanwhile;
	tce2_range_unlock(&rl, &wide);
	pthread_join(narrow.thread, NULL);
	expect(came, true);
	expect(!rl.last, true);
}

TEST(a_request_that_would_wait_returns_eagain_while_turning_away)
{
	static struct tce2_range range, other;

	begin_ranges();
	expect(tce2_range_queue(&rl, &range, 0, 10, TCE2_YIELDS), 0);
	atomic_inc(&hurry.turning_away);
	expect(tce2_range_queue(&rl, &other, 9, 1, TCE2_YIELDS), -EAGAIN);
	expect(tce2_range_queue(&rl, &other, 10, 1, TCE2_YIELDS), 0);
	tce2_range_unlock(&rl, &other);
	tce2_range_unlock(&rl, &range);
	expect(!rl.last, true);
}

/*
 * Brief locks. With one thread, tce2_brief_trylock() returns at once.
 * A thread with a range waits actively, so the holder of the brief lock is the test itself.
 */

static struct tce2_brief briefs[TCE2_BRIEFS];

static void begin_briefs(void)
{
	begin_ranges();
	memset(briefs, 0, sizeof(briefs));
	tce2_range_add_briefs(&rl, briefs, 2);
}

TEST(a_brief_lock_is_refused_while_a_thread_has_a_range_of_its_leaf)
{
	static struct tce2_range range, other;

	begin_briefs();
	for (int i = 0; i < TCE2_BRIEFS; i++) {
		expect(tce2_brief_trylock(&rl, &briefs[i]), true);
		expect(tce2_brief_trylock(&rl, &briefs[i]), false);
		tce2_brief_unlock(&rl, &briefs[i]);
	}
	/* Leaves 3 to 5, then also leaf 10, which has the brief lock of leaf 3 */
	expect(tce2_range_lock(&rl, &range, 15, 6), 0);
	expect(tce2_range_trylock(&rl, &other, 40, 1), true);
	for (int i = 0; i < TCE2_BRIEFS; i++) {
		bool free = tce2_brief_trylock(&rl, &briefs[i]);

		expect(free, i < 3 || i > 5);
		if (free)
			tce2_brief_unlock(&rl, &briefs[i]);
	}
	tce2_range_unlock(&rl, &range);
	expect(tce2_brief_trylock(&rl, &briefs[3]), false);
	expect(tce2_brief_trylock(&rl, &briefs[4]), true);
	tce2_brief_unlock(&rl, &briefs[4]);
	tce2_range_unlock(&rl, &other);
	for (int i = 0; i < TCE2_BRIEFS; i++)
		expect(atomic_read(&briefs[i].word), 0);
}

TEST(a_waiting_range_does_not_close_its_leaves)
{
	static struct tce2_range range;
	static struct locker waiting;

	begin_briefs();
	expect(tce2_range_lock(&rl, &range, 0, 5), 0);
	start(&waiting, 4, 8);
	await_waiters(1);
	/* Leaf 2 is only in the range that waits */
	expect(tce2_brief_trylock(&rl, &briefs[2]), true);
	tce2_brief_unlock(&rl, &briefs[2]);
	expect(tce2_brief_trylock(&rl, &briefs[1]), false);
	tce2_range_unlock(&rl, &range);
	pthread_join(waiting.thread, NULL);
	expect(waiting.ret, 0);
	for (int i = 0; i < TCE2_BRIEFS; i++)
		expect(atomic_read(&briefs[i].word), 0);
}

/* Each thread of a client uses an area, which begins at a multiple of a power of two */
TEST(leaves_at_equal_distances_have_different_brief_locks)
{
	for (u64 distance = 1; distance <= 64; distance *= 2) {
		unsigned int seen = 0;

		for (u64 area = 0; area < TCE2_BRIEFS; area++)
			seen |= 1U << tce2_brief_number(area * distance);
		expect(seen, (1U << TCE2_BRIEFS) - 1);
	}
	expect(tce2_brief_number(128) != tce2_brief_number(0), true);
	expect(tce2_brief_number(256) != tce2_brief_number(0), true);
}

static bool released;

/* Runs as the holder of the brief lock, while another thread waits for it */
static void release_the_brief(void)
{
	released = true;
	atomic_fetch_sub_release(TCE2_BRIEF_HELD, &briefs[3].word);
}

/* A thread that does not wait makes fewer reads than this */
#define WHILE_WAITING	40

TEST(an_attempt_to_lock_a_range_waits_for_brief_locks_of_its_leaves_only)
{
	static const struct {
		u64 first, count;
		bool free;
	} rows[] = {
		{ 12, 4, false }, { 15, 1, false }, { 0, 13, false }, { 0, 1000, false },
		/* Leaf 3 and leaf 10 have the same brief lock */
		{ 40, 1, false }, { 36, 24, false }, { 16, 25, false }, { 16, 36, false },
		{ 0, 12, true }, { 16, 24, true }, { 11, 1, true }, { 44, 1, true },
		{ 48, 5, true },
	};
	static struct tce2_range range;

	begin_briefs();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* The brief lock of entries 12 to 15 */
		expect(tce2_brief_trylock(&rl, &briefs[3]), true);
		released = false;
		sim_when(SIM_AT_READ, WHILE_WAITING, release_the_brief);
		expect(tce2_range_trylock(&rl, &range, rows[i].first, rows[i].count), true);
		sim_when(SIM_AT_READ, 0, NULL);
		expect(released, !rows[i].free);
		tce2_range_unlock(&rl, &range);
		expect(!rl.last, true);
		if (rows[i].free)
			tce2_brief_unlock(&rl, &briefs[3]);
		else
			preempt_enable();
		expect(atomic_read(&briefs[3].word), 0);
	}
}

static struct tce2_range meanwhile;
static bool locked_meanwhile;

/* Runs after the thread has read the queue, and before it stores to the brief lock */
static void lock_a_range(void)
{
	locked_meanwhile = tce2_range_trylock(&rl, &meanwhile, 12, 4);
}

TEST(a_brief_lock_fails_if_a_range_is_locked_at_the_same_time)
{
	begin_briefs();
	locked_meanwhile = false;
	sim_when(SIM_AT_SWAP, 1, lock_a_range);
	expect(tce2_brief_trylock(&rl, &briefs[3]), false);
	expect(locked_meanwhile, true);
	expect(atomic_read(&briefs[3].word), TCE2_BRIEF_RANGE);
	tce2_range_unlock(&rl, &meanwhile);
	expect(atomic_read(&briefs[3].word), 0);
}

TEST(a_thread_waits_for_a_brief_lock_that_is_released_soon)
{
	begin_briefs();
	expect(tce2_brief_lock(&rl, &briefs[3]), true);
	sim_when(SIM_AT_READ, WHILE_WAITING, release_the_brief);
	expect(tce2_brief_lock(&rl, &briefs[3]), true);
	expect(atomic_read(&briefs[3].word), TCE2_BRIEF_HELD);
	/* The holder does not release the lock in time */
	expect(tce2_brief_lock(&rl, &briefs[3]), false);
	expect(atomic_read(&briefs[3].word), TCE2_BRIEF_HELD);
	tce2_brief_unlock(&rl, &briefs[3]);
	preempt_enable();
}

static void unlock_the_range(void)
{
	tce2_range_unlock(&rl, &meanwhile);
}

static unsigned int unlock_reads;

/* Runs as the holder of the brief lock, which then locks a range of the leaf instead */
static void lock_a_range_and_release_the_brief(void)
{
	release_the_brief();
	locked_meanwhile = tce2_range_trylock(&rl, &meanwhile, 12, 4);
	sim_when(SIM_AT_READ, unlock_reads, unlock_the_range);
}

TEST(a_thread_waits_for_a_range_that_is_unlocked_soon)
{
	for (int soon = 0; soon < 2; soon++) {
		begin_briefs();
		expect(tce2_brief_lock(&rl, &briefs[3]), true);
		unlock_reads = soon ? WHILE_WAITING : 5000;
		sim_when(SIM_AT_READ, WHILE_WAITING, lock_a_range_and_release_the_brief);
		expect(tce2_brief_lock(&rl, &briefs[3]), soon);
		sim_when(SIM_AT_READ, 0, NULL);
		expect(locked_meanwhile, true);
		preempt_enable();
		if (soon)
			tce2_brief_unlock(&rl, &briefs[3]);
		else
			unlock_the_range();
		expect(atomic_read(&briefs[3].word), 0);
	}
}

TEST(a_thread_waits_for_no_brief_lock_if_it_has_to_reschedule)
{
	begin_briefs();
	expect(tce2_brief_lock(&rl, &briefs[3]), true);
	released = false;
	sim_when(SIM_AT_READ, WHILE_WAITING, release_the_brief);
	sim_resched = true;
	expect(tce2_brief_lock(&rl, &briefs[3]), false);
	sim_resched = false;
	sim_when(SIM_AT_READ, 0, NULL);
	expect(released, false);
	tce2_brief_unlock(&rl, &briefs[3]);
}

static void *lock_behind_a_brief(void *arg)
{
	struct locker *l = arg;
	struct tce2_range range;

	if (l->patience == TCE2_STAYS)
		tce2_range_lock_uninterruptible(&rl, &range, l->first, l->count);
	else
		l->ret = tce2_range_queue(&rl, &range, l->first, l->count, l->patience);
	__atomic_add_fetch(&got, 1, __ATOMIC_SEQ_CST);
	tce2_range_unlock(&rl, &range);
	return NULL;
}

TEST(a_thread_with_a_range_waits_for_brief_locks_of_its_leaves_only)
{
	static struct locker behind[2], aside;

	begin_briefs();
	expect(tce2_brief_trylock(&rl, &briefs[3]), true);
	for (int i = 0; i < 2; i++) {
		behind[i] = (struct locker){
			.first = 12, .count = 1 + i,
			.patience = i ? TCE2_STAYS : TCE2_YIELDS,
		};
		pthread_create(&behind[i].thread, NULL, lock_behind_a_brief, &behind[i]);
		while (!__atomic_load_n(&rl.last, __ATOMIC_SEQ_CST))
			usleep(50);
		start(&aside, 16, 24);
		pthread_join(aside.thread, NULL);
		usleep(2000);
		/* Only the thread of @aside has got its range */
		expect(__atomic_load_n(&got, __ATOMIC_SEQ_CST), 1);
		tce2_brief_unlock(&rl, &briefs[3]);
		pthread_join(behind[i].thread, NULL);
		expect(got, 2);
		got = 0;
		expect(tce2_brief_trylock(&rl, &briefs[3]), true);
	}
	tce2_brief_unlock(&rl, &briefs[3]);
	expect(!rl.last, true);
}

#define CELLS 24
#define LEAF_CELLS 4
#define ROUNDS 400

/* Number of the thread that owns each entry, 0 for none */
static int owner[CELLS];
static bool stop_turning;

static void own(u64 first, u64 count, int from, int to)
{
	for (u64 i = first; i < first + count; i++) {
		if (__atomic_exchange_n(&owner[i], to, __ATOMIC_SEQ_CST) != from)
			sim_bug("two threads own entry %llu", i);
	}
}

/* Owns a leaf with its brief lock; returns false if the brief lock was not free in time */
static bool own_a_leaf(u64 first, int id)
{
	struct tce2_brief *brief = &briefs[tce2_brief_number(first / LEAF_CELLS)];

	if (!tce2_brief_lock(&rl, brief))
		return false;
	first -= first % LEAF_CELLS;
	own(first, LEAF_CELLS, 0, id);
	own(first, LEAF_CELLS, id, 0);
	tce2_brief_unlock(&rl, brief);
	return true;
}

static void *lock_at_random(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	int id = (uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		u64 first = rand_r(&seed) % CELLS;
		u64 count = 1 + rand_r(&seed) % (CELLS - first);
		struct tce2_range range;

		if (rand_r(&seed) % 2 && own_a_leaf(first, id))
			continue;
		if (rand_r(&seed) % 2)
			tce2_range_lock_uninterruptible(&rl, &range, first, count);
		else if (tce2_range_queue(&rl, &range, first, count,
					  TCE2_YIELDS))
			continue;
		own(first, count, 0, id);
		if (!(rand_r(&seed) % 4))
			sched_yield();
		own(first, count, id, 0);
		tce2_range_unlock(&rl, &range);
	}
	return NULL;
}

static void *turn_away_at_random(void *arg)
{
	while (!__atomic_load_n(&stop_turning, __ATOMIC_SEQ_CST)) {
		atomic_inc(&hurry.turning_away);
		tce2_range_turn_away(&rl);
		sched_yield();
		atomic_dec(&hurry.turning_away);
		usleep(50);
	}
	return arg;
}

TEST(no_entry_is_locked_by_two_threads_at_once)
{
	pthread_t threads[THREADS], turner;

	begin_briefs();
	stop_turning = false;
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, lock_at_random,
			       (void *)(i + 1));
	pthread_create(&turner, NULL, turn_away_at_random, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&stop_turning, true, __ATOMIC_SEQ_CST);
	pthread_join(turner, NULL);
	expect(!rl.last, true);
}

static bool stop_locking;

static void *lock_one_leaf_always(void *arg)
{
	struct tce2_brief *brief = &briefs[tce2_brief_number(1)];

	while (!__atomic_load_n(&stop_locking, __ATOMIC_SEQ_CST)) {
		if (!tce2_brief_lock(&rl, brief))
			continue;
		own(LEAF_CELLS, LEAF_CELLS, 0, 1);
		own(LEAF_CELLS, LEAF_CELLS, 1, 0);
		tce2_brief_unlock(&rl, brief);
	}
	return arg;
}

/* The case ends only if each range gets its turn */
TEST(a_range_is_locked_although_other_threads_always_want_the_brief_lock)
{
	static struct locker lockers[2];
	pthread_t threads[2];

	begin_briefs();
	stop_locking = false;
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, lock_one_leaf_always, NULL);
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < 2; j++)
			start(&lockers[j], LEAF_CELLS + j, 1);
		for (int j = 0; j < 2; j++)
			pthread_join(lockers[j].thread, NULL);
		expect(got, 2 * (i + 1));
	}
	__atomic_store_n(&stop_locking, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	expect(!rl.last, true);
	expect(atomic_read(&briefs[1].word), 0);
}
