/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_STRING_H
#define DUP_STRING_H

#include <string.h>

#include <linux/array_size.h>

/* Returns the index of @text in an array of words; ignores a newline at its end */
#define sysfs_match_string(array, text) \
	match_word(array, ARRAY_SIZE(array), text)

char *strim(char *text);
int sysfs_emit(char *buffer, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int match_word(const char *const *array, size_t count, const char *text);

#endif /* DUP_STRING_H */
