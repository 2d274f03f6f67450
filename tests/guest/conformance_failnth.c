// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inject each possible failure into the calls of the tests (--fail-nth).
 *
 * A sweep repeats a call with its 1st, 2nd, ... nth allocation or user copy failing
 * (/proc/thread-self/fail-nth), until the call completes without an injected failure.
 * The test sees only the last answer. Each failed try must return a valid errno, and
 * leave the state of the module, the kernel and the hardware for this process unchanged.
 *
 * Only allocations and user copies of the module under test can fail:
 * tests/guest/job_failnth_inject.c selects them. The state comes from the kernel's
 * counts and from the module vfio_spapr_tce2_selftest (tests/selftest/state.c).
 *
 * If other threads run, failures are injected, but the state is not compared.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../include/uapi/vfio_spapr_tce2.h"

#define GET_INFO VFIO_IOMMU_SPAPR_TCE_GET_INFO
#define STATE "/sys/kernel/debug/vfio_spapr_tce2_selftest/command"
#define FAIL_NTH "/proc/thread-self/fail-nth"

/*
 * Limits. The first SWEPT_FIRST calls of each request in a test are swept, then one call
 * in SWEPT_ONE_OF, until the budget of the test is used up. A sweep is cut short after
 * MOST_TRIES, because a call that faults in many pages can fail at very many points. No
 * limit depends on time: a busy machine injects as many failures as an idle one.
 */
#define SWEPT_FIRST	16
#define SWEPT_ONE_OF	64
#define MOST_TRIES	100

#define MOST_ERRNO	133

/**
 * struct request - an ioctl whose calls are swept
 * @nr: number of the ioctl
 * @name: name of the ioctl, without VFIO_
 * @group: an ioctl of a group, not of a container
 * @mapping: the request may change TCEs, so the state includes TCEs
 * @binds: a failed call may have bound the container to the process
 * @makes_default: a failed call may have made the default window: MAP_DMA and
 *	DIRTY_PAGES on each platform, TCE_CREATE only on pseries
 * @must_succeed: the call must succeed despite injected failures
 *
 * The only valid answers to an injected failure are ENOMEM, EFAULT, and the answer of the
 * same call without a failure.
 */
struct request {
	unsigned long nr;
	const char *name;
	bool group;
	bool mapping;
	bool binds;
	bool makes_default;
	bool must_succeed;
};

#define REQUEST(number, ...) \
	{ .nr = VFIO_ ## number, .name = #number, __VA_ARGS__ }

static const struct request requests[] = {
	REQUEST(IOMMU_MAP_DMA, .mapping = true, .makes_default = true),
	REQUEST(IOMMU_UNMAP_DMA, .mapping = true),
	REQUEST(IOMMU_SPAPR_REGISTER_MEMORY, .binds = true),
	REQUEST(IOMMU_SPAPR_UNREGISTER_MEMORY),
	REQUEST(IOMMU_SPAPR_TCE_GET_INFO),
	REQUEST(IOMMU_SPAPR_TCE_CREATE, .mapping = true, .binds = true,
		.makes_default = true),
	REQUEST(IOMMU_SPAPR_TCE_REMOVE, .mapping = true, .binds = true),
	REQUEST(EEH_PE_OP),
	REQUEST(TCE2_OFFER_OWNER),
	REQUEST(TCE2_TAKE_OWNER),
	REQUEST(TCE2_DIRTY_PAGES, .mapping = true, .binds = true, .makes_default = true),
	REQUEST(SET_IOMMU, .mapping = true),
	REQUEST(GROUP_SET_CONTAINER, .group = true, .mapping = true),
	REQUEST(GROUP_UNSET_CONTAINER, .group = true, .must_succeed = true),
};

#define REQUESTS	ARRAY_SIZE(requests)
#define CLOSE		REQUESTS	/* counted like a request */

/* Counts of one request */
struct tally {
	unsigned long seen;	/* calls, swept or not */
	unsigned long swept;
	unsigned long injected;	/* injected failures */
	unsigned long survived;	/* injected failures despite which the call succeeded */
	unsigned long cut;	/* sweeps cut short by MOST_TRIES */
};

/**
 * struct stats - counts of a test and its children, in memory that they share
 * @of: a tally for each request, and for close()
 * @uncompared: failures after which the state was not compared, because of other threads
 * @injected: injected failures
 * @answered: number of failed calls, by errno
 */
struct stats {
	struct tally of[REQUESTS + 1];
	unsigned long uncompared;
	unsigned long injected;
	unsigned long answered[MOST_ERRNO + 1];
};

static struct stats *stats;	/* counters of the running test */
static unsigned int *first_point;	/* of the next sweep of each request; in shared memory */
static struct stats total;
static unsigned long most_injected;	/* budget of each test */
static bool with_others;
static unsigned int tests, untouched;

static void count(unsigned long *number, unsigned long by)
{
	__atomic_fetch_add(number, by, __ATOMIC_RELAXED);
}

/*
 * The state that a failed call must not change
 */

/* Numbers that the self-test prints, in this order */
enum {
	USERS, REGIONS, USED, MAPPED, REGION_DIGEST, WINDOWS, WINDOW_DIGEST,
	CHARGED, ENTRIES, CONTENT, OBJECTS, NUMBERS
};

static const char *const number_name[NUMBERS] = {
	"users of the cache", "regions", "registrations", "mapped counts",
	"digest of the regions", "windows", "digest of the windows",
	"pages charged for tables", "TCEs", "digest of the TCEs",
	"objects kept",
};

/**
 * struct state - the state that a failed call must not change
 * @threads: threads of the process; if more than one, no other member is set
 * @locked: bytes of locked_vm, without the charge for tables, because tables may grow
 * @pins: pinned pages of the system
 * @refs: use count of the backend's module, if the request may change it
 * @info_ret: answer of TCE_GET_INFO
 * @info: data of TCE_GET_INFO
 * @number: numbers that the self-test prints
 */
struct state {
	int threads;
	int64_t locked;
	int64_t pins;
	int refs;
	int info_ret;
	struct vfio_iommu_spapr_tce_info info;
	uint64_t number[NUMBERS];
};

static int threads(void)
{
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");
	int number = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Threads: %d", &number) == 1)
			break;
	if (f)
		fclose(f);
	return number;
}

/*
 * Find the iova range of a request. Tests also pass bad pointers, so the argument is
 * read through /proc/self/mem.
 */
static void range_of(const struct request *request, const void *arg,
		     uint64_t *iova, uint64_t *size)
{
	struct vfio_iommu_type1_dma_map map = {};
	struct vfio_iommu_type1_dma_unmap unmap = {};
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	off_t at = (uintptr_t)arg;

	if (request->nr == VFIO_IOMMU_MAP_DMA &&
	    pread(memory, &map, sizeof(map), at) == sizeof(map)) {
		*iova = map.iova & ~(TCE_4K - 1);
		*size = map.size;
	}
	if (request->nr == VFIO_IOMMU_UNMAP_DMA &&
	    pread(memory, &unmap, sizeof(unmap), at) == sizeof(unmap)) {
		*iova = unmap.iova & ~(TCE_4K - 1);
		*size = unmap.size;
	}
	if (*size < TCE_4K)
		*size = TCE_4K;
	close(memory);
}

static void ask_self_test(struct state *state, const struct request *request,
			  const void *arg)
{
	uint64_t iova = 0, size = TCE_4K, *number = state->number;
	int fd = open(STATE, O_RDWR | O_CLOEXEC), found = 0, used = 0;
	char text[256], *at = text;
	ssize_t len;

	range_of(request, arg, &iova, &size);
	len = snprintf(text, sizeof(text), "state %llx %llx c %x 0 0",
		       (unsigned long long)iova, (unsigned long long)size,
		       request->mapping);
	if (fd < 0 || write(fd, text, len) != len)
		fail("cannot ask vfio_spapr_tce2_selftest for the state: %s",
		     strerror(errno));
	len = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	if (!strncmp(at, "state", 5))
		for (at += 5; found < NUMBERS &&
		     sscanf(at, " %lx%n", &number[found], &used) == 1; found++)
			at += used;
	if (found != NUMBERS)
		fail("vfio_spapr_tce2_selftest gives no valid state: '%s'", text);
}

/* Read the state, with no failures injected */
static struct state state_of(int fd, const struct request *request,
			     const void *arg)
{
	struct state state = { .threads = threads() };

	if (state.threads > 1 || with_others) {
		state.threads = 2;
		return state;
	}
	ask_self_test(&state, request, arg);
	state.locked = vmlck() - (int64_t)(state.number[CHARGED] * base_page());
	state.pins = pins();
	if (request->group || request->nr == VFIO_SET_IOMMU)
		state.refs = module_refs(backend_module);
	state.info.argsz = sizeof(state.info);
	if (!request->group)
		state.info_ret = plain_hooks.call(fd, GET_INFO, &state.info);
	return state;
}

/*
 * A sweep: one call, repeated with each failure
 */

/**
 * struct sweep - a call that is repeated with each failure in turn
 * @request: the ioctl
 * @fd: descriptor of the container or the group
 * @arg: argument of the ioctl
 * @point: number of the allocation or user copy that fails, from 1
 * @before: the state before the call, which a failed call must keep
 * @may_bind: a failed call may bind the container to the process, once
 * @may_make_default: a failed call may make the default window, once
 */
struct sweep {
	const struct request *request;
	int fd;
	void *arg;
	unsigned int point;
	struct state before;
	bool may_bind;
	bool may_make_default;
};

static void same(const struct sweep *sweep, int ret, const char *what,
		 int64_t before, int64_t after)
{
	if (before != after)
		fail("%s with failure %u injected returned %d (%s): expected %s to stay %lld (%#llx), saw %lld (%#llx)",
		     sweep->request->name, sweep->point, ret,
		     ret < 0 ? strerrorname_np(-ret) : "?", what,
		     (long long)before, (unsigned long long)before,
		     (long long)after, (unsigned long long)after);
}

/*
 * Allow two effects of a failed call, each once: it may bind the container to the
 * process, and it may make the default window. The new window is charged, but GET_INFO
 * describes it like the pending default window.
 */
static void allow_for(struct sweep *sweep, const struct state *after)
{
	uint64_t *before = sweep->before.number;

	if (sweep->may_bind && after->number[USERS] == before[USERS] + 1) {
		before[USERS]++;
		sweep->may_bind = false;
	}
	if (sweep->may_make_default &&
	    after->number[WINDOWS] == before[WINDOWS] + 1) {
		before[WINDOWS]++;
		before[WINDOW_DIGEST] = after->number[WINDOW_DIGEST];
		sweep->may_make_default = false;
	}
}

/*
 * Check the state after a failed call. Return the number of tables and nodes that the
 * call has added. They may stay, and the next try does not allocate them again.
 */
static int64_t expect_unchanged(struct sweep *sweep, int ret)
{
	struct state after = state_of(sweep->fd, sweep->request, sweep->arg);
	struct state *before = &sweep->before;
	int64_t more;

	if (after.threads > 1 || before->threads > 1) {
		count(&stats->uncompared, 1);
		return 0;
	}
	allow_for(sweep, &after);
	same(sweep, ret, "VmLck without tables", before->locked, after.locked);
	same(sweep, ret, "pinned pages", before->pins, after.pins);
	same(sweep, ret, "use count of the backend", before->refs, after.refs);
	same(sweep, ret, "the answer to GET_INFO", before->info_ret,
	     after.info_ret);
	if (memcmp(&before->info, &after.info, sizeof(after.info)))
		fail("%s with failure %u injected: GET_INFO returns other data than before",
		     sweep->request->name, sweep->point);
	for (int i = 0; i < NUMBERS; i++)
		if (i != CHARGED && i != OBJECTS)
			same(sweep, ret, number_name[i], before->number[i],
			     after.number[i]);
	more = after.number[OBJECTS] - before->number[OBJECTS];
	before->number[OBJECTS] = after.number[OBJECTS];
	return more;
}

/*
 * A call has succeeded despite an injected failure. Check that the platform has the
 * window that the call has made or mapped in.
 */
static void expect_window(const struct sweep *sweep)
{
	const uint64_t *before = sweep->before.number;
	struct state after;
	uint64_t least = 1;

	if (!sweep->request->makes_default || sweep->before.threads > 1)
		return;
	if (sweep->request->nr == VFIO_IOMMU_SPAPR_TCE_CREATE)
		least = before[WINDOWS] + 1;
	after = state_of(sweep->fd, sweep->request, sweep->arg);
	if (after.threads == 1 && after.number[WINDOWS] < least)
		fail("%s with failure %u injected succeeded, but the platform has only %lu windows",
		     sweep->request->name, sweep->point,
		     (unsigned long)after.number[WINDOWS]);
}

/* Open the file of this thread; a forked child can't use its parent's descriptor */
static int fail_nth_file(void)
{
	static __thread int fd = -1;
	static __thread pid_t owner;

	if (owner != gettid()) {
		fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
		owner = gettid();
		if (fd < 0)
			fail(FAIL_NTH ": %s", strerror(errno));
	}
	return fd;
}

static void set_fail_nth(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(fail_nth_file(), text, len, 0) != len)
		fail("cannot write " FAIL_NTH ": %s", strerror(errno));
}

/* Check that the failure was injected since set_fail_nth(); stop injecting */
static bool take_fail_nth(void)
{
	char text[16] = "";

	if (pread(fail_nth_file(), text, sizeof(text) - 1, 0) < 1)
		fail("cannot read " FAIL_NTH ": %s", strerror(errno));
	set_fail_nth(0);
	return !atoi(text);
}

static void check_answer(const struct sweep *sweep, int ret)
{
	if (sweep->request->must_succeed)
		fail("expected %s to succeed with failure %u injected, saw %d (%s)",
		     sweep->request->name, sweep->point, ret,
		     strerrorname_np(-ret));
	if (-ret <= MOST_ERRNO)
		count(&stats->answered[-ret], 1);
}

/* If a try returns @odd, neither ENOMEM nor EFAULT, the call without failures must do so, too */
static void expect_sane(const struct sweep *sweep, int odd, int ret)
{
	if (odd && odd != ret)
		fail("%s returned %d (%s) with failures injected, but %d without",
		     sweep->request->name, odd, strerrorname_np(-odd), ret);
}

/*
 * Repeat the call with a failure at the point *first, then at each later point. Return the
 * last answer.
 *
 * If the call succeeds despite a failure, the sweep ends, because the request has been
 * carried out. The next sweep of this kind of request begins after that point. The sweep
 * after it begins at point 1 again.
 *
 * A failed call may keep objects that it has made, and the next try does not allocate them
 * again. If it keeps one object, the number of each later point decreases by one, so the
 * sweep tries the same point again. If it keeps several objects, the sweep restarts at
 * point 1.
 */
static int run_sweep(struct sweep *sweep, struct tally *tally,
		     unsigned int *first)
{
	int ret, odd = 0;
	int64_t more;

	sweep->point = *first;
	*first = 1;
	for (int tries = 1;; tries++) {
		bool cut = tries > MOST_TRIES;

		count(&tally->cut, cut);
		set_fail_nth(cut ? 0 : sweep->point);
		ret = plain_hooks.call(sweep->fd, sweep->request->nr,
				       sweep->arg);
		if (cut || !take_fail_nth())
			break;
		count(&stats->injected, 1);
		count(&tally->injected, 1);
		count(&tally->survived, ret >= 0);
		if (ret >= 0) {
			*first = sweep->point + 1;
			expect_window(sweep);
			break;
		}
		check_answer(sweep, ret);
		more = expect_unchanged(sweep, ret);
		if (more > 1)
			sweep->point = 1;
		else if (more < 1)
			sweep->point++;
		if (ret != -ENOMEM && ret != -EFAULT) {
			expect_sane(sweep, odd, ret);
			odd = ret;
		}
	}
	expect_sane(sweep, odd, ret);
	return ret;
}

static bool is_worth(const struct tally *tally)
{
	if (stats->injected >= most_injected)
		return false;
	return tally->seen <= SWEPT_FIRST || tally->seen % SWEPT_ONE_OF == 0;
}

static int failnth_call(int fd, unsigned long nr, void *arg)
{
	struct sweep sweep = { .fd = fd, .arg = arg };
	struct tally *tally;
	size_t i = 0;

	while (i < REQUESTS && requests[i].nr != nr)
		i++;
	if (i == REQUESTS)
		return plain_hooks.call(fd, nr, arg);
	sweep.request = &requests[i];
	tally = &stats->of[i];
	count(&tally->seen, 1);
	if (!is_worth(tally))
		return plain_hooks.call(fd, nr, arg);
	count(&tally->swept, 1);
	sweep.may_bind = sweep.request->binds;
	sweep.may_make_default = sweep.request->makes_default &&
				 (nr != VFIO_IOMMU_SPAPR_TCE_CREATE || under_hypervisor());
	sweep.before = state_of(fd, sweep.request, arg);
	return run_sweep(&sweep, tally, &first_point[i]);
}

/*
 * A descriptor is closed once, and close() can't fail. So each close() tests a single
 * point, and the checks after the test find leaks.
 */
static void failnth_close(int fd)
{
	struct tally *tally = &stats->of[CLOSE];

	count(&tally->seen, 1);
	count(&tally->swept, 1);
	set_fail_nth(1 + tally->seen % 8);
	plain_hooks.close(fd);
	if (take_fail_nth()) {
		count(&tally->injected, 1);
		count(&tally->survived, 1);
	}
}

/*
 * Functions that the runner calls
 */

/* Set the budget for each test; return false if no failures can be injected */
bool failnth_init(unsigned int budget)
{
	most_injected = budget;
	stats = shared_memory(sizeof(*stats));
	first_point = shared_memory(REQUESTS * sizeof(*first_point));
	for (size_t i = 0; i < REQUESTS; i++)
		first_point[i] = 1;
	if (access(FAIL_NTH, W_OK))
		printf("Bail out! cannot write /proc/thread-self/fail-nth: the kernel needs CONFIG_FAULT_INJECTION\n");
	else if (access(STATE, W_OK))
		printf("Bail out! module vfio_spapr_tce2_selftest is not loaded\n");
	else
		return true;
	return false;
}

void failnth_begin(const struct test *test)
{
	memset(stats, 0, sizeof(*stats));
	with_others = test->with_others;
	hooks = (struct hooks){ failnth_call, failnth_close };
}

static struct tally sum_of(const struct stats *s)
{
	struct tally sum = {};

	for (size_t i = 0; i <= REQUESTS; i++) {
		sum.seen += s->of[i].seen;
		sum.swept += s->of[i].swept;
		sum.injected += s->of[i].injected;
		sum.survived += s->of[i].survived;
		sum.cut += s->of[i].cut;
	}
	return sum;
}

static void add_to_total(void)
{
	const unsigned long *from = (const unsigned long *)stats;
	unsigned long *to = (unsigned long *)&total;

	for (size_t i = 0; i < sizeof(total) / sizeof(*to); i++)
		to[i] += from[i];
}

void failnth_end(bool counts)
{
	struct tally sum = sum_of(stats);

	hooks = plain_hooks;
	if (!counts)
		return;
	tests++;
	if (!sum.injected) {
		untouched++;
		dprintf(STDOUT_FILENO, "# no failure was injected\n");
	}
	dprintf(STDOUT_FILENO,
		"# injected %lu failures in %lu calls, %lu calls succeeded despite a failure\n",
		sum.injected, sum.swept, sum.survived);
	if (sum.seen > sum.swept || sum.cut)
		dprintf(STDOUT_FILENO,
			"# limits: %lu more calls without injected failures, %lu sweeps cut short\n",
			sum.seen - sum.swept, sum.cut);
	add_to_total();
}

/* Check that each kind of request met a failure, and ENOMEM and EFAULT were returned */
static bool all_have_failed(void)
{
	bool all = total.answered[ENOMEM] && total.answered[EFAULT];

	for (size_t i = 0; i < REQUESTS; i++) {
		if (requests[i].must_succeed || total.of[i].injected)
			continue;
		if (requests[i].nr == VFIO_EEH_PE_OP && !eeh_is_enabled())
			continue;
		dprintf(STDOUT_FILENO, "# no failure was injected into %s\n",
			requests[i].name);
		all = false;
	}
	return all;
}

/*
 * Print the totals. Return false if no failure was injected or, after a run of all tests,
 * if a kind of request has met no failure, or ENOMEM or EFAULT was never returned.
 */
bool failnth_report(bool all_tests)
{
	struct tally sum = sum_of(&total);

	for (size_t i = 0; i <= REQUESTS; i++)
		dprintf(STDOUT_FILENO,
			"# %-29s %6lu calls, %6lu swept, %7lu failures, %6lu succeeded, %3lu cut short\n",
			i == CLOSE ? "close" : requests[i].name,
			total.of[i].seen, total.of[i].swept,
			total.of[i].injected, total.of[i].survived,
			total.of[i].cut);
	dprintf(STDOUT_FILENO,
		"# fail-nth: tests=%u untouched=%u calls=%lu swept=%lu injected=%lu survived=%lu cut=%lu uncompared=%lu",
		tests, untouched, sum.seen, sum.swept, sum.injected,
		sum.survived, sum.cut, total.uncompared);
	for (int i = 1; i <= MOST_ERRNO; i++)
		if (total.answered[i])
			dprintf(STDOUT_FILENO, " %s=%lu", strerrorname_np(i),
				total.answered[i]);
	dprintf(STDOUT_FILENO, "\n");
	return all_tests ? all_have_failed() : sum.injected;
}
