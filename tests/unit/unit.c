// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host-side tests' runner: hands the suites to cmocka, one test after the
 * other on a fresh machine.
 *
 *	unit-4K [NAME]
 *
 * Runs all tests, or the one called NAME. CMOCKA_MESSAGE_OUTPUT=TAP makes it
 * speak TAP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suites.h"

#define TEST_SECONDS 60

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
int __lsan_is_turned_off(void);

/* The test that is being run, NULL once it has failed */
static const struct test *running;
static bool failed;

void sim_bug(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	running = NULL;
	failed = true;
	_fail(__FILE__, __LINE__);
	abort();
}

static void run_case(void **state)
{
	running = *state;
	alarm(TEST_SECONDS);
	sim_reset();
	suites_reset();
	row = NULL;
	running->run();
	sim_expect_nothing_left();
	running = NULL;
}

/* A sanitizer has ended the program, or a test does not end: say which */
static void last_words(int sig)
{
	if (running)
		printf("%snot ok 0 - %s (%luK pages)\n",
		       sig == SIGALRM ? "# takes too long\n" : "",
		       running->name, PAGE_SIZE >> 10);
	fflush(stdout);
	_exit(1);
}

/* Which the sanitizers look up: end in such a way that it can be said */
const char *__asan_default_options(void)
{
	return "abort_on_error=1";
}

const char *__ubsan_default_options(void)
{
	return "abort_on_error=1:print_stacktrace=1";
}

/* A test that fails can't clean up */
int __lsan_is_turned_off(void)
{
	return failed;
}

/* Two page sizes are tested, and their results may be read together */
static char *full_name(const char *name)
{
	char *text;

	if (asprintf(&text, "%s (%luK pages)", name, PAGE_SIZE >> 10) < 0)
		abort();
	return text;
}

static size_t add_suite(struct CMUnitTest *list, const struct suite *suite,
			const char *only)
{
	size_t n = 0;

	for (size_t i = 0; i < suite->count; i++) {
		const struct test *test = &suite->tests[i];

		if (only && strcmp(only, test->name))
			continue;
		list[n++] = (struct CMUnitTest){
			.name = full_name(test->name),
			.test_func = run_case,
			.initial_state = (void *)test,
		};
	}
	return n;
}

int main(int argc, char **argv)
{
	struct CMUnitTest list[256] = {};
	size_t n = 0;

	signal(SIGABRT, last_words);
	signal(SIGALRM, last_words);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; suites[i]; i++)
		n += add_suite(list + n, suites[i], argc > 1 ? argv[1] : NULL);
	if (_cmocka_run_group_tests("unit", list, n, NULL, NULL))
		failed = true;
	alarm(0);
	for (size_t i = 0; i < n; i++)
		free((char *)list[i].name);
	return failed;
}
