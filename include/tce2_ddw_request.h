/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_DDW_REQUEST_H
#define TCE2_DDW_REQUEST_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/types.h>

#include "tce2_ddw.h"
#include "tce2_tce_v2.h"
#include "tce2_why.h"

/*
 * Functions that src/ddw.c and the files above it share (src/ddw_*.c): locks, windows, groups of
 * emulated devices. No other file includes this header.
 *
 * A request for windows locks in one of three ways. tce2_ddw_begin_request() locks for reading,
 * and may have to wait and restart. tce2_ddw_lock_with_group() locks for writing, for a client.
 * tce2_ddw_lock_for_vfio() locks for writing, for VFIO. Documentation/locks.rst gives the
 * reasons.
 */

struct iommu_group;
struct tce2_cache;
struct tce2_map_request;
struct tce2_window_spec;

#define TCE2_NR_SLOTS	IOMMU_TABLE_GROUP_MAX_TABLES

/**
 * struct tce2_bus_range - properties of a window, against which a request is checked
 * @start: first bus address
 * @size: bytes
 * @page_shift: log2 of the IOMMU page size in bytes
 * @window: the window, or NULL for the default window while it is pending
 */
struct tce2_bus_range {
	u64 start;
	u64 size;
	unsigned int page_shift;
	struct tce2_window *window;
};

/**
 * tce2_ddw_first_table_group() - return the table group that was attached first
 * @ddw: the groups and windows, with at least one group
 *
 * Return: the table group, valid while the caller holds @lock.
 */
static inline struct iommu_table_group *tce2_ddw_first_table_group(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return list_first_entry(&ddw->groups, struct tce2_group,
				node)->table_group;
}

/**
 * tce2_ddw_is_software() - check whether the container has only groups of emulated devices
 * @ddw: the groups and windows
 *
 * Return: true if the software group is in the list of groups.
 */
static inline bool tce2_ddw_is_software(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return ddw->emulation && !list_empty(&ddw->emulation->software.node);
}

/**
 * tce2_ddw_has_accessors() - check whether drivers of emulated devices may pin pages
 * @ddw: the groups and windows
 *
 * Return: true if a device is open whose driver may pin pages.
 */
static inline bool tce2_ddw_has_accessors(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return ddw->emulation && ddw->emulation->accessors;
}

/**
 * tce2_ddw_count_groups() - change the number of attached groups
 * @ddw: the groups and windows, locked for writing
 * @change: 1 or -1
 */
static inline void tce2_ddw_count_groups(struct tce2_ddw *ddw, int change)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	WRITE_ONCE(ddw->nr_groups, ddw->nr_groups + change);
}

/**
 * tce2_ddw_is_published() - check whether requests may use a window
 * @window: the window, or NULL for an empty slot
 *
 * Return: true if the window is published.
 */
static inline bool tce2_ddw_is_published(const struct tce2_window *window)
{
	return window && READ_ONCE(window->published);
}

/**
 * tce2_ddw_check_process() - check again that the container belongs to a request's process
 * @ddw: the groups and windows
 *
 * The request may have checked the process before another process has taken the container
 * over.
 *
 * Return: 0, or -EPERM if another process has taken the container over.
 */
static inline int tce2_ddw_check_process(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return unlikely(ddw->taker) && ddw->taker != current->mm ?
	       tce2_refuse(-EPERM, TCE2_WHY_OTHER_PROCESS) : 0;
}

int tce2_ddw_begin_request(struct tce2_ddw *ddw);
int tce2_ddw_wait_for_writer(struct tce2_ddw *ddw, int seen);

/**
 * tce2_ddw_end_request() - undo tce2_ddw_begin_request()
 * @ddw: the groups and windows
 */
static inline void tce2_ddw_end_request(struct tce2_ddw *ddw)
{
	up_read(&ddw->lock);
}

int tce2_ddw_lock_with_group(struct tce2_ddw *ddw);
void tce2_ddw_lock_for_client_uninterruptible(struct tce2_ddw *ddw);
void tce2_ddw_unlock_for_client(struct tce2_ddw *ddw);
void tce2_ddw_lock_for_vfio(struct tce2_ddw *ddw);
void tce2_ddw_unlock_for_vfio(struct tce2_ddw *ddw);

int tce2_ddw_find_window(struct tce2_ddw *ddw, u64 iova, struct tce2_bus_range *range)
	__must_hold(&ddw->lock);
int tce2_ddw_find_range(struct tce2_ddw *ddw,
			const struct tce2_map_request *request,
			struct tce2_bus_range *range)
	__must_hold(&ddw->lock);

int tce2_ddw_create_window(struct tce2_ddw *ddw, struct tce2_cache *cache,
			   int slot, const struct tce2_window_spec *spec)
	__must_hold(&ddw->lock);
int tce2_ddw_create_default(struct tce2_ddw *ddw, struct tce2_cache *cache)
	__must_hold(&ddw->lock);
void tce2_ddw_publish_window(struct tce2_window *window);
void tce2_ddw_destroy_window(struct tce2_ddw *ddw, int slot)
	__must_hold(&ddw->lock);
void tce2_ddw_expect_table_refs(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock);

/* src/ddw_emulated.c */
struct tce2_emulated *tce2_ddw_find_emulated(struct tce2_ddw *ddw,
					     const struct iommu_group *group)
	__must_hold(&ddw->lock);
void tce2_ddw_remove_emulated(struct tce2_ddw *ddw, struct tce2_emulated *emulated)
	__must_hold(&ddw->lock);
void tce2_ddw_remove_all_emulated(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock);
void tce2_ddw_begin_software(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock);
void tce2_ddw_end_software(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock);

#endif /* TCE2_DDW_REQUEST_H */
