/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_KAPI_H
#define TCE2_KAPI_H

#include <linux/types.h>

#include "tce2_exported.h"
#include "tce2_perm.h"

struct iommu_table;
struct page;

/*
 * The kernel API of this module for other kernel modules, for example for a handler of
 * a guest's hypercalls. They include this header, which includes
 * tce2_exported.h and tce2_perm.h. The structures are opaque to them, except struct
 * tce2_memory.
 * Documentation/realmode.rst describes its use.
 *
 * Real mode: functions called tce2_rm_* run with the data MMU on or off (MSR[DR]).
 * If such a function can't answer, it returns TCE2_RM_TOO_HARD and has changed
 * nothing; tce2_rm_lookup() returns NULL. The caller then goes back to virtual mode
 * and calls the counterpart, which the function's kernel-doc names.
 *
 * Virtual mode: the other functions may sleep. A caller gets and puts its references
 * with them:
 *
 *	- tce2_cache_get() before the first call about a process's memory,
 *	  tce2_cache_put() after the last call, when every held page is dropped;
 *	- tce2_window_get() before the first call about a window,
 *	  tce2_window_put() after the last one.
 *
 * In between, the cache and the window stay, even if memory is registered or
 * unregistered, the window is removed, the container is closed, or the process
 * exits. A region stays only
 *
 *	- until the end of the RCU read-side section in which it was looked up
 *	  (interrupts off counts as one, on a CPU that RCU watches), or
 *	- as long as the caller holds a page of it: tce2_rm_mapped_get() or
 *	  tce2_memory_hold(). Only then are the region's pages sure to be pinned, and a
 *	  translated address may be used.
 *
 * In real and in virtual mode, each pointer argument of a tce2_rm_*() function must
 * point into the linear mapping: to kmalloc() memory or the kernel stack, not to
 * vmalloc() memory or a module's data. This includes pointers to results. Other pointers
 * are refused. The
 * functions must be called through pointers that were taken in virtual mode (struct
 * tce2_rm_ops). A direct call from another module goes through code that the linker
 * adds, which loads the address from the module's data.
 *
 * Each function is exported where it is defined, without a wrapper. src/realmode.c
 * defines the functions for real mode. src/kapi.c defines the functions that find and
 * read a window in virtual mode. All others belong to the core and are declared in
 * tce2_exported.h. So no header of the core includes this header.
 */

/**
 * enum tce2_rm_status - status of a real-mode function
 * @TCE2_RM_OK: answered
 * @TCE2_RM_READ_ONLY: devices may not write to the memory
 * @TCE2_RM_TOO_HARD: the function can't answer here; the answer of its
 *	counterpart in virtual mode is authoritative
 */
enum tce2_rm_status {
	TCE2_RM_OK,
	TCE2_RM_READ_ONLY,
	TCE2_RM_TOO_HARD,
};

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

struct tce2_window *tce2_window_get(const struct iommu_table *tbl);
int tce2_window_read_tce(struct tce2_window *window, u64 iova, u64 *ua,
			 u64 *perm);

/**
 * struct tce2_rm_ops - pointers to the real-mode functions
 * @lookup: tce2_rm_lookup()
 * @ua_to_hpa: tce2_rm_ua_to_hpa()
 * @mapped_get: tce2_rm_mapped_get()
 * @mapped_put: tce2_rm_mapped_put()
 * @mark_dirty: tce2_rm_mark_dirty()
 * @read_tce: tce2_rm_read_tce()
 * @find_page: tce2_rm_pfn_to_page() (pfn_to_page is a macro)
 * @put_page_unless_one: tce2_rm_put_page_unless_one()
 *
 * Must be in kmalloc() memory, like everything that is read in real mode.
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
 * @ops: set to the addresses; in kmalloc() memory
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

#endif /* TCE2_KAPI_H */
