// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions that the tests share: expectations, registered and mapped memory,
 * containers, checks by DMA, child processes. An error in any of them fails the test.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Expectations
 */

/* Format an answer, such as "-22 (EINVAL)"; buf has 48 bytes */
static const char *answer(long value, char *buf)
{
	const char *name = NULL;

	if (value < 0 && value > -4096)
		name = strerrorname_np(-value);
	if (name)
		snprintf(buf, 48, "%ld (%s)", value, name);
	else
		snprintf(buf, 48, "%ld", value);
	return buf;
}

void expect_at(const char *file, int line, const char *what, long saw,
	       long want)
{
	char a[48], b[48];

	if (saw != want)
		fail("%s:%d: %s: expected %s, saw %s", file, line, what,
		     answer(want, a), answer(saw, b));
}

void expect_either_at(const char *file, int line, const char *what, long saw,
		      long want, long or_else)
{
	char a[48], b[48], c[48];

	if (saw != want && saw != or_else)
		fail("%s:%d: %s: expected %s or %s, saw %s", file, line, what,
		     answer(want, a), answer(or_else, b), answer(saw, c));
}

bool row_is(const char *row, long saw, long want)
{
	char a[48], b[48];

	if (saw == want)
		return true;
	dprintf(STDOUT_FILENO, "# %s: expected %s, saw %s\n", row,
		answer(want, a), answer(saw, b));
	return false;
}

void need_two_devices(void)
{
	if (vfio_devices() < 2)
		skip("needs two edu devices");
}

void need_groups_that_share(void)
{
	need_two_devices();
	if (under_hypervisor())
		skip("groups cannot share TCE tables on pseries");
}

static int64_t pins_or_fail(void)
{
	int64_t pinned = pins();

	if (pinned < 0)
		fail("/proc/vmstat does not have the counts of pinned pages");
	return pinned;
}

struct ledger ledger(void)
{
	return (struct ledger){ .vmlck = vmlck(), .pins = pins_or_fail() };
}

/* Check that the charge and the pinned pages have grown by a number of bytes */
void expect_ledger(const char *when, struct ledger before, int64_t bytes)
{
	struct ledger now = ledger();
	int64_t pages = bytes / (int64_t)base_page();

	if (now.vmlck - before.vmlck != bytes)
		fail("%s: expected VmLck to have changed by %lld bytes, saw %lld",
		     when, (long long)bytes,
		     (long long)(now.vmlck - before.vmlck));
	if (now.pins - before.pins != pages)
		fail("%s: expected pinned pages to have changed by %lld, saw %lld",
		     when, (long long)pages,
		     (long long)(now.pins - before.pins));
}

struct found found(void)
{
	return (struct found){
		.pins = pins_or_fail(),
		.refs = backend_module ? module_refs(backend_module) : 0,
	};
}

bool as_found(void *arg)
{
	struct found *before = arg, now = found();

	return now.pins == before->pins && now.refs == before->refs;
}

/*
 * The kernel log
 */

int follow_log(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (log < 0 || lseek(log, 0, SEEK_END) < 0)
		fail("/dev/kmsg: %s", strerror(errno));
	return log;
}

/* Read a record "priority,sequence,time,flags;text"; false if there is no new record */
bool next_record(int log, char record[LOG_RECORD])
{
	ssize_t len;

	do {
		len = read(log, record, LOG_RECORD - 1);
		/* EPIPE: the record was overwritten before it was read */
	} while (len < 0 && errno == EPIPE);
	if (len < 0 && errno == EAGAIN)
		return false;
	if (len <= 0)
		fail("/dev/kmsg: %s", strerror(errno));
	record[len] = 0;
	return true;
}

/*
 * Containers and windows, memory, and invalid user pointers
 */

/* Open a v2 container with the group of one slot */
void open_container(struct vfio *v, int slot)
{
	expect(vfio_open(v), 0);
	expect(vfio_attach(v, slot), 0);
	expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), 0);
}

struct vfio_iommu_spapr_tce_info info_of(struct vfio *v)
{
	struct vfio_iommu_spapr_tce_info info;

	expect(get_info(v->fd, &info), 0);
	return info;
}

bool has_page_shift(struct vfio *v, unsigned int shift)
{
	return info_of(v).ddw.pgsizes & (1ULL << shift);
}

uint64_t new_window(struct vfio *v, unsigned int shift, uint64_t size,
		    unsigned int levels)
{
	uint64_t start = ~0ULL;

	expect(window_create(v->fd, shift, size, levels, &start), 0);
	return start;
}

/*
 * Return the start of a window that is created while there is no other window. On pseries
 * this is 0 for a window with the page size of the default window and at most its size, and
 * WINDOW1_START for any other window.
 */
uint64_t first_start(struct vfio *v, unsigned int shift, uint64_t size)
{
	bool like_default = shift == 12 && size <= info_of(v).dma32_window_size;

	return under_hypervisor() && !like_default ? WINDOW1_START : 0;
}

/* Return a number of levels that the platform supports, at most @levels */
unsigned int up_to_levels(struct vfio *v, unsigned int levels)
{
	unsigned int most = info_of(v).ddw.levels;

	return levels < most ? levels : most;
}

uint8_t *memory(size_t size)
{
	uint8_t *ua = mem_base(size);

	if (!ua)
		fail("cannot allocate memory for the test itself");
	return ua;
}

/* Allocate memory that is physically contiguous and aligned to its size */
uint8_t *contiguous_memory(size_t size)
{
	uint8_t *ua;

	if (size <= base_page())
		return memory(base_page());
	ua = mem_hugetlb(size <= MIB(2) ? MIB(2) : GIB(1), 1);
	if (!ua)
		skip("no hugepage of that size is available");
	return ua;
}

uint8_t *registered(struct vfio *v, size_t size)
{
	uint8_t *ua = memory(size);

	expect(spapr_register(v->fd, ua, size), 0);
	return ua;
}

uint8_t *mapped(struct vfio *v, uint64_t iova, size_t size)
{
	uint8_t *ua = registered(v, size);

	expect(dma_map(v->fd, iova, ua, size, READ_WRITE), 0);
	return ua;
}

/* Unregister memory that is registered and not mapped */
void unregister_ok(struct vfio *v, const void *ua, size_t size)
{
	expect(spapr_unregister(v->fd, ua, size), 0);
}

/* Copy data so that the last byte of the copy is the last readable byte */
void *at_page_end(const void *data, size_t len)
{
	uint8_t *page = mmap(NULL, 2 * base_page(), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED || mprotect(page + base_page(), base_page(),
					   PROT_NONE))
		fail("cannot allocate memory for the test itself");
	return memcpy(page + base_page() - len, data, len);
}

/* Check for EFAULT with NULL, kernel addresses, and a struct whose second half is not mapped */
void expect_bad_pointers_fault(int fd, unsigned long nr)
{
	static const uint32_t half[2] = { 256, 0 };

	expect(call(fd, nr, NULL), -EFAULT);
	expect(call(fd, nr, (void *)0xc000000000000000ULL), -EFAULT);
	expect(call(fd, nr, (void *)~0xfffULL), -EFAULT);
	expect(call(fd, nr, at_page_end(half, sizeof(half))), -EFAULT);
}

/*
 * Checks by DMA
 */

static uint64_t fresh_seed(void)
{
	static uint64_t seed;

	if (!seed)
		seed = (uint64_t)getpid() << 32;
	return ++seed;
}

struct edu *device(struct vfio *v, int slot)
{
	expect(vfio_open_device(v, slot), 0);
	return &v->edu[slot];
}

struct sink sink_at(struct vfio *v, uint64_t iova)
{
	return (struct sink){
		.iova = iova,
		.ua = mapped(v, iova, base_page()),
	};
}

static void to_device(struct vfio *v, int slot, uint64_t iova)
{
	expect(edu_to_device(device(v, slot), iova, 0, PROBE), 0);
}

static void from_device(struct vfio *v, int slot, uint64_t iova)
{
	expect(edu_from_device(device(v, slot), iova, 0, PROBE), 0);
}

/* Check that the device reads a pattern that only the memory at ua has, and writes it back */
void device_reaches(struct vfio *v, int slot, uint64_t iova, uint8_t *ua)
{
	uint64_t seed = fresh_seed();

	pattern_fill(ua, PROBE, seed);
	to_device(v, slot, iova);
	memset(ua, 0, PROBE);
	from_device(v, slot, iova);
	if (!pattern_is(ua, PROBE, seed))
		fail("expected device %d to read and write %p at iova %#llx, it did not",
		     slot, (void *)ua, (unsigned long long)iova);
}

/* Check that the device reads the bytes at ua, without changing these bytes */
void device_reads(struct vfio *v, int slot, uint64_t iova, const uint8_t *ua,
		  struct sink *sink)
{
	pattern_fill(sink->ua, PROBE, fresh_seed());
	to_device(v, slot, iova);
	from_device(v, slot, sink->iova);
	if (memcmp(sink->ua, ua, PROBE))
		fail("expected device %d to read %p at iova %#llx, it did not",
		     slot, (const void *)ua, (unsigned long long)iova);
}

void device_cannot_read(struct vfio *v, int slot, uint64_t iova, uint8_t *ua,
			struct sink *sink)
{
	uint64_t secret = fresh_seed(), other = fresh_seed();

	pattern_fill(ua, PROBE, secret);
	pattern_fill(sink->ua, PROBE, other);
	to_device(v, slot, iova);
	from_device(v, slot, sink->iova);
	if (pattern_is(sink->ua, PROBE, secret))
		fail("expected device %d not to read %p at iova %#llx, it did",
		     slot, (void *)ua, (unsigned long long)iova);
	if (pattern_is(sink->ua, PROBE, other))
		fail("inconclusive: device %d did not reach its sink at %#llx",
		     slot, (unsigned long long)sink->iova);
}

/* Check that the whole IOMMU page at ua is unchanged */
void device_cannot_write(struct vfio *v, int slot, uint64_t iova,
			 const uint8_t *ua, struct sink *sink)
{
	uint64_t seed = fresh_seed();
	uint8_t before[TCE_4K];

	memcpy(before, ua, sizeof(before));
	pattern_fill(sink->ua, PROBE, seed);
	to_device(v, slot, sink->iova);
	from_device(v, slot, iova);
	if (memcmp(before, ua, sizeof(before)))
		fail("expected device %d not to write %p at iova %#llx, it did",
		     slot, (const void *)ua, (unsigned long long)iova);
	memset(sink->ua, 0, PROBE);
	from_device(v, slot, sink->iova);
	if (!pattern_is(sink->ua, PROBE, seed))
		fail("inconclusive: the buffer of device %d did not have the bytes to write",
		     slot);
}

void device_cannot_reach(struct vfio *v, int slot, uint64_t iova, uint8_t *ua,
			 struct sink *sink)
{
	device_cannot_read(v, slot, iova, ua, sink);
	device_cannot_write(v, slot, iova, ua, sink);
}

/*
 * Child processes
 */

static int run_in(pid_t pid, void (*run)(void *), void *arg)
{
	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (!pid) {
		run(arg);
		_exit(0);
	}
	return pid;
}

int start_child(void (*run)(void *), void *arg)
{
	return run_in(fork(), run, arg);
}

/* Start a child that shares the descriptor table with this process */
int start_child_with_files(void (*run)(void *), void *arg)
{
	return run_in(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0),
		      run, arg);
}

/* Wait for a child; -1 waits for the next child that exits */
void expect_child_ok(int pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		fail("waitpid: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail("a child of the test failed (wait status %#x)", status);
}

/* Kill a child; fail if the child has already ended */
void kill_child(int pid)
{
	int status;

	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid");
	if (!WIFSIGNALED(status))
		fail("a child of the test ended too early");
}

void in_child(void (*run)(void *), void *arg)
{
	expect_child_ok(start_child(run, arg));
}

/* Wait for an asynchronous effect, such as the release of a dead process's resources */
void expect_soon(const char *what, bool (*so)(void *), void *arg)
{
	uint64_t deadline = now_ms() + patient_ms(20000);

	while (!so(arg)) {
		if (now_ms() > deadline)
			fail("timeout, expected: %s", what);
		usleep(10000);
	}
}

bool eeh_is_enabled(void)
{
	FILE *f = fopen("/proc/powerpc/eeh", "re");
	char line[128];
	bool enabled;

	if (!f)
		return false;
	enabled = fgets(line, sizeof(line), f) && strstr(line, "is enabled");
	fclose(f);
	return enabled;
}
