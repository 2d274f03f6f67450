/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_XARRAY_H
#define DUP_XARRAY_H

#include <linux/slab.h>
#include <linux/types.h>

struct xa_slot {
	unsigned long index;
	void *entry;
};

/**
 * struct xarray - a sparse array
 * @slots: the entries, by index
 * @count: number of entries
 * @flags: XA_FLAGS_ACCOUNT if the array's memory is charged to the memory cgroup,
 *	whatever flags the caller of xa_store() passes
 * @era: sim_era() of the last allocation of an index
 */
struct xarray {
	struct xa_slot *slots;
	size_t count;
	gfp_t flags;
	unsigned int era;
};

struct xa_limit {
	u32 max;
	u32 min;
};

/* Defines an array that allocates indices from 1 on */
#define DEFINE_XARRAY_ALLOC1(name) struct xarray name
#define xa_limit_31b ((struct xa_limit){ .max = 0x7fffffff, .min = 1 })

#define XA_FLAGS_ACCOUNT GFP_KERNEL_ACCOUNT
#define XA_PRESENT	 0

static inline void xa_init_flags(struct xarray *xa, gfp_t flags)
{
	xa->slots = NULL;
	xa->count = 0;
	xa->flags = flags;
}

void *xa_load(const struct xarray *xa, unsigned long index);
void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
/* Reserves memory, so that xa_store() at @index can't fail; xa_release() frees the memory */
int xa_reserve(struct xarray *xa, unsigned long index, gfp_t gfp);
void xa_release(struct xarray *xa, unsigned long index);
/* Returns the first entry between *index and @max, and sets *index to the index of the entry */
void *xa_find(const struct xarray *xa, unsigned long *index, unsigned long max,
	      unsigned int filter);
void xa_destroy(struct xarray *xa);

/* xa_alloc.c */
int xa_alloc_cyclic(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit,
		    u32 *next, gfp_t gfp);
void *xa_erase(struct xarray *xa, unsigned long index);

/* Errors and values are encoded as addresses that no object has */
int xa_err(const void *entry);
void *xa_mk_value(unsigned long value);

#endif /* DUP_XARRAY_H */
