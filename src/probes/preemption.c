// SPDX-License-Identifier: GPL-2.0-only
/*
 * spinlocks that do not sleep
 *
 * With PREEMPT_RT, spinlocks sleep. KVM calls the hooks of this module while it walks a
 * list of tables. The walk is safe only if no hook sleeps (src/kvm.c), and the hooks
 * take spinlocks.
 */
#include <linux/kconfig.h>

#include "probe.h"

static_assert(!IS_ENABLED(CONFIG_PREEMPT_RT),
	      "the kernel has PREEMPT_RT, where spinlocks sleep");
