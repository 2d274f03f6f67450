// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: the input's bytes choose the operations on the naive model
 * (model.c) and on src/. The first choice decides between model_run() and
 * model_extents().
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"
#include "unit.h"

#define OPERATIONS 400

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

void sim_bug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct source source = { .bytes = data, .left = size };

	sim_reset();
	if (choose(&source, 4))
		model_run(&source, OPERATIONS);
	else
		model_extents(&source);
	return 0;
}
