// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of regions in src/realmode.c: real mode returns the same results as virtual mode,
 * or declines and changes nothing. The tests of page descriptors are in
 * test_vmemmap.c.
 */
#include <string.h>

#include <linux/rcupdate.h>

#include "unit.h"

#define COUNT 8 /* pages of most regions */
#define SIZE  PAGES(COUNT)

/* Real mode translates no IOMMU page of more blocks */
#define MAX_BLOCKS 512

static struct tce2_cache *cache;
static struct tce2_region *region;

static void begin(void)
{
	cache = new_process();
	map_scattered(UA, 4 * COUNT, 0, true);
	region = registered(cache, UA, SIZE);
}

static void finish(void)
{
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

/*
 * Lookup of regions
 */

#define SPACE 128 /* number of pages in which the random regions are */

static struct tce2_region *owner[SPACE]; /* the region of each page */

static struct tce2_region *plain_lookup(u64 ua, u64 bytes)
{
	struct tce2_region *found;

	if (ua < UA || ua - UA >= PAGES(SPACE))
		return NULL;
	found = owner[(ua - UA) >> PAGE_SHIFT];
	return found && found->ua + found->size - ua >= bytes ? found : NULL;
}

static void register_or_not(u64 *state)
{
	u64 first = rnd(state, SPACE);
	u64 count = 1 + rnd(state, 9), last;
	struct tce2_region *old = owner[first], *made;

	if (old) {
		for (u64 i = 0; i < SPACE; i++)
			owner[i] = owner[i] == old ? NULL : owner[i];
		expect(tce2_region_unregister(old), 0);
		return;
	}
	for (last = first; last < SPACE && last < first + count; last++) {
		if (owner[last])
			break;
	}
	made = registered(cache, UA + PAGES(first), PAGES(last - first));
	for (u64 i = first; i < last; i++)
		owner[i] = made;
}

TEST(lookup_agrees_with_a_plain_list_of_regions)
{
	static const u64 far[] = { 0, UA - 1, 1ULL << 52, ~0ULL };
	u64 state = 3;

	memset(owner, 0, sizeof(owner));
	cache = new_process();
	map_scattered(UA, SPACE, 0, true);
	for (int i = 0; i < 4000; i++) {
		u64 ua = UA + rnd(&state, PAGES(SPACE + 1));
		u64 bytes = 1 + rnd(&state, PAGES(1 + i % 12));

		if (!(i % 4))
			register_or_not(&state);
		if (!(i % 3))
			ua &= ~(PAGE_SIZE - 1);
		/* Look up a range to the region's end, or one byte more */
		if (!(i % 5) && plain_lookup(ua, 1))
			bytes = plain_lookup(ua, 1)->ua +
				plain_lookup(ua, 1)->size - ua + i % 2;
		expect(tce2_rm_lookup(cache, ua, bytes) ==
			       plain_lookup(ua, bytes),
		       true);
		expect(!tce2_rm_lookup(cache, ua, 1ULL << 63), true);
		expect(!tce2_rm_lookup(cache, far[i % 4], 1), true);
		if (!(i % 64))
			sim_grace_period();
	}
	for (u64 i = 0; i < SPACE; i++) {
		if (owner[i] && (!i || owner[i] != owner[i - 1]))
			expect(tce2_region_unregister(owner[i]), 0);
	}
	tce2_cache_put(cache);
}

/* Each node is the right child of the previous node. The kernel balances its trees. */
TEST(a_walk_of_a_corrupt_tree_ends_after_128_steps)
{
	static struct tce2_region chain[129];
	static struct tce2_cache astray;

	memset(chain, 0, sizeof(chain));
	for (size_t i = 0; i < ARRAY_SIZE(chain); i++) {
		chain[i].ua = PAGES(i);
		chain[i].size = PAGE_SIZE;
		if (i + 1 < ARRAY_SIZE(chain))
			chain[i].node.rb_right = &chain[i + 1].node;
	}
	astray.regions.rb_node = &chain[0].node;
	expect(tce2_rm_lookup(&astray, PAGES(127), 1) == &chain[127], true);
	expect(!tce2_rm_lookup(&astray, PAGES(128), 1), true);
	chain[2].node.rb_right = &chain[1].node;
	expect(!tce2_rm_lookup(&astray, PAGES(128), 1), true);
}

static struct tce2_region *neighbours[6];
static bool removes;

static void register_neighbour(size_t i)
{
	neighbours[i] = registered(cache, UA + (i + 1) * PAGES(2), PAGE_SIZE);
}

static void change_neighbours(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(neighbours); i++) {
		if (removes)
			expect(tce2_region_unregister(neighbours[i]), 0);
		else
			register_neighbour(i);
	}
}

/* A lookup may fail, but never returns a wrong region; virtual mode then tries again */
TEST(a_lookup_while_the_tree_changes_finds_the_right_region_or_none)
{
	for (unsigned int nth = 1; nth <= 24; nth++) {
		struct tce2_region *found;

		cache = new_process();
		map_scattered(UA, 4 * COUNT, 0, true);
		region = registered(cache, UA, PAGE_SIZE);
		removes = nth % 2;
		for (size_t i = 0; removes && i < 6; i++)
			register_neighbour(i);
		sim_when(SIM_AT_READ, (nth + 1) / 2, change_neighbours);
		rcu_read_lock();
		for (int i = 0; i < 12; i++) {
			found = tce2_rm_lookup(cache, UA, PAGE_SIZE);
			expect(!found || found == region, true);
			expect(!tce2_rm_lookup(cache, UA + PAGE_SIZE, 1), true);
		}
		rcu_read_unlock();
		expect(tce2_rm_lookup(cache, UA, PAGE_SIZE) == region, true);
		removes = true;
		if (nth % 2 == 0)
			change_neighbours();
		finish();
		sim_grace_period();
	}
}

/*
 * Translation of user addresses
 */

#define MAX_RUNS 12

/* The process's memory, indexed by page from UA on */
static struct {
	u64 pfn[4096];
	bool writable[4096];
	u64 count;
} plain;

/* Maps ranges of ascending frames, each of random length and alignment */
static void map_runs(u64 *state)
{
	u64 runs = 1 + rnd(state, MAX_RUNS), pfn = 0;

	plain.count = 0;
	while (runs--) {
		u64 pages = 1ULL << rnd(state, 9);
		u64 align = 1ULL << rnd(state, 10);
		bool writable = rnd(state, 4);
		u64 *frame = sim_mmap(sim.mm, UA + PAGES(plain.count),
				      PAGES(pages), PAGE_SHIFT, writable);

		/* One range in three continues the previous range, others are aligned */
		if (rnd(state, 3))
			pfn = (pfn / align + 1) * align;
		for (u64 i = 0; i < pages; i++) {
			frame[i] = pfn++;
			plain.pfn[plain.count] = frame[i];
			plain.writable[plain.count++] = writable;
		}
	}
}

/* Translates an IOMMU page by looking at each of its base pages */
static enum tce2_rm_status plain_translate(u64 ua, unsigned int shift,
					   bool write, u64 *hpa)
{
	u64 bytes = shift > 63 ? 0 : 1ULL << shift, first, pages;
	bool writable = true;

	if (!bytes || ua & (bytes - 1) || ua < region->ua ||
	    ua - region->ua >= region->size ||
	    region->size - (ua - region->ua) < bytes)
		return TCE2_RM_TOO_HARD;
	if (bytes >> region->extents.shift > MAX_BLOCKS)
		return TCE2_RM_TOO_HARD;
	first = (ua - UA) >> PAGE_SHIFT;
	pages = max_t(u64, bytes >> PAGE_SHIFT, 1);
	for (u64 i = first; i < first + pages; i++) {
		if (plain.pfn[i] != plain.pfn[first] + (i - first))
			return TCE2_RM_TOO_HARD;
		writable &= plain.writable[i];
	}
	*hpa = PFN_PHYS(plain.pfn[first]) + (ua & (PAGE_SIZE - 1));
	if (*hpa & (bytes - 1))
		return TCE2_RM_TOO_HARD;
	return write && !writable ? TCE2_RM_READ_ONLY : TCE2_RM_OK;
}

static void compare_translation(u64 ua, unsigned int shift, bool write)
{
	u64 hpa = NOTHING, want_hpa = 0;
	enum tce2_rm_status want = plain_translate(ua, shift, write, &want_hpa);

	expect(tce2_rm_ua_to_hpa(region, ua, shift, write, &hpa), want);
	expect(hpa, want == TCE2_RM_OK ? want_hpa : NOTHING);
}

static void compare_translations(u64 *state)
{
	for (int i = 0; i < 600; i++) {
		unsigned int shift = 12 + rnd(state, PAGE_SHIFT);
		u64 ua = UA + rnd(state, PAGES(plain.count + 2));

		if (rnd(state, 9))
			ua &= ~((1ULL << shift) - 1);
		compare_translation(ua, shift, rnd(state, 2));
	}
}

TEST(translation_agrees_with_the_page_table)
{
	u64 state = 11;

	for (int i = 0; i < 40; i++) {
		u64 skip, pages;

		cache = new_process();
		map_runs(&state);
		skip = rnd(&state, min(plain.count, 5ULL));
		pages = plain.count - skip;
		pages -= rnd(&state, pages);
		region = registered(cache, UA + PAGES(skip), PAGES(pages));
		compare_translations(&state);
		finish();
		sim_expect_nothing_left();
		sim_reset();
	}
}

static const struct {
	const char *row;
	s64 offset; /* from the region's first byte */
	unsigned int shift;
} refused[] = {
	{ "before the region", -(s64)PAGE_SIZE, PAGE_SHIFT },
	{ "after the region", SIZE, PAGE_SHIFT },
	{ "far after the region", SIZE + (1LL << 40), PAGE_SHIFT },
	{ "misaligned", PAGE_SIZE / 2, PAGE_SHIFT },
	{ "misaligned by a byte", 1, 12 },
	{ "crossing the end", 4 * PAGE_SIZE, PAGE_SHIFT + 3 },
	{ "larger than the region", 0, PAGE_SHIFT + 4 },
	{ "largest page size", 0, 63 },
	{ "invalid page size", 0, 64 },
	{ "invalid page size", 0, 63 + PAGE_SHIFT },
	{ "invalid page size", 0, 64 + PAGE_SHIFT },
	{ "invalid page size", 0, 72 + PAGE_SHIFT },
	{ "invalid page size", 0, ~0U },
};

TEST(translating_an_invalid_iommu_page_is_too_hard)
{
	struct tce2_region copy;

	cache = new_process();
	map_contiguous(UA, 4 * COUNT, 0, true);
	/* The offset of 4 pages aligns the IOMMU page that crosses the region's end */
	region = registered(cache, UA + PAGES(4), SIZE);
	copy = *region;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		u64 ua = region->ua + refused[i].offset, hpa = NOTHING;
		unsigned int shift = refused[i].shift;

		row = refused[i].row;
		expect(tce2_rm_ua_to_hpa(region, ua, shift, READ, &hpa),
		       TCE2_RM_TOO_HARD);
		expect(tce2_rm_ua_to_hpa(region, ua, shift, WRITE, &hpa),
		       TCE2_RM_TOO_HARD);
		expect(hpa, NOTHING);
		expect(tce2_rm_mark_dirty(region, ua, shift), TCE2_RM_TOO_HARD);
		expect(memcmp(region, &copy, sizeof(copy)), 0);
	}
	row = NULL;
	finish();
	for (u64 i = 0; i < 4 * COUNT; i++)
		expect(sim_frame(i)->dirtied, 0);
}

/* Registers an aligned range of @pages base pages, each of which is a block */
static void begin_blocks(u64 pages)
{
	cache = new_process();
	map_contiguous(UA, pages, pages, true);
	map_scattered(UA + PAGES(pages), 2, 1, true);
	region = registered(cache, UA, PAGES(pages + 2));
	expect(region->extents.shift, PAGE_SHIFT);
}

TEST(an_iommu_page_of_more_than_512_blocks_is_too_hard)
{
	const unsigned int shift = PAGE_SHIFT + 9;
	u64 hpa = NOTHING;

	begin_blocks(2 * MAX_BLOCKS);
	expect(tce2_rm_ua_to_hpa(region, UA, shift + 1, READ, &hpa),
	       TCE2_RM_TOO_HARD);
	expect(tce2_rm_mark_dirty(region, UA, shift + 1), TCE2_RM_TOO_HARD);
	expect(hpa, NOTHING);
	/* Virtual mode has no such limit */
	expect(hold_pages(cache, UA, shift + 1, 1, READ), 0);
	drop_pages(cache, UA, shift + 1, 1);

	expect(tce2_rm_ua_to_hpa(region, UA + (1ULL << shift), shift, WRITE,
				 &hpa),
	       TCE2_RM_OK);
	expect(hpa, PFN_PHYS(3 * MAX_BLOCKS));
	expect(tce2_rm_mark_dirty(region, UA + (1ULL << shift), shift),
	       TCE2_RM_OK);
	finish();
	for (u64 i = 0; i < 2 * MAX_BLOCKS; i++)
		expect(sim_frame(2 * MAX_BLOCKS + i)->dirtied, i >= MAX_BLOCKS);
}

/* With the hash MMU on 4K kernels, RAM may be beyond the end of the linear mapping */
TEST(real_mode_declines_pointers_beyond_the_linear_mapping)
{
	unsigned long end = sim_linear_end;

	begin();
	sim_linear_end = PAGE_SIZE;
	expect(!tce2_rm_lookup(cache, UA, 1), true);
	expect(hold_pages(cache, UA, PAGE_SHIFT, 4, READ), 0);
	expect(tce2_rm_mapped_put(region, 4), TCE2_RM_TOO_HARD);
	drop_pages(cache, UA, PAGE_SHIFT, 4);
	/* The end is checked exactly, at any address */
	sim_linear_end = (uintptr_t)cache;
	expect(!tce2_rm_lookup(cache, UA, 1), true);
	sim_linear_end = (uintptr_t)cache + 1;
	expect(tce2_rm_lookup(cache, UA, 1) == region, true);
	sim_linear_end = end;
	finish();
}

TEST(pointers_that_need_a_page_table_are_not_followed)
{
	begin();
	expect(tce2_rm_mapped_get(region, 4), TCE2_RM_OK);
	for (unsigned int i = 0; i < NOT_LINEAR; i++) {
		struct tce2_region copy = *region;
		struct page *page = NULL;
		u64 hpa = NOTHING;

		expect(!tce2_rm_lookup(not_linear(cache, i), UA, 1), true);
		expect(tce2_rm_ua_to_hpa(not_linear(region, i), UA, 12, READ,
					 &hpa),
		       TCE2_RM_TOO_HARD);
		expect(tce2_rm_ua_to_hpa(region, UA, 12, READ,
					 not_linear(&hpa, i)),
		       TCE2_RM_TOO_HARD);
		expect(hpa, NOTHING);
		expect(tce2_rm_mapped_get(not_linear(region, i), 1),
		       TCE2_RM_TOO_HARD);
		expect(tce2_rm_mapped_put(not_linear(region, i), 1),
		       TCE2_RM_TOO_HARD);
		expect(tce2_rm_mark_dirty(not_linear(region, i), UA, 12),
		       TCE2_RM_TOO_HARD);
		expect(tce2_rm_pfn_to_page(not_linear(cache, i), 0, &page),
		       TCE2_RM_TOO_HARD);
		expect(!page, true);
		expect(memcmp(region, &copy, sizeof(copy)), 0);
	}
	expect(tce2_rm_mapped_put(region, 4), TCE2_RM_OK);
	finish();
}

/*
 * Counting pages in the region's mapped count
 */

TEST(a_region_counted_in_real_mode_stays_pinned)
{
	begin();
	expect(tce2_rm_mapped_get(region, 3), TCE2_RM_OK);
	expect(tce2_region_unregister(region), -EBUSY);
	expect(tce2_rm_mapped_put(region, 2), TCE2_RM_OK);
	expect(tce2_region_unregister(region), -EBUSY);
	/* Real mode must not decrement the last count, which belongs to the registration */
	expect(tce2_rm_mapped_put(region, 1), TCE2_RM_OK);
	expect(tce2_mapped_sum(&region->mapped), 1);
	expect(tce2_rm_mapped_put(region, 1), TCE2_RM_TOO_HARD);
	expect(tce2_mapped_sum(&region->mapped), 1);

	expect(tce2_rm_mapped_get(region, 3), TCE2_RM_OK);
	tce2_region_unregister_nofail(region);
	expect(sim.now.pinned, COUNT);
	expect(tce2_rm_mapped_put(region, 2), TCE2_RM_OK);
	expect(tce2_rm_mapped_put(region, 1), TCE2_RM_TOO_HARD);
	expect(tce2_mapped_sum(&region->mapped), 1);
	expect(sim.now.pinned, COUNT);
	drop(cache, UA, 1);
	expect(sim.now.pinned, 0);
	tce2_cache_put(cache);
}

TEST(get_refuses_a_count_above_the_number_of_pages_of_the_region)
{
	const u64 most = SIZE >> TCE2_MIN_PAGE_SHIFT;

	begin();
	expect(tce2_rm_mapped_get(region, 0), TCE2_RM_TOO_HARD);
	expect(tce2_rm_mapped_get(region, most + 1), TCE2_RM_TOO_HARD);
	expect(tce2_rm_mapped_get(region, ~0ULL), TCE2_RM_TOO_HARD);
	expect(tce2_mapped_sum(&region->mapped), 1);
	expect(tce2_rm_mapped_get(region, most), TCE2_RM_OK);
	expect(tce2_mapped_sum(&region->mapped), most + 1);
	expect(tce2_rm_mapped_put(region, most), TCE2_RM_OK);
	finish();
}

static void get_is_refused(void)
{
	s64 before = tce2_mapped_sum(&region->mapped);

	rcu_read_lock();
	expect(tce2_rm_mapped_get(region, 1), TCE2_RM_TOO_HARD);
	rcu_read_unlock();
	expect(tce2_mapped_sum(&region->mapped), before);
}

TEST(no_count_begins_on_a_region_that_is_unregistered_or_dying)
{
	begin();
	expect(hold(cache, UA, 1, WRITE), 0);
	tce2_region_unregister_nofail(region);
	get_is_refused();
	sim_when(SIM_AT_LOCK, 1, get_is_refused);
	drop(cache, UA, 1);
	expect(sim.now.pinned, 0);

	/* unregister takes the first lock, tce2_region_destroy() the second */
	region = registered(cache, UA, SIZE);
	sim_when(SIM_AT_LOCK, 2, get_is_refused);
	finish();
}

static void unregister_it(void)
{
	expect(tce2_region_unregister(region), 0);
	sim_grace_period();
}

TEST(get_is_too_hard_if_the_region_dies_before_it_is_counted)
{
	static const enum sim_point points[] = { SIM_AT_COUNT, SIM_AT_READ };

	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		begin();
		rcu_read_lock();
		sim_when(points[i], 1, unregister_it);
		expect(tce2_rm_mapped_get(region, 1), TCE2_RM_TOO_HARD);
		expect(tce2_mapped_sum(&region->mapped), 0);
		rcu_read_unlock();
		expect(sim.now.pinned, 0);
		tce2_cache_put(cache);
		sim_expect_nothing_left();
		sim_reset();
	}
}

static void unregister_nofail(void)
{
	tce2_region_unregister_nofail(region);
}

TEST(get_before_the_last_drop_keeps_the_region_pinned)
{
	begin();
	expect(hold(cache, UA, 1, READ), 0);
	sim_when(SIM_AT_COUNT, 1, unregister_nofail);
	expect(tce2_rm_mapped_get(region, 2), TCE2_RM_OK);
	drop(cache, UA, 1);
	expect(sim.now.pinned, COUNT);
	drop(cache, UA, 2);
	expect(sim.now.pinned, 0);
	tce2_cache_put(cache);
}

static unsigned int swaps, contended;

/* Changes the count between each read and the cmpxchg() that follows */
static void contend(void)
{
	region->mapped.count.counter++;
	if (++swaps < contended)
		sim_when(SIM_AT_SWAP, 1, contend);
}

TEST(put_gives_up_after_64_failed_exchanges)
{
	static const struct {
		unsigned int contended;
		enum tce2_rm_status want;
	} rows[] = {
		{ 1, TCE2_RM_OK },	  { 2, TCE2_RM_OK },
		{ 63, TCE2_RM_OK },	  { 64, TCE2_RM_TOO_HARD },
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		expect(tce2_rm_mapped_get(region, 5), TCE2_RM_OK);
		contended = rows[i].contended;
		swaps = 0;
		sim_when(SIM_AT_SWAP, 1, contend);
		expect(tce2_rm_mapped_put(region, 5), rows[i].want);
		expect(swaps, contended);
		expect(tce2_mapped_sum(&region->mapped),
		       1 + contended + (rows[i].want == TCE2_RM_OK ? 0 : 5));
		region->mapped.count.counter = 1;
	}
	finish();
}

static void drop_the_others(void)
{
	expect(tce2_rm_mapped_put(region, 3), TCE2_RM_OK);
}

TEST(put_is_too_hard_if_its_count_becomes_the_last_meanwhile)
{
	begin();
	expect(tce2_rm_mapped_get(region, 5), TCE2_RM_OK);
	tce2_region_unregister_nofail(region);
	sim_when(SIM_AT_SWAP, 1, drop_the_others);
	expect(tce2_rm_mapped_put(region, 2), TCE2_RM_TOO_HARD);
	expect(tce2_mapped_sum(&region->mapped), 2);
	drop(cache, UA, 2);
	expect(sim.now.pinned, 0);
	tce2_cache_put(cache);
}

/*
 * Dirty flags of blocks
 */

static void expect_dirtied(u64 pfn, u64 count, u32 times)
{
	while (count--)
		expect(sim_frame(pfn++)->dirtied, times);
}

TEST(only_marked_pages_are_dirtied_and_only_at_unpin)
{
	begin();
	expect(tce2_rm_mark_dirty(region, UA + PAGES(2), PAGE_SHIFT),
	       TCE2_RM_OK);
	/* Marking the same 4K IOMMU page again has no effect */
	expect(tce2_rm_mark_dirty(region, UA + PAGES(5) - 4096, 12),
	       TCE2_RM_OK);
	expect(tce2_rm_mark_dirty(region, UA + PAGES(5) - 4096, 12),
	       TCE2_RM_OK);
	/* An IOMMU page of several blocks that are not contiguous is marked, too */
	expect(tce2_rm_mark_dirty(region, UA + PAGES(6), PAGE_SHIFT + 1),
	       TCE2_RM_OK);
	expect_dirtied(0, 4 * COUNT, 0);
	finish();
	/* Page i has frame 4 * COUNT - 1 - i */
	for (u64 i = 0; i < 4 * COUNT; i++)
		expect(sim_frame(4 * COUNT - 1 - i)->dirtied,
		       i == 2 || i == 4 || i == 6 || i == 7);
}

TEST(mark_dirty_of_a_page_with_a_read_only_block_marks_no_block)
{
	cache = new_process();
	map_scattered(UA, 7, 100, true);
	map_scattered(UA + PAGES(7), 1, 120, false);
	map_scattered(UA + PAGES(8), 8, 130, true);
	region = registered(cache, UA, PAGES(16));
	expect(tce2_rm_mark_dirty(region, UA, PAGE_SHIFT + 3),
	       TCE2_RM_READ_ONLY);
	expect(tce2_rm_mark_dirty(region, UA, PAGE_SHIFT + 4),
	       TCE2_RM_READ_ONLY);
	expect(tce2_rm_mark_dirty(region, UA + PAGES(7), PAGE_SHIFT),
	       TCE2_RM_READ_ONLY);
	expect(tce2_rm_mark_dirty(region, UA + PAGES(8), PAGE_SHIFT + 3),
	       TCE2_RM_OK);
	finish();
	expect_dirtied(100, 30, 0);
	expect_dirtied(130, 8, 1);
}

/* A block has one dirty flag, and may be larger or smaller than the IOMMU page */
TEST(mark_dirty_marks_whole_blocks)
{
	cache = new_process();
	map_contiguous(UA, 4, 0, true);
	map_contiguous(UA + PAGES(4), 4, 100, true);
	region = registered(cache, UA, SIZE);
	expect(region->extents.shift, PAGE_SHIFT + 2);
	expect(tce2_rm_mark_dirty(region, UA + PAGES(5), PAGE_SHIFT),
	       TCE2_RM_OK);
	finish();
	expect_dirtied(0, 4, 0);
	expect_dirtied(100, 4, 1);
}
