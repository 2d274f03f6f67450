/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_IOMMU_H
#define SIM_SHIM_IOMMU_H

struct iommu_group;

void *iommu_group_get_iommudata(struct iommu_group *group);

#endif /* SIM_SHIM_IOMMU_H */
