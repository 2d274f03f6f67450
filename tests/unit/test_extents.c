// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/extents.c: block sizes, the memory that extents take, and the translation
 * of IOMMU pages of any size.
 */
#include "unit.h"

static struct tce2_cache *cache;
static struct tce2_region *region;

static void begin(void)
{
	cache = new_process();
}

static void end(void)
{
	expect(tce2_region_unregister(region), 0);
	tce2_cache_put(cache);
}

FIXTURE(process);

FIXTURE_SETUP(process)
{
	begin();
}

FIXTURE_TEARDOWN(process)
{
	end();
}

/* Maps base pages at the listed frames; -1 ends the list */
static void map_list(u64 ua, const s32 *list)
{
	u64 count = 0, *pfn;

	while (list[count] >= 0)
		count++;
	pfn = sim_mmap(sim.mm, ua, PAGES(count), PAGE_SHIFT, true);
	for (u64 i = 0; i < count; i++)
		pfn[i] = list[i];
}

/*
 * Maps @count large pages, in descending order of their physical addresses. The results
 * must be the same for hugepages and transparent hugepages.
 */
static void map_large(u64 ua, u64 count, unsigned int shift)
{
	u64 *pfn = sim_mmap(sim.mm, ua, count << shift, shift, true);

	sim.large_shift = shift;
	for (u64 i = 0; i < count; i++)
		pfn[i] = SIM_BIG + ((count - 1 - i) << (shift - PAGE_SHIFT));
}

/* Holds an IOMMU page, translates it as real mode does, and drops it */
static int translate(u64 ua, unsigned int shift, u64 *hpa)
{
	int ret = hold_pages(cache, ua, shift, 1, WRITE);

	*hpa = ~0ULL;
	if (ret)
		return ret;
	expect(tce2_rm_ua_to_hpa(tce2_region_find_held(cache, ua, shift), ua,
				 shift, WRITE, hpa),
	       TCE2_RM_OK);
	drop_pages(cache, ua, shift, 1);
	return 0;
}

static void expect_hpa(u64 ua, unsigned int shift, u64 want)
{
	u64 hpa;

	expect(translate(ua, shift, &hpa), 0);
	expect(hpa, want);
}

static void expect_refused(u64 ua, unsigned int shift)
{
	u64 hpa;

	expect(translate(ua, shift, &hpa), -EINVAL);
}

/*
 * Block size of a region
 */

/* @first page of the memory, expected @shift: log2 of the pages in a block, page frames */
struct block_row {
	const char *row;
	u64 first;
	int shift;
	s32 frames[20];
};

static const struct block_row block_rows[] = {
	{ "one page", 64, 0, { 7, -1 } },
	{ "all contiguous", 64, 2, { 8, 9, 10, 11, -1 } },
	{ "all contiguous, misaligned", 64, 2, { 7, 8, 9, 10, -1 } },
	{ "three pages", 64, 2, { 8, 9, 10, -1 } },
	{ "two halves", 64, 1, { 8, 9, 20, 21, -1 } },
	{ "scattered", 64, 0, { 8, 6, 4, 2, -1 } },
	{ "break before the last page", 64, 0, { 8, 9, 10, 11, 12, 13, 14, 7, -1 } },
	{ "break before the last two pages", 64, 1, { 8, 9, 10, 11, 12, 13, 1, 2, -1 } },
	{ "break before the last half", 64, 2, { 8, 9, 10, 11, 1, 2, 3, 4, -1 } },
	{ "starts inside a block", 63, 2, { 7, 8, 9, -1 } },
	{ "starts inside a block, break after the first page",
	  63,
	  2,
	  { 30, 8, 9, 10, 11, 16, 17, 18, 19, -1 } },
	{ "starts in the middle of a block",
	  66,
	  2,
	  { 30, 31, 8, 9, 10, 11, 16, 17, 18, 19, -1 } },
	{ "ends inside a block", 64, 2, { 8, 9, 10, 11, 16, 17, -1 } },
	{ "block would begin below frame 0", 67, 3, { 0, 1, 2, 3, 4, -1 } },
	{ "block size shrinks repeatedly", 64, 0, { 8, 9, 10, 11, 32, 33, 49, 48, -1 } },
};

TEST(the_block_size_is_the_largest_for_which_all_blocks_are_contiguous)
{
	for (size_t i = 0; i < ARRAY_SIZE(block_rows); i++) {
		const struct block_row *r = &block_rows[i];
		u64 ua = PAGES(r->first), count = 0;

		row = r->row;
		begin();
		map_list(ua, r->frames);
		while (r->frames[count] >= 0)
			count++;
		region = registered(cache, ua, PAGES(count));
		expect(region->extents.shift - PAGE_SHIFT, r->shift);
		for (u64 p = 0; p < count; p++)
			expect_hpa(ua + PAGES(p), PAGE_SHIFT,
				   PAGES(r->frames[p]));
		end();
		sim_expect_nothing_left();
		sim_reset();
	}
}

/*
 * Memory that extents take
 */

/*
 * Maximum size of a region, without the 8 bytes for each block: struct tce2_region, and the
 * bytes by which the slab allocator rounds up the struct and the last node.
 */
#define REGION_BYTES 256
/*
 * Maximum size of the upper nodes, which contain one pointer for each page of entries. The
 * page tables of the in-tree driver's vmalloc()ed array take as much.
 */
#define POINTER_BYTES(entries) ((entries) * 8 / (PAGE_SIZE / 8 - 1) + 64)

/* Returns the size of the parts of a region's mapped count, of which there are at most 4 */
static u64 parts_bytes(u64 size)
{
	return size < MIB(128) ? 0 : size < MIB(256) ? 256 : 512;
}

static u64 bytes_of_region(u64 ua, u64 size, bool rounded)
{
	struct sim_counts before;
	u64 bytes;

	sim_grace_period();
	before = sim.now;
	region = registered(cache, ua, size);
	bytes = rounded ? sim.now.slab_bytes - before.slab_bytes
			: sim.now.bytes - before.bytes;
	return bytes;
}

static void expect_at_most(const char *what, u64 bytes, u64 most)
{
	row = what;
	if (bytes > most)
		expect(bytes, most);
}

TEST_F(process, extents_of_gigabyte_pages_take_8_bytes_a_gigabyte)
{
	u64 bytes;

	sim.hugetlb = true;
	map_large(TIB(1), 1024, 30);
	bytes = bytes_of_region(TIB(1), TIB(1), true);
	expect(region->extents.shift, 30);
	expect(sim.now.pinned, TIB(1) >> PAGE_SHIFT);
	expect_at_most("8 bytes a GiB", bytes,
		       8 * 1024 + REGION_BYTES + parts_bytes(TIB(1)) + POINTER_BYTES(1024));
	expect_at_most("64 KiB a TiB", bytes, KIB(64));
	expect_hpa(TIB(1) + GIB(5) + MIB(16), 24,
		   PAGES(SIM_BIG) + GIB(1018) + MIB(16));
}

TEST(extents_of_a_gigabyte_page_take_one_entry)
{
	begin();
	map_large(TIB(1), 1, 30);
	for (int i = 0; i < 2; i++) {
		sim.hugetlb = i;
		expect_at_most("one entry",
			       bytes_of_region(TIB(1), GIB(1), true),
			       8 + REGION_BYTES + parts_bytes(GIB(1)));
		expect_hpa(TIB(1), 30, PAGES(SIM_BIG));
		expect(tce2_region_unregister(region), 0);
	}
	tce2_cache_put(cache);
}

/* A driver maps the pages of a hugetlbfs folio. All except the first and last are out of order. */
TEST_F(process, base_pages_of_a_hugepage_mapped_out_of_order_are_recorded_one_by_one)
{
	static const u64 place[] = { 0, 2, 1, 3, 4, 6, 5, 7 };
	u64 *pfn;

	sim.hugetlb = true;
	sim.large_shift = PAGE_SHIFT + 3;
	pfn = sim_mmap(sim.mm, GIB(1), PAGES(8), PAGE_SHIFT, true);
	for (int i = 0; i < 8; i++)
		pfn[i] = SIM_BIG + place[i];
	bytes_of_region(GIB(1), PAGES(8), true);
	for (int i = 0; i < 8; i++)
		expect_hpa(GIB(1) + PAGES(i), PAGE_SHIFT,
			   PAGES(SIM_BIG + place[i]));
}

#define ORDERED 40 /* not a multiple of the number of pages that are compared together */

/* Append pages in this order, and expect the physical address of each page */
static void expect_recorded(const u64 *pfn)
{
	struct page *pages[ORDERED];
	struct tce2_extents ext;
	unsigned long done;
	u64 hpa, flags;

	for (int i = 0; i < ORDERED; i++)
		pages[i] = pfn_to_page(pfn[i]);
	tce2_extents_init(&ext, UA, PAGES(ORDERED));
	expect(tce2_extents_append_pages(&ext, pages, ORDERED, 0, false, &done), 0);
	for (int i = 0; i < ORDERED; i++) {
		tce2_extents_run(&ext, UA + PAGES(i), &hpa, &flags);
		expect(hpa, PAGES(pfn[i]));
	}
	tce2_extents_free(&ext);
}

static void add_to_all(u64 *pfn, int first, int end, int number)
{
	for (int i = first; i < end; i++)
		pfn[i] += number;
}

TEST(pages_in_order_except_one_are_recorded)
{
	static const u64 others[] = { 1, 999, 1000, 1001, 1016, 1039, 1040, 2000 };
	u64 pfn[ORDERED];

	for (int i = 0; i < ORDERED; i++)
		pfn[i] = 1000 + i;
	expect_recorded(pfn);
	for (int i = 0; i < ORDERED; i++) {
		for (size_t o = 0; o < ARRAY_SIZE(others); o++) {
			pfn[i] = others[o];
			expect_recorded(pfn);
		}
		pfn[i] = 1000 + i;
	}
}

TEST(pages_in_order_except_two_are_recorded)
{
	u64 pfn[ORDERED];

	for (int i = 0; i < ORDERED; i++)
		pfn[i] = 1000 + i;
	for (int i = 0; i < ORDERED; i++) {
		for (int j = i + 1; j < ORDERED; j++) {
			pfn[i] = 1000 + j;
			pfn[j] = 1000 + i;
			expect_recorded(pfn);
			pfn[i] = 1000 + i;
			pfn[j] = 1000 + j;
		}
	}
}

/* One page is skipped, and another page is mapped twice, at each pair of places */
TEST(pages_with_a_gap_and_a_repeated_page_are_recorded)
{
	u64 pfn[ORDERED];

	for (int i = 0; i < ORDERED; i++)
		pfn[i] = 1000 + i;
	for (int first = 0; first < ORDERED; first++) {
		for (int end = first + 1; end <= ORDERED; end++) {
			add_to_all(pfn, first, end, 1);
			expect_recorded(pfn);
			add_to_all(pfn, first, end, -2);
			expect_recorded(pfn);
			add_to_all(pfn, first, end, 1);
		}
	}
}

/* The in-tree driver takes 8 bytes for each base page of at most 64 KiB */
TEST(extents_of_2m_pages_take_a_thirtieth_of_the_in_tree_memory)
{
	const u64 size = GIB(16);

	begin();
	map_large(TIB(1), size >> 21, 21);
	for (int i = 0; i < 2; i++) {
		sim.hugetlb = i;
		expect_at_most("1/30 of in-tree",
			       bytes_of_region(TIB(1), size, true),
			       (size >> 16) * 8 / 30);
		expect(region->extents.shift, 21);
		expect_hpa(TIB(1) + MIB(2), 21, PAGES(SIM_BIG) + size - MIB(4));
		expect_refused(TIB(1), 22);
		expect(tce2_region_unregister(region), 0);
	}
	tce2_cache_put(cache);
}

/* The worst case. The numbers of pages are around the limits at which a node is added. */
TEST(extents_of_scattered_memory_take_8_bytes_a_page)
{
	const u64 node = PAGE_SIZE / 8;
	const u64 counts[] = {
		1, 2, 3, 15, 100, node - 1, node, node + 1, node + 9,
		2 * node, 2 * node + 1, 5 * node, 7 * node + node / 2,
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		u64 count = counts[i], bytes;

		map_scattered(UA, count, 1, true);
		bytes = bytes_of_region(UA, PAGES(count), false);
		expect(region->extents.shift, PAGE_SHIFT);
		expect_at_most("bytes requested", bytes,
			       8 * count + REGION_BYTES + parts_bytes(PAGES(count)) +
			       (count > node ? POINTER_BYTES(count) : 0));
		expect(tce2_region_unregister(region), 0);

		/* The slab allocator may round the last node up to twice its size */
		bytes = bytes_of_region(UA, PAGES(count), true);
		expect_at_most("bytes allocated", bytes,
			       8 * count + REGION_BYTES +
			       parts_bytes(PAGES(count)) + PAGE_SIZE / 2 +
				       2 * POINTER_BYTES(count));
		for (u64 p = 0; p < count; p += 1 + p / 7)
			expect_hpa(UA + PAGES(p), PAGE_SHIFT, PAGES(count - p));
		expect(tce2_region_unregister(region), 0);
		sim_munmap_all(sim.mm);
	}
	tce2_cache_put(cache);
}

static int fill_backwards(struct tce2_extents *ext, u64 count)
{
	int ret = 0;

	tce2_extents_init(ext, UA, PAGES(count));
	for (u64 i = count; i && !ret; i--) {
		struct page *page = pfn_to_page(i);
		unsigned long done;

		ret = tce2_extents_append_pages(ext, &page, 1, 0, false,
						&done);
	}
	return ret;
}

/* Uses three levels with 4K pages. With 64K pages it uses two: three would take gigabytes. */
TEST(extents_are_freed_whichever_node_could_not_be_allocated)
{
	const u64 node = PAGE_SIZE / 8;
	const u64 count = PAGE_SHIFT == 12 ? node * node + 1 : 2 * node + 1;
	struct tce2_extents ext;
	u64 nodes;

	expect(fill_backwards(&ext, count), 0);
	nodes = sim.now.allocs;
	for (u64 i = 0; i < count; i += 1 + i / 5)
		expect(*tce2_extents_entry(&ext, UA + PAGES(i)),
		       PAGES(count - i));
	tce2_extents_free(&ext);
	expect(sim.now.allocs, 0);

	/* One more than @nodes: the second page splits the first block, and its node is freed */
	for (u64 nth = 1; nth <= nodes + 1; nth++) {
		if (nth == 6 && nodes > 12)
			nth = nodes - 4;
		sim_fail(SIM_ALLOC, nth);
		expect(fill_backwards(&ext, count), -ENOMEM);
		tce2_extents_free(&ext);
		expect(sim.now.allocs, 0);
	}
}

/* Real mode can't access a vmalloc()ed array, and a large allocation may fail */
TEST_F(process, no_allocation_is_larger_than_a_page)
{
	const u64 count = 60000;

	map_scattered(UA, count, 1, true);
	region = registered(cache, UA, PAGES(count));
	expect_at_most("largest allocation", sim.largest, PAGE_SIZE);
}

/*
 * Translation of IOMMU pages
 */

TEST_F(process, a_held_range_crosses_blocks_and_regions)
{
	struct tce2_region *second;

	map_list(UA, (const s32[]){ 8, 9, 20, 21, 4, 5, 6, 7, -1 });
	region = registered(cache, UA, PAGES(4));
	second = registered(cache, UA + PAGES(4), PAGES(4));
	expect(hold_pages(cache, UA, PAGE_SHIFT + 1, 4, WRITE), 0);
	expect(tce2_region_unregister(region), -EBUSY);
	expect(tce2_region_unregister(second), -EBUSY);
	drop_pages(cache, UA, PAGE_SHIFT + 1, 4);
	expect(tce2_region_unregister(second), 0);
}

TEST_F(process, a_failed_hold_counts_no_page)
{
	struct tce2_region *second;

	map_scattered(UA, 4, 0, true);
	map_scattered(UA + PAGES(4), 4, 100, false);
	region = registered(cache, UA, PAGES(4));
	second = registered(cache, UA + PAGES(4), PAGES(3));
	expect(hold(cache, UA, 8, READ), -EINVAL); /* crosses the end of the second region */
	expect(hold(cache, UA, 6, WRITE), -EPERM); /* second region is read-only */
	expect(hold(cache, UA - PAGE_SIZE, 2, READ), -EINVAL);
	expect(hold(cache, UA, 7, READ), 0);
	drop(cache, UA, 7);
	expect(tce2_region_unregister(second), 0);
}

TEST_F(process, an_iommu_page_lies_in_one_region)
{
	struct tce2_region *second;

	map_contiguous(UA, 8, 64, true);
	region = registered(cache, UA, PAGES(2));
	second = registered(cache, UA + PAGES(2), PAGES(6));
	expect_hpa(UA, PAGE_SHIFT + 1, PAGES(64));
	expect_refused(UA, PAGE_SHIFT + 2);
	expect_hpa(UA + PAGES(4), PAGE_SHIFT + 2, PAGES(68));
	expect_refused(UA + PAGES(8), PAGE_SHIFT);
	expect(tce2_region_unregister(second), 0);
}

/* Any contiguous memory is accepted, for example base pages of a transparent hugepage */
TEST_F(process, an_iommu_page_may_be_larger_than_the_blocks_if_contiguous)
{
	s32 frames[34];

	for (int i = 0; i < 32; i++)
		frames[i] = 64 + i;
	frames[32] = 7; /* reduces the block size to one page */
	frames[33] = -1;
	frames[31] = 3;
	map_list(UA, frames);
	region = registered(cache, UA, PAGES(33));
	expect(region->extents.shift, PAGE_SHIFT);
	expect_hpa(UA, PAGE_SHIFT + 4, PAGES(64));
	expect_hpa(UA + PAGES(16), PAGE_SHIFT + 3, PAGES(80));
	expect_refused(UA + PAGES(16), PAGE_SHIFT + 4);
	expect_refused(UA, PAGE_SHIFT + 5);
}

TEST_F(process, an_iommu_page_must_be_aligned_in_physical_memory)
{
	map_contiguous(UA, 8, 66, true);
	region = registered(cache, UA, PAGES(8));
	expect_hpa(UA, PAGE_SHIFT + 1, PAGES(66));
	expect_refused(UA, PAGE_SHIFT + 2);
	expect_refused(UA, PAGE_SHIFT + 3);
}

TEST_F(process, an_iommu_page_may_be_smaller_than_a_page)
{
	map_list(UA, (const s32[]){ 40, 30, -1 });
	region = registered(cache, UA, PAGES(2));
	for (u64 at = 0; at < PAGE_SIZE; at += 4096) {
		expect_hpa(UA + at, 12, PAGES(40) + at);
		expect_hpa(UA + PAGE_SIZE + at, 12, PAGES(30) + at);
	}
	expect(hold_pages(cache, UA, 12, 2 * PAGE_SIZE / 4096, WRITE), 0);
	expect(tce2_region_unregister(region), -EBUSY);
	drop_pages(cache, UA, 12, 2 * PAGE_SIZE / 4096 - 1);
	expect(tce2_region_unregister(region), -EBUSY);
	drop_pages(cache, UA + PAGES(2) - 4096, 12, 1);
}

TEST(memory_of_mixed_page_sizes_translates_correctly)
{
	begin();
	map_large(TIB(1), 4, 21);
	map_scattered(TIB(1) + MIB(8), 16, 0, true);
	for (int i = 0; i < 2; i++) {
		sim.hugetlb = i;
		region = registered(cache, TIB(1), MIB(8) + PAGES(16));
		expect_hpa(TIB(1), 21, PAGES(SIM_BIG) + MIB(6));
		expect_hpa(TIB(1) + MIB(6), 21, PAGES(SIM_BIG));
		expect_refused(TIB(1), 22);
		expect_hpa(TIB(1) + MIB(8), PAGE_SHIFT, PAGES(15));
		expect_refused(TIB(1) + MIB(8), PAGE_SHIFT + 1);
		expect(tce2_region_unregister(region), 0);
	}
	tce2_cache_put(cache);
}

/* Some pin calls in the middle of the region also begin or end inside a huge page */
TEST(a_region_may_begin_and_end_within_large_pages)
{
	const u64 page = MIB(2);

	begin();
	map_large(TIB(1), 4, 21);
	for (int i = 0; i < 2; i++) {
		sim.hugetlb = i;
		sim.pin_at_most = i ? 7 : 5;
		region = registered(cache, TIB(1) + PAGES(3),
				    3 * page + PAGES(2));
		expect(region->extents.shift, 21);
		expect_refused(TIB(1), 21);
		for (u64 at = PAGES(3); at < 3 * page + PAGES(5);
		     at += PAGE_SIZE)
			expect_hpa(TIB(1) + at, PAGE_SHIFT,
				   PAGES(SIM_BIG) + (3 - at / page) * page +
					   at % page);
		expect(tce2_region_unregister(region), 0);
	}
	tce2_cache_put(cache);
}

/* mremap() can leave base pages of a transparent hugepage in another order */
TEST(a_transparent_hugepage_may_be_mapped_out_of_order)
{
	static const int order[] = { 0, 1, 2, 9, 4, 5, 6, 7, 8 };
	const int count = ARRAY_SIZE(order);
	u64 *pfn;

	begin();
	pfn = sim_mmap(sim.mm, UA, PAGES(count), PAGE_SHIFT, true);
	for (int i = 0; i < count; i++)
		pfn[i] = SIM_BIG + order[i];
	region = registered(cache, UA, PAGES(count));
	for (int i = 0; i < count; i++)
		expect_hpa(UA + PAGES(i), PAGE_SHIFT,
			   PAGES(SIM_BIG + order[i]));
	end();
}
