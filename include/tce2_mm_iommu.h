/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_MM_IOMMU_H
#define TCE2_MM_IOMMU_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/seqlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "tce2_extents.h"
#include "tce2_range.h"
#include "tce2_realmode.h"

struct mm_iommu_table_group_mem_t;
struct mm_struct;
struct tce2_vmemmap;

/*
 * The region cache: which memory of a process devices may reach.
 *
 * There is one cache for a process's mm, shared by all its containers. A region
 * is a page-aligned range of user addresses, pinned once and charged to
 * locked_vm once, however many containers register it. Regions of a cache
 * never overlap.
 *
 * Life of a region, told by its two counters:
 *	used	containers that have it registered
 *	mapped	IOMMU pages that point into it, plus 1 as long as used > 0
 * Whoever takes mapped to 0 destroys the region, and nothing takes it up from
 * 0 again, so no mapping can begin on memory about to be unpinned. The last
 * container to unregister may do so only if mapped is 1; the last one to be
 * closed just gives up its 1, and the region goes with the final unmap in
 * whatever container still maps it.
 *
 * If KVM maps for the process, each region that can have one has a mirror
 * (src/mirror.c) while used > 0: an entry in the kernel's own list. KVM looks
 * up this entry and counts the page there before a hook of src/kvm.c maps the
 * page. The hook counts the page in mapped, too, and both counts are dropped
 * together. The mirror is removed from the list before used can become 0. So as
 * long as KVM can count a page, the hook can hold the page's region. KVM may
 * have the region mapped in another container when the last container that
 * registered it is closed. Then tce2_mirror_orphan() removes the mirror later,
 * and until then KVM maps nothing for the process.
 *
 * Lock order: container registration lock -> cache lock; window range -> cache
 * lock; range being registered -> cache lock. Memory is pinned with none but a
 * range being registered held, and the cache lock is never held when mmap_lock
 * is taken.
 */

/**
 * struct tce2_cache - the regions of one process
 * @link: in the global index of caches; index lock
 * @users: containers bound to the process, orphans, and other users; index lock
 * @mm: the process's address space, immutable, kept from being freed (mmgrab),
 *	not from being torn down
 * @registering: ranges of pages that are being registered: whoever holds one
 *	is the only one to add a region there
 * @lock: taken to add or remove a region or to change its used counter, never
 *	while user memory is looked at: that may take as long as the process
 *	likes (userfaultfd, FUSE)
 * @seq: write side under @lock; lets a lockless lookup tell "absent" from
 *	"being moved"
 * @regions: tree of regions by user address; written under @lock and @seq,
 *	read under RCU
 * @descriptors: index of the regions' page descriptors; set once, under @lock, when
 *	another module asks for it; NULL until then
 * @mirrored: each region gets a mirror when it is registered; set once
 * @mirrors_due: a region may lack the mirror that tce2_cache_mirror() would make
 * @mirrors: number of regions that have a mirror; @lock
 * @mirror_shift: log2 of an IOMMU page size that all mirrors translate; written
 *	under @lock
 * @closing: number of threads that add or remove mirrors, plus number of
 *	orphans; while it is not 0, KVM's hooks begin no mapping
 * @orphans: mirrors that are removed later, by a worker; index lock
 * @dying: regions of which a hook of KVM's took mapped to 0, to be destroyed
 * @reap: destroys the regions in @dying, because hooks can't sleep
 */
struct tce2_cache {
	struct hlist_node link;
	unsigned long users;
	struct mm_struct *mm;
	struct tce2_range_lock registering;
	struct mutex lock;	/* guards regions, used */
	seqcount_mutex_t seq;
	struct rb_root regions;
	struct tce2_vmemmap *descriptors;
	bool mirrored;
	bool mirrors_due;
	unsigned long mirrors;
	unsigned int mirror_shift;
	atomic_t closing;
	unsigned long orphans;
	struct llist_head dying;
	struct work_struct reap;
};

/**
 * struct tce2_region - a pinned range of a process's memory
 * @node: in the cache's tree, or empty when unlinked; cache lock
 * @cache: the cache it belongs to, immutable
 * @ua: first user address, page-aligned, immutable
 * @size: bytes, page-aligned, immutable
 * @mapped: see the life of a region above; atomic
 * @used: see the life of a region above; written under the cache lock
 * @extents: where the memory is; immutable but for its dirty flags
 * @mirror: the region's entry in the kernel's list, or NULL; written under the
 *	cache lock
 * @mirror_tried: the region got a mirror, or can't have one; cache lock
 * @mirror_busy: a thread is making the mirror, or removing it from the list;
 *	cache lock
 * @charged: locked_vm is charged for the region itself; else the mirror has the
 *	charge, or the thread that makes or removes the mirror; cache lock
 * @dying: link in the cache's list of regions to destroy, then in the list of
 *	regions to free
 * @rcu: readers may still be walking through the region when it is destroyed
 */
struct tce2_region {
	struct rb_node node;
	struct tce2_cache *cache;
	u64 ua;
	u64 size;
	atomic64_t mapped;
	unsigned long used;
	struct tce2_extents extents;
	struct mm_iommu_table_group_mem_t *mirror;
	bool mirror_tried;
	bool mirror_busy;
	bool charged;
	union {
		struct llist_node dying;
		struct rcu_head rcu;
	};
};

/**
 * struct tce2_drop - mapped counts to be dropped, gathered by region
 * @cache: the cache whose regions they are of
 * @region: the region of the counts gathered so far, or NULL
 * @count: how many, in IOMMU pages
 *
 * On the stack of one thread; see tce2_drop_pages().
 */
struct tce2_drop {
	struct tce2_cache *cache;
	struct tce2_region *region;
	u64 count;
};

int tce2_cache_init(void);
void tce2_cache_exit(void);

int tce2_region_register(struct tce2_cache *cache, u64 ua, u64 size,
			 struct tce2_region **regionp);
int tce2_region_unregister(struct tce2_region *region);
void tce2_region_abandon(struct tce2_region *region);

void tce2_cache_mirror(struct tce2_cache *cache);
bool tce2_cache_mirrors_serve(const struct tce2_cache *cache,
			      unsigned int shift);
bool tce2_page_hold(struct tce2_cache *cache, u64 ua, unsigned int shift,
		    bool write, u64 *hpa);
void tce2_page_drop(struct tce2_cache *cache, u64 ua, unsigned int shift);
void tce2_page_drop_counted(struct tce2_cache *cache, u64 ua,
			    unsigned int shift, bool write);
void tce2_pages_uncount(struct tce2_cache *cache, u64 ua, unsigned int shift,
			u64 pages, bool write);

s64 tce2_region_run(const struct tce2_region *region, u64 ua,
		    unsigned int shift, u64 pages, bool write, u64 *hpa);
struct tce2_region *tce2_region_find_held(struct tce2_cache *cache, u64 ua,
					  unsigned int shift);
void tce2_drop_pages(struct tce2_drop *drop, u64 ua, unsigned int shift,
		     u64 pages);
void tce2_drop_flush(struct tce2_drop *drop);

/*
 * A red-black tree of 2^64 nodes is no higher than this. A walk that races
 * with rebalancing may be led astray, but never round in a circle
 * (lib/rbtree.c, "Notes on lockless lookups").
 */
#define TCE2_MAX_DEPTH	128

/**
 * tce2_region_find() - find the region that contains a range of user memory
 * @cache: the process's region cache
 * @ua: first user address
 * @bytes: length of the range; 0 to find the region that contains @ua
 *
 * A region that is found did contain the range when it was read. One that is
 * not found may exist all the same if the tree was being changed.
 *
 * Context: RCU read-side, any interrupt state, data MMU on or off.
 * Return: the region, or NULL.
 */
static __always_inline struct tce2_region *
tce2_region_find(const struct tce2_cache *cache, u64 ua, u64 bytes)
{
	struct rb_node *node = READ_ONCE(cache->regions.rb_node);
	unsigned int depth;

	for (depth = 0; node && depth < TCE2_MAX_DEPTH; depth++) {
		struct tce2_region *region =
			rb_entry(node, struct tce2_region, node);

		if (ua < region->ua)
			node = READ_ONCE(node->rb_left);
		else if (ua - region->ua >= region->size)
			node = READ_ONCE(node->rb_right);
		else if (region->size - (ua - region->ua) >= bytes)
			return region;
		else
			return NULL;
	}
	return NULL;
}

/**
 * tce2_region_contains() - whether a region contains a user address
 * @region: the region
 * @ua: the user address
 *
 * Return: true if it does.
 */
static __always_inline bool
tce2_region_contains(const struct tce2_region *region, u64 ua)
{
	return ua >= region->ua && ua - region->ua < region->size;
}

/**
 * tce2_region_take() - add to a region's mapped counter
 * @region: the region, which an RCU read-side section keeps from being freed
 * @pages: IOMMU pages, more than 0
 *
 * Context: any interrupt state, data MMU on or off.
 * Return: true; false if the region is registered nowhere any more or is being
 * destroyed: nothing may be mapped there.
 */
static __always_inline bool tce2_region_take(struct tce2_region *region,
					     u64 pages)
{
	return READ_ONCE(region->used) &&
	       atomic64_add_unless(&region->mapped, pages, 0);
}

/**
 * tce2_page_take_counted() - count a page as mapped after KVM has counted it
 * @cache: the region cache
 * @ua: user address of an IOMMU page no larger than the kernel's pages
 *
 * KVM has counted the page in the kernel's list and found its physical address
 * there. Both counts are dropped by tce2_page_drop_counted(). A region ends at a
 * kernel page, so no such IOMMU page crosses its end.
 *
 * Context: RCU read-side.
 * Return: true; false if KVM's count has to be undone, because the region has
 * no mirror or the mirror is being removed, or because the lookup missed the
 * region while the tree was being changed.
 */
static __always_inline bool
tce2_page_take_counted(const struct tce2_cache *cache, u64 ua)
{
	struct tce2_region *region = tce2_region_find(cache, ua, 0);

	return region && READ_ONCE(region->mirror) &&
	       atomic64_inc_not_zero(&region->mapped);
}

#endif /* TCE2_MM_IOMMU_H */
