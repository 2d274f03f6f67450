// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queries: the capabilities that GET_INFO adds for clients that ask for them.
 *
 * Owns the order and the contents of the capabilities. include/uapi/vfio_spapr_tce2.h
 * describes them. A capability never changes its structure: a client skips ids that it does
 * not know, so a new fact is a new capability.
 *
 * Locks: none. The properties of the container were copied before.
 * Calls: nothing of this project.
 */
#include <linux/build_bug.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/vfio.h>

#include "tce2_ddw.h"
#include "tce2_query.h"
#include "uapi/vfio_spapr_tce2.h"

#define NR_WINDOWS	IOMMU_TABLE_GROUP_MAX_TABLES

/* The hole splits at most one window in two */
#define NR_RANGES	(NR_WINDOWS + 1)

/* Bytes of the longest chain */
#define LONGEST_CHAIN							\
	(2 * sizeof(struct vfio_iommu_type1_info_cap_iova_range) +	\
	 (NR_RANGES + 1) * sizeof(struct vfio_iova_range) +		\
	 sizeof(struct vfio_tce2_info_cap_windows) +			\
	 NR_WINDOWS * sizeof(struct vfio_tce2_window) +			\
	 sizeof(struct vfio_tce2_info_cap_create))

/**
 * struct query - a chain that is being made
 * @chain: the chain so far
 * @offset: offset of the chain from the start of the client's structure
 * @last: header of the last capability, or NULL
 */
struct query {
	struct tce2_chain *chain;
	u32 offset;
	struct vfio_info_cap_header *last;
};

/**
 * struct query_ranges - ranges of bus addresses
 * @nr: number of elements of @ranges in use
 * @ranges: the ranges, ascending, with inclusive ends
 */
struct query_ranges {
	u32 nr;
	struct vfio_iova_range ranges[NR_RANGES];
};

static void query_append(struct query *query, const void *from, u32 size)
{
	memcpy(query->chain->bytes + query->chain->size, from, size);
	query->chain->size += size;
}

/* Adds a capability without its elements, which the caller appends */
static void query_add(struct query *query, u16 id, struct vfio_info_cap_header *cap, u32 size)
{
	struct tce2_chain *chain = query->chain;

	BUILD_BUG_ON(LONGEST_CHAIN > TCE2_CHAIN_BYTES);
	if (query->last)
		query->last->next = query->offset + chain->size;
	query->last = (void *)(chain->bytes + chain->size);
	*cap = (struct vfio_info_cap_header){ .id = id, .version = 1 };
	query_append(query, cap, size);
}

static void query_add_ranges(struct query *query, u16 id, const struct query_ranges *ranges)
{
	struct vfio_iommu_type1_info_cap_iova_range cap = { .nr_iovas = ranges->nr };

	query_add(query, id, &cap.header, sizeof(cap));
	query_append(query, ranges->ranges, ranges->nr * sizeof(*ranges->ranges));
}

/* Adds the bus addresses from @start on, below @end; nothing if the range is empty */
static void ranges_add(struct query_ranges *ranges, u64 start, u64 end)
{
	if (start < end)
		ranges->ranges[ranges->nr++] =
			(struct vfio_iova_range){ .start = start, .end = end - 1 };
}

/* Adds the windows without the hole */
static void query_add_usable(struct query *query, const struct tce2_caps *caps)
{
	u64 hole = caps->platform.hole_start, hole_end = hole + caps->platform.hole_size;
	struct query_ranges ranges = {};
	unsigned int i;

	for (i = 0; i < caps->nr_windows; i++) {
		u64 start = caps->windows[i].start, end = start + caps->windows[i].size;

		ranges_add(&ranges, start, min(end, hole));
		ranges_add(&ranges, max(start, hole_end), end);
	}
	query_add_ranges(query, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, &ranges);
}

static void query_add_holes(struct query *query, const struct tce2_caps *caps)
{
	struct query_ranges ranges = {};

	ranges_add(&ranges, caps->platform.hole_start,
		   caps->platform.hole_start + caps->platform.hole_size);
	query_add_ranges(query, VFIO_TCE2_INFO_CAP_HOLES, &ranges);
}

static void query_add_windows(struct query *query, const struct tce2_caps *caps)
{
	struct vfio_tce2_info_cap_windows cap = {
		.nr_windows = caps->nr_windows,
		.free_windows = caps->free_windows,
	};
	unsigned int i;

	query_add(query, VFIO_TCE2_INFO_CAP_WINDOWS, &cap.header, sizeof(cap));
	for (i = 0; i < caps->nr_windows; i++) {
		const struct tce2_window_info *info = &caps->windows[i];
		struct vfio_tce2_window window = {
			.start = info->start,
			.size = info->size,
			.charged = (u64)info->table_pages << PAGE_SHIFT,
			.page_shift = info->page_shift,
			.levels = info->levels,
			.flags = info->published ? 0 : VFIO_TCE2_WINDOW_PENDING,
		};

		query_append(query, &window, sizeof(window));
	}
}

static void query_add_create(struct query *query, const struct tce2_caps *caps)
{
	struct vfio_tce2_info_cap_create create = {
		.pgsizes = caps->pgsizes,
		.levels = caps->levels,
		.table_copies = caps->platform.table_copies,
		.table_least = caps->platform.table_least,
	};

	query_add(query, VFIO_TCE2_INFO_CAP_CREATE, &create.header, sizeof(create));
}

/**
 * tce2_query_caps() - write the capabilities of a container
 * @caps: the properties of the container
 * @offset: offset of the first capability from the start of the client's structure
 * @chain: set by this function
 *
 * Context: any.
 */
void tce2_query_caps(const struct tce2_caps *caps, u32 offset, struct tce2_chain *chain)
{
	struct query query = { .chain = chain, .offset = offset };

	chain->size = 0;
	query_add_usable(&query, caps);
	query_add_holes(&query, caps);
	query_add_windows(&query, caps);
	query_add_create(&query, caps);
}
