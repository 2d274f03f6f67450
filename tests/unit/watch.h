/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arrays of which the simulation knows whether the code under test has stored in them.
 *
 * A comparison of every table in memory with what was there before took half of the time
 * of the tests. An array of at least WATCH_MINIMUM bytes is write-protected instead until
 * the first store comes; a smaller one counts as stored in at all times.
 */
#ifndef UNIT_WATCH_H
#define UNIT_WATCH_H

#include <stddef.h>

struct watched;

/* An array of zeros of @owner, as aligned as it is large; @bytes is a power of two */
struct watched *watch_new(size_t bytes, void *owner);
void watch_free(struct watched *watched);

/* Where the array is */
void *watch_array(const struct watched *watched);

/*
 * Calls @look for the owner of each array that may have been stored in since the last
 * call, in the order of the first store in each.
 */
void watch_for_each(void (*look)(void *owner));

#endif
