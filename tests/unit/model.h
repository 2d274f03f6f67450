/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The naive model, and the operations that are applied to both the model and src/.
 *
 * Choices come from a source: a random number generator in the tests, the
 * fuzzer's bytes in the fuzzer. After each operation model and src/ must agree.
 */
#ifndef UNIT_MODEL_H
#define UNIT_MODEL_H

#include <linux/types.h>

/**
 * struct source - a source of choices
 * @bytes: bytes that determine the choices, or NULL for random numbers
 * @left: number of bytes left
 * @state: state of the random number generator
 */
struct source {
	const u8 *bytes;
	size_t left;
	u64 state;
};

/* Returns a number below @limit */
u32 choose(struct source *source, u32 limit);
/* Returns true if the source has no bytes left; random numbers never end */
bool exhausted(const struct source *source);

void model_run(struct source *source, unsigned int operations);
void model_extents(struct source *source);

#endif /* UNIT_MODEL_H */
