/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_JUMP_LABEL_H
#define SIM_SHIM_JUMP_LABEL_H

#include <stdbool.h>

/**
 * struct static_key_false - a static key
 * @on: the key is on
 */
struct static_key_false {
	bool on;
};

#define DECLARE_STATIC_KEY_FALSE(name) extern struct static_key_false name
#define static_branch_unlikely(key)    __builtin_expect((key)->on, 0)

#endif /* SIM_SHIM_JUMP_LABEL_H */
