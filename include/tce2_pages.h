/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_PAGES_H
#define TCE2_PAGES_H

#include <linux/mm.h>
#include <linux/types.h>

#include "tce2_view.h"

struct tce2_extents;

/* The array of page descriptors goes on for so long at the most */
#define TCE2_DESCRIPTOR_BYTES \
	((u64)sizeof(struct page) << (MAX_PHYSMEM_BITS - PAGE_SHIFT))

/**
 * struct tce2_pages - where the descriptors of registered pages are in memory
 * @base: virtual address that the descriptor of page frame 0 has or would have
 * @linear: all descriptors are in the linear mapping, and @chunks is not used
 * @chunks: where each page of the array of descriptors (vmemmap) is, as far as
 *	descriptors of registered pages are in it: the physical address in place
 *	of a view's user address, TCE2_VIEW_READ as permission
 *
 * Entries are added under the cache lock and read without; none is removed
 * before the cache is. An entry is right as long as one of the pages described
 * there is pinned, and is written anew when one comes to be: memory without
 * pinned pages can be taken out of the machine and come back elsewhere.
 */
struct tce2_pages {
	unsigned long base;
	bool linear;
	struct tce2_view chunks;
};

struct tce2_pages *tce2_pages_create(void);
void tce2_pages_destroy(struct tce2_pages *pages);
int tce2_pages_add(struct tce2_pages *pages, const struct tce2_extents *ext);

#endif /* TCE2_PAGES_H */
