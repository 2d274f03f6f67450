/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_TCE_V2_H
#define TCE2_TCE_V2_H

#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include "tce2_exported.h"
#include "tce2_range.h"
#include "tce2_table.h"
#include "tce2_view.h"

struct iommu_table_group;
struct tce2_cache;
struct tce2_counts;
struct tce2_dirty;
struct tce2_kvm;
struct tce2_window_spec;
struct xarray;

/*
 * A request would unmap or replace a pinned page. Nothing has changed. src/access.c describes
 * how the caller continues. Never compared with a refusal, and never returned to a client.
 */
#define TCE2_PINNED	(-EDEADLK)

/**
 * struct tce2_window - a DMA window and its table; owned by a struct tce2_ddw
 * @link: link in the list of published windows (src/kapi.c); protected by the list's
 *	lock
 * @refs: number of references. The owner has one until it removes the window, each
 *	tce2_window_get() adds one, and KVM's hooks have one until they are freed
 * @live: the owner has not removed the window; cleared by a thread that holds all entries
 *	in @ranges
 * @id: number of the window in its owner, never used again, immutable
 * @published: requests may use the window; set and read with the owner's lock held for
 *	reading or writing
 * @serves_pages: brief requests may use the window, see tce2_window_serve_pages().
 *	Set with the owner's lock held for reading or writing. Cleared by a thread that
 *	holds all entries in @ranges
 * @cache: region cache of the process that owns the mappings, immutable
 * @start: first bus address, immutable
 * @size: size in bytes, immutable
 * @page_shift: log2 of the IOMMU page size in bytes, immutable
 * @counts: the container's counts, which brief requests use; valid while @serves_pages
 *	is set and the caller holds the brief lock of a leaf; set before the window gets its slot
 * @hurry: counts of the writers of the owner's lock; valid while the caller holds
 *	that lock; immutable
 * @ranges: lock for ranges of entries, in both @table and @view; each locked
 *	range consists of whole leaves of @view
 * @gap: unused, so that no other member is in a cache line that a thread with a brief lock
 *	writes, wherever the compiler puts @briefs
 * @briefs: brief locks of @ranges, see tce2_brief_number()
 * @table: the TCE table
 * @view: the userspace view
 * @kvm: KVM's hooks for the table; set before the window gets its slot
 * @kept_by_group: the platform failed to remove the window from a detached group.
 *	The group's hardware may walk the table until reboot, and may still cache
 *	TCEs that have been cleared. So unmapped pages stay pinned. Set with the
 *	owner's lock held for writing, by a thread that holds all entries in @ranges
 * @dirty: record of dirty pages (src/track.c), or NULL if the window is not tracked. Changed by
 *	a thread that holds all entries in @ranges and the owner's lock for writing; used by
 *	threads that hold the entries
 * @slow_drop: @kept_by_group is set or @dirty is not NULL, so KVM's hooks need more steps to
 *	drop a page; changed together with these members
 * @pins: pages that drivers of emulated devices have pinned (struct tce2_access), indexed by
 *	bus address divided by PAGE_SIZE; NULL if no driver may pin pages of the window.
 *	Written with the owner's lock held for writing, by a thread that holds all entries in
 *	@ranges; read by a thread that holds entries
 * @rcu: frees the window after a grace period, because brief requests and readers of
 *	debugfs find the window without a reference
 *
 * References keep the window allocated. A thread that maps or unmaps holds the
 * owner's lock (struct tce2_ddw) at least for reading, which also keeps the window
 * @live. When a window is no longer @live, @cache and @table are invalid, and @view
 * is empty.
 *
 * A brief request holds neither the owner's lock nor a reference (tce2_window_map_page(),
 * tce2_window_map_pages()). It finds the window in an RCU read-side section, and uses
 * @cache, @table, @view and @kvm only while it holds the brief lock of the entry's leaf and
 * has seen @serves_pages set. Some changes of a window consist of several steps, and such a
 * request must not run between two steps. A thread that makes such a change holds all entries
 * in @ranges, in addition to the owner's lock. If no brief request may use the window
 * after the change, the thread also clears @serves_pages.
 *
 * KVM's hooks do not hold the owner's lock. They use @cache, and change entries, only
 * while they hold the lock bit of a leaf of @view (struct tce2_view). The leaves of a
 * window that is not @live stay locked.
 *
 * Lock order: owner's lock -> ranges -> leaves of @view, table.lock -> mmap_lock,
 * and ranges -> cache lock. A thread with a brief lock takes only spinlocks: the lock of a
 * work queue, and the platform's lock of the table.
 */
struct tce2_window {
	struct list_head link;
	refcount_t refs;
	u64 id;
	bool live;
	bool published;
	bool serves_pages;
	struct tce2_cache *cache;
	u64 start;
	u64 size;
	unsigned int page_shift;
	struct tce2_counts __percpu *counts;
	const struct tce2_hurry *hurry;
	struct tce2_range_lock ranges;
	struct tce2_table table;
	struct tce2_view view;
	struct tce2_kvm *kvm;
	bool kept_by_group;
	bool slow_drop;
	struct tce2_dirty *dirty;
	struct xarray *pins;
	struct rcu_head rcu;
	unsigned char gap[L1_CACHE_BYTES - sizeof(unsigned int)];
	struct tce2_brief briefs[TCE2_BRIEFS];
};

/**
 * struct tce2_map_request - a client's VFIO_IOMMU_MAP_DMA request
 * @iova: first bus address
 * @ua: first user address
 * @size: bytes
 * @perm: permissions for devices: TCE2_PERM_READ, TCE2_PERM_WRITE or both
 */
struct tce2_map_request {
	u64 iova;
	u64 ua;
	u64 size;
	u64 perm;
};

/**
 * struct tce2_scan - a walk along the leaves of a window, for debugfs
 * @id: @id of the window
 * @leaf: next leaf of the walk
 * @previous: number of the last leaf that was copied, ~0ULL before the first
 * @bytes: bytes of the view that the walk has found so far
 * @index: next entry of @copy, for the caller
 * @copy: the leaf that the last call has copied
 *
 * No lock is held, neither during a call nor between two calls, and mappings may change.
 */
struct tce2_scan {
	u64 id;
	u64 leaf;
	u64 previous;
	u64 bytes;
	u64 index;
	struct tce2_view_copy copy;
};

int tce2_window_create(struct tce2_window *window, struct iommu_table_group *tg,
		       int slot, const struct tce2_window_spec *spec,
		       struct tce2_cache *cache, const struct tce2_hurry *hurry);
void tce2_window_serve_pages(struct tce2_window *window);
bool tce2_window_stop_if_unused(struct tce2_window *window, unsigned int refs);
void tce2_window_retire(struct tce2_window *window);
struct tce2_charge tce2_window_release_table(struct tce2_window *window);

int tce2_window_set(struct tce2_window *window, struct iommu_table_group *tg,
		    int slot, bool *set);
bool tce2_window_unset(struct tce2_window *window, struct iommu_table_group *tg,
		       int slot);

void tce2_window_lock_range(struct tce2_window *window, struct tce2_range *range,
			    u64 index, u64 count);
void tce2_window_lock_all(struct tce2_window *window, struct tce2_range *range);
int tce2_window_lock_leaves(struct tce2_window *window, struct tce2_range *range,
			    u64 index, u64 count, enum tce2_patience patience);
void tce2_window_unlock_leaves(struct tce2_window *window, struct tce2_range *range);

int tce2_window_uncount(struct tce2_window *window, u64 *index, enum tce2_patience patience);
void tce2_window_accept_pins(struct tce2_window *window, struct xarray *pins);
bool tce2_window_is_pinned(const struct tce2_window *window);

bool tce2_window_get_view(struct tce2_window *window);
int tce2_window_scan(struct tce2_window *window, struct tce2_scan *scan);
void tce2_window_put_view(struct tce2_window *window);
int tce2_window_map(struct tce2_window *window,
		    const struct tce2_map_request *request,
		    enum tce2_patience patience);
int tce2_window_copy_runs(struct tce2_window *window, const struct tce2_map_request *source,
			  u64 iova, struct tce2_map_request *runs, u32 *nr,
			  enum tce2_patience patience);
int tce2_window_map_runs(struct tce2_window *window, const struct tce2_map_request *runs,
			 u32 nr, enum tce2_patience patience);
int tce2_window_unmap(struct tce2_window *window, u64 iova, u64 size,
		      enum tce2_patience patience);

#endif /* TCE2_TCE_V2_H */
