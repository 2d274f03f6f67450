/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel differences, all of them.
 *
 * The sources are written for the newest supported kernel; whatever an older
 * one does otherwise is made to look the same here, and nowhere else. Each
 * difference is told by a probe (src/probes), never from a version number:
 * stable trees and distributions backport.
 *
 * May be included by any source file; calls only the kernel.
 */
#ifndef TCE2_COMPAT_H
#define TCE2_COMPAT_H

#include <linux/mmzone.h>

#include <asm/iommu.h>

#include "tce2_probed.h"
#include "tce2_vfio.h"

/*
 * The largest order the page allocator serves. Linux 6.4 made MAX_ORDER
 * inclusive, 6.8 renamed it to MAX_PAGE_ORDER; on the kernels between, one
 * order less than possible is the safe reading.
 */
#ifdef TCE2_HAVE_MAX_PAGE_ORDER
#define TCE2_MAX_PAGE_ORDER	MAX_PAGE_ORDER
#else
#define TCE2_MAX_PAGE_ORDER	(MAX_ORDER - 1)
#endif

/*
 * Until Linux 6.3 a VFIO backend took a group's DMA from the platform itself.
 * Since 6.4 the IOMMU core has done that before attach_group is called, because POWER
 * got its iommu_ops then. Without iommu_ops, VFIO has refused every device since Linux
 * 5.19 ("vfio: Set DMA ownership for VFIO devices").
 */
#ifdef TCE2_HAVE_OWNERSHIP_BACKEND

#define TCE2_VFIO_REFUSES_DEVICES	true

/**
 * tce2_take_ownership() - take a group's DMA from the platform
 * @tg: the table group, about to be attached
 *
 * Does nothing where the IOMMU core has done it already. May sleep.
 */
static inline void tce2_take_ownership(struct iommu_table_group *tg)
{
	if (tg->ops->take_ownership)
		tg->ops->take_ownership(tg);
}

/**
 * tce2_release_ownership() - give a group's DMA back to the platform
 * @tg: the table group, its windows unset
 *
 * Does nothing where the IOMMU core will do it. May sleep.
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
