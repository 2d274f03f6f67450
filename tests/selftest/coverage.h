/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included first if the module counts its executed lines (TCE2_COVERAGE=1). Redefines
 * noinstr, because the compiler does not count lines of noinstr functions. The counters are
 * module data, which real mode cannot access, so with TCE2_COVERAGE=1 the functions under
 * test run with the data MMU on.
 */
#ifndef SELFTEST_COVERAGE_H
#define SELFTEST_COVERAGE_H

#include <linux/compiler_types.h>

#undef noinstr
#define noinstr noinline
#define ST_COVERAGE 1

#endif /* SELFTEST_COVERAGE_H */
