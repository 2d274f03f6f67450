// SPDX-License-Identifier: GPL-2.0-only
/* The tests of the region cache. */
#include "kernel_list.h"
#include "suites.h"

void suites_reset(void)
{
	kernel_list_reset();
}

const struct suite *const suites[] = {
	&life_suite,	&memory_suite, &extents_suite,
	&failnth_suite, &random_suite, &realmode_suite, &vmemmap_suite,
	&peek_suite, NULL,
};
