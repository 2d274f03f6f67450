/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arrays that record stores by the code under test.
 *
 * Comparing every table in memory with its earlier content took half of the run time
 * of the tests. Instead, an array of at least WATCH_MINIMUM bytes is write-protected until
 * the first store to it. A smaller array is always treated as stored to.
 */
#ifndef UNIT_WATCH_H
#define UNIT_WATCH_H

#include <stddef.h>

struct watched;

/* Allocate a zeroed array for @owner, aligned to its size @bytes, a power of two */
struct watched *watch_new(size_t bytes, void *owner);
void watch_free(struct watched *watched);

/* Return the address of the array */
void *watch_array(const struct watched *watched);

/*
 * Call @look once for each array that may have been stored to since the last call. The
 * arrays are in the order of their first stores. @owner is the owner of the array. All
 * stores to the array were at offsets of at least @from bytes and below @to.
 */
void watch_for_each(void (*look)(void *owner, size_t from, size_t to));

#endif
