// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failure injection: each scenario runs once with its first allocation failing, then with
 * its second, and so on for all its allocations. The same is done for pin calls, charges,
 * signals and waits for locks. A failed scenario must return the right error and leave all
 * counts unchanged.
 */
#include <linux/bitops.h>

#include "unit.h"

#define BATCH (PAGE_SIZE / 8) /* pages in a pin call, and entries in a node */

static struct tce2_cache *cache;
static struct tce2_region *region;

/**
 * struct scenario - a registration that may fail
 * @row: name of the scenario
 * @prepare: maps the memory
 * @run: registers the memory and sets @region; returns 0 or a negative errno
 */
struct scenario {
	const char *row;
	void (*prepare)(void);
	int (*run)(void);
};

static void some_memory(void)
{
	map_scattered(UA, 3 * BATCH, 0, true);
}

static int register_one_page(void)
{
	return tce2_region_register(cache, UA, PAGE_SIZE, &region);
}

static int register_scattered(void)
{
	return tce2_region_register(cache, UA + PAGES(1), PAGES(2 * BATCH + 3),
				    &region);
}

/* The region's nodes of extents become full in the middle of the pages of a pin call */
static void two_mappings(void)
{
	map_scattered(UA, 3, 1, true);
	map_scattered(UA + PAGES(3), 2 * BATCH, 10, false);
}

static int register_two_mappings(void)
{
	return tce2_region_register(cache, UA, PAGES(2 * BATCH + 3), &region);
}

/* Maps contiguous memory, then ever smaller ranges, so that the block size shrinks repeatedly */
static void shrinking_memory(void)
{
	const u64 half = 2 * BATCH;
	u64 *pfn = sim_mmap(sim.mm, UA, PAGES(2 * half), PAGE_SHIFT, true);

	for (u64 i = 0; i < half; i++)
		pfn[i] = i;
	for (u64 i = 0; i < half; i++)
		pfn[half + i] = half + i + (fls64(half) - fls64(half - i)) * 7;
}

static int register_shrinking(void)
{
	return tce2_region_register(cache, UA, PAGES(4 * BATCH), &region);
}

static void several_mappings(void)
{
	for (int i = 0; i < 6; i++) {
		u64 ua = UA + PAGES(5 * i);

		if (i % 2)
			map_contiguous(ua, 5, 100 * i + i, i % 3);
		else
			map_scattered(ua, 5, 100 * i + i, i % 3);
	}
}

static int register_several_mappings(void)
{
	return tce2_region_register(cache, UA, PAGES(30), &region);
}

static void large_pages(void)
{
	u64 *pfn = sim_mmap(sim.mm, TIB(1), MIB(32), 24, true);

	sim.large_shift = 24;
	sim.hugetlb = true;
	pfn[0] = SIM_BIG + (MIB(16) >> PAGE_SHIFT);
	pfn[1] = SIM_BIG;
}

static int register_large_pages(void)
{
	return tce2_region_register(cache, TIB(1), MIB(32), &region);
}

static const struct scenario scenarios[] = {
	{ "one page", some_memory, register_one_page },
	{ "scattered pages", some_memory, register_scattered },
	{ "two mappings", two_mappings, register_two_mappings },
	{ "shrinking block size", shrinking_memory, register_shrinking },
	{ "several mappings", several_mappings, register_several_mappings },
	{ "large pages", large_pages, register_large_pages },
};

/* Ends the test unless each page of the region translates as in the page tables */
static void expect_right(void)
{
	for (u64 ua = region->ua; ua < region->ua + region->size;
	     ua += PAGE_SIZE) {
		struct vm_area_struct *vma = sim_vma(sim.mm, ua);
		u64 offset = ua - vma->vm_start, hpa = 0;
		u64 in_page = offset & ((1ULL << vma->shift) - 1);

		expect(tce2_rm_ua_to_hpa(region, ua, PAGE_SHIFT, READ, &hpa),
		       TCE2_RM_OK);
		expect(hpa, PFN_PHYS(vma->pfn[offset >> vma->shift]) + in_page);
	}
}

/* Runs a scenario with the @nth call failing. Returns true if there was no such call. */
static bool run_with_failure(const struct scenario *s, enum sim_fault fault,
			     unsigned int nth, int want)
{
	struct sim_counts before;
	bool fired;
	int ret;

	cache = new_process();
	s->prepare();
	before = sim.now;
	sim_fail(fault, nth);
	ret = s->run();
	fired = sim.fired;
	sim_fail_nothing();

	/* A scenario may succeed without an allocation, but not after any other failure */
	if (ret || (fired && fault != SIM_ALLOC)) {
		expect(ret, fired ? want : 0);
		expect_counts(before);
		for (u64 pfn = 0; pfn < 1000; pfn++)
			expect(sim_frame(pfn)->dirtied, 0);
		expect(s->run(), 0);
	}
	expect_right();
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
	sim_expect_nothing_left();
	sim_reset();
	return !fired;
}

static void each_fails_in_turn(enum sim_fault fault, int want)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		unsigned int nth = 1;

		row = scenarios[i].row;
		while (!run_with_failure(&scenarios[i], fault, nth, want))
			nth++;
		/* At least one failure was injected */
		expect(nth > 1, true);
	}
}

TEST(any_failed_allocation_makes_register_return_enomem)
{
	each_fails_in_turn(SIM_ALLOC, -ENOMEM);
}

TEST(any_failed_pin_call_makes_register_return_enomem)
{
	each_fails_in_turn(SIM_PIN, -ENOMEM);
}

TEST(any_failed_charge_makes_register_return_enomem)
{
	each_fails_in_turn(SIM_CHARGE, -ENOMEM);
}

TEST(a_fatal_signal_at_any_point_makes_register_return_eintr)
{
	each_fails_in_turn(SIM_SIGNAL, -EINTR);
}

TEST(a_kill_during_any_wait_for_a_lock_makes_register_return_eintr)
{
	each_fails_in_turn(SIM_KILL, -EINTR);
}

TEST(a_cache_needs_one_allocation_and_none_if_it_exists)
{
	struct mm_struct *mm = sim_process();

	sim_fail(SIM_ALLOC, 1);
	expect(!tce2_cache_get(mm), true);
	expect(sim_mm_refs(mm), 1);
	expect(sim.now.allocs, 0);
	cache = tce2_cache_get(mm);
	sim_fail(SIM_ALLOC, 1);
	expect(tce2_cache_get(mm) == cache, true);
	tce2_cache_put(cache);
	tce2_cache_put(cache);
}

/* Releasing must not fail, because it has no caller that could handle an error */
TEST(hold_unregister_and_drop_allocate_no_memory)
{
	cache = new_process();
	some_memory();
	region = registered(cache, UA, PAGES(2 * BATCH));
	expect(registered(cache, UA, PAGES(2 * BATCH)) == region, true);
	sim_fail(SIM_ALLOC, 1);
	sim_fail(SIM_SIGNAL, 1);
	expect(hold(cache, UA, 2 * BATCH, WRITE), 0);
	expect(tce2_region_unregister(region), 0);
	sim_fail(SIM_KILL, 1);
	tce2_region_unregister_nofail(region);
	drop(cache, UA, 2 * BATCH);
	expect(sim.now.pinned, 0);
	tce2_cache_put(cache);
	expect(sim.fired, false);
}
