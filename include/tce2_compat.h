/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between the supported kernels.
 *
 * The sources are written for the newest supported kernel. Only this header
 * adapts older kernels to them. Each difference is detected by a probe (src/probes).
 * Version numbers are not used, because stable trees and distributions backport
 * changes.
 *
 * Any source file may include this header. Its functions call only the kernel.
 */
#ifndef TCE2_COMPAT_H
#define TCE2_COMPAT_H

#include <linux/mmzone.h>

#include <asm/iommu.h>

#include "tce2_probed.h"
#include "tce2_vfio.h"

/*
 * The largest order that the page allocator provides. Linux 6.4 made MAX_ORDER
 * inclusive, and 6.8 renamed it to MAX_PAGE_ORDER. From 6.4 to 6.7 this value is
 * one less than possible, which is safe.
 */
#ifdef TCE2_HAVE_MAX_PAGE_ORDER
#define TCE2_MAX_PAGE_ORDER	MAX_PAGE_ORDER
#else
#define TCE2_MAX_PAGE_ORDER	(MAX_ORDER - 1)
#endif

/*
 * Up to Linux 6.3 a VFIO backend takes DMA ownership of a group from the platform.
 * Linux 6.4 added iommu_ops for POWER, so the IOMMU core takes ownership before VFIO
 * calls attach_group. From Linux 5.19 on VFIO refuses every device without iommu_ops
 * ("vfio: Set DMA ownership for VFIO devices").
 */
#ifdef TCE2_HAVE_OWNERSHIP_BACKEND

#define TCE2_VFIO_REFUSES_DEVICES	true

/**
 * tce2_take_ownership() - take DMA ownership of a group from the platform
 * @tg: the table group, which is about to be attached
 *
 * Does nothing on kernels whose IOMMU core has taken ownership already.
 *
 * Context: may sleep.
 */
static inline void tce2_take_ownership(struct iommu_table_group *tg)
{
	if (tg->ops->take_ownership)
		tg->ops->take_ownership(tg);
}

/**
 * tce2_release_ownership() - return DMA ownership of a group to the platform
 * @tg: the table group, from which all windows have been removed
 *
 * Does nothing on kernels whose IOMMU core will return ownership.
 *
 * Context: may sleep.
 */
static inline void tce2_release_ownership(struct iommu_table_group *tg)
{
	if (tg->ops->release_ownership)
		tg->ops->release_ownership(tg);
}

#else

#define TCE2_VFIO_REFUSES_DEVICES	false

static inline void tce2_take_ownership(struct iommu_table_group *tg)
{
}

static inline void tce2_release_ownership(struct iommu_table_group *tg)
{
}

#endif /* TCE2_HAVE_OWNERSHIP_BACKEND */

#endif /* TCE2_COMPAT_H */
