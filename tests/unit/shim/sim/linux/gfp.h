/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_GFP_H
#define SIM_SHIM_GFP_H

#include <asm/page.h>
#include <linux/mmzone.h>
#include <linux/slab.h>

static inline unsigned long get_zeroed_page(gfp_t gfp)
{
	return (unsigned long)kmalloc(PAGE_SIZE, gfp | __GFP_ZERO);
}

static inline void free_page(unsigned long page)
{
	kfree((void *)page);
}

struct page;

static inline unsigned int get_order(unsigned long size)
{
	unsigned int order = 0;

	while (PAGE_SIZE << order < size)
		order++;
	return order;
}

/* Pages that may become a table of the simulated platform, see sim_platform.c */
struct page *alloc_pages_node(int node, gfp_t gfp, unsigned int order);
void __free_pages(struct page *page, unsigned int order);
void *page_address(const struct page *page);

#endif /* SIM_SHIM_GFP_H */
