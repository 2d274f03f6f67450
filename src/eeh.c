// SPDX-License-Identifier: GPL-2.0-only
/*
 * EEH: error handling operations on a group's partitionable endpoint.
 *
 * Carries out VFIO_EEH_PE_OP. VFIO's core passes this ioctl only to the
 * container's backend (IOMMU driver), so this module must handle it.
 *
 * Locks: none; the caller ensures that the group stays attached.
 * Calls: the kernel's EEH core.
 */
#include <linux/iommu.h>
#include <linux/kernel.h>
#include <linux/nospec.h>
#include <linux/vfio.h>

#include <asm/eeh.h>

#include "tce2_eeh.h"
#include "tce2_why.h"

static int eeh_op_set_option(struct eeh_pe *pe, int option,
			     const struct vfio_eeh_pe_err *err)
{
	return eeh_pe_set_option(pe, option);
}

static int eeh_op_get_state(struct eeh_pe *pe, int unused,
			    const struct vfio_eeh_pe_err *err)
{
	return eeh_pe_get_state(pe);
}

static int eeh_op_reset(struct eeh_pe *pe, int option,
			const struct vfio_eeh_pe_err *err)
{
	return eeh_pe_reset(pe, option, true);
}

static int eeh_op_configure(struct eeh_pe *pe, int unused,
			    const struct vfio_eeh_pe_err *err)
{
	return eeh_pe_configure(pe);
}

static int eeh_op_inject(struct eeh_pe *pe, int unused,
			 const struct vfio_eeh_pe_err *err)
{
	return eeh_pe_inject_err(pe, err->type, err->func, err->addr,
				 err->mask);
}

/*
 * The function and argument for each operation (LoPAR 7.3.11.1, ibm,set-eeh-option;
 * 7.3.11.2, ibm,set-slot-reset; 7.3.11.3, ibm,read-slot-reset-state2; 7.3.12.2,
 * ibm,configure-pe; 7.3.13, error injection)
 */
static const struct {
	int (*run)(struct eeh_pe *pe, int arg,
		   const struct vfio_eeh_pe_err *err);
	int arg;
} pe_ops[] = {
	[VFIO_EEH_PE_DISABLE]		= { eeh_op_set_option, EEH_OPT_DISABLE },
	[VFIO_EEH_PE_ENABLE]		= { eeh_op_set_option, EEH_OPT_ENABLE },
	[VFIO_EEH_PE_UNFREEZE_IO]	= { eeh_op_set_option, EEH_OPT_THAW_MMIO },
	[VFIO_EEH_PE_UNFREEZE_DMA]	= { eeh_op_set_option, EEH_OPT_THAW_DMA },
	[VFIO_EEH_PE_GET_STATE]		= { eeh_op_get_state },
	[VFIO_EEH_PE_RESET_DEACTIVATE]	= { eeh_op_reset, EEH_RESET_DEACTIVATE },
	[VFIO_EEH_PE_RESET_HOT]		= { eeh_op_reset, EEH_RESET_HOT },
	[VFIO_EEH_PE_RESET_FUNDAMENTAL]	= { eeh_op_reset, EEH_RESET_FUNDAMENTAL },
	[VFIO_EEH_PE_CONFIGURE]		= { eeh_op_configure },
	[VFIO_EEH_PE_INJECT_ERR]	= { eeh_op_inject },
};

/**
 * tce2_eeh_enabled() - check whether this machine supports EEH
 *
 * Return: true if the kernel handles EEH on this machine.
 */
bool tce2_eeh_enabled(void)
{
	return eeh_enabled();
}

/**
 * tce2_eeh_check() - check an operation before it is carried out on any group
 * @op: the operation, including the error if the operation injects one
 *
 * The kernel also checks an injected error. But powernv logs a message for an invalid
 * type (pnv_eeh_err_inject()). The EEH core refuses an invalid function without a
 * message (eeh_pe_inject_err()).
 *
 * Context: any.
 * Return:
 * * 0 - success
 * * -EINVAL - unknown operation, or unknown function of an error
 * * -ERANGE - unknown type of an error
 */
int tce2_eeh_check(const struct vfio_eeh_pe_op *op)
{
	if (op->op >= ARRAY_SIZE(pe_ops))
		return tce2_refuse(-EINVAL, TCE2_WHY_EEH_OPERATION);
	if (op->op != VFIO_EEH_PE_INJECT_ERR)
		return 0;
	/* EEH_ERR_FUNC_MIN is 0 (LoPAR 7.3.13) */
	if (op->err.func > EEH_ERR_FUNC_MAX)
		return tce2_refuse(-EINVAL, TCE2_WHY_EEH_OPERATION);
	if (op->err.type != EEH_ERR_TYPE_32 && op->err.type != EEH_ERR_TYPE_64)
		return tce2_refuse(-ERANGE, TCE2_WHY_EEH_OPERATION);
	return 0;
}

/**
 * tce2_eeh_pe_op() - carry out an operation on a group
 * @group: the group
 * @op: the operation, checked
 *
 * Context: may sleep, for seconds in a reset.
 * Return:
 * * 0 or more - success; VFIO_EEH_PE_GET_STATE returns the state
 * * -ENODEV - the group has no partitionable endpoint
 * * other errors - from the EEH core
 */
int tce2_eeh_pe_op(struct iommu_group *group, const struct vfio_eeh_pe_op *op)
{
	struct eeh_pe *pe = eeh_iommu_group_to_pe(group);
	/* tce2_eeh_check() has checked the index, but a CPU may speculate past that check */
	u32 i = array_index_nospec(op->op, ARRAY_SIZE(pe_ops));

	if (!pe)
		return tce2_refuse(-ENODEV, TCE2_WHY_EEH_NO_ENDPOINT);
	return tce2_refuse_unless_ruled(pe_ops[i].run(pe, pe_ops[i].arg, &op->err),
					TCE2_WHY_EEH_FAILED);
}
