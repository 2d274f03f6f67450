// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check "vfio": check that VFIO of this kernel attaches devices on POWER.
 *
 * Since Linux 5.19, VFIO claims the DMA ownership of each group, which requires
 * iommu_ops. POWER has iommu_ops since Linux 6.4, which is enough on bare metal
 * (powernv). A hypervisor's guest (pseries) makes DMA windows for VFIO since
 * Linux 6.11. Distributions backport these changes, so the check uses the version
 * only if it finds neither Module.symvers nor BTF. In these files it looks for signs:
 *
 *  - iommu_group_claim_dma_owner() is exported since Linux 5.19;
 *  - struct pci_controller has a member "iommu" since POWER has iommu_ops;
 *  - iommu_take_ownership() was exported until POWER had iommu_ops;
 *  - spapr_tce_create_table() makes DMA windows on pseries.
 *
 * Calls: types, report, libbpf.
 */
#include <bpf/btf.h>
#include <stdio.h>
#include <string.h>

#include "preflight.h"

#define CHECK	"vfio"

#define VERSION(major, minor)	((major) * 1000 + (minor))

/* Answer to the question if the kernel has a feature, and the source of the answer */
struct answer {
	enum { NO, YES, UNTOLD } known;
	const char *by;
};

static int release_version(const struct target *target)
{
	int major, minor;

	if (sscanf(target->release, "%3d.%3d", &major, &minor) != 2)
		return 0;
	return VERSION(major, minor);
}

static bool has_member(const struct types *types, const char *object,
		       const char *name)
{
	const struct btf_type *type;
	const struct btf *btf;
	const char *other;
	unsigned int i;
	uint32_t id;

	btf = types_btf(types, object, &id);
	if (!btf)
		return false;
	type = btf__type_by_id(btf, id);
	if (!btf_is_struct(type))
		return false;
	for (i = 0; i < btf_vlen(type); i++) {
		other = btf__name_by_offset(btf, btf_members(type)[i].name_off);
		if (other && !strcmp(other, name))
			return true;
	}
	return false;
}

/* Checks if VFIO requires iommu_ops. */
static struct answer vfio_asks(const struct target *target,
			       const struct types *types)
{
	int version = release_version(target);

	if (target->has_symbol_dma_owner ||
	    (types && types_have_function(types, "iommu_group_claim_dma_owner")))
		return (struct answer){ YES, "symbols" };
	if (target->symvers[0])
		return (struct answer){ NO, "symbols" };
	if (version)
		return (struct answer){ version >= VERSION(5, 19),
					"version" };
	return (struct answer){ UNTOLD, "nothing" };
}

static struct answer platform_answers(const struct target *target,
				      const struct types *types)
{
	int version = release_version(target);

	if (types)
		return (struct answer){
			has_member(types, "pci_controller", "iommu") ||
			types_have_function(types, "spapr_tce_iommu_probe_device"),
			"BTF" };
	if (target->symvers[0])
		return (struct answer){ !target->has_symbol_take_ownership,
					"symbols" };
	if (version)
		return (struct answer){ version >= VERSION(6, 4),
					"version" };
	return (struct answer){ UNTOLD, "nothing" };
}

static struct answer pseries_windows(const struct target *target,
				     const struct types *types)
{
	int version = release_version(target);

	if (types)
		return (struct answer){
			types_have_function(types, "spapr_tce_create_table"),
			"BTF" };
	if (version)
		return (struct answer){ version >= VERSION(6, 11),
					"version" };
	return (struct answer){ UNTOLD, "nothing" };
}

static void report_machines(struct report *report, struct answer platform,
			    struct answer pseries,
			    const struct request *request)
{
	bool wanted = request->machine && !strcmp(request->machine, "pseries");

	if (pseries.known == YES || (request->machine && !wanted))
		report_add(report, STATUS_OK, CHECK, "VFIO attaches devices on %s (known from the kernel's %s)",
			   pseries.known == YES ? "powernv and pseries" : "powernv",
			   platform.by);
	else if (pseries.known == NO)
		report_add(report, wanted ? STATUS_FAIL : STATUS_NOTE, CHECK,
			   "VFIO attaches devices on powernv only, because pseries cannot make DMA windows (known from the kernel's %s)",
			   pseries.by);
	else
		report_add(report, wanted ? STATUS_UNKNOWN : STATUS_NOTE, CHECK,
			   "VFIO attaches devices on powernv; it is unknown whether it does on pseries");
}

/**
 * check_vfio() - check that VFIO attaches devices
 * @report: receives the findings
 * @target: the kernel; check_symbols() must have run
 * @types: the kernel's types, or NULL
 * @request: the command line, which may name the machine
 */
void check_vfio(struct report *report, const struct target *target,
		const struct types *types, const struct request *request)
{
	struct answer asks = vfio_asks(target, types);
	struct answer platform = platform_answers(target, types);

	if (asks.known == UNTOLD || platform.known == UNTOLD)
		report_add(report, STATUS_UNKNOWN, CHECK,
			   "it is unknown whether VFIO attaches devices on POWER: the kernel's symbols, BTF and version were not found");
	else if (asks.known == YES && platform.known == NO)
		report_add(report, STATUS_FAIL, CHECK,
			   "VFIO of this kernel attaches no device on POWER, with any backend (like Linux 5.19 to 6.3; known from the kernel's %s)",
			   platform.by);
	else
		report_machines(report, platform,
				pseries_windows(target, types), request);
}
