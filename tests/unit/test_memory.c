// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of registration: the order of checks, charge and pins, memory that is
 * refused, and pages that are marked dirty.
 */
#include "unit.h"

#define COUNT 8 /* pages of most regions */
#define SIZE  PAGES(COUNT)

static struct tce2_cache *cache;
static struct tce2_region *region;

static void begin(void)
{
	cache = new_process();
	region = NULL;
}

static int try(u64 ua, u64 size)
{
	return tce2_region_register(cache, ua, size, &region);
}

struct range_row {
	const char *row;
	int first, pages; /* in pages from UA */
	int want;
};

/* The range [4, 8) is registered */
static const struct range_row overlap_rows[] = {
	{ "overlaps the front", 3, 2, -EINVAL },
	{ "overlaps the end", 7, 2, -EINVAL },
	{ "first page", 4, 1, -EINVAL },
	{ "middle page", 5, 1, -EINVAL },
	{ "last page", 7, 1, -EINVAL },
	{ "all and more", 0, 16, -EINVAL },
	{ "same start, longer", 4, 5, -EINVAL },
	{ "same start, shorter", 4, 3, -EINVAL },
	{ "same end, longer", 3, 5, -EINVAL },
	{ "same end, shorter", 5, 3, -EINVAL },
	{ "touches the front", 2, 2, 0 },
	{ "touches the end", 8, 2, 0 },
};

TEST(an_overlap_is_refused_before_memory_is_charged_or_pinned)
{
	struct tce2_region *first;

	begin();
	map_scattered(UA, 16, 0, true);
	first = registered(cache, UA + PAGES(4), PAGES(4));
	for (size_t i = 0; i < ARRAY_SIZE(overlap_rows); i++) {
		const struct range_row *r = &overlap_rows[i];
		struct sim before = sim;

		row = r->row;
		expect(try(UA + PAGES(r->first), PAGES(r->pages)), r->want);
		if (r->want) {
			expect(sim.pin_calls, before.pin_calls);
			expect(sim.charge_calls, before.charge_calls);
		} else {
			expect(tce2_region_unregister(region), 0);
			sim_grace_period();
		}
		expect_counts(before.now);
	}
	expect(tce2_region_unregister(first), 0);
	tce2_cache_put(cache);
}

/* From UA on, 4 pages are mapped, 1 page is not, 3 pages are, and no page after them is */
TEST(a_hole_is_refused_before_memory_is_charged_or_pinned)
{
	static const struct range_row rows[] = {
		{ "hole at the end", 0, 5, -EFAULT },
		{ "hole in the middle", 0, 8, -EFAULT },
		{ "hole at the start", 4, 2, -EFAULT },
		{ "only the hole", 4, 1, -EFAULT },
		{ "after all mappings", 8, 1, -EFAULT },
		{ "end after all mappings", 5, 4, -EFAULT },
	};

	begin();
	map_scattered(UA, 4, 0, true);
	map_scattered(UA + PAGES(5), 3, 100, true);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		row = rows[i].row;
		expect(try(UA + PAGES(rows[i].first), PAGES(rows[i].pages)),
		       rows[i].want);
		expect(sim.pin_calls, 0);
		expect(sim.charge_calls, 0);
	}
	tce2_cache_put(cache);
}

/* sim.c checks at each pin that no more pages are pinned than charged */
TEST(memory_over_the_limit_is_refused_before_a_page_is_pinned)
{
	begin();
	map_scattered(UA, 2 * COUNT, 0, true);
	sim_limit(sim.mm, 2 * COUNT - 1);
	region = registered(cache, UA, SIZE);
	sim.pin_calls = 0;
	expect(try(UA + SIZE, SIZE), -ENOMEM);
	expect(sim.pin_calls, 0);
	expect(sim.now.charged, COUNT);

	/* Registering the same region again needs no charge */
	expect(try(UA, SIZE), 0);
	sim_limit(sim.mm, 2 * COUNT);
	expect(tce2_region_unregister(region), 0);
	expect(tce2_region_unregister(region), 0);
	region = registered(cache, UA, 2 * SIZE);
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

TEST(read_only_memory_may_be_held_for_reading_only)
{
	begin();
	map_scattered(UA, COUNT, 0, false);
	region = registered(cache, UA, SIZE);
	expect(sim_frame(0)->pins, 1);
	expect(sim_frame(0)->writers, 0);
	expect(hold(cache, UA, COUNT, WRITE), -EPERM);
	expect(hold(cache, UA, COUNT, READ), 0);
	drop(cache, UA, COUNT);
	expect(tce2_region_unregister(region), 0);
	expect(sim_frame(0)->dirtied, 0);
	tce2_cache_put(cache);
}

/*
 * The mappings and their page frames are adjacent: the mappings differ only in
 * their permission.
 */
TEST(each_mapping_of_a_region_keeps_its_own_permission)
{
	begin();
	map_contiguous(UA, 4, 0, true);
	map_contiguous(UA + PAGES(4), 4, 4, false);
	map_contiguous(UA + PAGES(8), 4, 8, true);
	region = registered(cache, UA, PAGES(12));
	for (int i = 0; i < 12; i++) {
		bool writable = i / 4 != 1;

		expect(sim_frame(i)->pins, 1);
		expect(sim_frame(i)->writers, writable);
		expect(hold(cache, UA + PAGES(i), 1, WRITE),
		       writable ? 0 : -EPERM);
		if (writable)
			drop(cache, UA + PAGES(i), 1);
	}
	/* An IOMMU page that spans a read-only mapping can be held for reading only */
	expect(hold_pages(cache, UA, PAGE_SHIFT + 3, 1, WRITE), -EPERM);
	expect(hold_pages(cache, UA, PAGE_SHIFT + 3, 1, READ), 0);
	drop_pages(cache, UA, PAGE_SHIFT + 3, 1);
	expect(tce2_region_unregister(region), 0);
	for (int i = 0; i < 12; i++)
		expect(sim_frame(i)->dirtied, i / 4 != 1);
	tce2_cache_put(cache);
}

TEST(memory_that_cannot_be_pinned_returns_efault_and_keeps_no_pin)
{
	struct sim_counts before;

	begin();
	before = sim.now;
	for (int bad = 0; bad < 100; bad += 33) {
		u64 ua = UA + PAGES(200 * bad);
		u64 *pfn = sim_mmap(sim.mm, ua, PAGES(100), PAGE_SHIFT, true);

		for (int i = 0; i < 100; i++)
			pfn[i] = 3 * i;
		pfn[bad] |= SIM_UNPINNABLE;
		expect(try(ua, PAGES(100)), -EFAULT);
		expect_counts(before);
		for (int i = 0; i < 300; i++)
			expect(sim_frame(i)->dirtied, 0);
	}
	tce2_cache_put(cache);
}

TEST(errors_of_a_pin_call_become_enomem_eintr_or_efault)
{
	static const struct {
		int pin_error, want;
	} rows[] = {
		{ -ENOMEM, -ENOMEM },	  { -EINTR, -EINTR },
		{ -EFAULT, -EFAULT },	  { -EAGAIN, -EFAULT },
		{ -EOPNOTSUPP, -EFAULT }, { 0, -EFAULT },
	};
	struct sim_counts before;

	begin();
	map_scattered(UA, 2 * PAGE_SIZE / 8, 0, true);
	before = sim.now;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* The batch that the first call pins must be unpinned */
		sim.pin_error = rows[i].pin_error;
		sim_fail(SIM_PIN, 2);
		expect(try(UA, PAGES(2 * PAGE_SIZE / 8)), rows[i].want);
		expect_counts(before);
	}
	tce2_cache_put(cache);
}

TEST(a_pin_call_that_gets_fewer_pages_is_continued)
{
	begin();
	map_contiguous(UA, COUNT, 16, true);
	for (int most = 1; most <= COUNT; most++) {
		sim.pin_calls = 0;
		sim.pin_at_most = most;
		region = registered(cache, UA, SIZE);
		expect(sim.now.pinned, COUNT);
		expect(sim.pin_calls, (COUNT + most - 1) / most);
		expect(hold_pages(cache, UA, PAGE_SHIFT + 3, 1, WRITE),
		       0);
		drop_pages(cache, UA, PAGE_SHIFT + 3, 1);
		expect(tce2_region_unregister(region), 0);
	}
	tce2_cache_put(cache);
}

/* Number of pages in a batch: the pointers to them fill a page, but at most 16 KiB */
#define BATCH (PAGE_SHIFT < 14 ? PAGE_SIZE / 8 : 2048)

TEST(pages_are_pinned_in_batches_of_a_page_of_pointers_or_16_kib)
{
	const u64 batch = BATCH;

	begin();
	map_scattered(UA, 3 * batch + 1, 0, true);
	region = registered(cache, UA, PAGES(3 * batch + 1));
	expect(sim.pin_calls, 4);
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

TEST(a_fatal_signal_ends_a_running_registration)
{
	struct sim_counts before;

	begin();
	map_scattered(UA, 3 * BATCH, 0, true);
	before = sim.now;
	for (int nth = 1; nth <= 3; nth++) {
		sim_fail(SIM_SIGNAL, nth);
		expect(try(UA, PAGES(3 * BATCH)), -EINTR);
		expect_counts(before);
	}
	sim_fail(SIM_SIGNAL, 4);
	expect(try(UA, PAGES(3 * BATCH)), 0);
	sim_fail_nothing();
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

static void unmap_the_rest(void)
{
	struct vm_area_struct *vma = sim_vma(sim.mm, UA);

	vma->vm_end = vma->vm_start + PAGES(PAGE_SIZE / 8);
}

static void make_it_read_only(void)
{
	sim_vma(sim.mm, UA)->vm_flags = VM_READ;
}

TEST(register_of_memory_that_changes_during_the_pin_returns_efault)
{
	const u64 batch = PAGE_SIZE / 8;
	struct sim_counts before;

	begin();
	before = sim.now;
	map_scattered(UA, 2 * batch, 0, true);
	sim_when(SIM_AT_PIN, 2, unmap_the_rest);
	expect(try(UA, PAGES(2 * batch)), -EFAULT);
	expect_counts(before);

	/* The memory must not be pinned as writable after it became read-only */
	sim_when(SIM_AT_PIN, 1, make_it_read_only);
	expect(try(UA, PAGES(batch)), -EFAULT);
	expect_counts(before);
	region = registered(cache, UA, PAGES(batch));
	expect(hold(cache, UA, 1, WRITE), -EPERM);
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

/*
 * Pages that are marked dirty when they are unpinned
 */

static void expect_dirtied(u64 pfn, u64 count, u32 times)
{
	while (count--)
		expect(sim_frame(pfn++)->dirtied, times);
}

TEST(only_pages_held_for_writing_are_dirtied_and_only_at_unpin)
{
	begin();
	map_scattered(UA, COUNT, 0, true);
	region = registered(cache, UA, SIZE);
	expect(hold(cache, UA, COUNT, READ), 0);
	expect(hold(cache, UA + PAGES(2), 3, WRITE), 0);
	drop(cache, UA, COUNT);
	drop(cache, UA + PAGES(2), 3);
	expect_dirtied(0, COUNT, 0);
	expect(tce2_region_unregister(region), 0);
	/* Page i has frame COUNT - 1 - i */
	expect_dirtied(COUNT - 5, 3, 1);
	expect_dirtied(0, COUNT - 5, 0);
	expect_dirtied(COUNT - 2, 2, 0);
	tce2_cache_put(cache);
}

TEST(pages_that_are_dirty_are_not_marked_again)
{
	begin();
	map_scattered(UA, COUNT, 0, true);
	sim.stays_dirty = true;
	for (int i = 1; i <= 3; i++) {
		region = registered(cache, UA, SIZE);
		expect(hold(cache, UA, i, WRITE), 0);
		drop(cache, UA, i);
		expect(tce2_region_unregister(region), 0);
		/* Page i has frame COUNT - 1 - i */
		expect_dirtied(COUNT - i, i, 1);
		expect_dirtied(0, COUNT - i, 0);
	}
	tce2_cache_put(cache);
}

/*
 * The counts are around the ends of nodes and of the batches in which pages are unpinned. The
 * batches in which pages are pinned cross the ends of nodes.
 */
TEST(each_page_of_scattered_memory_is_unpinned_and_dirtied_once)
{
	const u64 node = PAGE_SIZE / 8;
	const u64 counts[] = { 1, 511, 512, 513, node - 1, node, node + 1, 2 * node + 513 };
	u64 first = 0;

	begin();
	sim.pin_at_most = 300;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		u64 count = counts[i];

		map_scattered(UA, count, first, true);
		region = registered(cache, UA, PAGES(count));
		expect(sim.now.pinned, count);
		expect(hold(cache, UA, count, WRITE), 0);
		drop(cache, UA, count);
		expect(tce2_region_unregister(region), 0);
		expect(sim.now.pinned, 0);
		expect_dirtied(first, count, 1);
		first += count;
		sim_munmap_all(sim.mm);
	}
	tce2_cache_put(cache);
}

TEST(pages_that_were_never_held_are_never_dirtied)
{
	begin();
	map_scattered(UA, COUNT, 0, true);
	region = registered(cache, UA, SIZE);
	expect(tce2_region_unregister(region), 0);
	region = registered(cache, UA, SIZE);
	expect(hold(cache, UA, COUNT, READ), 0);
	tce2_region_unregister_nofail(region);
	drop(cache, UA, COUNT);
	expect_dirtied(0, COUNT, 0);
	tce2_cache_put(cache);
}

/* Each of the two contiguous ranges is one block, and a block has one dirty flag */
TEST(a_write_dirties_all_pages_of_its_block)
{
	begin();
	map_contiguous(UA, 4, 0, true);
	map_contiguous(UA + PAGES(4), 4, 100, true);
	region = registered(cache, UA, PAGES(8));
	expect(hold(cache, UA + PAGES(5), 1, WRITE), 0);
	drop(cache, UA + PAGES(5), 1);
	expect(tce2_region_unregister(region), 0);
	expect_dirtied(0, 4, 0);
	expect_dirtied(100, 4, 1);
	tce2_cache_put(cache);
}

TEST(a_hold_that_is_refused_dirties_nothing_in_that_region)
{
	begin();
	map_scattered(UA, 4, 0, true);
	map_scattered(UA + PAGES(4), 4, 100, false);
	region = registered(cache, UA, PAGES(8));
	expect(hold(cache, UA, 8, WRITE), -EPERM);
	expect(hold_pages(cache, UA, PAGE_SHIFT + 1, 1, WRITE), -EINVAL);
	expect(tce2_region_unregister(region), 0);
	expect_dirtied(0, 200, 0);
	tce2_cache_put(cache);
}

/* IOMMU pages have 4 KiB, base pages may be larger */
TEST(writing_to_an_iommu_page_dirties_its_base_page)
{
	begin();
	map_scattered(UA, 3, 0, true);
	region = registered(cache, UA, PAGES(3));
	expect(hold_pages(cache, UA + PAGES(2) - 4096, 12, 1, WRITE), 0);
	drop_pages(cache, UA + PAGES(2) - 4096, 12, 1);
	expect(tce2_region_unregister(region), 0);
	expect_dirtied(0, 1, 0);
	expect_dirtied(1, 1, 1);
	expect_dirtied(2, 1, 0);
	tce2_cache_put(cache);
}
