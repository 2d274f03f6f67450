// SPDX-License-Identifier: GPL-2.0-only
/*
 * the kernel's build tree and the compiler
 *
 * An empty module. If it does not compile, the other probes can't give valid answers.
 */
#include <linux/module.h>
