// SPDX-License-Identifier: GPL-2.0-only
/* Groups, windows and memory for tests, see engine.h. */
#include <string.h>

#include "client.h"
#include "engine.h"
#include "kernel_list.h"
#include "tce2_page.h"
#include "tce2_pages.h"
#include "tce2_why.h"

#define MAX_REGIONS 8

bool scattered, with_ranges;

/* Resets variables that a failed test may have left changed */
void program_reset(void)
{
	platform_kind = PLATFORM_MEMORY;
	scattered = false;
	with_ranges = false;
}

struct tce2_ddw ddw;
struct tce2_counts page_counts;
struct tce2_cache *proc;
struct fake_group *group[MAX_GROUPS];

static struct tce2_region *regions[MAX_REGIONS];
static unsigned int nr_regions;

void begin(unsigned int groups, u32 max_levels)
{
	platform_reset();
	proc = new_process();
	nr_regions = 0;
	memset(&ddw, 0, sizeof(ddw));
	tce2_ddw_init(&ddw, &page_counts);
	for (unsigned int i = 0; i < groups; i++) {
		group[i] = platform_group(max_levels);
		expect(tce2_ddw_attach(&ddw, &group[i]->group), 0);
	}
}

void finish(void)
{
	sim_fail_nothing();
	platform_fail_nothing();
	tce2_ddw_destroy(&ddw);
	tce2_ddw_free(&ddw);
	for (unsigned int i = 0; i < nr_regions; i++) {
		expect(tce2_mapped_sum(&regions[i]->mapped), 1);
		tce2_region_unregister_nofail(regions[i]);
	}
	tce2_cache_put(proc);
	platform_expect_nothing_left();
}

struct tce2_region *memory(u64 ua, u64 pages)
{
	static u64 pfn;
	u64 half = scattered ? pages / 2 : pages;

	pfn = nr_regions ? pfn : 16;
	map_contiguous(ua, half, pfn, true);
	if (scattered)
		map_scattered(ua + PAGES(half), pages - half, pfn + half, true);
	pfn += pages;
	regions[nr_regions] = registered(proc, ua, PAGES(pages));
	return regions[nr_regions++];
}

void replace_region(struct tce2_region *region, unsigned int nth)
{
	regions[nth] = region;
}

struct tce2_region *large_memory(u64 bytes)
{
	const unsigned int shift = 24;
	u64 pages = ((bytes - 1) >> shift) + 1;
	u64 *pfn = sim_mmap(sim.mm, UA, pages << shift, shift, true);

	sim.large_shift = shift;
	for (u64 i = 0; i < pages; i++)
		pfn[i] = SIM_BIG + ((pages - i) << (shift - PAGE_SHIFT));
	regions[nr_regions] = registered(proc, UA, pages << shift);
	return regions[nr_regions++];
}

void mixed_memory(void)
{
	u64 *pfn = sim_mmap(sim.mm, UA, MIB(16), 24, true);

	pfn[0] = SIM_BIG;
	/* Base pages whose frames are not adjacent */
	pfn = sim_mmap(sim.mm, UA + MIB(16), MIB(16), PAGE_SHIFT, true);
	for (u64 i = 0; i < MIB(16) >> PAGE_SHIFT; i++)
		pfn[i] = 16 + 3 * i % 12000;
	regions[nr_regions++] = registered(proc, UA, MIB(32));
}

int create(u64 size, u32 shift, u32 levels, u64 *start)
{
	struct tce2_window_spec spec = { size, shift, levels };
	struct tce2_creation creation;
	int ret = tce2_ddw_create(&ddw, proc, &spec, &creation);

	if (ret)
		return ret;
	*start = creation.start;
	return tce2_ddw_publish(&ddw, &creation);
}

struct tce2_window *only_window(u64 size, u32 levels)
{
	u64 start = 1;

	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(create(size, SHIFT, levels, &start), 0);
	expect(start, 0);
	return ddw.window[0];
}

u64 by_page, by_pages;

/* Maps or unmaps several pages with src/pages.c, as in src/container.c */
static int try_pages(struct tce2_window *window, u64 iova, u64 ua, u64 size, u64 perm)
{
	int ret;

	rcu_read_lock();
	if (perm)
		ret = tce2_window_map_pages(window, iova, ua, size, perm);
	else
		ret = tce2_window_unmap_pages(window, iova, size);
	rcu_read_unlock();
	by_pages += ret != TCE2_NOT_BRIEF;
	return ret;
}

/*
 * Maps or unmaps one page with src/page.c, or several pages with src/pages.c; returns
 * TCE2_NOT_BRIEF if they do not serve the request
 */
static int try_page(struct tce2_window *window, u64 index, u64 ua, u64 size, u64 perm)
{
	u64 iova = window->start + IOVA(index);
	int ret;

	if (with_ranges)
		return TCE2_NOT_BRIEF;
	if (!tce2_page_is_one(window, iova, ua, size))
		return try_pages(window, iova, ua, size, perm);
	rcu_read_lock();
	if (perm)
		ret = tce2_window_map_page(window, iova, ua, perm);
	else
		ret = tce2_window_unmap_page(window, iova);
	rcu_read_unlock();
	by_page += ret != TCE2_NOT_BRIEF;
	return ret;
}

int map(struct tce2_window *window, u64 index, u64 page, u64 count, u64 perm)
{
	int ret = try_page(window, index, UA + IOVA(page), IOVA(count), perm);

	if (ret != TCE2_NOT_BRIEF)
		return ret;
	down_read(&ddw.lock);
	ret = tce2_window_map(window,
			      REQUEST(window->start + IOVA(index), UA + IOVA(page),
				      IOVA(count), perm),
			      TCE2_STAYS);
	up_read(&ddw.lock);
	return ret;
}

int unmap(struct tce2_window *window, u64 index, u64 count)
{
	int ret = try_page(window, index, 0, IOVA(count), 0);

	if (ret != TCE2_NOT_BRIEF)
		return ret;
	down_read(&ddw.lock);
	ret = tce2_window_unmap(window, window->start + IOVA(index),
				IOVA(count), TCE2_STAYS);
	up_read(&ddw.lock);
	return ret;
}

u64 view_at(struct tce2_window *window, u64 index)
{
	struct tce2_view_run run;

	if (!tce2_view_next(&window->view, index, index + 1, &run))
		return 0;
	expect(run.index, index);
	expect(run.count, 1);
	return run.ua | run.perm;
}

u64 hpa_at(u64 ua)
{
	struct vm_area_struct *vma = sim_vma(sim.mm, ua);
	u64 offset = ua - vma->vm_start;

	return PFN_PHYS(vma->pfn[offset >> PAGE_SHIFT]) |
	       (offset & (PAGE_SIZE - 1));
}

void expect_in_step(struct tce2_window *window, u64 count)
{
	platform_sync();
	for (u64 i = 0; i < count; i++) {
		u64 entry = view_at(window, i), ua = entry & ~RW;
		u64 want = 0, tce;

		if (entry)
			want = hpa_at(ua) | (entry & RW);
		tce = platform_tce(window->table.tbl, i);
		if (want & TCE_WRITE) {
			/* Most platforms let devices read where they may write */
			want |= TCE_READ;
			tce |= TCE_READ;
		}
		expect(tce, want);
	}
}
