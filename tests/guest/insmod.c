// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-insmod FILE NTH: loads a module once, with the nth of those calls failing
 * that tests/guest/failnth.sh lets fail. Prints what came of it. Status 0: loaded,
 * and there were not so many calls; 1: refused for want of memory; 2: loaded all
 * the same; 3: anything else.
 */
#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FAIL_NTH "/proc/self/fail-nth"

enum outcome { UNTOUCHED, REFUSED, SURVIVED, WRONG };

static enum outcome wrong(const char *what)
{
	fprintf(stderr, "tce2-insmod: %s: %s\n", what, strerror(errno));
	return WRONG;
}

/* How many calls are still to be passed before one fails; 0 if one has */
static long still_to_pass(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0 ||
	    pwrite(fd, "0", 1, 0) != 1)
		return -1;
	return strtol(text, NULL, 10);
}

static enum outcome load(int module, int nth, const char *text)
{
	long left;
	int ret;

	if (pwrite(nth, text, strlen(text), 0) < 0)
		return wrong(FAIL_NTH);
	ret = syscall(SYS_finit_module, module, "", 0) ? -errno : 0;
	left = still_to_pass(nth);
	printf("%s: %d, %ld to pass\n", text, ret, left);
	if (left < 0 || (left && ret) || (ret && ret != -ENOMEM))
		return WRONG;
	if (left)
		return UNTOUCHED;
	return ret ? REFUSED : SURVIVED;
}

int main(int argc, char **argv)
{
	int module, nth;

	if (argc != 3) {
		fprintf(stderr, "usage: tce2-insmod FILE NTH\n");
		return WRONG;
	}
	module = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (module < 0)
		return wrong(argv[1]);
	nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (nth < 0)
		return wrong(FAIL_NTH);
	return load(module, nth, argv[2]);
}
