/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_GFP_H
#define SIM_SHIM_GFP_H

#include <asm/page.h>
#include <linux/slab.h>

static inline unsigned long get_zeroed_page(gfp_t gfp)
{
	return (unsigned long)kmalloc(PAGE_SIZE, gfp | __GFP_ZERO);
}

static inline void free_page(unsigned long page)
{
	kfree((void *)page);
}

#endif /* SIM_SHIM_GFP_H */
