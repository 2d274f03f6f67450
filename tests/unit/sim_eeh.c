// SPDX-License-Identifier: GPL-2.0-only
/* The simulated EEH core, see sim_eeh.h. */
#include <string.h>

#include <asm/eeh.h>

#include "engine.h"
#include "sim_eeh.h"

struct eeh_pe {
	unsigned int group;
};

struct eeh eeh;

static struct eeh_pe endpoints[MAX_GROUPS];

void eeh_reset(void)
{
	memset(&eeh, 0, sizeof(eeh));
}

bool eeh_enabled(void)
{
	return eeh.enabled;
}

struct eeh_pe *eeh_iommu_group_to_pe(struct iommu_group *iommu_group)
{
	for (unsigned int i = 0; i < MAX_GROUPS; i++) {
		if (!group[i] || &group[i]->group != iommu_group)
			continue;
		endpoints[i].group = i;
		return eeh.no_pe & BIT(i) ? NULL : &endpoints[i];
	}
	return NULL;
}

static int asked(struct eeh_pe *pe, struct eeh_call call)
{
	call.group = pe->group;
	if (eeh.calls == MAX_EEH_CALLS)
		sim_bug("too many calls to the EEH core");
	eeh.call[eeh.calls++] = call;
	return eeh.answer[pe->group];
}

int eeh_pe_set_option(struct eeh_pe *pe, int option)
{
	return asked(pe, (struct eeh_call){ EEH_SET_OPTION, .arg = option });
}

int eeh_pe_get_state(struct eeh_pe *pe)
{
	return asked(pe, (struct eeh_call){ .what = EEH_GET_STATE });
}

int eeh_pe_reset(struct eeh_pe *pe, int option, bool include_passed)
{
	if (!include_passed)
		sim_bug("a reset excludes devices that are passed through");
	return asked(pe, (struct eeh_call){ EEH_RESET, .arg = option });
}

int eeh_pe_configure(struct eeh_pe *pe)
{
	return asked(pe, (struct eeh_call){ .what = EEH_CONFIGURE });
}

int eeh_pe_inject_err(struct eeh_pe *pe, int type, int func,
		      unsigned long addr, unsigned long mask)
{
	return asked(pe, (struct eeh_call){ EEH_INJECT, .arg = type, .func = func,
					    .addr = addr, .mask = mask });
}
