// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the index of page descriptors in src/vmemmap.c, and of its use in
 * src/realmode.c. The simulated machine (sim.h) provides the descriptors.
 */
#include <linux/rcupdate.h>

#include "tce2_vmemmap.h"
#include "unit.h"

#define COUNT 8
#define SIZE  PAGES(COUNT)

/* Number of page descriptors in one page of memory that backs the array of descriptors */
#define PER_PAGE (PAGE_SIZE / sizeof(struct page))

/* log2 of the size of large pages whose descriptors take several backing pages */
#define LARGE_SHIFT (PAGE_SHIFT == 12 ? 24 : 30)

static struct tce2_cache *cache;
static struct tce2_region *region;

static void begin(void)
{
	cache = new_process();
	map_contiguous(UA, COUNT, 0, true);
	map_contiguous(UA + SIZE, COUNT, PER_PAGE - 3, true);
	map_scattered(UA + 2 * SIZE, COUNT, 5 * PER_PAGE, true);
	region = registered(cache, UA, SIZE);
}

static void finish(void)
{
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

FIXTURE(region);

FIXTURE_SETUP(region)
{
	begin();
}

FIXTURE_TEARDOWN(region)
{
	finish();
}

static void expect_at_its_place(u64 pfn)
{
	struct page *page = NULL;

	expect(tce2_rm_pfn_to_page(cache, pfn, &page), TCE2_RM_OK);
	expect(page == sim_descriptor(pfn), true);
}

static void expect_found(u64 pfn, u64 count)
{
	while (count--)
		expect_at_its_place(pfn++);
}

static void expect_too_hard(u64 pfn)
{
	struct page *page = NULL;

	expect(tce2_rm_pfn_to_page(cache, pfn, &page), TCE2_RM_TOO_HARD);
	expect(!page, true);
}

TEST_F(region, the_first_lookup_finds_descriptors_of_all_regions)
{
	struct tce2_region *second, *third;
	u64 allocs;

	second = registered(cache, UA + SIZE, SIZE);
	expect_too_hard(0);
	expect(tce2_cache_find_pages(cache), 0);
	expect_found(0, COUNT);
	/* The descriptors of this range lie in two backing pages */
	expect_found(PER_PAGE - 3, COUNT);
	expect_too_hard(5 * PER_PAGE);
	third = registered(cache, UA + 2 * SIZE, SIZE);
	expect_found(5 * PER_PAGE, COUNT);

	allocs = sim.now.allocs;
	expect(tce2_cache_find_pages(cache), 0);
	expect(sim.now.allocs, allocs);
	/* The descriptors stay indexed, for modules that still have a reference to a page */
	expect(tce2_region_unregister(second), 0);
	expect_found(PER_PAGE - 3, COUNT);
	expect(tce2_region_unregister(third), 0);
}

TEST_F(region, an_unregistered_or_impossible_frame_is_too_hard)
{
	const u64 frames = 1ULL << (MAX_PHYSMEM_BITS - PAGE_SHIFT);
	static const u64 far[] = { 1ULL << 40, 1ULL << 58, ~0ULL };

	expect(tce2_cache_find_pages(cache), 0);
	expect_too_hard(3 * PER_PAGE);
	expect_too_hard(600 * PER_PAGE);
	expect_too_hard(frames - 1);
	expect_too_hard(frames);
	/* The product of this number and the size of a descriptor overflows to a valid offset */
	expect_too_hard((1ULL << 58) + 1);
	for (size_t i = 0; i < ARRAY_SIZE(far); i++)
		expect_too_hard(far[i]);
	/* Their backing pages differ from backing page 0 in the index of one level of the tree */
	for (u64 pfn = PER_PAGE; pfn < frames; pfn <<= TCE2_VMEMMAP_SHIFT)
		expect_too_hard(pfn);
}

TEST_F(region, a_pointer_that_needs_a_page_table_is_not_followed)
{
	struct page *page;

	expect(tce2_cache_find_pages(cache), 0);
	for (unsigned int i = 0; i < NOT_LINEAR; i++) {
		page = NULL;
		expect(tce2_rm_pfn_to_page(cache, 0, not_linear(&page, i)),
		       TCE2_RM_TOO_HARD);
		expect(tce2_rm_pfn_to_page(not_linear(cache, i), 0, &page),
		       TCE2_RM_TOO_HARD);
		expect(!page, true);

		page = sim_descriptor(0);
		page->_refcount.counter = 2;
		expect(tce2_rm_put_page_unless_one(not_linear(cache, i), page),
		       TCE2_RM_TOO_HARD);
		expect(tce2_rm_put_page_unless_one(cache, not_linear(page, i)),
		       TCE2_RM_TOO_HARD);
		/* pfn_to_page() returns an address outside the linear mapping, too */
		expect(tce2_rm_put_page_unless_one(cache, pfn_to_page(0)),
		       TCE2_RM_TOO_HARD);
		expect(page->_refcount.counter, 2);
	}
}

/* Maps two large pages, of which a test may register only a range */
static void map_large(u64 ua)
{
	u64 *pfn = sim_mmap(sim.mm, ua, 2ULL << LARGE_SHIFT, LARGE_SHIFT, true);

	sim.large_shift = LARGE_SHIFT;
	pfn[0] = SIM_BIG + (4ULL << (LARGE_SHIFT - PAGE_SHIFT));
	pfn[1] = SIM_BIG + (1ULL << (LARGE_SHIFT - PAGE_SHIFT));
}

TEST(a_large_page_is_found_from_its_first_descriptor_on)
{
	const u64 pages = 1ULL << (LARGE_SHIFT - PAGE_SHIFT);
	const u64 first = SIM_BIG + 4 * pages;
	struct tce2_region *inner;

	expect(pages >= 4 * PER_PAGE, true);
	for (int indexed = 0; indexed < 2; indexed++) {
		begin();
		map_large(TIB(1));
		if (indexed)
			expect(tce2_cache_find_pages(cache), 0);
		/* The second backing page, and the third except its last descriptor */
		inner = registered(cache, TIB(1) + PAGES(PER_PAGE),
				   PAGES(2 * PER_PAGE - 1));
		if (!indexed)
			expect(tce2_cache_find_pages(cache), 0);
		expect_found(first, 3 * PER_PAGE);
		expect_too_hard(first + 3 * PER_PAGE);
		expect_too_hard(first - 1);
		expect(tce2_region_unregister(inner), 0);
		finish();
		sim_expect_nothing_left();
		sim_reset();
	}
}

TEST_F(region, all_descriptors_of_a_region_of_large_pages_are_found)
{
	const u64 pages = 1ULL << (LARGE_SHIFT - PAGE_SHIFT);
	struct tce2_region *large;

	map_large(TIB(1));
	expect(tce2_cache_find_pages(cache), 0);
	large = registered(cache, TIB(1), 2ULL << LARGE_SHIFT);
	for (u64 i = 0; i < pages; i += PER_PAGE / 4) {
		expect_at_its_place(SIM_BIG + 4 * pages + i);
		expect_at_its_place(SIM_BIG + pages + i);
	}
	expect_at_its_place(SIM_BIG + 5 * pages - 1);
	expect(tce2_region_unregister(large), 0);
}

/* Two more pages that are not contiguous reduce the block size to one page */
TEST_F(region, a_large_page_in_small_blocks_is_looked_up_once)
{
	const u64 pages = 1ULL << (LARGE_SHIFT - PAGE_SHIFT);
	const u64 odd = 7 * PER_PAGE;
	struct tce2_region *mixed;
	u64 before;

	map_large(TIB(1));
	map_contiguous(TIB(1) + (2ULL << LARGE_SHIFT), 1, odd, true);
	map_contiguous(TIB(1) + (2ULL << LARGE_SHIFT) + PAGE_SIZE, 1, odd + 2,
		       true);
	mixed = registered(cache, TIB(1), (2ULL << LARGE_SHIFT) + PAGES(2));
	expect(mixed->extents.shift, PAGE_SHIFT);
	expect(tce2_cache_find_pages(cache), 0);
	before = sim.lookups;
	expect(tce2_region_unregister(mixed), 0);
	mixed = registered(cache, TIB(1), (2ULL << LARGE_SHIFT) + PAGES(2));
	/* One lookup for each backing page, and one for the first descriptor of each large page */
	expect(sim.lookups - before <= 2 * pages / PER_PAGE + 3 + 3, true);
	expect_found(SIM_BIG + 4 * pages, pages);
	expect_found(odd, 3);
	expect(tce2_region_unregister(mixed), 0);
}

TEST_F(region, descriptors_that_have_moved_are_found_again)
{
	struct tce2_region *third;

	expect(tce2_cache_find_pages(cache), 0);
	third = registered(cache, UA + 2 * SIZE, SIZE);
	expect_found(0, COUNT);
	expect(tce2_region_unregister(region), 0);
	/* No page there is pinned, so the kernel may free the backing page */
	sim_move_descriptor(0);
	region = registered(cache, UA, SIZE);
	expect_found(0, COUNT);
	expect_found(5 * PER_PAGE, COUNT);
	expect(tce2_region_unregister(third), 0);
}

TEST_F(region, descriptors_that_cannot_be_found_are_too_hard)
{
	struct tce2_region *second;

	sim_hide_descriptor(PER_PAGE, true);
	expect(tce2_cache_find_pages(cache), 0);
	second = registered(cache, UA + SIZE, SIZE);
	expect_found(PER_PAGE - 3, 3);
	expect_too_hard(PER_PAGE);
	sim_hide_descriptor(PER_PAGE, false);
	expect(tce2_region_unregister(second), 0);
	second = registered(cache, UA + SIZE, SIZE);
	expect_found(PER_PAGE - 3, COUNT);
	expect(tce2_region_unregister(second), 0);
}

TEST_F(region, no_index_is_made_if_page_tables_hold_no_descriptors)
{
	struct sim_counts before;
	struct tce2_region *second;

	sim.hash_mmu = true;
	before = sim.now;
	expect(tce2_cache_find_pages(cache), -EOPNOTSUPP);
	expect_counts(before);
	expect(!cache->descriptors, true);
	second = registered(cache, UA + SIZE, SIZE);
	expect_too_hard(0);
	expect(tce2_region_unregister(second), 0);
}

TEST_F(region, a_kill_ends_the_wait_for_an_index)
{
	sim_fail(SIM_KILL, 1);
	expect(tce2_cache_find_pages(cache), -EINTR);
	sim_fail_nothing();
	expect(!cache->descriptors, true);
	expect(tce2_cache_find_pages(cache), 0);
}

/* Maps pages whose descriptors are in backing pages far apart from each other */
static void far_apart(u64 ua)
{
	u64 *pfn;

	sim.large_shift = LARGE_SHIFT;
	for (u64 i = 0; i < 5; i++) {
		pfn = sim_mmap(sim.mm, ua + PAGES(i), PAGE_SIZE, PAGE_SHIFT,
			       true);
		/* Three of the backing pages are in one node, the others in separate nodes */
		pfn[0] = i < 3 ? 9 * PER_PAGE * i :
				 SIM_BIG + (PER_PAGE << (3 * i));
	}
}

TEST(a_failed_allocation_for_an_index_returns_enomem)
{
	unsigned int nth;
	bool fired = true;

	for (nth = 1; fired; nth++) {
		struct tce2_region *apart;
		struct sim_counts before;
		int ret;

		cache = new_process();
		map_contiguous(UA, COUNT, 0, true);
		region = registered(cache, UA, SIZE);
		far_apart(TIB(1));
		apart = registered(cache, TIB(1), PAGES(5));
		before = sim.now;
		sim_fail(SIM_ALLOC, nth);
		ret = tce2_cache_find_pages(cache);
		fired = sim.fired;
		expect(ret, fired ? -ENOMEM : 0);
		if (fired) {
			sim_grace_period();
			expect_counts(before);
			expect(!cache->descriptors, true);
			expect_too_hard(0);
			expect(tce2_cache_find_pages(cache), 0);
		}
		expect_found(0, COUNT);
		expect_at_its_place(9 * PER_PAGE);
		expect_at_its_place(SIM_BIG + (PER_PAGE << 12));
		expect(tce2_region_unregister(apart), 0);
		finish();
		sim_expect_nothing_left();
		sim_reset();
	}
	/* The index, and at least one node of each level */
	expect(nth > TCE2_VMEMMAP_LEVELS + 1, true);
}

TEST(a_failed_allocation_for_descriptors_makes_register_return_enomem)
{
	unsigned int nth;
	bool fired = true;

	for (nth = 1; fired; nth++) {
		struct tce2_region *apart = NULL;
		struct sim_counts before;
		int ret;

		cache = new_process();
		map_contiguous(UA, COUNT, 0, true);
		region = registered(cache, UA, SIZE);
		far_apart(TIB(1));
		expect(tce2_cache_find_pages(cache), 0);
		before = sim.now;
		sim_fail(SIM_ALLOC, nth);
		ret = tce2_region_register(cache, TIB(1), PAGES(5), &apart);
		fired = sim.fired;
		sim_fail_nothing();
		expect(ret, fired ? -ENOMEM : 0);
		expect(sim.now.pinned, before.pinned + (fired ? 0 : 5));
		expect(sim.now.charged, before.charged + (fired ? 0 : 5));
		expect_found(0, COUNT);
		if (fired) {
			expect(!tce2_rm_lookup(cache, TIB(1), 1), true);
			apart = registered(cache, TIB(1), PAGES(5));
		}
		expect_at_its_place(9 * PER_PAGE);
		expect_at_its_place(SIM_BIG + (PER_PAGE << 12));
		expect(tce2_region_unregister(apart), 0);
		finish();
		sim_expect_nothing_left();
		sim_reset();
	}
	expect(nth > 6, true);
}

static bool all_found;

static void look(void)
{
	struct page *page = NULL;

	rcu_read_lock();
	all_found = cache->descriptors;
	for (u64 i = 0; i < COUNT; i++)
		expect(tce2_rm_pfn_to_page(cache, PER_PAGE - 3 + i, &page),
		       all_found ? TCE2_RM_OK : TCE2_RM_TOO_HARD);
	rcu_read_unlock();
}

TEST(an_index_is_visible_only_with_all_descriptors)
{
	for (unsigned int nth = 1; nth <= 8; nth++) {
		struct tce2_region *second;

		begin();
		second = registered(cache, UA + SIZE, SIZE);
		sim_when(SIM_AT_WRITE, nth, look);
		expect(tce2_cache_find_pages(cache), 0);
		sim_when(SIM_AT_WRITE, 0, NULL);
		look();
		expect(all_found, true);
		expect(tce2_region_unregister(second), 0);
		finish();
		sim_expect_nothing_left();
		sim_reset();
	}
}

static unsigned int published;

static void expect_no_index(void)
{
	expect(!cache->descriptors, true);
	published++;
	sim_when(SIM_AT_PUBLISH, 1, expect_no_index);
}

TEST_F(region, an_index_is_published_after_its_nodes)
{
	published = 0;
	sim_when(SIM_AT_PUBLISH, 1, expect_no_index);
	expect(tce2_cache_find_pages(cache), 0);
	sim_when(SIM_AT_PUBLISH, 0, NULL);
	/* A node of each level, then the index itself */
	expect(published, TCE2_VMEMMAP_LEVELS + 1);
}

/* Runs during a registration: if the region is found, its descriptors must be found, too */
static void look_for_the_new_one(void)
{
	rcu_read_lock();
	if (tce2_rm_lookup(cache, UA + 2 * SIZE, 1))
		expect_found(5 * PER_PAGE, COUNT);
	rcu_read_unlock();
}

TEST(descriptors_of_a_region_are_indexed_before_the_region_is_found)
{
	for (unsigned int nth = 1; nth <= 24; nth++) {
		struct tce2_region *added;

		begin();
		expect(tce2_cache_find_pages(cache), 0);
		sim_when(SIM_AT_READ, nth, look_for_the_new_one);
		added = registered(cache, UA + 2 * SIZE, SIZE);
		sim_when(SIM_AT_READ, 0, NULL);
		look_for_the_new_one();
		expect(tce2_region_unregister(added), 0);
		finish();
		sim_expect_nothing_left();
		sim_reset();
	}
}

/*
 * Dropping references to pages
 */

static struct page *found(u64 pfn)
{
	struct page *page = NULL;

	expect(tce2_rm_pfn_to_page(cache, pfn, &page), TCE2_RM_OK);
	return page;
}

TEST_F(region, a_reference_is_put_unless_it_is_the_last)
{
	struct page *page;

	page = sim_descriptor(2);
	page->_refcount.counter = 3;
	expect(tce2_rm_put_page_unless_one(cache, page), TCE2_RM_TOO_HARD);
	expect(page->_refcount.counter, 3);
	expect(tce2_cache_find_pages(cache), 0);
	expect(found(2) == page, true);
	expect(tce2_rm_put_page_unless_one(cache, page), TCE2_RM_OK);
	expect(page->_refcount.counter, 2);
	expect(tce2_rm_put_page_unless_one(cache, page), TCE2_RM_OK);
	expect(page->_refcount.counter, 1);
	expect(tce2_rm_put_page_unless_one(cache, page), TCE2_RM_TOO_HARD);
	expect(page->_refcount.counter, 1);
	expect(sim_descriptor(1)->_refcount.counter, 1);
	expect(sim_descriptor(3)->_refcount.counter, 1);
}

static void put_it(void)
{
	expect(tce2_rm_put_page_unless_one(cache, found(2)), TCE2_RM_OK);
}

TEST_F(region, concurrent_calls_never_put_the_last_reference)
{
	expect(tce2_cache_find_pages(cache), 0);
	found(2)->_refcount.counter = 2;
	sim_when(SIM_AT_SWAP, 1, put_it);
	expect(tce2_rm_put_page_unless_one(cache, found(2)), TCE2_RM_TOO_HARD);
	expect(found(2)->_refcount.counter, 1);
}

TEST_F(region, put_changes_the_first_descriptors_count_of_a_large_page)
{
	const u64 first = SIM_BIG +
			  (4ULL << (LARGE_SHIFT - PAGE_SHIFT));
	struct tce2_region *inner;

	map_large(TIB(1));
	expect(tce2_cache_find_pages(cache), 0);
	inner = registered(cache, TIB(1) + PAGES(PER_PAGE), SIZE);
	for (u64 i = PER_PAGE; i < PER_PAGE + COUNT; i += COUNT - 1) {
		struct page *tail = found(first + i);

		expect(tail->head == (uintptr_t)pfn_to_page(first) + 1, true);
		sim_descriptor(first)->_refcount.counter = 2;
		expect(tce2_rm_put_page_unless_one(cache, tail), TCE2_RM_OK);
		expect(sim_descriptor(first)->_refcount.counter, 1);
		expect(tce2_rm_put_page_unless_one(cache, tail),
		       TCE2_RM_TOO_HARD);
		expect(sim_descriptor(first)->_refcount.counter, 1);
		expect(tail->_refcount.counter, 1);
	}
	expect(tce2_region_unregister(inner), 0);
}

TEST_F(region, a_large_page_whose_first_descriptor_is_not_found_is_too_hard)
{
	const u64 first = SIM_BIG +
			  (4ULL << (LARGE_SHIFT - PAGE_SHIFT));
	struct tce2_region *inner;
	struct page *tail;

	map_large(TIB(1));
	sim_hide_descriptor(first, true);
	expect(tce2_cache_find_pages(cache), 0);
	inner = registered(cache, TIB(1) + PAGES(PER_PAGE), SIZE);
	tail = found(first + PER_PAGE + 1);
	tail->_refcount.counter = 2;
	sim_descriptor(first)->_refcount.counter = 2;
	expect(tce2_rm_put_page_unless_one(cache, tail), TCE2_RM_TOO_HARD);
	expect(tail->_refcount.counter, 2);
	expect(sim_descriptor(first)->_refcount.counter, 2);
	expect(tce2_region_unregister(inner), 0);
}

/* A lookup without a check of the address would find backing page 0 */
TEST_F(region, a_first_descriptor_outside_the_array_is_too_hard)
{
	struct page *tail;

	expect(tce2_cache_find_pages(cache), 0);
	tail = found(1);
	sim_descriptor(0)->_refcount.counter = 2;
	for (u64 far = TCE2_VMEMMAP_BYTES; far; far <<= 1) {
		tail->head = SIM_VMEMMAP + far + 1;
		expect(tce2_rm_put_page_unless_one(cache, tail),
		       TCE2_RM_TOO_HARD);
		tail->head = SIM_VMEMMAP - far + 1;
		expect(tce2_rm_put_page_unless_one(cache, tail),
		       TCE2_RM_TOO_HARD);
	}
	expect(sim_descriptor(0)->_refcount.counter, 2);
}

/* In the flat memory model the array of descriptors is in the linear mapping */
TEST_F(region, descriptors_in_the_linear_mapping_need_no_index)
{
	static struct page array[4 * COUNT];
	struct tce2_region *second;
	struct page *page = NULL;
	u64 allocs;

	expect(tce2_cache_find_pages(cache), 0);
	cache->descriptors->linear = true;
	cache->descriptors->base = (unsigned long)array;
	/* No descriptor is looked up from now on */
	sim.hash_mmu = true;
	allocs = sim.now.allocs;
	second = registered(cache, UA + 2 * SIZE, SIZE);
	expect(sim.now.allocs, allocs + 2);
	expect(tce2_rm_pfn_to_page(cache, 3 * COUNT, &page), TCE2_RM_OK);
	expect(page == &array[3 * COUNT], true);
	expect(tce2_rm_pfn_to_page(cache, ~0ULL, &page), TCE2_RM_TOO_HARD);

	array[2]._refcount.counter = 2;
	array[3 * COUNT].head = (uintptr_t)&array[2] + 1;
	expect(tce2_rm_put_page_unless_one(cache, page), TCE2_RM_OK);
	expect(array[2]._refcount.counter, 1);
	expect(tce2_rm_put_page_unless_one(cache, page), TCE2_RM_TOO_HARD);
	expect(tce2_region_unregister(second), 0);
}
