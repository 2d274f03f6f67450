/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before all else where the module counts its lines (TCE2_COVERAGE=1).
 * What is marked noinstr would not be counted, and what is counted writes to the
 * module's data, which real mode can't reach.
 */
#ifndef SELFTEST_COVERAGE_H
#define SELFTEST_COVERAGE_H

#include <linux/compiler_types.h>

#undef noinstr
#define noinstr noinline
#define ST_COVERAGE 1

#endif /* SELFTEST_COVERAGE_H */
