// SPDX-License-Identifier: GPL-2.0-only
/* Functions for sysfs text, see shim/dup/linux/string.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <asm/page.h>
#include <linux/string.h>

int sysfs_emit(char *buffer, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buffer, PAGE_SIZE, fmt, ap);
	va_end(ap);
	return n;
}

int match_word(const char *const *array, size_t count, const char *text)
{
	size_t length = strcspn(text, "\n");

	for (size_t i = 0; i < count; i++) {
		if (strlen(array[i]) == length &&
		    !strncmp(array[i], text, length))
			return i;
	}
	return -EINVAL;
}
