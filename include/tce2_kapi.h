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
 * a guest's hypercalls. Documentation/kernel-api.rst describes its use. Other
 * modules include this header, which includes tce2_exported.h and tce2_perm.h. All
 * structures are opaque to other modules, except struct tce2_memory.
 *
 * Real mode: functions with the prefix tce2_rm_ run with the data MMU on or off
 * (MSR[DR]). If such a function can't answer, it changes nothing and returns
 * TCE2_RM_TOO_HARD; tce2_rm_lookup() returns NULL. The caller then goes back to virtual
 * mode and calls the counterpart, which the function's kernel-doc names.
 *
 * Virtual mode: the other functions may sleep. A caller uses them to get and put its
 * references:
 *
 *	- tce2_cache_get() before the first call about a process's memory,
 *	  tce2_cache_put() after the last call, when every held page is dropped;
 *	- tce2_window_get() before the first call about a window,
 *	  tce2_window_put() after the last call.
 *
 * Between get and put, the cache and the window stay valid. Meanwhile memory may be
 * registered or unregistered, the window removed, the container closed, or the process
 * may exit. A region stays valid only
 *
 *	- until the end of the RCU read-side section in which the region was looked up,
 *	  or
 *	- as long as the caller holds a page of the region with tce2_rm_mapped_get() or
 *	  tce2_memory_hold(). Only then are the region's pages guaranteed to stay pinned,
 *	  and the caller may use a translated address.
 *
 * On a CPU that RCU watches, code that runs with interrupts off counts as an RCU
 * read-side section.
 *
 * In real and in virtual mode, each pointer argument of a tce2_rm_*() function must
 * point into the linear mapping: to kmalloc() memory or the kernel stack, not to
 * vmalloc() memory or a module's data. This includes pointers to results. The functions
 * refuse other pointers.
 *
 * Other modules must call these functions through pointers that were taken in virtual
 * mode (struct tce2_rm_ops). A direct call from another module goes through code that
 * the linker adds, which loads the address from the module's data.
 *
 * Each function is exported where it is defined, without a wrapper. src/realmode.c
 * defines the functions for real mode. src/kapi.c defines the functions that find and
 * read a window in virtual mode. All other functions are part of the core, which consists
 * of the other source files; tce2_exported.h declares them. So no header of the core
 * includes this header.
 */

/**
 * enum tce2_rm_status - status of a real-mode function
 * @TCE2_RM_OK: success
 * @TCE2_RM_READ_ONLY: devices may not write to the memory
 * @TCE2_RM_TOO_HARD: the function can't answer in real mode; the counterpart in
 *	virtual mode is authoritative
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
 * @find_page: tce2_rm_pfn_to_page(); the name pfn_to_page is a macro of the kernel
 * @put_page_unless_one: tce2_rm_put_page_unless_one()
 *
 * The structure must be in kmalloc() memory, because real mode can't read vmalloc()
 * memory or a module's data.
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
 * tce2_rm_ops_init() - store the addresses of the real-mode functions
 * @ops: set by this function; in kmalloc() memory
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
