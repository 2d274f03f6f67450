// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drive /dev/tce2-kvmplay for the KVM tests: attach tables, make hypercalls, and stop
 * calls between two hooks while the test makes other requests.
 */
#define _GNU_SOURCE
#include "conformance_kvm.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int play(int fd, unsigned long nr, void *arg)
{
	int ret = ioctl(fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

/*
 * Attaching and detaching a guest's table
 */

struct guest guest_new(unsigned int shift)
{
	struct guest g = {
		.fd = open(KVMPLAY_DEVICE, O_RDWR | O_CLOEXEC), .shift = shift,
	};

	if (g.fd < 0 && errno == ENOENT)
		skip("module vfio_spapr_tce2_kvmplay is not loaded");
	if (g.fd < 0)
		fail(KVMPLAY_DEVICE ": %s", strerror(errno));
	return g;
}

/* Return 0 or -errno */
int guest_try_attach(struct guest *g, int slot, uint64_t start, uint64_t size)
{
	struct kvmplay_attach attach = {
		.group = vfio_device_group(slot), .page_shift = g->shift,
		.start = start, .size = size,
	};

	return play(g->fd, KVMPLAY_ATTACH, &attach);
}

void guest_attach(struct guest *g, int slot, uint64_t start, uint64_t size)
{
	expect(guest_try_attach(g, slot, start, size), 0);
}

/* Detach as KVM does: the reference is put in an RCU callback */
void guest_detach(struct guest *g, int slot)
{
	struct kvmplay_attach attach = { .group = vfio_device_group(slot) };

	expect(play(g->fd, KVMPLAY_DETACH, &attach), 0);
}

/* Attach a guest's table to a new window of the first group */
struct guest guest_in_window(struct vfio *v, unsigned int window_shift,
			     unsigned int shift)
{
	struct guest g = guest_new(shift);

	if (new_window(v, window_shift, GUEST_SIZE, 1) != WINDOW1_START)
		fail("the window has an unexpected start");
	guest_attach(&g, 0, WINDOW1_START, GUEST_SIZE);
	return g;
}

/*
 * Map a page: MAP_DMA makes the module enter the process's memory in the kernel's
 * list. The page stays mapped.
 */
uint8_t *guest_arm(struct vfio *v)
{
	return mapped(v, ARM_IOBA, base_page());
}

/* Attach a guest with 4K TCEs to a 4K window, and enter all memory in the kernel's list */
struct guest guest_armed(struct vfio *v)
{
	struct guest g = guest_in_window(v, 12, 12);

	guest_arm(v);
	return g;
}

struct guest guest;

FIXTURE_SETUP(guest)
{
	guest = guest_in_window(v, 12, 12);
}

FIXTURE_TEARDOWN(guest)
{
	guest_close(&guest);
}

FIXTURE_SETUP(armed_guest)
{
	guest = guest_armed(v);
}

FIXTURE_TEARDOWN(armed_guest)
{
	guest_close(&guest);
}

FIXTURE_SETUP(kernel_guest)
{
	need_kernel_maps();
	guest = guest_armed(v);
}

FIXTURE_TEARDOWN(kernel_guest)
{
	guest_close(&guest);
}

/*
 * Make the default window: it is made and charged when the first other window is created.
 * Return the bytes charged when only the default window exists.
 */
int64_t windows_made(struct vfio *v)
{
	expect(window_remove(v->fd, new_window(v, 12, GUEST_SIZE, 1)), 0);
	return vmlck();
}

/* Detach all tables and close; the charge for a removed window may be refunded later */
void guest_close(struct guest *g)
{
	expect(play(g->fd, KVMPLAY_DETACH_ALL, NULL), 0);
	close(g->fd);
	g->fd = -1;
}

/*
 * Hypercalls
 */

static const char *const odd_name[KVMPLAY_ODDS] = {
	[KVMPLAY_WARN_HPA] = "KVM would warn: memory does not translate",
	[KVMPLAY_WARN_X1] = "KVM would warn: a map is refused after its check",
	[KVMPLAY_WARN_X0] = "KVM would warn: an unmap fails",
	[KVMPLAY_WARN_STUFF] = "KVM would warn: H_STUFF_TCE returns an unexpected result",
	[KVMPLAY_DIRTIED] = "the kernel marks a page dirty without a reference",
	[KVMPLAY_SLEPT] = "a hook has slept",
	[KVMPLAY_UNBALANCED] = "a hook leaves preemption, RCU or locks nested",
};

/* The in-tree driver's tables have the platform's ops, so the kernel marks pages dirty */
static bool is_expected(int odd)
{
	return odd == KVMPLAY_DIRTIED && backend_module &&
	       !strcmp(backend_module, "vfio_iommu_spapr_tce");
}

void expect_no_odds(const uint32_t *odds)
{
	for (int i = 0; i < KVMPLAY_ODDS; i++)
		if (odds[i] && !is_expected(i))
			fail("%s (%u times)", odd_name[i], odds[i]);
}

struct kvmplay_call put_of(uint64_t ioba, const void *ua, uint32_t perm)
{
	return (struct kvmplay_call){
		.op = KVMPLAY_PUT, .flags = KVMPLAY_ATOMIC, .ioba = ioba,
		.tce = (uintptr_t)ua | perm, .npages = 1,
	};
}

long hypercall(struct guest *g, struct kvmplay_call call)
{
	g->last = call;
	expect(play(g->fd, KVMPLAY_CALL, &g->last), 0);
	expect_no_odds(g->last.odds);
	return g->last.ret;
}

long put(struct guest *g, uint64_t ioba, const void *ua, uint32_t perm)
{
	return hypercall(g, put_of(ioba, ua, perm));
}

/* Make H_PUT_TCE for @npages consecutive pages */
long put_series(struct guest *g, uint64_t ioba, const void *ua, uint32_t perm,
		uint32_t npages)
{
	struct kvmplay_call call = put_of(ioba, ua, perm);

	call.npages = npages;
	return hypercall(g, call);
}

long put_none(struct guest *g, uint64_t ioba)
{
	return put(g, ioba, NULL, 0);
}

long indirect(struct guest *g, uint64_t ioba, const uint64_t *list,
	      uint32_t npages, uint32_t flags)
{
	return hypercall(g, (struct kvmplay_call){
		.op = KVMPLAY_INDIRECT, .flags = KVMPLAY_ATOMIC | flags,
		.ioba = ioba, .list = (uintptr_t)list, .npages = npages,
	});
}

long stuff(struct guest *g, uint64_t ioba, uint32_t npages)
{
	return hypercall(g, (struct kvmplay_call){
		.op = KVMPLAY_STUFF, .flags = KVMPLAY_ATOMIC, .ioba = ioba,
		.npages = npages,
	});
}

static struct kvmplay_read read_at(struct guest *g, uint64_t ioba)
{
	struct kvmplay_read entry = { .ioba = ioba };

	expect(play(g->fd, KVMPLAY_READ, &entry), 0);
	return entry;
}

uint64_t tce_at(struct guest *g, uint64_t ioba)
{
	return read_at(g, ioba).tce;
}

bool is_mapped(struct guest *g, uint64_t ioba)
{
	return tce_at(g, ioba) & READ_WRITE;
}

uint32_t table_refs(struct guest *g)
{
	return read_at(g, WINDOW1_START).refs;
}

bool is_shared(struct guest *g, const void *ua, uint64_t size)
{
	struct kvmplay_lookup look = { .ua = (uintptr_t)ua, .size = size };

	expect(play(g->fd, KVMPLAY_LOOK, &look), 0);
	return look.found;
}

/*
 * Hypercalls that stop between two hooks
 */

struct kvmplay_call stop_at(struct kvmplay_call call, uint32_t step,
			    uint32_t after, uint32_t ms)
{
	call.stop = (struct kvmplay_stop){
		.step = step, .after = after, .ms = ms,
	};
	return call;
}

static void run_on(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity: %s", strerror(errno));
}

static void *stopped_main(void *arg)
{
	struct stopped *s = arg;

	run_on(1);
	expect(play(s->g->fd, KVMPLAY_CALL, &s->call), 0);
	return NULL;
}

/*
 * Make the call on the second processor, and return when the call has stopped. The second
 * processor then spins, so this thread stays on the first processor.
 */
void stop_call(struct stopped *s, struct guest *g, struct kvmplay_call call)
{
	need_two_processors();
	run_on(0);
	s->g = g;
	s->call = call;
	if (pthread_create(&s->thread, NULL, stopped_main, s))
		fail("pthread_create");
	if (play(g->fd, KVMPLAY_WAIT_STOPPED, (void *)patient_ms(5000)))
		fail("inconclusive: the hypercall did not stop at step %u",
		     call.stop.step);
}

bool is_stopped(struct guest *g)
{
	return !play(g->fd, KVMPLAY_WAIT_STOPPED, NULL);
}

/* Let the call continue, if it is still stopped, and return its result */
long release_call(struct stopped *s)
{
	expect_either(play(s->g->fd, KVMPLAY_RELEASE, NULL), 0, -ENOENT);
	if (pthread_join(s->thread, NULL))
		fail("pthread_join");
	expect_no_odds(s->call.odds);
	return s->call.ret;
}

/*
 * Counters, and messages of the tripwire
 */

struct before before_all(void)
{
	return (struct before){
		.ledger = ledger(),
		.refs = backend_module ? module_refs(backend_module) : 0,
	};
}

/* Return the growth of the backend's use count */
int refs_more_than(struct before before)
{
	return (backend_module ? module_refs(backend_module) : 0) - before.refs;
}

bool as_before(void *arg)
{
	struct before *before = arg;
	struct ledger now = ledger();

	return now.vmlck == before->ledger.vmlck &&
	       now.pins == before->ledger.pins && !refs_more_than(*before);
}

static bool is_locked(void *bytes)
{
	return vmlck() == *(int64_t *)bytes;
}

void expect_locked_soon(int64_t bytes)
{
	expect_soon("the table's charge is refunded", is_locked, &bytes);
}

unsigned int tripped(int log)
{
	char record[LOG_RECORD];
	unsigned int lines = 0;

	while (next_record(log, record))
		lines += !!strstr(record, "vfio_spapr_tce2: KVM uses the TCE table");
	return lines;
}

void need_kernel_maps(void)
{
	if (under_hypervisor())
		skip("on pseries KVM does not map in the kernel");
}

/* Set a parameter of the module under test */
void set_parameter(const char *name, const char *value)
{
	size_t len = strlen(value);
	char path[128];
	int fd;

	snprintf(path, sizeof(path),
		 "/sys/module/vfio_spapr_tce2/parameters/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	if (write(fd, value, len) != (ssize_t)len)
		fail("%s: cannot write %s: %s", path, value, strerror(errno));
	close(fd);
}
