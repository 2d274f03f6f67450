// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of a mapped count with several parts: of a region that is so large that its count
 * has a part for each CPU.
 */
#include "unit.h"

#define SIZE  MIB(256) /* so the count has 4 parts */
#define SHIFT 16

static struct tce2_cache *cache;
static struct tce2_region *region;

FIXTURE_SETUP(large)
{
	u64 *pfn;

	cache = new_process();
	pfn = sim_mmap(sim.mm, GIB(16), SIZE, 28, true);
	sim.large_shift = 28;
	*pfn = SIM_BIG;
	region = registered(cache, UA, SIZE);
	expect(region->mapped.mask, 3);
}

FIXTURE_TEARDOWN(large)
{
	expect(tce2_mapped_sum(&region->mapped), 1);
	expect(tce2_region_unregister(region), 0);
	expect(sim.now.pinned, 0);
	tce2_cache_put(cache);
}

/* Returns the user address of an IOMMU page */
static u64 page(u64 number)
{
	return UA + (number << SHIFT);
}

static void hold_page(u64 number)
{
	u64 hpa;

	expect(tce2_page_hold(cache, page(number), SHIFT, true, &hpa), true);
}

static void drop_page(u64 number)
{
	tce2_page_drop(cache, page(number), SHIFT);
}

TEST_F(large, pages_are_held_and_dropped_without_a_write_to_the_common_count)
{
	s64 count = atomic64_read(&region->mapped.count);

	for (unsigned int i = 0; i < 9; i++)
		hold_page(i);
	expect(hold_pages(cache, page(9), SHIFT, 100, true), 0);
	expect(tce2_rm_mapped_get(region, 5), TCE2_RM_OK);
	expect(tce2_mapped_sum(&region->mapped), 1 + 9 + 100 + 5);
	for (unsigned int i = 0; i < 4; i++)
		expect(atomic64_read(&region->mapped.parts[i].count) > TCE2_SPREAD, true);
	expect(tce2_rm_mapped_put(region, 5), TCE2_RM_OK);
	drop_pages(cache, page(9), SHIFT, 100);
	for (unsigned int i = 0; i < 9; i++)
		drop_page(i);
	expect(atomic64_read(&region->mapped.count), count);
}

TEST_F(large, unregister_is_refused_until_the_last_page_is_dropped)
{
	for (unsigned int i = 0; i < 5; i++)
		hold_page(i);
	for (unsigned int i = 0; i < 5; i++) {
		expect(tce2_region_unregister(region), -EBUSY);
		expect(region->mapped.gathered, false);
		drop_page(i);
	}
}

TEST_F(large, the_last_drop_unpins_the_memory_of_a_closed_container)
{
	for (unsigned int i = 0; i < 5; i++)
		hold_page(i);
	tce2_region_unregister_nofail(region);
	for (unsigned int i = 0; i < 5; i++) {
		expect(!sim.now.pinned, false);
		drop_page(i);
	}
	sim_run_work();
	expect(sim.now.pinned, 0);
	sim_grace_period();
	region = registered(cache, UA, SIZE);
}

TEST_F(large, memory_that_is_registered_again_while_it_is_mapped_keeps_its_count)
{
	struct tce2_region *again;

	for (unsigned int i = 0; i < 5; i++)
		hold_page(i);
	tce2_region_unregister_nofail(region);
	drop_page(0);
	expect(tce2_region_register(cache, UA, SIZE, &again), 0);
	expect(again == region, true);
	expect(region->mapped.gathered, false);
	expect(tce2_mapped_sum(&region->mapped), 1 + 4);
	hold_page(5);
	for (unsigned int i = 1; i < 6; i++) {
		expect(tce2_region_unregister(region), -EBUSY);
		drop_page(i);
	}
}

/*
 * Other CPUs hold and drop pages between two steps of a failing unregistration
 */

static void hold_and_drop(void)
{
	hold_page(9);
	drop_page(9);
}

static void drop_and_hold(void)
{
	drop_page(1);
	hold_page(1);
}

static void hold_and_drop_twice(void)
{
	hold_and_drop();
	hold_and_drop();
}

static const struct {
	const char *row;
	void (*meanwhile)(void);
	enum sim_point at;
} unregister_rows[] = {
	{ "hold and drop while the parts are gathered", hold_and_drop, SIM_AT_SWAP },
	{ "drop and hold while the parts are gathered", drop_and_hold, SIM_AT_SWAP },
	{ "twice while the parts are gathered", hold_and_drop_twice, SIM_AT_SWAP },
	{ "hold and drop while the count is spread", hold_and_drop, SIM_AT_PUBLISH },
	{ "drop and hold while the count is spread", drop_and_hold, SIM_AT_PUBLISH },
	{ "twice while the count is spread", hold_and_drop_twice, SIM_AT_PUBLISH },
};

TEST_F(large, a_refused_unregister_keeps_the_count_while_other_cpus_hold_pages)
{
	hold_page(0);
	hold_page(1);
	for (size_t i = 0; i < ARRAY_SIZE(unregister_rows); i++) {
		row = unregister_rows[i].row;
		for (unsigned int nth = 1; nth <= 4; nth++) {
			sim_when(unregister_rows[i].at, nth,
				 unregister_rows[i].meanwhile);
			expect(tce2_region_unregister(region), -EBUSY);
			expect(tce2_mapped_sum(&region->mapped), 1 + 2);
			expect(sim.now.pinned, SIZE >> PAGE_SHIFT);
		}
	}
	row = NULL;
	drop_page(0);
	drop_page(1);
}

static void hold_another(void)
{
	hold_page(9);
}

TEST_F(large, a_page_that_is_held_while_the_parts_are_gathered_stops_unregister)
{
	for (unsigned int nth = 1; nth <= 4; nth++) {
		sim_when(SIM_AT_SWAP, nth, hold_another);
		expect(tce2_region_unregister(region), -EBUSY);
		drop_page(9);
	}
}

TEST(memory_is_registered_even_without_memory_for_the_parts)
{
	static const struct {
		u64 size;
		unsigned int parts;
	} rows[] = {
		{ MIB(64), 0 },	 { MIB(127), 0 }, { MIB(128), 2 },
		{ MIB(192), 2 }, { MIB(256), 4 }, { GIB(1), 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int fails = 0; fails < 2; fails++) {
			cache = new_process();
			*sim_mmap(sim.mm, UA, GIB(1), 30, true) = SIM_BIG;
			sim.large_shift = 30;
			/* The first allocation is the region */
			if (fails && rows[i].parts)
				sim_fail(SIM_ALLOC, 2);
			region = registered(cache, UA, rows[i].size);
			sim_fail_nothing();
			expect(region->mapped.parts ? region->mapped.mask + 1 : 0,
			       fails ? 0 : rows[i].parts);
			hold_page(0);
			expect(tce2_region_unregister(region), -EBUSY);
			drop_page(0);
			expect(tce2_region_unregister(region), 0);
			tce2_cache_put(cache);
			sim_expect_nothing_left();
			sim_reset();
		}
	}
}
