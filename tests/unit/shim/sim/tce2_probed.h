/* SPDX-License-Identifier: GPL-2.0-only */
/* Results of src/probes for the kernel that this shim imitates */
#ifndef SIM_SHIM_TCE2_PROBED_H
#define SIM_SHIM_TCE2_PROBED_H

#define TCE2_HAVE_OWNERSHIP_BACKEND 1
#define TCE2_HAVE_MAX_PAGE_ORDER    1

#endif /* SIM_SHIM_TCE2_PROBED_H */
