/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_IOMMU_H
#define SIM_SHIM_IOMMU_H

struct device;
struct iommu_group;

void *iommu_group_get_iommudata(struct iommu_group *group);
int iommu_group_id(struct iommu_group *group);
struct iommu_group *iommu_group_ref_get(struct iommu_group *group);
void iommu_group_put(struct iommu_group *group);

typedef int sim_device_fn(struct device *dev, void *data);
int sim_visit_devices(struct iommu_group *group, void *data, sim_device_fn *call);

/* Another name, because checkpatch takes the kernel's name for a loop */
#define iommu_group_for_each_dev sim_visit_devices

#endif /* SIM_SHIM_IOMMU_H */
