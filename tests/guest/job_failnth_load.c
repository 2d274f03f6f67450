// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads modules with each allocation failing in turn. A module is loaded afterwards if,
 * and only if, loading it succeeds.
 */
#define _GNU_SOURCE
#include "job_failnth.h"
#include "lib.h"
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAIL_NTH	"/proc/self/fail-nth"
#define MOST_FAILURES	100
#define MOST_SWEEPS	3

/* What came of loading a module once */
enum outcome {
	UNTOUCHED,	/* loaded; there are fewer calls than that */
	REFUSED,	/* for lack of memory */
	SURVIVED,	/* loaded although a call failed */
	WRONG,		/* anything else; the process has printed it */
};

/* Failures of the last sweep after which the module was refused */
static unsigned int refused;

static enum outcome wrong(const char *what)
{
	printf("# loading a module: %s: %s\n", what, strerror(errno));
	return WRONG;
}

/* How many calls are still to be passed before one fails; 0 if one has failed */
static long still_to_pass(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0 || pwrite(fd, "0", 1, 0) != 1)
		return -1;
	return strtol(text, NULL, 10);
}

static enum outcome load_failing(const char *file, unsigned int n)
{
	int module = open(file, O_RDONLY | O_CLOEXEC);
	int nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	char text[16];
	long left;
	int ret;

	if (module < 0)
		return wrong(file);
	snprintf(text, sizeof(text), "%u", n);
	if (nth < 0 || pwrite(nth, text, strlen(text), 0) < 0)
		return wrong(FAIL_NTH);
	ret = syscall(SYS_finit_module, module, "", 0) ? -errno : 0;
	left = still_to_pass(nth);
	if (left < 0 || (left && ret) || (ret && ret != -ENOMEM)) {
		printf("# %u: %d, %ld to pass\n", n, ret, left);
		return WRONG;
	}
	if (left)
		return UNTOUCHED;
	return ret ? REFUSED : SURVIVED;
}

/* In a process whose name tells that the place of the module may be unknown */
static enum outcome load_once(const char *file, unsigned int n)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		enum outcome outcome;

		prctl(PR_SET_NAME, LOADER);
		outcome = load_failing(file, n);
		fflush(stdout);
		_exit(outcome);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return WRONG;
	return WEXITSTATUS(status);
}

static const char *wanted_file;
static char found_file[512];

static int is_wanted_file(const char *path, const struct stat *stat, int type,
			  struct FTW *ftw)
{
	(void)stat;
	if (type != FTW_F || strcmp(path + ftw->base, wanted_file))
		return 0;
	snprintf(found_file, sizeof(found_file), "%s", path);
	return 1;
}

static const char *file_of_module(const char *name)
{
	char file[128];

	snprintf(file, sizeof(file), "%s.ko", name);
	wanted_file = file;
	return nftw("/lib/modules", is_wanted_file, 16, FTW_PHYS) == 1 ? found_file : NULL;
}

/*
 * Load a module with the first call failing, then with the second one, and so on until
 * it is loaded untouched.
 */
static bool sweep_loading(const char *module)
{
	const char *file = file_of_module(module);
	enum outcome outcome = WRONG;
	unsigned int nth, survived = 0;

	refused = 0;
	for (nth = 1; file && nth < MOST_FAILURES; nth++) {
		outcome = load_once(file, nth);
		if (outcome == UNTOUCHED || outcome == WRONG)
			break;
		refused += outcome == REFUSED;
		survived += outcome == SURVIVED;
		if (outcome == REFUSED ? module_is_loaded(module) : !unload_module(module))
			return false;
	}
	if (outcome == WRONG)
		return false;
	printf("# fail-nth: loading %s: %u failures, %u refused, %u survived\n", module,
	       nth - 1, refused, survived);
	return outcome == UNTOUCHED && refused && unload_module(module);
}

/*
 * What debugging allocates is not the same each time, so that a sweep may miss a call.
 * Sweep again until enough calls have failed.
 */
static bool sweep_until(bool (*enough)(void), const char *module)
{
	for (int i = 0; i < MOST_SWEEPS; i++) {
		if (!sweep_loading(module))
			return false;
		if (enough())
			return true;
	}
	return false;
}

/* The kernel allocates once for a module, and this module twice to register itself */
static bool all_were_refused(void)
{
	return refused >= 3;
}

bool sweep_loading_ours(void)
{
	return unload_module(OUR_MODULE) && sweep_until(all_were_refused, OUR_MODULE) &&
	       load_ours();
}

static bool was_asked_first(void)
{
	return log_count(ASKED_FIRST);
}

/*
 * When the in-tree backend is loaded again, this module registers before it again. If
 * that fails, this module says so, and VFIO asks the in-tree backend first from then on.
 */
bool sweep_loading_in_tree(void)
{
	return unload_module(IN_TREE_MODULE) &&
	       sweep_until(was_asked_first, IN_TREE_MODULE) && load_module(IN_TREE_MODULE);
}
