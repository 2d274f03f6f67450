/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STUB_IOMMU_H
#define STUB_IOMMU_H

struct iommu_group;

void *iommu_group_get_iommudata(struct iommu_group *group);

#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))

#endif /* STUB_IOMMU_H */
