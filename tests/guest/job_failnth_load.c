// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load modules with each allocation failing in turn. Afterwards the module must be loaded
 * if the load succeeded, and must not be loaded if the load failed.
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

/* The outcome of loading a module once with the nth selected call failing */
enum outcome {
	UNTOUCHED,	/* loaded; fewer than n calls were made, so no call failed */
	REFUSED,	/* not loaded, -ENOMEM */
	SURVIVED,	/* loaded, although a call failed */
	WRONG,		/* any other outcome; details were printed */
};

/* Number of REFUSED outcomes in the last sweep */
static unsigned int refused;

static enum outcome wrong(const char *what)
{
	printf("# loading a module: %s: %s\n", what, strerror(errno));
	return WRONG;
}

/*
 * Return the number of calls that succeed before a call fails, 0 if a call has failed, or -1
 * on error
 */
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
		printf("# failing call %u: result %d, %ld calls left before it\n", n, ret, left);
		return WRONG;
	}
	if (left)
		return UNTOUCHED;
	return ret ? REFUSED : SURVIVED;
}

/*
 * Load in a child process named LOADER. After a failed load, functions of the module have
 * no name in kmemleak's records. In records of LOADER, lib_leak.c takes each function
 * without a name for a function of the module.
 */
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

static char wanted_file[128];
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
	snprintf(wanted_file, sizeof(wanted_file), "%s.ko", name);
	return nftw("/lib/modules", is_wanted_file, 16, FTW_PHYS) == 1 ? found_file : NULL;
}

/*
 * Load a module with the first call failing, then with the second call failing, and so on,
 * until no call fails.
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
 * The allocations of the debug code vary from load to load, so a sweep may miss a call.
 * Repeat the sweep until enough calls have failed, at most MOST_SWEEPS times.
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

/*
 * Check that at least 3 different failures refused a load: 1 allocation by the kernel's
 * module loader, and 2 allocations by this module's registration with VFIO
 */
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
 * When the in-tree driver is loaded, this module registers again to stay first in VFIO's
 * list. If that fails, it logs ASKED_FIRST, and VFIO then asks the in-tree driver first.
 */
bool sweep_loading_in_tree(void)
{
	return unload_module(IN_TREE_MODULE) &&
	       sweep_until(was_asked_first, IN_TREE_MODULE) && load_module(IN_TREE_MODULE);
}
