/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The naive model, and the operations that are done to it and to src/ alike.
 *
 * Choices come from a source: a random number generator in the tests, the
 * fuzzer's bytes in the fuzzer. After each operation both must agree.
 */
#ifndef UNIT_MODEL_H
#define UNIT_MODEL_H

#include <linux/types.h>

/**
 * struct source - where choices come from
 * @bytes: bytes to choose by, or NULL for random numbers
 * @left: how many there are left
 * @state: of the random number generator
 */
struct source {
	const u8 *bytes;
	size_t left;
	u64 state;
};

u32 choose(struct source *source, u32 limit);
bool exhausted(const struct source *source);

void model_run(struct source *source, unsigned int operations);
void model_extents(struct source *source);

#endif /* UNIT_MODEL_H */
