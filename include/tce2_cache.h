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
#include "tce2_mapped.h"
#include "tce2_range.h"
#include "tce2_exported.h"

struct mm_iommu_table_group_mem_t;
struct mm_struct;
struct tce2_vmemmap;

/*
 * The region cache records which memory of a process devices may reach.
 *
 * Each process's mm has one cache, shared by all containers of the process. A region
 * is a page-aligned range of user addresses. It is pinned once and charged to
 * locked_vm once, even if several containers register it. Regions of a cache
 * never overlap.
 *
 * Two counts determine the life of a region:
 *	used	containers that have the region registered
 *	mapped	IOMMU pages of the region that windows map or other modules hold, plus 1
 *		while used > 0
 * The thread that decrements mapped to 0 destroys the region. No thread increments
 * mapped from 0, so no mapping can begin on memory that is about to be unpinned. The
 * last container that has the region registered can unregister it only if mapped is 1.
 * If this container is closed instead, the close subtracts the 1 whatever the value of
 * mapped. Other containers may still map the region; their last unmap then destroys it.
 *
 * A mirror is a region's entry in the kernel's own list of registered memory, in which
 * KVM looks up user addresses (src/mirror.c). If KVM maps memory of the process, each
 * region that can have a mirror has a mirror while used > 0. KVM looks up the mirror and
 * counts the page there before a hook of src/kvm.c maps the page. The hook also counts
 * the page in mapped, and both counts are decremented together. The mirror is removed from
 * the list before used can become 0. So as long as KVM can count a page, the hook can
 * count it in mapped. When the last container that registered a region is closed, KVM may
 * still map the region in another container. The mirror is then an orphan:
 * tce2_mirror_orphan() removes it later, and until then KVM begins no mapping for the
 * process.
 *
 * Lock order: container registration lock -> cache lock; window range -> cache
 * lock; range being registered -> cache lock. A thread that pins memory holds no
 * lock except the range that it registers. No thread takes mmap_lock while it holds
 * the cache lock.
 */

/**
 * struct tce2_cache - the regions of one process
 * @link: link in the global index of caches; protected by the index lock, index_lock of
 *	src/cache.c
 * @users: number of references. Each container bound to the process, each orphan
 *	and each tce2_cache_get() of another module has one; protected by the index
 *	lock
 * @mm: the process's address space. mmgrab() keeps the struct, but not its mappings. Only
 *	tce2_cache_move() changes it, with all of @registering, @lock and the index lock
 *	held. Without one of these locks, another thread may change it at any time: the
 *	pointer may then only be compared, or used in an RCU read-side section
 * @offered: the process lets another process take the cache over; protected by @lock
 * @registering: lock for ranges of pages that are being registered. Only the thread
 *	that holds a range may add a region there
 * @lock: held to add or remove a region or to change its used count; never held while
 *	user memory is accessed, because the process can delay a page fault for any
 *	time (userfaultfd, FUSE)
 * @seq: write side under @lock; lets a lockless lookup tell an absent region from a
 *	region that is being moved in the tree
 * @regions: tree of regions by user address; written under @lock and @seq,
 *	read under RCU
 * @descriptors: index of the regions' page descriptors; NULL until another module
 *	calls tce2_cache_find_pages(), then set once, under @lock
 * @mirrored: true if each new region gets a mirror when it is registered; set once
 * @mirrors_due: tce2_cache_mirror() may find a region that needs a mirror
 * @mirrors: number of regions that have a mirror; written under @lock
 * @mirror_shift: log2 of an IOMMU page size that all mirrors translate; written
 *	under @lock
 * @closing: number of threads that add or remove mirrors, plus number of
 *	orphans. While the sum is not 0, KVM's hooks begin no mapping
 * @orphans: number of mirrors that a worker will remove; protected by the index lock
 * @dying: regions to destroy, after KVM's hooks or brief requests decremented their
 *	mapped counts to 0
 * @reap: work that destroys the regions in @dying, because these threads can't sleep
 */
struct tce2_cache {
	struct hlist_node link;
	unsigned long users;
	struct mm_struct *mm;
	bool offered;
	struct tce2_range_lock registering;
	struct mutex lock;	/* protects regions, used */
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
 * @node: node in the cache's tree; empty while the region is not in the tree;
 *	protected by the cache lock
 * @cache: the region's cache, immutable
 * @ua: first user address, page-aligned, immutable
 * @size: bytes, page-aligned, immutable
 * @mapped: number of mapped and held IOMMU pages, plus 1 while @used is not 0
 * @used: number of containers that have the region registered; written under the
 *	cache lock
 * @extents: physical addresses of the memory; immutable except for the dirty flags
 * @mirror: the region's entry in the kernel's list, or NULL; written under the
 *	cache lock
 * @mirror_tried: the region needs no further attempt to make its mirror; protected by
 *	the cache lock
 * @mirror_busy: a thread is making the mirror, or removing it from the list;
 *	protected by the cache lock
 * @payer: the mm that is charged for a region which has left the tree, with a reference;
 *	written under the cache lock. A region in the tree is charged to the cache's mm
 * @charged: true if the region owns its locked_vm charge. Otherwise the mirror owns the
 *	charge, or the thread that makes or removes the mirror; protected by the cache
 *	lock
 * @dying: link in the cache's list of regions to destroy, later in the list of
 *	regions to free
 * @rcu: defers freeing, because readers may still walk through a destroyed region
 */
struct tce2_region {
	struct rb_node node;
	struct tce2_cache *cache;
	u64 ua;
	u64 size;
	struct tce2_mapped mapped;
	unsigned long used;
	struct tce2_extents extents;
	struct mm_iommu_table_group_mem_t *mirror;
	bool mirror_tried;
	bool mirror_busy;
	bool charged;
	struct mm_struct *payer;
	union {
		struct llist_node dying;
		struct rcu_head rcu;
	};
};

/**
 * struct tce2_frames - physical addresses of adjacent pages of registered memory
 * @ua: user address of the first page; before the first call of tce2_cache_next_pages() the
 *	lowest user address
 * @count: number of pages
 * @max: number of elements of @hpa
 * @readonly: the pages were pinned for reading only
 * @hpa: physical address of each page, of the kernel's page size
 */
struct tce2_frames {
	u64 ua;
	unsigned int count;
	unsigned int max;
	bool readonly;
	u64 *hpa;
};

int tce2_cache_init(void);
void tce2_cache_exit(void);

void tce2_cache_leak(struct tce2_cache *cache);
int tce2_cache_offer(struct tce2_cache *cache, bool offered);
int tce2_cache_check_consent(struct tce2_cache *cache);
int tce2_cache_check_move(struct tce2_cache *cache, u64 *charge);
int tce2_cache_next_pages(struct tce2_cache *cache, struct tce2_frames *frames);
int tce2_cache_move(struct tce2_cache *cache, struct mm_struct *mm,
		    unsigned long users, u64 *charge);

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
 * Height limit of a red-black tree with 2^64 nodes. A walk that races with
 * rebalancing may miss its node, but never loops (lib/rbtree.c, "Notes on lockless
 * lookups").
 */
#define TCE2_MAX_DEPTH	128
/* Number of levels that a walk counts together, because counting each would cost more */
#define TCE2_LEVELS	4

/**
 * tce2_region_find() - find the region that contains a range of user memory
 * @cache: the process's region cache
 * @ua: first user address
 * @bytes: length of the range; 0 to find the region that contains @ua
 *
 * A returned region contained the range at the time of the lookup. NULL is not
 * authoritative: a lookup that races with a change of the tree may miss the region.
 *
 * Context: RCU read-side section, any interrupt state, data MMU on or off.
 * Return: the region, or NULL.
 */
static __always_inline struct tce2_region *
tce2_region_find(const struct tce2_cache *cache, u64 ua, u64 bytes)
{
	struct rb_node *node = READ_ONCE(cache->regions.rb_node);
	unsigned int depth, level;

	for (depth = 0; depth < TCE2_MAX_DEPTH; depth += TCE2_LEVELS) {
#pragma GCC unroll 4
		for (level = 0; level < TCE2_LEVELS; level++) {
			struct tce2_region *region =
				rb_entry(node, struct tce2_region, node);

			if (!node)
				return NULL;
			if (ua < region->ua)
				node = READ_ONCE(node->rb_left);
			else if (ua - region->ua >= region->size)
				node = READ_ONCE(node->rb_right);
			else if (region->size - (ua - region->ua) >= bytes)
				return region;
			else
				return NULL;
		}
	}
	return NULL;
}

/**
 * tce2_region_contains() - check whether a region contains a user address
 * @region: the region
 * @ua: the user address
 *
 * Return: true if the region contains @ua.
 */
static __always_inline bool
tce2_region_contains(const struct tce2_region *region, u64 ua)
{
	return ua >= region->ua && ua - region->ua < region->size;
}

#endif /* TCE2_CACHE_H */
