// SPDX-License-Identifier: GPL-2.0-only
/*
 * Implementation of shim/dup/linux/xarray.h: a sorted array, which is reallocated for
 * each new entry, so that each insertion may fail.
 */
#include <string.h>

#include <linux/xarray.h>

#define XA_ENOMEM ((void *)(~0UL - ENOMEM * 4 + 3))

/* Returns the first slot with an index of at least @index, or the end of the array */
static size_t slot_from(const struct xarray *xa, unsigned long index)
{
	size_t low = 0, high = xa->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (xa->slots[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_at(const struct xarray *xa, size_t slot, unsigned long index)
{
	return slot < xa->count && xa->slots[slot].index == index;
}

void *xa_load(const struct xarray *xa, unsigned long index)
{
	size_t slot = slot_from(xa, index);

	return is_at(xa, slot, index) ? xa->slots[slot].entry : NULL;
}

void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	size_t slot = slot_from(xa, index);
	struct xa_slot *slots;
	void *old;

	if (is_at(xa, slot, index)) {
		old = xa->slots[slot].entry;
		xa->slots[slot].entry = entry;
		return old;
	}
	slots = kmalloc_array(xa->count + 1, sizeof(*slots),
			      (gfp & ~GFP_KERNEL_ACCOUNT) | xa->flags);
	if (!slots)
		return XA_ENOMEM;
	if (xa->count) {
		memcpy(slots, xa->slots, slot * sizeof(*slots));
		memcpy(slots + slot + 1, xa->slots + slot,
		       (xa->count - slot) * sizeof(*slots));
	}
	slots[slot] = (struct xa_slot){ index, entry };
	kfree(xa->slots);
	xa->slots = slots;
	xa->count++;
	return NULL;
}

void *xa_erase(struct xarray *xa, unsigned long index)
{
	size_t slot = slot_from(xa, index);
	void *old;

	if (!is_at(xa, slot, index))
		return NULL;
	old = xa->slots[slot].entry;
	memmove(xa->slots + slot, xa->slots + slot + 1,
		(xa->count - slot - 1) * sizeof(*xa->slots));
	if (--xa->count)
		return old;
	kfree(xa->slots);
	xa->slots = NULL;
	return old;
}

void *xa_find(const struct xarray *xa, unsigned long *index, unsigned long max,
	      unsigned int filter)
{
	size_t slot = slot_from(xa, *index);

	(void)filter;
	while (slot < xa->count && !xa->slots[slot].entry)
		slot++;
	if (slot == xa->count || xa->slots[slot].index > max)
		return NULL;
	*index = xa->slots[slot].index;
	return xa->slots[slot].entry;
}

void xa_destroy(struct xarray *xa)
{
	kfree(xa->slots);
	xa->slots = NULL;
	xa->count = 0;
}

int xa_err(const void *entry)
{
	return entry == XA_ENOMEM ? -ENOMEM : 0;
}

void *xa_mk_value(unsigned long value)
{
	return (void *)(value << 1 | 1);
}
