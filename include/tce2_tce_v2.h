/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_TCE_V2_H
#define TCE2_TCE_V2_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include "tce2_exported.h"
#include "tce2_range.h"
#include "tce2_table.h"
#include "tce2_view.h"

struct iommu_table_group;
struct tce2_cache;
struct tce2_kvm;
struct tce2_window_spec;

/**
 * struct tce2_window - a DMA window and its table
 * @link: in the list of published windows (src/kapi.c); protected by the list's lock
 * @refs: one for the owner, until it removes the window, one for each
 *	tce2_window_get(), and one for KVM's hooks, until the hooks are freed
 * @live: the owner has not removed the window; cleared with all of @ranges held
 * @published: requests may use the window; set with the owner's lock held for
 *	reading or writing, read with it held
 * @cache: region cache of the process that mappings belong to, immutable
 * @start: first bus address, immutable
 * @size: bytes of bus address, immutable
 * @page_shift: log2 of the IOMMU page size in bytes, immutable
 * @hurry: writers of the owner's lock; valid while the caller holds that lock; immutable
 * @ranges: lock for entries, of the hardware's table and of the view alike,
 *	taken for whole leaves of the view
 * @table: the hardware's table
 * @view: the userspace view
 * @kvm: KVM's hooks at the table; set before the window has its slot
 * @kept_by_group: the platform failed to take the window from a group that was
 *	detached. The group's hardware may walk the table until reboot, and may have
 *	cached TCEs that are cleared. So unmapped pages stay pinned; set under the
 *	owner's lock for writing
 *
 * The window is kept by its references. A thread that maps or unmaps holds the owner's
 * lock (struct tce2_ddw) at least for reading, so that the window also stays @live. A
 * window that is not @live has lost @cache and @table, and its view says that nothing
 * is mapped.
 *
 * KVM's hooks do not hold the owner's lock. They use @cache and change entries
 * only with a leaf of @view locked (struct tce2_view). The leaves of a window that
 * is not @live stay locked.
 *
 * Lock order: owner's lock -> ranges -> leaves of @view, table.lock -> mmap_lock,
 * and ranges -> cache lock.
 */
struct tce2_window {
	struct list_head link;
	refcount_t refs;
	bool live;
	bool published;
	struct tce2_cache *cache;
	u64 start;
	u64 size;
	unsigned int page_shift;
	const struct tce2_hurry *hurry;
	struct tce2_range_lock ranges;
	struct tce2_table table;
	struct tce2_view view;
	struct tce2_kvm *kvm;
	bool kept_by_group;
};

/**
 * struct tce2_map_request - a client's VFIO_IOMMU_MAP_DMA request
 * @iova: first bus address
 * @ua: first user address
 * @size: bytes
 * @perm: permissions of devices: TCE2_PERM_READ, TCE2_PERM_WRITE or both
 */
struct tce2_map_request {
	u64 iova;
	u64 ua;
	u64 size;
	u64 perm;
};

int tce2_window_create(struct tce2_window *window, struct iommu_table_group *tg,
		       int slot, const struct tce2_window_spec *spec,
		       struct tce2_cache *cache, const struct tce2_hurry *hurry);
bool tce2_window_is_unused(struct tce2_window *window, unsigned int refs);
void tce2_window_retire(struct tce2_window *window);
struct tce2_charge tce2_window_release_table(struct tce2_window *window);

int tce2_window_set(struct tce2_window *window, struct iommu_table_group *tg,
		    int slot, bool *set);
bool tce2_window_unset(struct tce2_window *window, struct iommu_table_group *tg,
		       int slot);

int tce2_window_lock_leaves(struct tce2_window *window,
			    struct tce2_range *range, u64 index, u64 count);
void tce2_window_unlock_leaves(struct tce2_window *window, struct tce2_range *range);

int tce2_window_map(struct tce2_window *window,
		    const struct tce2_map_request *request,
		    enum tce2_patience patience);
int tce2_window_unmap(struct tce2_window *window, u64 iova, u64 size,
		      enum tce2_patience patience);

#endif /* TCE2_TCE_V2_H */
