/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_EXPORTED_H
#define TCE2_EXPORTED_H

#include <linux/types.h>

struct mm_struct;
struct tce2_cache;
struct tce2_region;
struct tce2_window;

/*
 * Functions of the core that are exported: this module and other kernel modules
 * call the same functions. The core includes this header. Other modules include
 * tce2_kapi.h, which contains it.
 */

/* log2 of the smallest IOMMU page size in bytes (LoPAR 7.3.27.2) */
#define TCE2_MIN_PAGE_SHIFT	12

struct tce2_cache *tce2_cache_get(struct mm_struct *mm);
void tce2_cache_put(struct tce2_cache *cache);
int tce2_cache_find_pages(struct tce2_cache *cache);

int tce2_memory_hold(struct tce2_cache *cache, u64 ua, unsigned int shift,
		     u64 pages, bool write, struct tce2_region **regionp);
void tce2_memory_drop(struct tce2_cache *cache, u64 ua, unsigned int shift,
		      u64 pages);

void tce2_window_put(struct tce2_window *window);

#endif /* TCE2_EXPORTED_H */
