/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_EXPORTED_H
#define TCE2_EXPORTED_H

#include <linux/types.h>

struct mm_struct;
struct tce2_cache;
struct tce2_region;
struct tce2_window;

/*
 * Exported functions of the core: both this module and other kernel modules call them.
 * The core is the part of this module that does not depend on the kernel API
 * (tce2_kapi.h). The core includes this header. Other modules include tce2_kapi.h, which
 * includes this header.
 */

/* log2 of the smallest IOMMU page size in bytes (LoPAR 7.3.27.2) */
#define TCE2_MIN_PAGE_SHIFT	12

/**
 * struct tce2_memory - a range of user memory, in IOMMU pages
 * @ua: user address of the first page, a multiple of 1 << @shift
 * @pages: number of pages; the range does not wrap
 * @shift: log2 of the IOMMU page size in bytes
 * @write: true if devices may write to the memory
 * @region: the region of the first page, or NULL; set by tce2_memory_hold() and by
 *	callers of tce2_memory_run()
 *
 * The structure is on the stack of one thread, so no lock protects it.
 */
struct tce2_memory {
	u64 ua;
	u64 pages;
	unsigned int shift;
	bool write;
	struct tce2_region *region;
};

struct tce2_cache *tce2_cache_get(struct mm_struct *mm);
void tce2_cache_put(struct tce2_cache *cache);
int tce2_cache_find_pages(struct tce2_cache *cache);

int tce2_memory_hold(struct tce2_cache *cache, struct tce2_memory *memory);
void tce2_memory_drop(struct tce2_cache *cache, const struct tce2_memory *memory);

void tce2_window_put(struct tce2_window *window);

#endif /* TCE2_EXPORTED_H */
