/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_CACHE_H
#define TCE2_CACHE_H

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
#include "tce2_exported.h"

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
 * The thread that takes mapped to 0 destroys the region. No thread increments mapped
 * from 0, so no mapping can begin on memory that is about to be unpinned. The last
 * container to unregister may do so only if mapped is 1. If the last container is
 * closed instead, it only drops its 1. Then the final unmap in the containers that
 * still map the region destroys it.
 *
 * A mirror is a region's entry in the kernel's own list (src/mirrors.c). If KVM maps
 * for the process, each region that can have a mirror has one while used > 0. KVM looks
 * up the mirror and counts the page there before a hook of src/kvm.c maps the
 * page. The hook counts the page in mapped, too, and both counts are dropped
 * together. The mirror is removed from the list before used can become 0. So as
 * long as KVM can count a page, the hook can hold the page's region. KVM may
 * have the region mapped in another container when the last container that
 * registered it is closed. Then tce2_mirror_orphan() removes the mirror later,
 * and until then KVM maps nothing for the process.
 *
 * Lock order: container registration lock -> cache lock; window range -> cache
 * lock; range being registered -> cache lock. A thread that pins memory holds no lock
 * except a range being registered. The cache lock is never held when mmap_lock is
 * taken.
 */

/**
 * struct tce2_cache - the regions of one process
 * @link: in the global index of caches; index lock
 * @users: containers bound to the process, orphans, and other users; index lock
 * @mm: the process's address space, immutable, kept from being freed (mmgrab),
 *	not from being torn down
 * @registering: ranges of pages that are being registered: only the thread that holds a
 *	range adds a region there
 * @lock: held to add or remove a region or to change its used counter; never held while
 *	user memory is accessed, because the process can delay a page fault as long as
 *	it likes (userfaultfd, FUSE)
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
 * @dying: regions to be destroyed, whose mapped counter KVM's hooks took to 0
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
 * @cache: the region's cache, immutable
 * @ua: first user address, page-aligned, immutable
 * @size: bytes, page-aligned, immutable
 * @mapped: see the life of a region above; atomic
 * @used: see the life of a region above; written under the cache lock
 * @extents: physical addresses of the memory; immutable except for the dirty flags
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

int tce2_cache_init(void);
void tce2_cache_exit(void);

bool tce2_cache_has_orphans(struct tce2_cache *cache);
void tce2_cache_add_orphan(struct tce2_cache *cache);
void tce2_cache_remove_orphan(struct tce2_cache *cache);

struct tce2_region *tce2_cache_find_overlap(struct tce2_cache *cache, u64 ua,
					    u64 size);
int tce2_region_enter(struct tce2_region *region);
void tce2_region_unlink(struct tce2_region *region);
void tce2_region_destroy(struct tce2_region *region);
void tce2_region_reap(struct tce2_region *region);
void tce2_region_free(struct tce2_region *region);

/*
 * A red-black tree of 2^64 nodes is no higher than this. A walk that races
 * with rebalancing may miss its node, but never loops (lib/rbtree.c, "Notes on lockless
 * lookups").
 */
#define TCE2_MAX_DEPTH	128

/**
 * tce2_region_find() - find the region that contains a range of user memory
 * @cache: the process's region cache
 * @ua: first user address
 * @bytes: length of the range; 0 to find the region that contains @ua
 *
 * A region that is returned contained the range when it was read. NULL is not
 * authoritative: the region may exist if the tree was being changed.
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
 * tce2_region_contains() - check whether a region contains a user address
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

#endif /* TCE2_CACHE_H */
