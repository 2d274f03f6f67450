/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_RANGES_H
#define TCE2_RANGES_H

struct tce2_container;
struct vfio_tce2_ranges;

int tce2_ranges_run(struct tce2_container *container, struct vfio_tce2_ranges *vector);

#endif /* TCE2_RANGES_H */
