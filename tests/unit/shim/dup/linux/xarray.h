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
 */
struct xarray {
	struct xa_slot *slots;
	size_t count;
	gfp_t flags;
};

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
/* Returns the first entry between *index and @max, and sets *index to the index of the entry */
void *xa_find(const struct xarray *xa, unsigned long *index, unsigned long max,
	      unsigned int filter);
void *xa_erase(struct xarray *xa, unsigned long index);
void xa_destroy(struct xarray *xa);

/* Errors and values are encoded as addresses that no object has */
int xa_err(const void *entry);
void *xa_mk_value(unsigned long value);

#endif /* DUP_XARRAY_H */
