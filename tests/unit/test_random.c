// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on src/, compared with the naive model (model.c). The test prints its
 * seed. To repeat the same operations, set TCE2_SEED to this seed. TCE2_EFFORT is the
 * percentage of episodes to run.
 */
#include <stdlib.h>
#include <time.h>

#include "model.h"
#include "unit.h"

#define EPISODES   500
#define OPERATIONS 1500 /* in each episode */
#define STORES	   6000

static struct source random_source(void)
{
	const char *text = getenv("TCE2_SEED");
	u64 seed = text ? strtoull(text, NULL, 0) : 0;

	if (!text)
		seed = (u64)time(NULL) << 20 ^ (u64)clock();
	printf("# TCE2_SEED=%llu\n", seed);
	/* Adjacent seeds must give unlike sequences, and the state must not be 0 */
	return (struct source){
		.state = (seed + 1) * 0x9e3779b97f4a7c15ULL | 1,
	};
}

TEST(random_operations_agree_with_the_model)
{
	struct source source = random_source();
	unsigned long episodes = by_effort(EPISODES);

	for (unsigned long i = 0; i < episodes; i++) {
		model_run(&source, OPERATIONS);
		sim_reset();
	}
}

TEST(random_extents_translate_as_they_were_appended)
{
	struct source source = random_source();

	for (int i = 0; i < STORES; i++)
		model_extents(&source);
}
