// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runner of the host-side tests: passes the tests to cmocka, each on a fresh simulated
 * machine.
 *
 *	unit-4K [--list | NAME...]
 *
 * Runs all tests, or only the tests NAME, or lists the names of all tests. With
 * CMOCKA_MESSAGE_OUTPUT=TAP the output is TAP. The exit status is 2 if no test has one of
 * the names.
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

#include "kernel_list.h"
#include "unit.h"

#define TEST_SECONDS 60
#define MAX_TESTS    512

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
int __lsan_is_turned_off(void);

static struct test *tests, **last_test = &tests;
static size_t nr_tests;

void register_test(struct test *test)
{
	*last_test = test;
	last_test = &test->next;
	nr_tests++;
}

/* The running test; NULL after it has failed */
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

void __attribute__((weak)) program_reset(void)
{
}

unsigned long by_effort(unsigned long episodes)
{
	const char *text = getenv("TCE2_EFFORT");
	unsigned long percent;
	char *end;

	if (!text)
		return episodes;
	percent = strtoul(text, &end, 10);
	if (!percent || *end) {
		fprintf(stderr, "error: TCE2_EFFORT must be a percentage, not %s\n", text);
		exit(2);
	}
	return (episodes * percent + 99) / 100;
}

static void run_case(void **state)
{
	running = *state;
	alarm(TEST_SECONDS);
	sim_reset();
	kernel_list_reset();
	program_reset();
	row = NULL;
	running->run();
	sim_expect_nothing_left();
	running = NULL;
}

/* Reports the test that a sanitizer has ended, or that exceeds TEST_SECONDS */
static void last_words(int sig)
{
	if (running)
		printf("%snot ok 0 - %s (%luK pages)\n",
		       sig == SIGALRM ? "# the test exceeds its time limit\n" : "",
		       running->name, PAGE_SIZE >> 10);
	fflush(stdout);
	_exit(1);
}

/* Options of sanitizers: a failure calls abort(), so that last_words() names the test */
const char *__asan_default_options(void)
{
	return "abort_on_error=1";
}

const char *__ubsan_default_options(void)
{
	return "abort_on_error=1:print_stacktrace=1";
}

/* Turns leak detection off after a failure, because a failed test does not free its memory */
int __lsan_is_turned_off(void)
{
	return failed;
}

/* Adds the page size to the name, because the output may contain both page sizes */
static char *full_name(const char *name)
{
	char *text;

	if (asprintf(&text, "%s (%luK pages)", name, PAGE_SIZE >> 10) < 0)
		abort();
	return text;
}

static struct CMUnitTest cmocka_test(struct test *test)
{
	return (struct CMUnitTest){
		.name = full_name(test->name),
		.test_func = run_case,
		.initial_state = test,
	};
}

static void list_tests(void)
{
	for (struct test *test = tests; test; test = test->next)
		puts(test->name);
}

static bool is_named(const struct test *test, char **names)
{
	while (*names && strcmp(*names, test->name))
		names++;
	return *names;
}

/* Fills @list with all tests, or with the tests in @names; returns their number */
static size_t choose_tests(struct CMUnitTest *list, char **names)
{
	size_t n = 0;

	for (struct test *test = tests; test; test = test->next)
		if (!*names || is_named(test, names))
			list[n++] = cmocka_test(test);
	return n;
}

int main(int argc, char **argv)
{
	struct CMUnitTest *list;
	size_t n;

	if (argc > 1 && !strcmp(argv[1], "--list")) {
		list_tests();
		return 0;
	}
	signal(SIGABRT, last_words);
	signal(SIGALRM, last_words);
	setvbuf(stdout, NULL, _IOLBF, 0);
	list = calloc(nr_tests, sizeof(*list));
	n = list ? choose_tests(list, argv + 1) : 0;
	if (!n) {
		fprintf(stderr, "error: no test has one of these names\n");
		free(list);
		return 2;
	}
	if (_cmocka_run_group_tests("unit", list, n, NULL, NULL))
		failed = true;
	alarm(0);
	for (size_t i = 0; i < n; i++)
		free((char *)list[i].name);
	free(list);
	return failed;
}
