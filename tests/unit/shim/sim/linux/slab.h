/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_SLAB_H
#define SIM_SHIM_SLAB_H

#include <errno.h>

#include <linux/types.h>

#define GFP_KERNEL	   0x1U
#define GFP_KERNEL_ACCOUNT 0x2U
#define __GFP_ACCOUNT	   0x2U
#define __GFP_NOWARN	   0x4U
#define __GFP_NORETRY	   0x80U
#define __GFP_ZERO	   0x8U
#define __GFP_NOFAIL	   0x10U
#define GFP_ATOMIC	   0x20U
#define GFP_NOWAIT	   0x40U

void *kmalloc(size_t size, gfp_t gfp);
void kfree(const void *ptr);

static inline void *kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL
						       : kmalloc(bytes, gfp);
}

static inline void *kzalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp | __GFP_ZERO);
}

static inline void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kmalloc_array(n, size, gfp | __GFP_ZERO);
}

#endif /* SIM_SHIM_SLAB_H */
