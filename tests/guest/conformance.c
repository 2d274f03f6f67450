// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runner of the conformance tests: it parses the options, runs each test in a child
 * process and prints TAP. After each test it checks locked_vm of the child, the pinned
 * pages of the system, and the use count of the backend's module.
 *
 *	conformance [--backend tce2|intree|any] [--list] [--races] [--only NAME]
 *		[--times] [--stress] [--seconds N] [--patience N]
 *		[--fail-nth [--budget N]]
 *
 * --backend intree marks tests that the in-tree driver is known to fail as TODO, TAP's
 * directive for an expected failure. It skips tests that may crash the kernel.
 * --seconds N sets the duration of each race. --stress runs only races, for 60 seconds
 * each by default. --only may be repeated. --patience N is for kernels that are N times
 * slower: time limits grow, and loops with thousands of rounds make fewer rounds.
 * With --stress, observers read debugfs and switch events beside each race
 * (conformance_observers.c).
 * --fail-nth injects failures into all calls (conformance_failnth.c). --budget N limits
 * the failures injected into each test, 300 by default.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_SECONDS	300	/* wall time; emulated machines are slow */
#define STRESS_SECONDS	60	/* duration of each race with --stress */
#define SETTLE_MS	20000	/* wait for resources that the kernel releases late */
#define MAX_ONLY	16
#define FAILNTH_PATIENCE 10	/* each call is repeated many times */

enum { PASSED, FAILED, SKIPPED };

static struct test *tests;

void register_test(struct test *test)
{
	struct test **link = &tests;

	while (*link && (*link)->order <= test->order)
		link = &(*link)->next;
	test->next = *link;
	*link = test;
}

const char *backend_module = "vfio_spapr_tce2";
static bool backend_is_intree;
static const char *only[MAX_ONLY];
static int onlys;
static bool show_times;
static bool stress;
static bool failnth;
static unsigned int failnth_budget = 300;
static unsigned int patience = 1;

/* Set by skip(), in memory shared with the test's process */
static char *skip_reason;
#define SKIP_REASON_SIZE	256

/* Totals of all races */
static struct {
	unsigned int tests;
	uint64_t ms;
	uint64_t rounds;
} races;

/* Allocate zeroed memory that children forked later share */
void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("cannot allocate memory for the test itself");
	return memory;
}

bool injecting(void)
{
	return failnth;
}

uint64_t patient_ms(uint64_t ms)
{
	return ms * patience;
}

unsigned int fewer(unsigned int count)
{
	return count > patience ? count / patience : 1;
}

void need_two_processors(void)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip("needs two processors");
}

void skip(const char *reason)
{
	snprintf(skip_reason, SKIP_REASON_SIZE, "%s", reason);
	_exit(SKIPPED);
}

void fail(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dprintf(STDOUT_FILENO, "# %s\n", text);
	_exit(FAILED);
}

static void prepare(const struct test *test, struct vfio *v)
{
	vfio_init(v);
	if (test->setup == TWO_GROUPS)
		need_groups_that_share();
	if (test->setup == BARE)
		return;
	expect(vfio_open(v), 0);
	expect(vfio_attach(v, 0), 0);
	if (test->setup == TWO_GROUPS)
		expect(vfio_attach(v, 1), 0);
	expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), 0);
}

static void run_in_this_process(const struct test *test)
{
	int64_t locked = vmlck();
	struct vfio v;

	setpgid(0, 0);
	/* On a slow machine, a race may exceed race_seconds */
	alarm(TEST_SECONDS * patience + 2 * race_seconds);
	prepare(test, &v);
	test->run(&v);
	vfio_close(&v);
	if (vmlck() != locked)
		fail("expected VmLck to return to %lld bytes, saw %lld",
		     (long long)locked, (long long)vmlck());
	_exit(PASSED);
}

static bool nothing_left(struct found before)
{
	uint64_t deadline = now_ms() + patient_ms(SETTLE_MS);
	struct found now;

	while (!as_found(&before)) {
		if (now_ms() > deadline)
			break;
		usleep(20000);
	}
	now = found();
	if (now.pins != before.pins)
		dprintf(STDOUT_FILENO,
			"# expected %lld pinned pages after the test, saw %lld\n",
			(long long)before.pins, (long long)now.pins);
	if (now.refs != before.refs)
		dprintf(STDOUT_FILENO,
			"# expected use count of %s to be %d after the test, saw %d\n",
			backend_module, before.refs, now.refs);
	return now.pins == before.pins && now.refs == before.refs;
}

static int result_of(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	dprintf(STDOUT_FILENO, "# signal %d (%s) ended the test's process\n",
		WTERMSIG(status), strsignal(WTERMSIG(status)));
	return FAILED;
}

/* Run a test in a child process; then kill its descendants that still run */
static int run_test(const struct test *test)
{
	bool observed = stress && !backend_is_intree, watched_ok = true;
	struct found before = found();
	int status, result;
	pid_t pid;

	skip_reason[0] = 0;
	*score = (struct score){};
	if (observed)
		observers_start();
	pid = fork();
	if (pid < 0)
		return FAILED;
	if (!pid)
		run_in_this_process(test);
	while (waitpid(pid, &status, 0) < 0)
		;
	kill(-pid, SIGKILL);
	if (observed)
		watched_ok = observers_stop();
	result = result_of(status);
	if ((!nothing_left(before) || !watched_ok) && result == PASSED)
		result = FAILED;
	return result;
}

/* Print the progress of a race, unless it was skipped */
static void report_race(const struct test *test)
{
	uint64_t rounds = score->rounds ?: score->turns;

	if (!test->race || !score->began)
		return;
	dprintf(STDOUT_FILENO,
		"# race: %s: %llu.%llu seconds, %u threads, %llu rounds\n",
		test->name, (unsigned long long)score->ms / 1000,
		(unsigned long long)score->ms / 100 % 10,
		score->threads + score->main, (unsigned long long)rounds);
	races.tests++;
	races.ms += score->ms;
	races.rounds += rounds;
}

/* Run a test with injected failures */
static int run_failnth(const struct test *test)
{
	int result;

	failnth_begin(test);
	result = run_test(test);
	failnth_end(result != SKIPPED);
	return result;
}

/* Run a test and print its TAP line; return false if the test counts as failed */
static bool report(int number, const struct test *test)
{
	uint64_t begin = now_ms();
	int result;

	if (backend_is_intree && test->crashes) {
		dprintf(STDOUT_FILENO,
			"ok %d - %s # SKIP may crash the kernel: %s\n",
			number, test->name, test->intree);
		return true;
	}
	result = failnth ? run_failnth(test) : run_test(test);
	report_race(test);
	if (show_times)
		dprintf(STDOUT_FILENO, "# %llu ms\n",
			(unsigned long long)(now_ms() - begin));
	if (result == SKIPPED) {
		dprintf(STDOUT_FILENO, "ok %d - %s # SKIP %s\n", number,
			test->name, skip_reason);
		return true;
	}
	if (result == PASSED) {
		dprintf(STDOUT_FILENO, "ok %d - %s\n", number, test->name);
		return true;
	}
	if (backend_is_intree && test->intree) {
		dprintf(STDOUT_FILENO, "not ok %d - %s # TODO in-tree: %s\n",
			number, test->name, test->intree);
		return true;
	}
	dprintf(STDOUT_FILENO, "not ok %d - %s\n", number, test->name);
	return false;
}

static bool selected(const struct test *test)
{
	if (stress && !test->race)
		return false;
	for (int i = 0; i < onlys; i++)
		if (!strcmp(only[i], test->name))
			return true;
	return !onlys;
}

static bool exists(const char *name)
{
	const struct test *test;

	for (test = tests; test; test = test->next)
		if (!strcmp(test->name, name))
			return true;
	return false;
}

static int count_selected(void)
{
	const struct test *test;
	int count = 0;

	for (test = tests; test; test = test->next)
		count += selected(test);
	return count;
}

static void list(void)
{
	const struct test *test;

	for (test = tests; test; test = test->next)
		puts(test->name);
}

/* Print each race: the operations that race, and the name of the test */
static void list_races(void)
{
	const struct test *test;

	for (test = tests; test; test = test->next)
		if (test->race)
			printf("%-48s %s\n", test->race, test->name);
}

/* Check that the backend under test handles v2 containers; print the reason if not */
static bool backend_serves(void)
{
	int before = backend_module ? module_refs(backend_module) : 0;
	struct vfio v;
	int ret, refs;

	if (before < 0) {
		printf("Bail out! module %s is not loaded\n", backend_module);
		return false;
	}
	ret = vfio_open(&v);
	if (!ret)
		ret = vfio_attach(&v, 0);
	if (!ret)
		ret = vfio_set_iommu(&v, VFIO_SPAPR_TCE_v2_IOMMU);
	refs = backend_module ? module_refs(backend_module) : 1;
	vfio_close(&v);
	if (ret)
		printf("Bail out! cannot open a v2 container: %s\n", strerror(-ret));
	else if (refs != before + 1)
		printf("Bail out! %s does not handle the container: its use count went %d -> %d\n",
		       backend_module, before, refs);
	return !ret && refs == before + 1;
}

static int run_all(void)
{
	int number = 0, failures = 0;
	const struct test *test;
	bool injected = true;

	printf("1..%d\n", count_selected());
	printf("# backend %s, %zu KiB pages, %d edu devices\n",
	       backend_module ? backend_module : "any", base_page() / 1024,
	       vfio_devices());
	if (!backend_serves() || (failnth && !failnth_init(failnth_budget)))
		return 1;
	fflush(stdout);
	for (test = tests; test; test = test->next)
		if (selected(test))
			failures += !report(++number, test);
	if (races.tests)
		dprintf(STDOUT_FILENO,
			"# races: %u tests, %.1f minutes, %llu rounds\n",
			races.tests, races.ms / 60000.0,
			(unsigned long long)races.rounds);
	if (failnth)
		injected = failnth_report(!onlys && !stress);
	dprintf(STDOUT_FILENO, "# %d run, %d failed\n", number, failures);
	return failures || !number || !injected;
}

static void usage(void)
{
	fputs("usage: conformance [--backend tce2|intree|any] [--list] [--races] [--only NAME] [--times] [--stress] [--seconds N] [--patience N] [--fail-nth [--budget N]]\n",
	      stderr);
	exit(2);
}

static void choose_backend(const char *name)
{
	if (!strcmp(name, "tce2")) {
		backend_module = "vfio_spapr_tce2";
	} else if (!strcmp(name, "intree")) {
		backend_module = "vfio_iommu_spapr_tce";
		backend_is_intree = true;
	} else if (!strcmp(name, "any")) {
		backend_module = NULL;
	} else {
		usage();
	}
}

/*
 * Give up CAP_IPC_LOCK: RLIMIT_MEMLOCK then applies to this process. Other capabilities
 * stay, so the process can still raise the limit.
 */
void drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		fail("capget: %s", strerror(errno));
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	if (syscall(SYS_capset, &header, data))
		fail("capset: %s", strerror(errno));
}

/* Parse an option's argument, a number from 1 to 86400 */
static unsigned int take_number(const char *text)
{
	uint64_t number;

	if (!number_of(text, &number) || !number || number > 86400)
		usage();
	return number;
}

/* Parse an option with an argument; return false if the option is unknown */
static bool take_option(const char *option, const char *argument)
{
	if (!strcmp(option, "--backend")) {
		choose_backend(argument);
	} else if (!strcmp(option, "--only")) {
		if (onlys == MAX_ONLY)
			usage();
		only[onlys++] = argument;
	} else if (!strcmp(option, "--seconds")) {
		race_seconds = take_number(argument);
	} else if (!strcmp(option, "--patience")) {
		patience = take_number(argument);
	} else if (!strcmp(option, "--budget")) {
		failnth_budget = take_number(argument);
	} else {
		return false;
	}
	return true;
}

static void parse_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--list")) {
			list();
			exit(0);
		} else if (!strcmp(argv[i], "--races")) {
			list_races();
			exit(0);
		} else if (!strcmp(argv[i], "--times")) {
			show_times = true;
		} else if (!strcmp(argv[i], "--stress")) {
			stress = true;
		} else if (!strcmp(argv[i], "--fail-nth")) {
			failnth = true;
		} else if (i + 1 < argc && take_option(argv[i], argv[i + 1])) {
			i++;
		} else {
			usage();
		}
	}
	for (int i = 0; i < onlys; i++) {
		if (!exists(only[i])) {
			fprintf(stderr, "error: no test is named %s\n", only[i]);
			exit(2);
		}
	}
	if (stress && !race_seconds)
		race_seconds = STRESS_SECONDS;
	/* Only allocations and user copies of vfio_spapr_tce2 can fail */
	if (failnth && (backend_is_intree || !backend_module))
		usage();
	if (failnth && patience < FAILNTH_PATIENCE)
		patience = FAILNTH_PATIENCE;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--after-exec"))
		return after_exec(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "--after-update"))
		return after_update(argc, argv);
	parse_options(argc, argv);
	skip_reason = shared_memory(SKIP_REASON_SIZE);
	score = shared_memory(sizeof(*score));
	return run_all();
}
