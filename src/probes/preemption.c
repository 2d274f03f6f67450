// SPDX-License-Identifier: GPL-2.0-only
/*
 * spinlocks that do not sleep
 *
 * On a kernel with PREEMPT_RT they do. KVM walks a list of tables that is safe
 * only as long as none of this module's hooks sleeps (src/kvm.c), and hooks take
 * spinlocks.
 */
#include <linux/kconfig.h>

#include "probe.h"

static_assert(!IS_ENABLED(CONFIG_PREEMPT_RT),
	      "the kernel is one with PREEMPT_RT, where spinlocks sleep");
