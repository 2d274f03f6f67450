/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_DDW_H
#define TCE2_DDW_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <asm/iommu.h>

#include "tce2_platform.h"
#include "tce2_range.h"

struct iommu_group;
struct tce2_cache;
struct tce2_map_request;
struct tce2_window;
struct vfio_eeh_pe_op;
struct vfio_iommu_spapr_tce_info;

/**
 * struct tce2_group - a table group that is attached to a container
 * @node: in the container's list of groups
 * @group: the IOMMU group
 * @table_group: its table group
 *
 * Made and freed under the write lock of struct tce2_ddw, else immutable.
 */
struct tce2_group {
	struct list_head node;
	struct iommu_group *group;
	struct iommu_table_group *table_group;
};

/**
 * struct tce2_ddw - a container's groups and DMA windows
 * @lock: write: groups and windows come and go. read: they stay, and mapping
 *	in them is allowed (struct tce2_window says how that is locked)
 * @clients: serializes the client's requests that take @lock for writing, so that at
 *	most one of them is ahead of VFIO in the queue of @lock. Taken before @lock
 * @slots_lock: protects @window, together with @lock. A thread holds both to change
 *	@window, and either of them to read it. The spinlock of a range lock is the only
 *	lock taken inside @slots_lock
 * @hurry: counts the threads that hold @lock for writing or wait to
 * @writes: number of attempts to take @lock for writing that have ended: the lock was
 *	released again, or the wait for it was killed
 * @calm: requests that were turned away wait here for @writes to change
 * @groups: attached groups (struct tce2_group); every window is programmed
 *	for every group
 * @window: the windows by slot, published or not; NULL for an empty slot. The platform
 *	chooses their first bus addresses, see tce2_platform_create_table()
 * @default_pending: slot 0 is still to be filled with the default window, when
 *	it is first used
 *
 * @groups, @window and @default_pending are protected by @lock. To attach or detach a
 * group or to close the container, VFIO waits for @lock while it holds locks that all
 * containers share. So the time it waits must not depend on the number of queued
 * requests.
 *
 * Lock order: this comes before everything in struct tce2_window.
 */
struct tce2_ddw {
	struct rw_semaphore lock;
	struct mutex clients;	/* one client at a time waits for lock */
	spinlock_t slots_lock;	/* protects window in ddw_wake_queues() */
	struct tce2_hurry hurry;
	atomic_t writes;
	wait_queue_head_t calm;
	struct list_head groups;
	struct tce2_window *window[IOMMU_TABLE_GROUP_MAX_TABLES];
	bool default_pending;
};

/**
 * struct tce2_creation - a window between tce2_ddw_create() and its publication
 * @window: the window, with a reference
 * @slot: its slot
 * @start: its first bus address
 * @made_default: the default window if it was made for @window, with a reference;
 *	else NULL
 *
 * On the stack of the thread that creates the window.
 */
struct tce2_creation {
	struct tce2_window *window;
	int slot;
	u64 start;
	struct tce2_window *made_default;
};

void tce2_ddw_init(struct tce2_ddw *ddw);
void tce2_ddw_destroy(struct tce2_ddw *ddw);

int tce2_ddw_attach(struct tce2_ddw *ddw, struct iommu_group *group);
int tce2_ddw_detach(struct tce2_ddw *ddw, struct iommu_group *group);

int tce2_ddw_info(struct tce2_ddw *ddw,
		  struct vfio_iommu_spapr_tce_info *info);
int tce2_ddw_create(struct tce2_ddw *ddw, struct tce2_cache *cache,
		    const struct tce2_window_spec *spec,
		    struct tce2_creation *creation);
int tce2_ddw_publish(struct tce2_ddw *ddw, struct tce2_creation *creation);
void tce2_ddw_cancel(struct tce2_ddw *ddw, struct tce2_creation *creation);
int tce2_ddw_remove(struct tce2_ddw *ddw, u64 start);

int tce2_ddw_map(struct tce2_ddw *ddw, struct tce2_cache *cache,
		 const struct tce2_map_request *request);
int tce2_ddw_unmap(struct tce2_ddw *ddw, u64 iova, u64 size);
int tce2_ddw_eeh(struct tce2_ddw *ddw, const struct vfio_eeh_pe_op *op);

#endif /* TCE2_DDW_H */
