// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "short" of the benchmark: a few rows of the parts "cache" and "map", with the
 * same names, sizes and meaning. Each backend has one turn instead of two, so that
 * the part fits into the tests.
 */
#include "bench.h"

void bench_short(void)
{
	rounds = 1;
	bench_cache_short();
	bench_map_short();
}
