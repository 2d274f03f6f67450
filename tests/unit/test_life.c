// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the life cycle of a region (include/tce2_cache.h): sharing, unregistering and
 * destruction, also with other threads that use the region meanwhile.
 */
#include <linux/rcupdate.h>
#include <linux/wait.h>

#include "unit.h"

#define COUNT 8 /* pages of a region */
#define SIZE  PAGES(COUNT)

/* Shared with the functions that run as another thread */
static struct tce2_cache *cache;
static struct tce2_region *region, *other;

static void begin(void)
{
	cache = new_process();
	map_scattered(UA, 4 * COUNT, 0, true);
	region = NULL;
	other = NULL;
}

static void begin_registered(void)
{
	begin();
	region = registered(cache, UA, SIZE);
}

static void expect_pins_and_charge(u64 pages)
{
	expect(sim.now.pinned, pages);
	expect(sim.now.charged, pages);
	expect(sim_charged(sim.mm), pages);
}

TEST(a_region_that_is_registered_again_is_not_pinned_or_charged_again)
{
	u64 pin_calls, charge_calls;

	begin_registered();
	pin_calls = sim.pin_calls;
	charge_calls = sim.charge_calls;
	for (int i = 0; i < 3; i++) {
		expect(registered(cache, UA, SIZE) == region, true);
		expect_pins_and_charge(COUNT);
	}
	expect(sim.pin_calls, pin_calls);
	expect(sim.charge_calls, charge_calls);

	for (int i = 0; i < 3; i++) {
		expect(tce2_region_unregister(region), 0);
		expect_pins_and_charge(COUNT);
	}
	expect(tce2_region_unregister(region), 0);
	expect_pins_and_charge(0);
	tce2_cache_put(cache);
}

TEST(unregister_unpins_and_refunds_before_it_returns)
{
	begin();
	for (int i = 0; i < 3; i++) {
		region = registered(cache, UA, SIZE);
		expect_pins_and_charge(COUNT);
		expect(tce2_region_unregister(region), 0);
		expect_pins_and_charge(0);
	}
	tce2_cache_put(cache);
}

TEST(unregister_while_mapped_returns_ebusy_and_can_be_retried)
{
	struct sim_counts before;

	begin_registered();
	expect(hold(cache, UA, 2, WRITE), 0);
	before = sim.now;
	expect(tce2_region_unregister(region), -EBUSY);
	expect_counts(before);

	drop(cache, UA, 1);
	expect(tce2_region_unregister(region), -EBUSY);
	drop(cache, UA + PAGES(1), 1);
	expect_counts(before);
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

TEST(an_unregister_before_the_last_succeeds_while_mapped)
{
	begin_registered();
	registered(cache, UA, SIZE);
	expect(hold(cache, UA, COUNT, WRITE), 0);
	expect(tce2_region_unregister(region), 0);
	expect(tce2_region_unregister(region), -EBUSY);
	expect_pins_and_charge(COUNT);
	drop(cache, UA, COUNT);
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

TEST(unregister_nofail_of_an_unmapped_region_destroys_it_with_the_last_user)
{
	begin_registered();
	registered(cache, UA, SIZE);
	tce2_region_unregister_nofail(region);
	expect_pins_and_charge(COUNT);
	tce2_region_unregister_nofail(region);
	expect_pins_and_charge(0);
	tce2_cache_put(cache);
}

TEST(an_unregistered_region_stays_until_its_last_unmap)
{
	begin_registered();
	expect(hold(cache, UA, 3, WRITE), 0);
	expect(hold(cache, UA, 1, READ), 0);
	tce2_region_unregister_nofail(region);
	expect_pins_and_charge(COUNT);
	drop(cache, UA, 1);
	drop(cache, UA + PAGES(1), 2);
	expect_pins_and_charge(COUNT);
	drop(cache, UA, 1);
	expect_pins_and_charge(0);
	tce2_cache_put(cache);
}

TEST(an_unregistered_region_takes_no_new_mapping)
{
	begin_registered();
	expect(hold(cache, UA, 1, WRITE), 0);
	tce2_region_unregister_nofail(region);
	expect(hold(cache, UA, 1, READ), -EINVAL);
	expect(hold(cache, UA + PAGES(2), 1, READ), -EINVAL);
	drop(cache, UA, 1);
	expect_pins_and_charge(0);
	tce2_cache_put(cache);
}

TEST(an_unregistered_mapped_region_is_registered_again_without_pinning)
{
	u64 pin_calls;

	begin_registered();
	expect(hold(cache, UA, 1, WRITE), 0);
	tce2_region_unregister_nofail(region);

	pin_calls = sim.pin_calls;
	expect(registered(cache, UA, SIZE) == region, true);
	expect(sim.pin_calls, pin_calls);
	expect_pins_and_charge(COUNT);

	expect(hold(cache, UA + PAGES(1), 1, WRITE), 0);
	drop(cache, UA, 2);
	expect_pins_and_charge(COUNT);
	expect(tce2_region_unregister(region), 0);
	expect_pins_and_charge(0);
	tce2_cache_put(cache);
}

TEST(an_unregistered_mapped_region_refuses_overlaps)
{
	begin_registered();
	expect(hold(cache, UA, 1, WRITE), 0);
	tce2_region_unregister_nofail(region);
	expect(tce2_region_register(cache, UA, SIZE + PAGES(1), &other),
	       -EINVAL);
	expect_pins_and_charge(COUNT);
	drop(cache, UA, 1);
	other = registered(cache, UA, SIZE + PAGES(1));
	expect(tce2_region_unregister(other), 0);
	tce2_cache_put(cache);
}

TEST(drop_batch_add_gathers_pages_and_flush_drops_them)
{
	struct tce2_drop_batch batch;

	begin_registered();
	batch = (struct tce2_drop_batch){ .cache = cache };
	expect(hold(cache, UA, 3, WRITE), 0);
	tce2_region_unregister_nofail(region);
	for (int i = 0; i < 3; i++) {
		expect_pins_and_charge(COUNT);
		tce2_drop_batch_add(&batch, MEMORY(UA + PAGES(i), PAGE_SHIFT, 1));
	}
	expect(batch.count, 3);
	expect_pins_and_charge(COUNT);
	tce2_drop_batch_flush(&batch);
	expect_pins_and_charge(0);
	expect(batch.count, 0);
	tce2_drop_batch_flush(&batch);
	tce2_cache_put(cache);
}

TEST(adding_another_regions_pages_to_a_batch_drops_the_first_regions)
{
	struct tce2_drop_batch batch;

	begin_registered();
	batch = (struct tce2_drop_batch){ .cache = cache };
	other = registered(cache, UA + SIZE, SIZE);
	expect(hold(cache, UA, 2 * COUNT, WRITE), 0);
	tce2_region_unregister_nofail(region);
	tce2_region_unregister_nofail(other);
	for (int i = 0; i < COUNT; i++)
		tce2_drop_batch_add(&batch, MEMORY(UA + PAGES(i), PAGE_SHIFT, 1));
	expect_pins_and_charge(2 * COUNT);
	for (int i = COUNT; i < 2 * COUNT; i++) {
		tce2_drop_batch_add(&batch, MEMORY(UA + PAGES(i), PAGE_SHIFT, 1));
		expect_pins_and_charge(COUNT);
	}
	tce2_drop_batch_flush(&batch);
	expect_pins_and_charge(0);
	tce2_cache_put(cache);
}

TEST(find_held_returns_the_region_of_a_held_page)
{
	begin_registered();
	other = registered(cache, UA + SIZE, SIZE);
	expect(hold(cache, UA, 2 * COUNT, READ), 0);
	for (int i = 0; i < COUNT; i++) {
		expect(tce2_region_find_held(cache, UA + PAGES(i),
					     PAGE_SHIFT) == region,
		       true);
		expect(tce2_region_find_held(cache, UA + SIZE + PAGES(i),
					     PAGE_SHIFT) == other,
		       true);
	}
	drop(cache, UA, 2 * COUNT);
	expect(tce2_region_unregister(region), 0);
	expect(tce2_region_unregister(other), 0);
	tce2_cache_put(cache);
}

TEST(a_destroyed_region_is_freed_after_a_grace_period)
{
	u64 allocs;

	begin();
	allocs = sim.now.allocs;
	region = registered(cache, UA, SIZE);
	rcu_read_lock();
	other = tce2_rm_lookup(cache, UA, PAGE_SIZE);
	rcu_read_unlock();
	expect(other == region, true);
	expect(tce2_region_unregister(region), 0);
	expect_pins_and_charge(0);
	/* A reader that found the region may still read it; AddressSanitizer would detect a free */
	expect(other->ua, UA);
	sim_grace_period();
	expect(sim.now.allocs, allocs);
	tce2_cache_put(cache);
}

/*
 * Concurrent threads. A region is dying once its mapped count is 0. A dying region stays
 * in the tree until the thread that took the count to 0 gets the lock.
 */

static void register_the_same(void)
{
	other = registered(cache, UA, SIZE);
}

TEST(registering_a_dying_region_makes_a_new_one)
{
	begin_registered();
	expect(hold(cache, UA, 1, WRITE), 0);
	tce2_region_unregister_nofail(region);
	sim_when(SIM_AT_LOCK, 1, register_the_same);
	drop(cache, UA, 1);

	expect(other && other != region, true);
	expect_pins_and_charge(COUNT);
	expect(hold(cache, UA, COUNT, WRITE), 0);
	expect(tce2_region_find_held(cache, UA, PAGE_SHIFT) == other, true);
	drop(cache, UA, COUNT);
	expect(tce2_region_unregister(other), 0);
	tce2_cache_put(cache);
}

static void register_an_overlap(void)
{
	other = registered(cache, UA + PAGES(1), SIZE);
}

TEST(a_dying_region_does_not_block_the_registration_of_an_overlap)
{
	begin_registered();
	expect(hold(cache, UA, 1, WRITE), 0);
	tce2_region_unregister_nofail(region);
	sim_when(SIM_AT_LOCK, 1, register_an_overlap);
	drop(cache, UA, 1);

	expect_pins_and_charge(COUNT);
	expect(hold(cache, UA, 1, READ), -EINVAL);
	expect(hold(cache, UA + SIZE, 1, READ), 0);
	drop(cache, UA + SIZE, 1);
	expect(tce2_region_unregister(other), 0);
	tce2_cache_put(cache);
}

static void hold_is_refused(void)
{
	expect(hold(cache, UA, 1, READ), -EINVAL);
	expect(hold(cache, UA, COUNT, WRITE), -EINVAL);
}

TEST(no_mapping_begins_on_a_dying_region)
{
	begin_registered();
	expect(hold(cache, UA, 1, WRITE), 0);
	tce2_region_unregister_nofail(region);
	sim_when(SIM_AT_LOCK, 1, hold_is_refused);
	drop(cache, UA, 1);
	expect_pins_and_charge(0);

	/* unregister takes the first lock, tce2_region_destroy() the second */
	region = registered(cache, UA, SIZE);
	sim_when(SIM_AT_LOCK, 2, hold_is_refused);
	expect(tce2_region_unregister(region), 0);
	expect_pins_and_charge(0);
	tce2_cache_put(cache);
}

static void join(void)
{
	expect(registered(cache, UA, SIZE) == region, true);
}

static void register_again_and_unregister(void)
{
	struct tce2_region *other = registered(cache, UA, SIZE);

	expect(other != region, true);
	expect(tce2_region_unregister(other), 0);
}

/* unregister_nofail() decrements both counts of the region under one lock */
TEST(a_region_of_a_closing_container_can_be_registered_and_unregistered)
{
	begin_registered();
	sim_when(SIM_AT_UNLOCK, 1, register_again_and_unregister);
	tce2_region_unregister_nofail(region);
	expect_pins_and_charge(0);

	/* A mapped region stays, and can be joined */
	region = registered(cache, UA, SIZE);
	expect(hold(cache, UA, 1, WRITE), 0);
	sim_when(SIM_AT_UNLOCK, 1, join);
	tce2_region_unregister_nofail(region);
	expect_pins_and_charge(COUNT);
	drop(cache, UA, 1);
	expect(tce2_region_unregister(region), 0);
	expect_pins_and_charge(0);
	tce2_cache_put(cache);
}

static void unregister_nofail(void)
{
	tce2_region_unregister_nofail(region);
	expect_pins_and_charge(COUNT);
}

/* The hold has counted all pages before it finds a page that is not writable */
TEST(a_failing_hold_may_drop_the_last_page_of_a_region)
{
	begin();
	map_scattered(UA + PAGES(100), COUNT, 1000, false);
	sim_mmap(sim.mm, UA + PAGES(99), PAGE_SIZE, PAGE_SHIFT, true)[0] = 2000;
	region = registered(cache, UA + PAGES(99), SIZE);
	sim_when(SIM_AT_READ_END, 1, unregister_nofail);
	expect(hold(cache, UA + PAGES(99), COUNT, WRITE), -EPERM);
	expect_pins_and_charge(0);
	tce2_cache_put(cache);
}

static void unregister_it(void)
{
	expect(tce2_region_unregister(region), 0);
}

static void replace_it(void)
{
	unregister_it();
	register_the_same();
}

TEST(a_hold_fails_if_its_region_is_unregistered_after_the_lookup)
{
	begin_registered();
	sim_when(SIM_AT_COUNT, 1, unregister_it);
	expect(hold(cache, UA, 1, WRITE), -EINVAL);
	expect_pins_and_charge(0);
	tce2_cache_put(cache);
}

TEST(a_hold_finds_the_region_that_replaces_the_looked_up_region)
{
	begin_registered();
	sim_when(SIM_AT_COUNT, 1, replace_it);
	expect(hold(cache, UA, 1, WRITE), 0);
	expect(tce2_region_find_held(cache, UA, PAGE_SHIFT) == other, true);
	drop(cache, UA, 1);
	expect(tce2_region_unregister(other), 0);
	tce2_cache_put(cache);
}

static void then_register_the_same(void)
{
	unregister_it();
	sim_when(SIM_AT_LOOKUP, 1, register_the_same);
}

TEST(a_lookup_is_repeated_if_the_tree_changed_meanwhile)
{
	begin_registered();
	sim_when(SIM_AT_LOOKUP, 1, then_register_the_same);
	expect(hold(cache, UA, 1, WRITE), 0);
	drop(cache, UA, 1);
	expect(tce2_region_unregister(other), 0);
	tce2_cache_put(cache);
}

static void hold_one(void)
{
	expect(hold(cache, UA, 1, WRITE), 0);
}

TEST(a_hold_before_unregister_locks_makes_unregister_return_ebusy)
{
	begin_registered();
	sim_when(SIM_AT_LOCK, 1, hold_one);
	expect(tce2_region_unregister(region), -EBUSY);
	drop(cache, UA, 1);
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

TEST(register_and_unregister_return_eintr_if_killed_while_waiting)
{
	struct sim_counts before;

	begin_registered();
	before = sim.now;
	sim_fail(SIM_KILL, 1);
	expect(tce2_region_register(cache, UA, SIZE, &other), -EINTR);
	sim_fail(SIM_KILL, 1);
	expect(tce2_region_unregister(region), -EINTR);
	expect_counts(before);
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

/*
 * Region caches of processes
 */

TEST(a_process_has_one_cache_and_keeps_its_mm_with_it)
{
	begin();
	expect(sim_mm_refs(sim.mm), 2);
	expect(tce2_cache_get(sim.mm) == cache, true);
	expect(sim_mm_refs(sim.mm), 2);
	tce2_cache_put(cache);
	expect(sim_mm_refs(sim.mm), 2);
	expect(tce2_cache_get(sim.mm) == cache, true);
	tce2_cache_put(cache);
	tce2_cache_put(cache);
	expect(sim_mm_refs(sim.mm), 1);
	expect(sim.now.allocs, 0);
}

static void take_other_cache(void)
{
	cache = tce2_cache_get(sim.mm);
}

TEST(a_cache_is_allocated_outside_locks_and_only_once)
{
	struct tce2_cache *mine;

	/* The second lock is taken to add the new cache to the list of caches */
	sim_process();
	sim_when(SIM_AT_LOCK, 2, take_other_cache);
	mine = tce2_cache_get(sim.mm);
	expect(mine == cache, true);
	expect(mine->users, 2);
	expect(sim.locked_allocs, 0);
	expect(sim_mm_refs(sim.mm), 2);
	tce2_cache_put(mine);
	tce2_cache_put(cache);
}

TEST(processes_share_no_regions_pins_or_charges)
{
	struct tce2_cache *first;

	begin_registered();
	first = cache;
	other = region;
	expect(sim_frame(4 * COUNT - 1)->pins, 1);

	cache = new_process();
	map_scattered(UA, 4 * COUNT, 0, true);
	expect(hold(cache, UA, 1, READ), -EINVAL);
	region = registered(cache, UA, SIZE);
	expect(region != other, true);
	expect(sim_frame(4 * COUNT - 1)->pins, 2);
	expect(sim_charged(first->mm), COUNT);
	expect(sim_charged(cache->mm), COUNT);

	expect(hold(cache, UA, 1, WRITE), 0);
	expect(tce2_region_unregister(region), -EBUSY);
	/* A process does not unregister the memory of another process */
	expect(tce2_region_unregister(other), -EPERM);
	sim.mm = first->mm;
	expect(tce2_region_unregister(other), 0);
	sim.mm = cache->mm;
	expect(sim_charged(first->mm), 0);
	expect_pins_and_charge(COUNT);
	tce2_cache_put(first);

	drop(cache, UA, 1);
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

/* Runs in another thread while a page is pinned */
static void use_other_memory(void)
{
	expect(tce2_region_unregister(other), 0);
	other = registered(cache, UA + 3 * SIZE, SIZE);
	expect(hold(cache, UA + 3 * SIZE, COUNT, WRITE), 0);
	drop(cache, UA + 3 * SIZE, COUNT);
	tce2_region_unregister_nofail(other);
}

/* A process can delay the page fault of a page that is being pinned as long as it likes */
TEST(pinning_does_not_delay_requests_for_other_memory)
{
	begin();
	other = registered(cache, UA + 2 * SIZE, SIZE);
	sim_when(SIM_AT_PIN, 1, use_other_memory);
	region = registered(cache, UA, SIZE);
	expect_pins_and_charge(COUNT);
	/* All memory used meanwhile is charged to the memory cgroup */
	expect(sim.unaccounted, 0);
	tce2_region_unregister_nofail(region);
	tce2_cache_put(cache);
}

static void overlap_and_be_killed(void)
{
	static const bool killed = true;

	wait_killed = &killed;
	expect(tce2_region_register(cache, UA + SIZE - PAGES(1), SIZE, &other),
	       -EINTR);
	expect(tce2_region_register(cache, UA, SIZE, &other), -EINTR);
	wait_killed = NULL;
}

TEST(register_waits_for_an_overlapping_range_that_is_being_pinned)
{
	begin();
	sim_when(SIM_AT_PIN, 1, overlap_and_be_killed);
	region = registered(cache, UA, SIZE);
	expect_pins_and_charge(COUNT);
	expect(region->used, 1);
	tce2_region_unregister_nofail(region);
	tce2_cache_put(cache);
}

static unsigned int pauses;

static void count_pause(void)
{
	pauses++;
}

TEST(a_long_hold_reschedules_between_regions)
{
	struct tce2_region *regions[4 * COUNT];

	begin();
	for (int i = 0; i < 4 * COUNT; i++)
		regions[i] = registered(cache, UA + PAGES(i), PAGES(1));
	pauses = 0;
	sim_watch(count_pause);
	expect(hold(cache, UA, 4 * COUNT, WRITE), 0);
	expect(pauses, 4 * COUNT - 1);
	drop(cache, UA, 4 * COUNT);
	expect(pauses, 2 * (4 * COUNT - 1));
	sim_watch(NULL);
	for (int i = 0; i < 4 * COUNT; i++)
		tce2_region_unregister_nofail(regions[i]);
	tce2_cache_put(cache);
}

/* A process may register that many regions. Ascending addresses are a tree's worst case. */
TEST(a_hundred_thousand_regions_are_each_found)
{
	const u64 count = 100000;
	static struct tce2_region *regions[100000];
	u64 *pfn;

	cache = new_process();
	pfn = sim_mmap(sim.mm, UA, PAGES(2 * count), PAGE_SHIFT, true);
	for (u64 i = 0; i < 2 * count; i++)
		pfn[i] = i % 1000;
	for (u64 i = 0; i < count; i++)
		regions[i] = registered(cache, UA + PAGES(2 * i), PAGE_SIZE);
	for (u64 i = 0; i < count; i++) {
		u64 ua = UA + PAGES(2 * i);

		expect(tce2_rm_lookup(cache, ua + PAGE_SIZE - 1, 1) ==
			       regions[i],
		       true);
		expect(!tce2_rm_lookup(cache, ua, PAGE_SIZE + 1), true);
		expect(!tce2_rm_lookup(cache, ua + PAGE_SIZE, 1), true);
	}
	for (u64 i = 0; i < count; i++)
		expect(tce2_region_unregister(regions[i]), 0);
	tce2_cache_put(cache);
}
