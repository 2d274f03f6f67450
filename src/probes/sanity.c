// SPDX-License-Identifier: GPL-2.0-only
/*
 * the kernel's build tree and the compiler
 *
 * Nothing but a module. Where this does not compile, no answer of any other
 * probe means anything.
 */
#include <linux/module.h>
