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
 * @slots: what is in it, by index
 * @count: how many of them
 */
struct xarray {
	struct xa_slot *slots;
	size_t count;
};

#define XA_FLAGS_ACCOUNT 0
#define XA_PRESENT	 0

static inline void xa_init_flags(struct xarray *xa, gfp_t flags)
{
	(void)flags;
	xa->slots = NULL;
	xa->count = 0;
}

void *xa_load(const struct xarray *xa, unsigned long index);
void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
int xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
/* The first from *index to @max, and which that is */
void *xa_find(const struct xarray *xa, unsigned long *index, unsigned long max,
	      unsigned int filter);
void xa_destroy(struct xarray *xa);

/* Errors and numbers are told from pointers by values no pointer has */
int xa_err(const void *entry);
void *xa_mk_value(unsigned long value);

static inline void *xa_next(const struct xarray *xa, unsigned long *index,
			    unsigned long max)
{
	if (*index == max)
		return NULL;
	++*index;
	return xa_find(xa, index, max, XA_PRESENT);
}

#define xa_for_each_range(xa, index, entry, first, last)         \
	for (index = (first),                                    \
	    entry = xa_find(xa, &index, last, XA_PRESENT);       \
	     entry; entry = xa_next(xa, &index, last))

#define xa_for_each(xa, index, entry) \
	xa_for_each_range (xa, index, entry, 0, ~0UL)

#endif /* DUP_XARRAY_H */
