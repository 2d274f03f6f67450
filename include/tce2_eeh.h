/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_EEH_H
#define TCE2_EEH_H

#include <linux/types.h>

struct iommu_group;
struct vfio_eeh_pe_op;

bool tce2_eeh_enabled(void);
int tce2_eeh_check(const struct vfio_eeh_pe_op *op);
int tce2_eeh_pe_op(struct iommu_group *group, const struct vfio_eeh_pe_op *op);

#endif /* TCE2_EEH_H */
