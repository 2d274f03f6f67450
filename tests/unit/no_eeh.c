// SPDX-License-Identifier: GPL-2.0-only
/* Replaces src/eeh.c in programs whose tests request no EEH operation. */
#include <errno.h>

#include "sim.h"
#include "tce2_eeh.h"

int tce2_eeh_pe_op(struct iommu_group *group, const struct vfio_eeh_pe_op *op)
{
	sim_bug("a test requests an EEH operation");
	return -EINVAL;
}
