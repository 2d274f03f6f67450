// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions that tests, model and fuzzer share: expectations, and processes with
 * memory. This file uses no test framework: sim_bug() ends the test.
 */
#include "unit.h"
#include "tce2_why.h"

const char *row;

void expect_at(const char *file, int line, const char *what, s64 saw, s64 want)
{
	/* The bare errno of a refusal */
	if (saw < 0 && saw > -((s64)TCE2_WHY_RULES << TCE2_WHY_SHIFT) && want < 0)
		saw = tce2_errno(saw);
	if (saw == want)
		return;
	sim_bug("%s:%d: %s%s%s: expected %lld, saw %lld", file, line,
		row ? row : "", row ? ": " : "", what, want, saw);
}

void expect_counts_at(const char *file, int line, struct sim_counts want)
{
	expect_at(file, line, "pins", sim.now.pinned, want.pinned);
	expect_at(file, line, "pages charged", sim.now.charged, want.charged);
	expect_at(file, line, "allocations", sim.now.allocs, want.allocs);
	expect_at(file, line, "bytes allocated", sim.now.bytes, want.bytes);
}

u64 rnd(u64 *state, u64 limit)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*state >> 33) % limit;
}

unsigned long sim_linear_end = 1UL << 51;

/* Sets address bits that are 0 in the linear mapping, but 1 in vmalloc or module addresses */
void *not_linear(const void *ptr, unsigned int which)
{
	static const u64 bits[NOT_LINEAR] = {
		1ULL << 51, 0xc008ULL << 48, 0xc00aULL << 48, 1ULL << 63,
		~0ULL << 51,
	};

	return (void *)((uintptr_t)ptr | bits[which]);
}

struct tce2_cache *new_process(void)
{
	struct tce2_cache *cache = tce2_cache_get(sim_process());

	expect(!cache, false);
	return cache;
}

void map_contiguous(u64 ua, u64 pages, u64 pfn, bool writable)
{
	u64 *frame = sim_mmap(sim.mm, ua, PAGES(pages), PAGE_SHIFT, writable);

	for (u64 i = 0; i < pages; i++)
		frame[i] = pfn + i;
}

void map_scattered(u64 ua, u64 pages, u64 pfn, bool writable)
{
	u64 *frame = sim_mmap(sim.mm, ua, PAGES(pages), PAGE_SHIFT, writable);

	for (u64 i = 0; i < pages; i++)
		frame[i] = pfn + pages - 1 - i;
}

struct tce2_region *registered(struct tce2_cache *cache, u64 ua, u64 size)
{
	struct tce2_region *region = NULL;

	expect(tce2_region_register(cache, ua, size, &region), 0);
	expect(region->ua, ua);
	expect(region->size, size);
	return region;
}

int hold_pages(struct tce2_cache *cache, u64 ua, unsigned int shift, u64 pages,
	       bool write)
{
	struct tce2_memory memory = {
		.ua = ua, .pages = pages, .shift = shift, .write = write,
	};
	int ret = tce2_memory_hold(cache, &memory);

	expect(memory.region == (ret ? NULL : tce2_region_find_held(cache, ua, shift)),
	       true);
	return ret;
}

void drop_pages(struct tce2_cache *cache, u64 ua, unsigned int shift, u64 pages)
{
	tce2_memory_drop(cache, MEMORY(ua, shift, pages));
}

int hold(struct tce2_cache *cache, u64 ua, u64 pages, bool write)
{
	return hold_pages(cache, ua, PAGE_SHIFT, pages, write);
}

void drop(struct tce2_cache *cache, u64 ua, u64 pages)
{
	drop_pages(cache, ua, PAGE_SHIFT, pages);
}
