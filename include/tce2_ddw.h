/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_DDW_H
#define TCE2_DDW_H

#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <asm/iommu.h>

#include "tce2_access.h"
#include "tce2_platform.h"
#include "tce2_range.h"

struct iommu_group;
struct mm_struct;
struct tce2_cache;
struct tce2_counts;
struct tce2_map_request;
struct tce2_scan;
struct tce2_track;
struct tce2_window;
struct vfio_eeh_pe_op;
struct vfio_iommu_spapr_tce_info;

/**
 * struct tce2_group - a table group that is attached to a container
 * @node: node in the container's list of groups
 * @group: the IOMMU group
 * @table_group: the table group of @group
 *
 * A group is made and freed by a thread that holds @lock of struct tce2_ddw for writing.
 * Otherwise it is immutable.
 */
struct tce2_group {
	struct list_head node;
	struct iommu_group *group;
	struct iommu_table_group *table_group;
};

/**
 * struct tce2_emulated - a group of an emulated device that is attached to a container
 * @node: node in the container's list of emulated groups
 * @group: the IOMMU group, which has no table group
 */
struct tce2_emulated {
	struct list_head node;
	struct iommu_group *group;
};

/**
 * struct tce2_emulation - state of a container that only emulated devices need
 * @groups: attached groups of emulated devices (struct tce2_emulated)
 * @software: the software group, in the list of groups of struct tce2_ddw while @groups is not
 *	empty and no group with hardware is attached. Its IOMMU group is NULL
 * @tg: table group of @software
 * @hardware: operations of the group with hardware that joined last while no other had joined;
 *	NULL before a group with hardware is attached
 * @access: emulated devices and the pages that they have pinned; has its own locks
 * @accessors: number of open emulated devices whose drivers may pin pages
 *
 * Protected by the lock of struct tce2_ddw, except @access.
 */
struct tce2_emulation {
	struct list_head groups;
	struct tce2_group software;
	struct iommu_table_group tg;
	const struct iommu_table_group_ops *hardware;
	struct tce2_access access;
	unsigned int accessors;
};

/**
 * struct tce2_ddw - a container's groups and DMA windows
 * @lock: held for writing to add or remove groups and windows, and for reading to
 *	map in windows (struct tce2_window describes the locks of mappings)
 * @clients: serializes the client's requests that take @lock for writing, so that at
 *	most one of them is ahead of VFIO in the queue of @lock. Taken before @lock
 * @slots_lock: protects @window, together with @lock. A thread holds both to change
 *	@window, and either of them to read it. The spinlock of a range lock is the only
 *	lock taken inside @slots_lock
 * @hurry: counts the threads that hold @lock for writing or wait to do so
 * @writes: counts finished attempts to take @lock for writing: the writer has unlocked,
 *	or a fatal signal has ended its wait
 * @calm: wait queue for requests that were turned away, and for requests that must not
 *	take @lock for writing yet, because VFIO waits for it
 * @groups: attached groups (struct tce2_group); every window is programmed
 *	for every group
 * @nr_groups: number of attached groups, emulated or not; written with @lock held, read
 *	without a lock
 * @window: the windows by slot, published or not; NULL for an empty slot. The platform
 *	chooses their first bus addresses, see tce2_platform_create_table()
 * @default_pending: the default window is not made yet; the first request that uses
 *	it makes it in slot 0
 * @windows: number of windows that were made so far
 * @counts: counts of requests, for brief requests; valid until tce2_ddw_destroy()
 *	has returned, immutable
 * @taker: mm of the process that has taken the container over; NULL if no process has. Only
 *	compared; protected by @lock. Requests check the process before they lock @lock, and
 *	check @taker afterwards
 * @emulation: state that only emulated devices need; NULL before the first emulated group is
 *	attached. Set with @lock held for writing, read without a lock; valid until
 *	tce2_ddw_free()
 *
 * @groups, @window, @default_pending, @windows and @taker are protected by @lock. Brief
 * requests and readers of debugfs read @window under RCU instead. To attach or detach a group
 * or to close the container, VFIO waits for @lock while it holds locks that all containers
 * share. So the time that VFIO waits must not depend on the number of
 * queued requests.
 *
 * Lock order: these locks come before all locks of struct tce2_window.
 */
struct tce2_ddw {
	struct rw_semaphore lock;
	struct mutex clients;	/* one client at a time waits for lock */
	spinlock_t slots_lock;	/* protects window in ddw_wake_queues() */
	struct tce2_hurry hurry;
	atomic_t writes;
	wait_queue_head_t calm;
	struct list_head groups;
	unsigned int nr_groups;
	struct tce2_window *window[IOMMU_TABLE_GROUP_MAX_TABLES];
	bool default_pending;
	u64 windows;
	struct tce2_counts __percpu *counts;
	const struct mm_struct *taker;
	struct tce2_emulation *emulation;
};

/**
 * struct tce2_creation - a window between tce2_ddw_create() and its publication
 * @window: the window, with a reference
 * @slot: slot of @window
 * @start: first bus address of @window
 * @made_default: the default window if it was made for @window, with a reference;
 *	else NULL
 *
 * The structure is on the stack of the thread that creates the window.
 */
struct tce2_creation {
	struct tce2_window *window;
	int slot;
	u64 start;
	struct tce2_window *made_default;
};

/**
 * struct tce2_window_info - properties of a window, for debugfs
 * @id: number of the window in its container, never used again
 * @start: first bus address
 * @size: bytes
 * @page_shift: log2 of the IOMMU page size in bytes
 * @levels: levels of the TCE table
 * @table_pages: pages that are charged for the table
 * @kvm: number of KVM's references to the table
 * @published: requests may use the window
 * @tracked: dirty pages are tracked
 */
struct tce2_window_info {
	u64 id;
	u64 start;
	u64 size;
	unsigned int page_shift;
	unsigned int levels;
	unsigned long table_pages;
	unsigned int kvm;
	bool published;
	bool tracked;
};

/**
 * struct tce2_caps - properties of a container for the capabilities of GET_INFO
 * @nr_windows: number of elements of @windows in use
 * @free_windows: number of further windows that tce2_ddw_create() can make now
 * @windows: the published windows, and the default window while it is pending, which is not
 *	@published; ascending by bus address
 * @pgsizes: IOMMU page sizes that all groups offer
 * @levels: number of levels that all groups offer
 * @platform: properties of tables and bus addresses
 */
struct tce2_caps {
	unsigned int nr_windows;
	unsigned int free_windows;
	struct tce2_window_info windows[IOMMU_TABLE_GROUP_MAX_TABLES];
	u64 pgsizes;
	u32 levels;
	struct tce2_platform_caps platform;
};

void tce2_ddw_init(struct tce2_ddw *ddw, struct tce2_counts __percpu *counts);
void tce2_ddw_destroy(struct tce2_ddw *ddw);
void tce2_ddw_free(struct tce2_ddw *ddw);

int tce2_ddw_attach(struct tce2_ddw *ddw, struct iommu_group *group);
int tce2_ddw_attach_emulated(struct tce2_ddw *ddw, struct iommu_group *group);
int tce2_ddw_detach(struct tce2_ddw *ddw, struct iommu_group *group);

struct tce2_emulation *tce2_ddw_emulation(struct tce2_ddw *ddw);
void tce2_ddw_count_pins(struct tce2_ddw *ddw, unsigned long *pinned,
			 unsigned long *notified);
void tce2_ddw_add_device(struct tce2_ddw *ddw, struct vfio_device *device);
void tce2_ddw_remove_device(struct tce2_ddw *ddw, struct vfio_device *device);
int tce2_ddw_pin(struct tce2_ddw *ddw, const struct tce2_pin_request *request);
int tce2_ddw_access(struct tce2_ddw *ddw, struct tce2_access_request *request);

int tce2_ddw_info(struct tce2_ddw *ddw, struct vfio_iommu_spapr_tce_info *info,
		  struct tce2_caps *caps);
int tce2_ddw_create(struct tce2_ddw *ddw, struct tce2_cache *cache,
		    const struct tce2_window_spec *spec,
		    struct tce2_creation *creation);
int tce2_ddw_publish(struct tce2_ddw *ddw, struct tce2_creation *creation);
void tce2_ddw_cancel(struct tce2_ddw *ddw, struct tce2_creation *creation);
int tce2_ddw_remove(struct tce2_ddw *ddw, u64 start);

int tce2_ddw_map(struct tce2_ddw *ddw, struct tce2_cache *cache,
		 const struct tce2_map_request *request);
/* Largest number of ranges of user memory that a copy maps, VFIO_TCE2_MAX_COPY */
#define TCE2_MOST_RUNS	512

int tce2_ddw_copy(struct tce2_ddw *ddw, struct tce2_cache *cache, u64 iova, u64 source,
		  u64 size);
int tce2_ddw_unmap(struct tce2_ddw *ddw, u64 iova, u64 size);
int tce2_ddw_unmap_window(struct tce2_ddw *ddw, u64 start);
int tce2_ddw_eeh(struct tce2_ddw *ddw, const struct vfio_eeh_pe_op *op);

int tce2_ddw_track(struct tce2_ddw *ddw, struct tce2_cache *cache, u64 start);
int tce2_ddw_untrack(struct tce2_ddw *ddw, u64 start);
int tce2_ddw_get_dirty(struct tce2_ddw *ddw, u64 iova, u64 size,
		       struct tce2_track *track);
void tce2_ddw_restore_dirty(struct tce2_ddw *ddw, u64 iova,
			    const struct tce2_track *track);

int tce2_ddw_freeze(struct tce2_ddw *ddw);
void tce2_ddw_thaw(struct tce2_ddw *ddw);
int tce2_ddw_uncount(struct tce2_ddw *ddw);
int tce2_ddw_check_move(struct tce2_ddw *ddw, u64 *charge);
u64 tce2_ddw_move(struct tce2_ddw *ddw, struct mm_struct *mm);

bool tce2_ddw_window_info(struct tce2_ddw *ddw, int slot,
			  struct tce2_window_info *info);
struct iommu_group *tce2_ddw_next_group(struct tce2_ddw *ddw, int number);
int tce2_ddw_scan(struct tce2_ddw *ddw, int slot, struct tce2_scan *scan);

#endif /* TCE2_DDW_H */
