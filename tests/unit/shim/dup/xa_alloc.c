// SPDX-License-Identifier: GPL-2.0-only
/* Allocation of indices in a sparse array, see shim/dup/linux/xarray.h. */
#include <linux/xarray.h>

#include "sim.h"

/* Empties the array if a failed test left entries in it */
static struct xarray *of_this_test(struct xarray *xa)
{
	if (xa->era == sim_era())
		return xa;
	*xa = (struct xarray){ .era = sim_era() };
	return xa;
}

int xa_alloc_cyclic(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit,
		    u32 *next, gfp_t gfp)
{
	u32 at = *next < limit.min ? limit.min : *next;
	void *failed;

	xa = of_this_test(xa);
	while (xa_load(xa, at))
		at = at == limit.max ? limit.min : at + 1;
	/* Set before xa_store(): a reader may find the entry before this function returns */
	*id = at;
	*next = at == limit.max ? limit.min : at + 1;
	failed = xa_store(xa, at, entry, gfp);
	return failed ? xa_err(failed) : 0;
}

void *xa_erase(struct xarray *xa, unsigned long index)
{
	void *old;

	xa = of_this_test(xa);
	old = xa_load(xa, index);
	if (!old)
		return NULL;
	xa_store(xa, index, NULL, 0);
	xa_release(xa, index);
	if (!xa->count)
		xa_destroy(xa);
	return old;
}
