// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct iommu_table_ops
 *
 * The API has this form since two commits: "powerpc/powernv/ioda: Split out TCE
 * invalidation from TCE updates" (Linux 5.4) added xchg_no_kill and tce_kill. "KVM: PPC:
 * Book3s: Retire H_PUT_TCE/etc real mode handlers" (Linux 5.19) removed an argument of
 * xchg_no_kill.
 */
#include <asm/iommu.h>

#include "probe.h"

#define TCE2_API_IOMMU_TABLE_OPS
#include "tce2_kernel_api.h"
