/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Requests of vfio_spapr_tce2 that the in-tree driver does not have.
 *
 * A program may copy this file. VFIO_CHECK_EXTENSION returns 1 or more for each extension
 * below that the container has. The in-tree driver returns 0.
 * The numbers and structures never change. A later version of the module only adds some.
 * Documentation/client.rst describes the requests.
 */
#ifndef _UAPI_VFIO_SPAPR_TCE2_H
#define _UAPI_VFIO_SPAPR_TCE2_H

#include <linux/types.h>
#include <linux/vfio.h>

/* Version of this file */
#define VFIO_TCE2_VERSION	1

/*
 * Numbers of ioctls are VFIO_TYPE with 0xe0 to 0xef: linux/vfio.h uses numbers from VFIO_BASE
 * (100) on, linux/iommufd.h from 0x80 on.
 *
 * Extensions for VFIO_CHECK_EXTENSION, far from the numbers of linux/vfio.h.
 * VFIO_TCE2_API returns the module's VFIO_TCE2_VERSION, the others return 1.
 */
#define VFIO_TCE2_API		0x7ce20000
#define VFIO_TCE2_INFO		0x7ce20001	/* capabilities in TCE_GET_INFO */
#define VFIO_TCE2_RANGES	0x7ce20002	/* VFIO_IOMMU_TCE2_RANGES */
#define VFIO_TCE2_COPY		0x7ce20003	/* VFIO_TCE2_OP_COPY */
#define VFIO_TCE2_OWNER		0x7ce20004	/* VFIO_TCE2_OFFER_OWNER, VFIO_TCE2_TAKE_OWNER */
#define VFIO_TCE2_DIRTY		0x7ce20005	/* VFIO_TCE2_DIRTY_PAGES */

/**
 * struct vfio_tce2_info - VFIO_IOMMU_SPAPR_TCE_GET_INFO with capabilities
 * @info: the structure of linux/vfio.h. @argsz is the size of the buffer. If the buffer is
 *	too small for the capabilities, @argsz is set to the size that they need
 * @magic: VFIO_TCE2_INFO_MAGIC asks for capabilities. The module does not write further
 *	than @info unless a program asks for it
 * @cap_offset: set to the offset of the first capability (struct vfio_info_cap_header)
 *	from the start of this structure, or to 0 if the buffer is too small
 *
 * If the module has understood @magic, VFIO_TCE2_INFO_CAPS is set in the flags of @info.
 * The ids of capabilities other than VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE are below.
 */
struct vfio_tce2_info {
	struct vfio_iommu_spapr_tce_info info;
	__u32 magic;
#define VFIO_TCE2_INFO_MAGIC	0x7ce2ca95
	__u32 cap_offset;
};

#define VFIO_TCE2_INFO_CAPS	(1U << 31)

/*
 * VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, struct vfio_iommu_type1_info_cap_iova_range: the
 * bus addresses that can be mapped now, as with VFIO_TYPE1_IOMMU. These are the windows without
 * the holes. The ranges ascend, and their ends are inclusive.
 */

/*
 * Holes, in the same structure: bus addresses that a window contains, but that devices may
 * not reach through it. On powernv these are the addresses of 32-bit MMIO and
 * of MSIs, below 4 GiB. MAP_DMA does not refuse them.
 */
#define VFIO_TCE2_INFO_CAP_HOLES	0x7c01

/**
 * struct vfio_tce2_window - a window
 * @start: first bus address
 * @size: bytes
 * @charged: bytes of locked memory that are charged for the table now
 * @page_shift: log2 of the IOMMU page size in bytes
 * @levels: levels of the table
 * @flags: VFIO_TCE2_WINDOW_PENDING for the default window until a request uses it
 */
struct vfio_tce2_window {
	__u64 start;
	__u64 size;
	__u64 charged;
	__u32 page_shift;
	__u16 levels;
	__u16 flags;
#define VFIO_TCE2_WINDOW_PENDING	(1 << 0)
};

/**
 * struct vfio_tce2_info_cap_windows - the windows of the container
 * @header: id VFIO_TCE2_INFO_CAP_WINDOWS, version 1
 * @nr_windows: number of elements of @windows
 * @free_windows: number of further windows that TCE_CREATE can make now
 * @windows: the windows
 */
struct vfio_tce2_info_cap_windows {
	struct vfio_info_cap_header header;
#define VFIO_TCE2_INFO_CAP_WINDOWS	0x7c02
	__u32 nr_windows;
	__u32 free_windows;
	struct vfio_tce2_window windows[];
};

/**
 * struct vfio_tce2_info_cap_create - the windows that TCE_CREATE can make
 * @header: id VFIO_TCE2_INFO_CAP_CREATE, version 1
 * @pgsizes: IOMMU page sizes that all groups offer, as a bit mask of bytes
 * @levels: largest number of levels that all groups offer
 * @table_copies: see below
 * @table_least: see below
 * @reserved: 0
 *
 * A window of N = window_size >> page_shift entries with L levels needs tables of
 *
 *	table = max(8 << ((log2(N) + L - 1) / L), @table_least)
 *
 * bytes each. TCE_CREATE charges @table_copies * table bytes to RLIMIT_MEMLOCK, rounded
 * down to the kernel's page size. With several levels, MAP_DMA charges the bytes of one
 * table for each further table that it makes.
 */
struct vfio_tce2_info_cap_create {
	struct vfio_info_cap_header header;
#define VFIO_TCE2_INFO_CAP_CREATE	0x7c03
	__u64 pgsizes;
	__u32 levels;
	__u32 table_copies;
	__u32 table_least;
	__u32 reserved;
};

/**
 * struct vfio_tce2_range - a request of a vector
 * @iova: first bus address
 * @vaddr: VFIO_TCE2_OP_MAP: first user address; VFIO_TCE2_OP_COPY: first bus address of
 *	the mappings to copy; otherwise 0
 * @size: bytes; VFIO_TCE2_OP_UNMAP_WINDOW: 0
 * @op: the request
 * @flags: VFIO_TCE2_OP_MAP: VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE or both;
 *	otherwise 0
 * @reserved: 0
 *
 * VFIO_TCE2_OP_MAP and VFIO_TCE2_OP_UNMAP do what VFIO_IOMMU_MAP_DMA and
 * VFIO_IOMMU_UNMAP_DMA do. VFIO_TCE2_OP_UNMAP_WINDOW unmaps all of the window that begins at
 * @iova.
 *
 * VFIO_TCE2_OP_COPY copies mappings. The source is @size bytes of bus addresses from @vaddr on,
 * the destination @size bytes from @iova on, in the same window or in another. The destination
 * then maps the same memory with the same permissions. Its earlier mappings are replaced, as by
 * VFIO_TCE2_OP_MAP. The memory is already pinned and charged, so only a new level of the table
 * is charged. All copied mappings existed at one moment during the request. Source and
 * destination may overlap. Fails with ENOENT if a part of the source is not mapped. Fails with
 * E2BIG if the source maps more than VFIO_TCE2_MAX_COPY separate ranges of user memory. Then copy
 * a smaller range.
 */
struct vfio_tce2_range {
	__u64 iova;
	__u64 vaddr;
	__u64 size;
	__u16 op;
#define VFIO_TCE2_OP_MAP		1
#define VFIO_TCE2_OP_UNMAP		2
#define VFIO_TCE2_OP_UNMAP_WINDOW	3
#define VFIO_TCE2_OP_COPY		4
	__u16 flags;
	__u32 reserved;
};

#define VFIO_TCE2_MAX_COPY		512

/**
 * struct vfio_tce2_ranges - the argument of VFIO_IOMMU_TCE2_RANGES
 * @argsz: sizeof(struct vfio_tce2_ranges)
 * @flags: 0, or VFIO_TCE2_RANGES_CONTINUE: carry out the requests after a refused request
 * @ranges: user address of @count elements of struct vfio_tce2_range
 * @results: user address of @count elements of __s32, or 0. Each element is set to 0 if
 *	the request was carried out, to a negative errno if it was refused, or to -ECANCELED
 *	if it was not tried
 * @count: number of requests, 1 to VFIO_TCE2_MAX_RANGES
 * @done: set to the number of requests that were carried out
 */
struct vfio_tce2_ranges {
	__u32 argsz;
	__u32 flags;
#define VFIO_TCE2_RANGES_CONTINUE	(1 << 0)
	__u64 ranges;
	__u64 results;
	__u32 count;
#define VFIO_TCE2_MAX_RANGES		512
	__u32 done;
};

/*
 * Carries out a vector of requests, in their order, as if each request were a separate
 * ioctl. Returns 0 if all requests were carried out. Otherwise fails with the errno of the
 * first request that was refused. The requests before it stay carried out: without
 * VFIO_TCE2_RANGES_CONTINUE these are the first @done requests.
 *
 * Fails with EINVAL or EFAULT, and carries out no request, if @argsz, @flags or @count is
 * invalid, or if this structure is not writable. Fails with EFAULT after @done requests if
 * the next elements of @ranges are not readable or their @results are not writable.
 */
#define VFIO_IOMMU_TCE2_RANGES	_IO(VFIO_TYPE, 0xe0)

/**
 * struct vfio_tce2_owner - VFIO_TCE2_OFFER_OWNER, VFIO_TCE2_TAKE_OWNER
 * @argsz: size of this structure
 * @flags: VFIO_TCE2_OFFER_WITHDRAW, only for VFIO_TCE2_OFFER_OWNER: undo the offer
 *
 * A container belongs to a process, and all containers of a process share its registered
 * memory. VFIO_TCE2_TAKE_OWNER makes all of these containers belong to the calling process, while
 * devices continue. The old process must have called exec(), have ended, or have called
 * VFIO_TCE2_OFFER_OWNER.
 */
struct vfio_tce2_owner {
	__u32 argsz;
	__u32 flags;
#define VFIO_TCE2_OFFER_WITHDRAW	(1 << 0)
};

#define VFIO_TCE2_OFFER_OWNER	_IO(VFIO_TYPE, 0xe1)
#define VFIO_TCE2_TAKE_OWNER	_IO(VFIO_TYPE, 0xe2)

/**
 * struct vfio_tce2_dirty - VFIO_TCE2_DIRTY_PAGES
 * @argsz: size of this structure
 * @flags: one of VFIO_TCE2_DIRTY_START, _STOP and _GET; _CLEAR only together with _GET
 * @iova: START, STOP: first bus address of the window. GET: first bus address of the range
 * @size: START, STOP: 0. GET: bytes, a multiple of the window's IOMMU page size, at most
 *	VFIO_TCE2_DIRTY_MAX_PAGES pages, all in one window
 * @bitmap: START, STOP: 0. GET: user address of the bitmap, an array of __u64. Bit n % 64 of
 *	element n / 64 is for IOMMU page n of the range. All elements that have a bit of the
 *	range are written
 *
 * START begins to record which IOMMU pages of a window devices may have written to. It makes the
 * default window if no request has used that window yet. GET sets the bit of a page to 1 if the
 * page is mapped for writing now, or was mapped for writing at any time since START or since the
 * last GET with CLEAR. The hardware does not record writes. So a page that stays mapped for writing
 * has a 1 in each answer. STOP forgets the record.
 */
struct vfio_tce2_dirty {
	__u32 argsz;
	__u32 flags;
#define VFIO_TCE2_DIRTY_START	(1 << 0)
#define VFIO_TCE2_DIRTY_STOP	(1 << 1)
#define VFIO_TCE2_DIRTY_GET	(1 << 2)
#define VFIO_TCE2_DIRTY_CLEAR	(1 << 3)
	__u64 iova;
	__u64 size;
	__u64 bitmap;
};

#define VFIO_TCE2_DIRTY_MAX_PAGES	(1ULL << 18)

#define VFIO_TCE2_DIRTY_PAGES	_IO(VFIO_TYPE, 0xe3)

#endif /* _UAPI_VFIO_SPAPR_TCE2_H */
