/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_REALMODE_H
#define TCE2_REALMODE_H

#include <linux/types.h>

#include "tce2_perm.h"

struct iommu_table;
struct mm_struct;
struct page;
struct tce2_cache;
struct tce2_region;
struct tce2_window;

/*
 * The interface for other kernel modules, such as one that handles a guest's
 * hypercalls. It is all that they need to include; what the structures are is
 * nobody's business but this module's. Documentation/realmode.rst tells how it
 * is used.
 *
 * Functions called tce2_rm_* run with the data MMU on or off (MSR[DR]). Those of
 * them that are asked something they can't answer there say TCE2_RM_TOO_HARD
 * and have changed nothing: the caller goes back to virtual mode and asks the
 * counterpart that is named with each.
 *
 * The others may sleep, and are what a caller begins and ends with:
 *
 *	- tce2_cache_get() before anything is asked about a process's memory,
 *	  tce2_cache_put() when nothing will be, with every page held dropped;
 *	- tce2_window_get() before anything is asked about a window,
 *	  tce2_window_put() when nothing will be.
 *
 * Between them the cache and the window stay, whatever the process and VFIO do
 * meanwhile: registering, unregistering, mapping, removing the window, closing
 * the container, exiting. A region, however, stays only
 *
 *	- until the end of the RCU read-side section it was looked up in
 *	  (interrupts off counts as one, on a CPU that RCU watches), or
 *	- as long as the caller holds a page of it: tce2_rm_mapped_get() or
 *	  tce2_memory_hold(). Only then are its pages sure to be pinned, and an
 *	  address that was translated may be used.
 *
 * In real mode every pointer passed, those to results included, must be one to
 * the linear mapping: kmalloc() memory or the kernel stack, neither vmalloc()
 * nor a module's data. Others are refused. The functions themselves must be
 * called through pointers taken in virtual mode (struct tce2_rm_ops): a direct
 * call out of another module goes by code of the linker's that loads the
 * address from the module's data.
 */

/**
 * enum tce2_rm_status - what a real-mode question was answered with
 * @TCE2_RM_OK: answered
 * @TCE2_RM_READ_ONLY: the memory may not be written by a device
 * @TCE2_RM_TOO_HARD: not to be answered here; ask the virtual-mode counterpart,
 *	which says for certain
 */
enum tce2_rm_status {
	TCE2_RM_OK,
	TCE2_RM_READ_ONLY,
	TCE2_RM_TOO_HARD,
};

/* No IOMMU page is smaller */
#define TCE2_RM_PAGE_SHIFT	12

struct tce2_region *tce2_rm_lookup(const struct tce2_cache *cache, u64 ua,
				   u64 bytes);
enum tce2_rm_status tce2_rm_ua_to_hpa(const struct tce2_region *region, u64 ua,
				      unsigned int shift, bool write,
				      u64 *hpa);
enum tce2_rm_status tce2_rm_mapped_get(struct tce2_region *region, u64 pages);
enum tce2_rm_status tce2_rm_mapped_put(struct tce2_region *region, u64 pages);
enum tce2_rm_status tce2_rm_mark_dirty(struct tce2_region *region, u64 ua,
				       unsigned int shift);
enum tce2_rm_status tce2_rm_read_tce(const struct tce2_window *window, u64 iova,
				     u64 *ua, u64 *perm);
enum tce2_rm_status tce2_rm_pfn_to_page(const struct tce2_cache *cache, u64 pfn,
					struct page **page);
enum tce2_rm_status tce2_rm_put_page_unless_one(const struct tce2_cache *cache,
						struct page *page);

struct tce2_cache *tce2_cache_get(struct mm_struct *mm);
void tce2_cache_put(struct tce2_cache *cache);
int tce2_cache_find_pages(struct tce2_cache *cache);

int tce2_memory_hold(struct tce2_cache *cache, u64 ua, unsigned int shift,
		     u64 pages, bool write, struct tce2_region **regionp);
void tce2_memory_drop(struct tce2_cache *cache, u64 ua, unsigned int shift,
		      u64 pages);

struct tce2_window *tce2_window_get(const struct iommu_table *tbl);
void tce2_window_put(struct tce2_window *window);
int tce2_window_read_tce(struct tce2_window *window, u64 iova, u64 *ua,
			 u64 *perm);

/**
 * struct tce2_rm_ops - the real-mode functions, to be called through pointers
 * @lookup: tce2_rm_lookup()
 * @ua_to_hpa: tce2_rm_ua_to_hpa()
 * @mapped_get: tce2_rm_mapped_get()
 * @mapped_put: tce2_rm_mapped_put()
 * @mark_dirty: tce2_rm_mark_dirty()
 * @read_tce: tce2_rm_read_tce()
 * @find_page: tce2_rm_pfn_to_page() (pfn_to_page is a macro)
 * @put_page_unless_one: tce2_rm_put_page_unless_one()
 *
 * Belongs in kmalloc() memory, as all that is looked at in real mode.
 */
struct tce2_rm_ops {
	typeof(tce2_rm_lookup) *lookup;
	typeof(tce2_rm_ua_to_hpa) *ua_to_hpa;
	typeof(tce2_rm_mapped_get) *mapped_get;
	typeof(tce2_rm_mapped_put) *mapped_put;
	typeof(tce2_rm_mark_dirty) *mark_dirty;
	typeof(tce2_rm_read_tce) *read_tce;
	typeof(tce2_rm_pfn_to_page) *find_page;
	typeof(tce2_rm_put_page_unless_one) *put_page_unless_one;
};

/**
 * tce2_rm_ops_init() - take the addresses of the real-mode functions
 * @ops: where to, in kmalloc() memory
 *
 * Context: data MMU on.
 */
static inline void tce2_rm_ops_init(struct tce2_rm_ops *ops)
{
	*ops = (struct tce2_rm_ops){
		.lookup			= tce2_rm_lookup,
		.ua_to_hpa		= tce2_rm_ua_to_hpa,
		.mapped_get		= tce2_rm_mapped_get,
		.mapped_put		= tce2_rm_mapped_put,
		.mark_dirty		= tce2_rm_mark_dirty,
		.read_tce		= tce2_rm_read_tce,
		.find_page		= tce2_rm_pfn_to_page,
		.put_page_unless_one	= tce2_rm_put_page_unless_one,
	};
}

#endif /* TCE2_REALMODE_H */
