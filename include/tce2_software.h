/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_SOFTWARE_H
#define TCE2_SOFTWARE_H

#include <linux/types.h>

struct iommu_table_group;

/*
 * log2 of the largest size of a software window in bytes: the limit of powernv's windows. The
 * window in slot 1 begins at a higher address, so two windows never overlap.
 */
#define TCE2_SOFTWARE_SIZE_SHIFT	55

void tce2_software_init(struct iommu_table_group *tg);
bool tce2_is_software(const struct iommu_table_group *tg);

#endif /* TCE2_SOFTWARE_H */
