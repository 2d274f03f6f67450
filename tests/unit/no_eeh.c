// SPDX-License-Identifier: GPL-2.0-only
/* In place of src/eeh.c, whose operations no test here asks for. */
#include <errno.h>

#include "sim.h"
#include "tce2_eeh.h"

int tce2_eeh_pe_op(struct iommu_group *group, const struct vfio_eeh_pe_op *op)
{
	sim_bug("an EEH operation");
	return -EINVAL;
}
