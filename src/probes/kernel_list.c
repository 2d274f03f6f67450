// SPDX-License-Identifier: GPL-2.0-only
/*
 * the kernel's list of registered memory
 *
 * The API has this form since two commits: "KVM: PPC: Check if IOMMU page is contained in
 * the pinned physical page" (Linux 4.19) added a page size to mm_iommu_ua_to_hpa().
 * "powerpc/mm/iommu/vfio_spapr_tce: Change mm_iommu_get to reference a region"
 * (Linux 5.0) added mm_iommu_new().
 */
#include <linux/mm_types.h>

#include <asm/mmu_context.h>

#include "probe.h"

#define TCE2_API_KERNEL_LIST
#include "tce2_kernel_api.h"
