/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_BUG_H
#define SIM_SHIM_BUG_H

#include "sim.h"

/* Ends the test where the kernel would only warn */
#define WARN_ON_ONCE(condition)                                                \
	({                                                                     \
		bool warn_on = (condition);                                    \
		if (warn_on)                                                   \
			sim_bug("%s:%d: WARN_ON_ONCE(%s)", __FILE__, __LINE__, \
				#condition);                                   \
		warn_on;                                                       \
	})

#endif /* SIM_SHIM_BUG_H */
