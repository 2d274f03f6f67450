// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct vfio_device
 *
 * The API has this form since "vfio: Replace the iommu notifier with a device list"
 * (Linux 6.0), which added iommu_entry and dma_unmap.
 */
#include <linux/vfio.h>

#include "probe.h"

#define TCE2_API_VFIO_DEVICE
#include "tce2_kernel_api.h"
