// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check "vfio": whether VFIO on this kernel takes any device on POWER.
 *
 * Since Linux 5.19 VFIO wants the platform to answer for a device's IOMMU, and
 * POWER did so from 6.4 on bare metal (powernv) and from 6.11 in a hypervisor's
 * guest (pseries). Distributions backport, so the version is the last thing
 * asked:
 *
 *  - struct pci_controller got a member "iommu" with the platform's answer;
 *  - iommu_take_ownership() stopped being exported by the same change, while
 *    iommu_group_claim_dma_owner() came with what made it necessary;
 *  - spapr_tce_create_table() is what pseries makes windows with.
 *
 * Calls: types, report, libbpf.
 */
#include <bpf/btf.h>
#include <stdio.h>
#include <string.h>

#include "preflight.h"

#define CHECK	"vfio"

#define VERSION(major, minor)	((major) * 1000 + (minor))

/* Whether a kernel has something, as far as can be told, and by what */
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

/* Whether VFIO asks the platform at all */
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
		report_add(report, STATUS_OK, CHECK, "VFIO takes devices on %s (told from its %s)",
			   pseries.known == YES ? "powernv and pseries" : "powernv",
			   platform.by);
	else if (pseries.known == NO)
		report_add(report, wanted ? STATUS_FAIL : STATUS_NOTE, CHECK,
			   "VFIO takes devices on powernv only: pseries makes no windows (told from its %s)",
			   pseries.by);
	else
		report_add(report, wanted ? STATUS_UNKNOWN : STATUS_NOTE, CHECK,
			   "VFIO takes devices on powernv; whether it does on pseries can't be told");
}

/**
 * check_vfio() - tell whether VFIO takes devices
 * @report: gets the findings
 * @target: the kernel, after check_symbols()
 * @types: its types, or NULL
 * @request: which machine it is for
 */
void check_vfio(struct report *report, const struct target *target,
		const struct types *types, const struct request *request)
{
	struct answer asks = vfio_asks(target, types);
	struct answer platform = platform_answers(target, types);

	if (asks.known == UNTOLD || platform.known == UNTOLD)
		report_add(report, STATUS_UNKNOWN, CHECK,
			   "whether VFIO takes devices on POWER can't be told without the kernel's symbols, BTF or version");
	else if (asks.known == YES && platform.known == NO)
		report_add(report, STATUS_FAIL, CHECK,
			   "VFIO of this kernel takes no device at all on POWER, whatever the backend (Linux 5.19 to 6.3; told from its %s)",
			   platform.by);
	else
		report_machines(report, platform,
				pseries_windows(target, types), request);
}
