// SPDX-License-Identifier: GPL-2.0-only
/* The tests of the region cache. */
#include "suites.h"

void suites_reset(void)
{
}

const struct suite *const suites[] = {
	&life_suite,	&memory_suite, &extents_suite,
	&failnth_suite, &random_suite, &realmode_suite, &pages_suite,
	&peek_suite, NULL,
};
