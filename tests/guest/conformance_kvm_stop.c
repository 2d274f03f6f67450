// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: TCE hypercalls at the same time as other requests. The first tests force
 * each interleaving that matters: a hypercall stops between two hooks on one processor,
 * while a thread on another processor makes a request. Other tests make random hypercalls.
 *
 * Names of the hooks, from tests/kvmplay/kvmplay.h: a map calls M1 (useraddrptr()), X1
 * (xchg_no_kill()) and K (tce_kill()). An unmap calls X0 (xchg_no_kill()) and K. XR is the
 * xchg_no_kill() that restores an entry after an unmap was refused.
 *
 * If a request must wait for the hypercall, the stop is short and ends after SHORT_STOP. If
 * a request must not wait, the stop is long, and the test ends it (release_call()).
 */
#define _GNU_SOURCE
#define TEST_ORDER AFTER_OTHERS
#include "conformance_kvm.h"

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEAKS	"KVM leaks counts and releases memory late"

#define SIZE		KIB(512)
#define TCES(size)	((size) / TCE_4K)
#define SINK_IOBA	(WINDOW1_START + MIB(768))

static struct kvmplay_call put_none_of(uint64_t ioba)
{
	return put_of(ioba, NULL, 0);
}

/*
 * A map that is stopped between M1 and K has locked its leaf
 */

static const uint32_t in_map[] = {
	KVMPLAY_M1, KVMPLAY_LOOKUP, KVMPLAY_INC, KVMPLAY_X1, KVMPLAY_STORE,
};

TEST_F(kernel_guest, an_unmap_ioctl_waits_for_a_map_by_kvm, .intree = LEAKS, .crashes = true)
{
	uint8_t *ua = registered(v, SIZE);
	struct stopped s;

	for (size_t i = 0; i < ARRAY_SIZE(in_map); i++) {
		stop_call(&s, &guest, stop_at(put_of(GUEST_IOBA, ua, READ_WRITE),
					      in_map[i], AFTER, SHORT_STOP));
		expect(dma_unmap(v->fd, GUEST_IOBA, TCE_4K), 0);
		expect(is_stopped(&guest), false);
		expect(release_call(&s), 0);
		expect(is_mapped(&guest, GUEST_IOBA), false);
		unregister_ok(v, ua, SIZE);
		expect(spapr_register(v->fd, ua, SIZE), 0);
	}
}

TEST_F(kernel_guest, a_map_ioctl_waits_for_a_map_by_kvm, .intree = LEAKS, .crashes = true)
{
	uint8_t *a = registered(v, SIZE), *b = registered(v, SIZE);
	struct stopped s;

	for (size_t i = 0; i < ARRAY_SIZE(in_map); i++) {
		stop_call(&s, &guest, stop_at(put_of(GUEST_IOBA, a, READ_WRITE),
					      in_map[i], AFTER, SHORT_STOP));
		expect(dma_map(v->fd, GUEST_IOBA, b, SIZE, READ_WRITE), 0);
		expect(is_stopped(&guest), false);
		expect(release_call(&s), 0);
		device_reaches(v, 0, GUEST_IOBA, b);
		unregister_ok(v, a, SIZE);
		expect(spapr_register(v->fd, a, SIZE), 0);
		expect(dma_unmap(v->fd, GUEST_IOBA, SIZE), 0);
	}
}

/*
 * The address of a thread's task_struct selects one of 256 brackets (src/kvm.c). A hook
 * declines if another thread uses the bracket. Threads that exist at the same time have
 * different addresses, so one of several threads finds a free bracket.
 */
#define PUTTERS	8

struct putters {
	struct guest *g;
	uint64_t ioba;
	const uint8_t *ua;
	long ret;
	sem_t done, end;
};

static void *put_main(void *arg)
{
	struct putters *p = arg;

	p->ret = put(p->g, p->ioba, p->ua, READ_WRITE);
	sem_post(&p->done);
	sem_wait(&p->end);
	return NULL;
}

/* Make H_PUT_TCE in a new thread; if it returns H_TOO_HARD, repeat it in another thread */
static long put_by_threads(struct guest *g, uint64_t ioba, const uint8_t *ua)
{
	struct putters p = { .g = g, .ioba = ioba, .ua = ua, .ret = TOO_HARD };
	pthread_t threads[PUTTERS];
	int n = 0;

	sem_init(&p.done, 0, 0);
	sem_init(&p.end, 0, 0);
	while (p.ret == TOO_HARD && n < PUTTERS) {
		if (pthread_create(&threads[n++], NULL, put_main, &p))
			fail("pthread_create");
		sem_wait(&p.done);
	}
	for (int i = 0; i < n; i++)
		sem_post(&p.end);
	for (int i = 0; i < n; i++)
		if (pthread_join(threads[i], NULL))
			fail("pthread_join");
	return p.ret;
}

TEST_F(kernel_guest, requests_for_other_leaves_do_not_wait_for_a_map_by_kvm)
{
	uint8_t *ua = registered(v, SIZE);
	uint64_t other = GUEST_IOBA + MIB(2);
	struct stopped s;

	stop_call(&s, &guest, stop_at(put_of(GUEST_IOBA, ua, READ_WRITE),
				      KVMPLAY_X1, AFTER, LONG_STOP));
	expect(dma_map(v->fd, other, ua, SIZE, READ_WRITE), 0);
	expect(put_by_threads(&guest, other, ua + TCE_4K), 0);
	expect(stuff(&guest, other + TCE_4K, 1), 0);
	expect(dma_unmap(v->fd, other, SIZE), 0);
	expect(is_stopped(&guest), true);
	expect(release_call(&s), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
}

TEST_F(kernel_guest, two_maps_of_one_entry_by_kvm_are_serialized,
       .intree = LEAKS, .crashes = true)
{
	uint8_t *a = registered(v, SIZE), *b = registered(v, SIZE);
	struct stopped s;

	for (size_t i = 0; i < ARRAY_SIZE(in_map); i++) {
		stop_call(&s, &guest, stop_at(put_of(GUEST_IOBA, a, READ_WRITE),
					      in_map[i], AFTER, LONG_STOP));
		expect(put(&guest, GUEST_IOBA, b, READ_WRITE), TOO_HARD);
		expect(put(&guest, GUEST_IOBA + TCE_4K, b, READ_WRITE), TOO_HARD);
		unregister_ok(v, b, SIZE);
		expect(release_call(&s), 0);
		device_reaches(v, 0, GUEST_IOBA, a);
		expect(is_mapped(&guest, GUEST_IOBA + TCE_4K), false);
		expect(spapr_register(v->fd, b, SIZE), 0);
		expect(put_none(&guest, GUEST_IOBA), 0);
	}
	unregister_ok(v, a, SIZE);
}

TEST_F(kernel_guest, an_unmap_by_kvm_cannot_interrupt_its_map, .intree = LEAKS, .crashes = true)
{
	uint8_t *old = registered(v, SIZE), *ua = registered(v, SIZE);
	struct stopped s;

	for (size_t i = 0; i < ARRAY_SIZE(in_map); i++) {
		expect(dma_map(v->fd, GUEST_IOBA, old, SIZE, READ_WRITE), 0);
		stop_call(&s, &guest, stop_at(put_of(GUEST_IOBA, ua, READ_WRITE),
					      in_map[i], AFTER, LONG_STOP));
		expect(stuff(&guest, GUEST_IOBA, TCES(SIZE)), TOO_HARD);
		expect(put_none(&guest, GUEST_IOBA), TOO_HARD);
		expect(release_call(&s), 0);
		device_reaches(v, 0, GUEST_IOBA, ua);
		device_reaches(v, 0, GUEST_IOBA + TCE_4K, old + TCE_4K);
		expect(stuff(&guest, GUEST_IOBA, TCES(SIZE)), 0);
	}
	unregister_ok(v, ua, SIZE);
	unregister_ok(v, old, SIZE);
}

/*
 * UNREGISTER_MEMORY during a map by KVM
 */

/* Check that memory can be registered, mapped by KVM, and unregistered */
static void expect_usable(struct vfio *v, struct guest *g, uint8_t *ua)
{
	expect(spapr_register(v->fd, ua, SIZE), 0);
	expect(put(g, GUEST_IOBA, ua, READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(put_none(g, GUEST_IOBA), 0);
	unregister_ok(v, ua, SIZE);
}

/* Unregister before KVM counts the page: the request succeeds, and KVM maps nothing */
static void unregister_wins(struct vfio *v, uint32_t step)
{
	struct guest g = guest_armed(v);
	uint8_t *ua = registered(v, SIZE);
	int64_t before = vmlck();
	struct stopped s;

	need_kernel_maps();
	stop_call(&s, &g, stop_at(put_of(GUEST_IOBA, ua, READ_WRITE), step,
				  AFTER, LONG_STOP));
	unregister_ok(v, ua, SIZE);
	expect(is_stopped(&g), true);
	expect(release_call(&s), TOO_HARD);
	expect(is_mapped(&g, GUEST_IOBA), false);
	expect(before - vmlck(), SIZE);
	expect_usable(v, &g, ua);
	guest_close(&g);
}

/*
 * Unregister after KVM has counted the page. The request may wait for the end of the map. Its
 * answer shows whether KVM has kept the count.
 */
static void unregister_loses(struct vfio *v, uint32_t step)
{
	struct guest g = guest_armed(v);
	uint8_t *ua = registered(v, SIZE);
	int64_t before = vmlck();
	struct stopped s;

	need_kernel_maps();
	stop_call(&s, &g, stop_at(put_of(GUEST_IOBA, ua, READ_WRITE), step,
				  AFTER, SHORT_STOP));
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(release_call(&s), 0);
	expect(vmlck(), before);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(put_none(&g, GUEST_IOBA), 0);
	unregister_ok(v, ua, SIZE);
	expect(before - vmlck(), SIZE);
	expect_usable(v, &g, ua);
	guest_close(&g);
}

TEST(unregister_between_begin_and_lookup_succeeds_and_kvm_maps_nothing, .intree = "defect 18")
{
	unregister_wins(v, KVMPLAY_M1);
}

TEST(unregister_between_lookup_and_count_succeeds_and_kvm_maps_nothing,
     .intree = LEAKS, .crashes = true)
{
	unregister_wins(v, KVMPLAY_LOOKUP);
}

TEST(unregister_after_kvms_count_returns_ebusy, .intree = LEAKS)
{
	unregister_loses(v, KVMPLAY_INC);
}

TEST(unregister_after_kvms_tce_exchange_returns_ebusy, .intree = LEAKS)
{
	unregister_loses(v, KVMPLAY_X1);
}

TEST(unregister_before_tce_kill_returns_ebusy, .intree = LEAKS)
{
	unregister_loses(v, KVMPLAY_STORE);
}

/* KASAN reports an error if KVM uses a region that was freed */
TEST_F(kernel_guest, memory_may_be_registered_again_before_kvm_counts_it,
       .intree = LEAKS, .crashes = true)
{
	uint8_t *ua = registered(v, SIZE);
	struct stopped s;
	long ret;

	stop_call(&s, &guest, stop_at(put_of(GUEST_IOBA, ua, READ_WRITE),
				      KVMPLAY_LOOKUP, AFTER, LONG_STOP));
	if (spapr_unregister(v->fd, ua, SIZE))
		fail("inconclusive: the memory could not be unregistered");
	expect(spapr_register(v->fd, ua, SIZE), 0);
	ret = release_call(&s);
	expect_either(ret, 0, TOO_HARD);
	expect(is_mapped(&guest, GUEST_IOBA), !ret);
	expect(put_none(&guest, GUEST_IOBA), 0);
	unregister_ok(v, ua, SIZE);
}

TEST_F(kernel_guest, memory_that_kvm_replaces_can_be_unregistered_after_tce_kill, .intree = LEAKS)
{
	uint8_t *a = registered(v, SIZE), *b = registered(v, SIZE);
	struct stopped s;

	expect(put(&guest, GUEST_IOBA, a, READ_WRITE), 0);
	stop_call(&s, &guest, stop_at(put_of(GUEST_IOBA, b, READ_WRITE),
				      KVMPLAY_STORE, AFTER, LONG_STOP));
	expect(spapr_unregister(v->fd, a, SIZE), -EBUSY);
	expect(is_stopped(&guest), true);
	expect(release_call(&s), 0);

	stop_call(&s, &guest, stop_at(put_of(GUEST_IOBA, a, READ_WRITE),
				      KVMPLAY_K, AFTER, LONG_STOP));
	unregister_ok(v, b, SIZE);
	expect(is_stopped(&guest), true);
	expect(release_call(&s), 0);
	device_reaches(v, 0, GUEST_IOBA, a);
}

/*
 * TCE_REMOVE and close of the container during a hypercall
 */

TEST(tce_remove_waits_until_kvms_map_is_done, .intree = LEAKS, .crashes = true)
{
	int64_t before = windows_made(v);
	struct guest g = guest_armed(v);
	uint8_t *ua = registered(v, SIZE);
	struct stopped s;

	need_kernel_maps();
	stop_call(&s, &g, stop_at(put_of(GUEST_IOBA, ua, READ_WRITE),
				  KVMPLAY_X1, AFTER, SHORT_STOP));
	expect(window_remove(v->fd, WINDOW1_START), 0);
	expect(is_stopped(&g), false);
	expect(release_call(&s), 0);
	expect(is_mapped(&g, GUEST_IOBA), false);
	unregister_ok(v, ua, SIZE);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	guest_close(&g);
	expect_locked_soon(before + base_page());
}

TEST(close_waits_until_kvms_map_is_done,
     .setup = BARE, .intree = LEAKS, .crashes = true)
{
	struct before before = before_all();
	struct stopped s;
	struct guest g;
	uint8_t *ua;

	need_kernel_maps();
	open_container(v, 0);
	g = guest_armed(v);
	ua = registered(v, SIZE);
	stop_call(&s, &g, stop_at(put_of(GUEST_IOBA, ua, READ_WRITE),
				  KVMPLAY_X1, AFTER, SHORT_STOP));
	vfio_close(v);
	expect(is_stopped(&g), false);
	expect(release_call(&s), 0);
	expect(is_mapped(&g, GUEST_IOBA), false);
	guest_close(&g);
	expect_soon("all resources are released", as_before, &before);
}

/* Remove the window while the call is stopped between two hooks, with no lock held */
static void remove_during(struct vfio *v, struct kvmplay_call call,
			  uint32_t step, uint32_t side, long want)
{
	int64_t before = windows_made(v);
	struct guest g = guest_in_window(v, 12, 12);
	uint8_t *ua = mapped(v, GUEST_IOBA, SIZE);
	struct stopped s;

	if (call.tce)
		call.tce = (uintptr_t)ua | READ_WRITE;
	call.flags |= KVMPLAY_NO_VALIDATE;
	stop_call(&s, &g, stop_at(call, step, side, LONG_STOP));
	expect(window_remove(v->fd, WINDOW1_START), 0);
	unregister_ok(v, ua, SIZE);
	expect(is_stopped(&g), true);
	expect(release_call(&s), want);
	guest_close(&g);
	expect_locked_soon(before);
}

TEST(tce_remove_before_kvm_begins_a_map_leaves_nothing_to_map, .intree = LEAKS, .crashes = true)
{
	remove_during(v, put_of(GUEST_IOBA, (void *)1, 0), KVMPLAY_M1, BEFORE,
		      TOO_HARD);
}

TEST(tce_remove_during_an_unmap_by_kvm_leaves_nothing_to_unmap, .intree = LEAKS, .crashes = true)
{
	remove_during(v, put_none_of(GUEST_IOBA), KVMPLAY_X0, BEFORE, 0);
	remove_during(v, put_none_of(GUEST_IOBA), KVMPLAY_X0, AFTER, 0);
	remove_during(v, put_none_of(GUEST_IOBA), KVMPLAY_K, BEFORE, 0);
}

TEST(tce_remove_before_the_cleanup_leaves_no_entry_to_unmap,
     .intree = LEAKS, .crashes = true)
{
	if (under_hypervisor())
		remove_during(v, put_of(GUEST_IOBA, (void *)1, 0), KVMPLAY_ZAP,
			      BEFORE, TOO_HARD);
	else
		skip("on powernv maps do not fail");
}

/* KVM puts the last reference to the table in a softirq after the hypercall */
TEST(kvm_may_put_the_last_reference_after_a_call, .intree = LEAKS, .crashes = true)
{
	struct before before;
	struct stopped s;
	struct guest g;
	uint8_t *ua;

	windows_made(v);
	before = before_all();
	g = guest_in_window(v, 12, 12);
	ua = mapped(v, GUEST_IOBA, SIZE);
	stop_call(&s, &g, stop_at(put_none_of(GUEST_IOBA), KVMPLAY_X0, BEFORE,
				  LONG_STOP));
	guest_detach(&g, 0);
	expect(window_remove(v->fd, WINDOW1_START), 0);
	unregister_ok(v, ua, SIZE);
	expect(release_call(&s), 0);
	expect_soon("the table is freed and refunded", as_before, &before);
	guest_close(&g);
}

/*
 * Unmaps that stop between two hooks
 */

/* X0 does the whole unmap and reports an empty entry, so KVM restores no entry later */
TEST_F(guest, memory_can_be_unregistered_before_kvm_finishes_its_unmap,
       .intree = LEAKS, .crashes = true)
{
	struct sink sink = sink_at(v, SINK_IOBA);
	uint8_t *ua = mapped(v, GUEST_IOBA, TCE_4K < base_page() ?
					    base_page() : TCE_4K);
	struct stopped s;

	expect(stuff(&guest, GUEST_IOBA + TCE_4K, TCES(base_page())), 0);
	stop_call(&s, &guest, stop_at(put_none_of(GUEST_IOBA), KVMPLAY_X0, AFTER,
				      LONG_STOP));
	device_cannot_reach(v, 0, GUEST_IOBA, ua, &sink);
	expect(dma_unmap(v->fd, GUEST_IOBA, base_page()), 0);
	unregister_ok(v, ua, base_page());
	expect(is_stopped(&guest), true);
	expect(release_call(&s), 0);
	expect(s.call.steps[KVMPLAY_XR], 0);
	expect(is_mapped(&guest, GUEST_IOBA), false);
}

/* K is called after the entry was mapped again, and must not change the entry */
TEST_F(guest, an_unmap_by_kvm_keeps_an_entry_that_was_mapped_before_its_tce_kill,
       .intree = LEAKS, .crashes = true)
{
	uint8_t *a = mapped(v, GUEST_IOBA, SIZE), *b = registered(v, SIZE);
	struct stopped s;

	stop_call(&s, &guest, stop_at(put_none_of(GUEST_IOBA), KVMPLAY_X0, AFTER,
				      LONG_STOP));
	expect(dma_map(v->fd, GUEST_IOBA, b, SIZE, READ_WRITE), 0);
	if (!under_hypervisor())
		expect(put(&guest, GUEST_IOBA, b, READ_WRITE), 0);
	expect(is_stopped(&guest), true);
	expect(release_call(&s), 0);
	device_reaches(v, 0, GUEST_IOBA, b);
	unregister_ok(v, a, SIZE);
	expect(spapr_unregister(v->fd, b, SIZE), -EBUSY);
	expect(stuff(&guest, GUEST_IOBA, TCES(SIZE)), 0);
	unregister_ok(v, b, SIZE);
}

struct put_back {
	struct vfio *v;
	struct guest *g;
	uint8_t *ua;
	bool stopped;
	bool gone;
};

/* Flags in memory that processes share */
static void set(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_SEQ_CST);
}

static bool is_set(bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_SEQ_CST);
}

static bool is_set_soon(void *flag)
{
	return is_set(flag);
}

/* X0 refuses another process's unmap, and KVM then writes the old entry back (XR) */
static void unmap_and_put_back(void *arg)
{
	struct put_back *shared = arg;
	struct stopped s;

	stop_call(&s, shared->g, stop_at(put_none_of(GUEST_IOBA), KVMPLAY_XR,
					 BEFORE, LONG_STOP));
	set(&shared->stopped);
	while (!is_set(&shared->gone))
		usleep(100);
	expect(is_stopped(shared->g), true);
	expect(release_call(&s), TOO_HARD);
	expect(s.call.steps[KVMPLAY_XR], 1);
}

static void puts_back(struct vfio *v, bool one_run)
{
	struct put_back *shared = shared_memory(sizeof(*shared));
	struct guest g = guest_in_window(v, 12, 12);
	struct sink sink = sink_at(v, SINK_IOBA);
	int pid;

	need_two_processors();
	shared->v = v;
	shared->g = &g;
	shared->ua = mapped(v, GUEST_IOBA, SIZE);
	if (!one_run)
		expect(dma_map(v->fd, GUEST_IOBA + SIZE - TCE_4K, shared->ua,
			       TCE_4K, READ_WRITE), 0);
	pid = start_child(unmap_and_put_back, shared);
	expect_soon("the other process's hypercall stops", is_set_soon,
		    &shared->stopped);
	/* X0 was refused, so the device still reaches its page */
	device_reaches(v, 0, GUEST_IOBA, shared->ua);
	expect(dma_unmap(v->fd, GUEST_IOBA, SIZE), 0);
	unregister_ok(v, shared->ua, SIZE);
	set(&shared->gone);
	expect_child_ok(pid);
	expect(is_mapped(&g, GUEST_IOBA), false);
	device_cannot_reach(v, 0, GUEST_IOBA, shared->ua, &sink);
	guest_close(&g);
}

TEST(an_entry_that_kvm_restores_never_outlives_its_memory,
     .intree = LEAKS, .crashes = true, .with_others = true)
{
	puts_back(v, true);
}

TEST(an_entry_that_kvm_restores_in_an_array_never_outlives_its_memory,
     .intree = LEAKS, .crashes = true, .with_others = true)
{
	puts_back(v, false);
}

/*
 * Stops in maps of several IOMMU pages, and in lists of TCEs
 */

/* The last quarter of 1024 pages is not registered; stop before KVM's cleanup (ZAP) */
TEST(the_cleanup_after_an_error_unmaps_exactly_the_mapped_entries,
     .intree = LEAKS, .crashes = true)
{
	struct guest g = guest_in_window(v, 12, 22);
	uint8_t *ua = memory(MIB(4)), *other = registered(v, SIZE);
	struct stopped s;

	need_kernel_maps();
	guest_arm(v);
	expect(spapr_register(v->fd, ua, MIB(3)), 0);
	stop_call(&s, &g, stop_at(put_of(GUEST_IOBA, ua, READ_WRITE),
				  KVMPLAY_ZAP, BEFORE, LONG_STOP));
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(spapr_unregister(v->fd, ua, MIB(3)), -EBUSY);
	expect(dma_unmap(v->fd, GUEST_IOBA, MIB(1)), 0);
	expect(dma_map(v->fd, GUEST_IOBA + MIB(2), other, SIZE, READ_WRITE), 0);
	expect(is_stopped(&g), true);
	expect(release_call(&s), TOO_HARD);
	expect(is_mapped(&g, GUEST_IOBA + MIB(2)), false);
	unregister_ok(v, ua, MIB(3));
	unregister_ok(v, other, SIZE);
	guest_close(&g);
}

/* The map stops at the end of the first leaf, or in the second leaf */
TEST(a_map_across_leaves_can_be_stopped_in_either_leaf, .intree = LEAKS, .crashes = true)
{
	struct guest g = guest_in_window(v, 12, 22);
	struct kvmplay_call call;
	struct stopped s;
	uint8_t *ua;
	long ret;

	need_kernel_maps();
	guest_arm(v);
	ua = registered(v, MIB(4));
	for (uint32_t subpage = 511; subpage < 514; subpage++) {
		call = stop_at(put_of(GUEST_IOBA, ua, READ_WRITE), KVMPLAY_X1,
			       AFTER, SHORT_STOP);
		call.stop.subpage = subpage;
		stop_call(&s, &g, call);
		expect(dma_unmap(v->fd, GUEST_IOBA, MIB(4)), 0);
		expect(is_stopped(&g), false);
		/* The request may lock the second leaf before the map does */
		ret = release_call(&s);
		expect_either(ret, 0, TOO_HARD);
		expect(stuff(&g, GUEST_IOBA, 1), 0);
		unregister_ok(v, ua, MIB(4));
		expect(spapr_register(v->fd, ua, MIB(4)), 0);
	}
	guest_close(&g);
}

/* KVM reads the list twice, and the guest changes the list after the first read */
TEST_F(kernel_guest, a_list_that_changes_after_the_check_maps_nothing_else, .intree = LEAKS)
{
	uint8_t *ua = registered(v, SIZE), *other = memory(SIZE);
	uint64_t list[3];
	struct kvmplay_call call = {
		.op = KVMPLAY_INDIRECT, .flags = KVMPLAY_ATOMIC,
		.ioba = GUEST_IOBA, .list = (uintptr_t)list, .npages = 3,
	};
	struct stopped s;

	for (int i = 0; i < 3; i++)
		list[i] = ((uintptr_t)ua + i * TCE_4K) | READ_WRITE;
	call = stop_at(call, KVMPLAY_VALIDATE, AFTER, LONG_STOP);
	call.stop.tce = 2;
	stop_call(&s, &guest, call);
	list[0] = (uintptr_t)ua;
	list[1] = (uintptr_t)other | READ_WRITE;
	expect(release_call(&s), TOO_HARD);
	expect(s.call.done, 1);
	for (int i = 0; i < 3; i++)
		expect(is_mapped(&guest, GUEST_IOBA + i * TCE_4K), false);
	unregister_ok(v, ua, SIZE);
}

TEST_F(kernel_guest, kvm_may_detach_during_a_map, .intree = LEAKS, .crashes = true)
{
	uint8_t *ua = registered(v, SIZE);
	struct stopped s;

	stop_call(&s, &guest, stop_at(put_of(GUEST_IOBA, ua, READ_WRITE),
				      KVMPLAY_X1, AFTER, LONG_STOP));
	guest_detach(&guest, 0);
	expect(release_call(&s), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(dma_unmap(v->fd, GUEST_IOBA, TCE_4K), 0);
	unregister_ok(v, ua, SIZE);
}

/*
 * Storms: threads that make random hypercalls
 */

#define STORM_MS	40
#define STORM_TCES	1536		/* three leaves */
#define REGIONS		4
#define REGION		KIB(256)

/* Data that the threads of a storm share */
struct storm_state {
	int log;
	struct guest *g;
	uint8_t *ua;
	uint32_t flags;
	uint32_t ms;
	uint64_t calls;
	uint64_t success;
	uint64_t too_hard;
	uint64_t maps;
};

static void add(uint64_t *sum, uint64_t count)
{
	__atomic_fetch_add(sum, count, __ATOMIC_RELAXED);
}

/* Make random hypercalls for a while, without a return to user space */
static void storm(struct workers *workers, int number)
{
	static uint32_t seed = 1;
	struct storm_state *state = workers->arg;
	struct kvmplay_storm storm = {
		.ioba = GUEST_IOBA,
		.ua = (uintptr_t)state->ua,
		.ua_size = (REGIONS + 1) * REGION,
		.entries = STORM_TCES,
		.flags = state->flags | (number % 2 ? KVMPLAY_ATOMIC : 0),
		.ms = state->ms ?: STORM_MS,
		.seed = __atomic_fetch_add(&seed, 1, __ATOMIC_RELAXED),
	};

	expect(call(state->g->fd, KVMPLAY_STORM, &storm), 0);
	for (int i = 0; i < KVMPLAY_ODDS; i++)
		if (storm.odds[i])
			dprintf(STDOUT_FILENO, "# seed %u of thread %d\n",
				storm.seed, number);
	expect_no_odds(storm.odds);
	add(&state->calls, storm.calls);
	add(&state->success, storm.success);
	add(&state->too_hard, storm.too_hard);
	add(&state->maps, storm.maps);
}

/* Print the storm's results. All hooks were in KVM's order, so the tripwire must be silent. */
static void storm_ends(const struct storm_state *state)
{
	expect(tripped(state->log), 0);
	race_saw("hypercalls", state->calls);
	race_saw("hypercalls done in the kernel", state->success);
	race_saw("hypercalls returned H_TOO_HARD", state->too_hard);
	if (!under_hypervisor())
		race_saw("IOMMU pages mapped in the kernel", state->maps);
}

/* Unregister and register memory again, unless an entry maps it */
static void renew(struct vfio *v, uint8_t *region)
{
	int ret = spapr_unregister(v->fd, region, REGION);

	expect_either(ret, 0, -EBUSY);
	race_served(!ret);
	if (!ret)
		expect(spapr_register(v->fd, region, REGION), 0);
}

/* Make requests for the same entries and the same memory */
static void disturb(struct vfio *v, uint8_t *ua, unsigned int *seed)
{
	uint8_t *region = ua + rand_r(seed) % REGIONS * REGION;
	uint64_t iova = GUEST_IOBA + rand_r(seed) % STORM_TCES * TCE_4K;
	uint64_t size = (1 + rand_r(seed) % TCES(REGION)) * TCE_4K;
	unsigned int what = rand_r(seed) % 32;

	if (what < 12)
		expect(dma_unmap(v->fd, iova, size), 0);
	else if (what < 24)
		expect(dma_map(v->fd, iova, region, size, READ_WRITE), 0);
	else
		renew(v, region);
	if (what == 31) {
		/* Unmap all entries first, because nearly always one maps the region */
		expect(dma_unmap(v->fd, GUEST_IOBA, STORM_TCES * TCE_4K), 0);
		renew(v, region);
	}
}

/* Allocate memory, and register all of it except the last REGION bytes */
static uint8_t *storm_memory(struct vfio *v)
{
	uint8_t *ua = memory((REGIONS + 1) * REGION);

	for (int i = 0; i < REGIONS; i++)
		expect(spapr_register(v->fd, ua + i * REGION, REGION), 0);
	return ua;
}

TEST_F(armed_guest, concurrent_hypercalls_and_requests_keep_each_count_exact,
       .race = "TCE hypercalls, map, unmap, register and unregister", .intree = LEAKS,
       .crashes = true)
{
	struct storm_state state = {
		.log = follow_log(), .g = &guest, .ua = storm_memory(v),
	};
	struct workers workers = { .v = v, .arg = &state };
	unsigned int seed = getpid();

	dprintf(STDOUT_FILENO, "# seed %u\n", seed);
	workers_start(&workers, 2, storm);
	while (race_round())
		disturb(v, state.ua, &seed);
	workers_stop(&workers);
	expect(stuff(&guest, GUEST_IOBA, STORM_TCES + TCES(REGION)), 0);
	for (int i = 0; i < REGIONS; i++)
		unregister_ok(v, state.ua + i * REGION, REGION);
	storm_ends(&state);
	race_saw("times memory was unregistered", score->served);
}

/*
 * Hypercalls skip KVM's checks, like hypercalls whose list the guest changes after the
 * checks. A TCE of the guest covers several IOMMU pages, and the table has two levels.
 */
TEST(concurrent_unchecked_hypercalls_keep_each_count_exact,
     .race = "TCE hypercalls without checks, map, unmap, register and unregister",
     .intree = LEAKS, .crashes = true)
{
	unsigned int levels = up_to_levels(v, 2), seed = getpid();
	struct guest g = guest_new(14);
	struct storm_state state = {
		.log = follow_log(), .g = &g, .flags = KVMPLAY_NO_VALIDATE,
	};
	struct workers workers = { .v = v, .arg = &state };
	uint64_t size = levels > 1 ? GUEST_SIZE << 6 : GUEST_SIZE;

	expect(new_window(v, 12, size, levels), WINDOW1_START);
	guest_attach(&g, 0, WINDOW1_START, size);
	guest_arm(v);
	state.ua = storm_memory(v);
	dprintf(STDOUT_FILENO, "# seed %u\n", seed);
	workers_start(&workers, 3, storm);
	while (race_round())
		disturb(v, state.ua, &seed);
	workers_stop(&workers);
	expect(stuff(&g, GUEST_IOBA, STORM_TCES), 0);
	for (int i = 0; i < REGIONS; i++)
		unregister_ok(v, state.ua + i * REGION, REGION);
	storm_ends(&state);
	guest_close(&g);
}

TEST(hypercalls_in_windows_created_and_removed_meanwhile_are_safe,
     .race = "TCE hypercalls, remove and create window", .intree = LEAKS,
     .crashes = true)
{
	uint8_t *ua = storm_memory(v);
	struct storm_state state = { .log = follow_log(), .ua = ua };
	unsigned int seed = getpid();
	int64_t locked;

	dprintf(STDOUT_FILENO, "# seed %u\n", seed);
	locked = windows_made(v);
	while (race_round()) {
		struct workers workers = { .v = v, .arg = &state };
		struct guest g = guest_in_window(v, 12, 12);

		expect(dma_map(v->fd, ARM_IOBA, ua, REGION, READ_WRITE), 0);
		state.g = &g;
		workers_start(&workers, 2, storm);
		usleep(rand_r(&seed) % 20000);
		expect(window_remove(v->fd, WINDOW1_START), 0);
		for (int i = 0; i < REGIONS; i++)
			unregister_ok(v, ua + i * REGION, REGION);
		for (int i = 0; i < REGIONS; i++)
			expect(spapr_register(v->fd, ua + i * REGION, REGION),
			       0);
		workers_stop(&workers);
		guest_close(&g);
		expect_locked_soon(locked);
	}
	storm_ends(&state);
}

/* The group that attaches and detaches shares the table that the hypercalls use */
TEST_F(armed_guest, hypercalls_while_a_group_attaches_and_detaches_are_safe,
       .setup = TWO_GROUPS, .race = "TCE hypercalls, attach and detach of a group",
       .intree = LEAKS, .crashes = true)
{
	struct storm_state state = {
		.log = follow_log(), .g = &guest, .ua = storm_memory(v),
	};
	struct workers workers = { .v = v, .arg = &state };
	uint8_t *stays = mapped(v, SINK_IOBA, base_page());

	workers_start(&workers, 2, storm);
	while (race_round()) {
		expect(vfio_detach(v, 1), 0);
		expect(vfio_attach(v, 1), 0);
		if (score->rounds % 16 == 1)
			device_reaches(v, 1, SINK_IOBA, stays);
	}
	workers_stop(&workers);
	expect(stuff(&guest, GUEST_IOBA, STORM_TCES), 0);
	for (int i = 0; i < REGIONS; i++)
		unregister_ok(v, state.ua + i * REGION, REGION);
	storm_ends(&state);
}

struct references {
	struct guest *g;
	uint32_t refs;
};

static bool has_references(void *arg)
{
	struct references *wanted = arg;

	return table_refs(wanted->g) == wanted->refs;
}

/* Attach another guest's table to the same window, and map the same entries */
TEST_F(armed_guest, hypercalls_while_kvm_attaches_and_detaches_are_safe,
       .race = "TCE hypercalls, attach and detach of KVM", .intree = LEAKS,
       .crashes = true)
{
	struct storm_state state = {
		.log = follow_log(), .g = &guest, .ua = storm_memory(v),
	};
	struct references before = { &guest, table_refs(&guest) };
	struct workers workers = { .v = v, .arg = &state };
	unsigned long mapped = 0;

	workers_start(&workers, 2, storm);
	while (race_round()) {
		struct guest other = guest_new(12);

		guest_attach(&other, 0, WINDOW1_START, GUEST_SIZE);
		mapped += !put(&other, GUEST_IOBA, state.ua, READ_WRITE);
		put_none(&other, GUEST_IOBA);
		if (score->rounds % 2)
			guest_detach(&other, 0);
		close(other.fd);
	}
	workers_stop(&workers);
	expect(stuff(&guest, GUEST_IOBA, STORM_TCES), 0);
	for (int i = 0; i < REGIONS; i++)
		unregister_ok(v, state.ua + i * REGION, REGION);
	storm_ends(&state);
	if (!under_hypervisor())
		race_saw("maps of the other guest", mapped);
	expect_soon("the other guest's references are put", has_references,
		    &before);
}

TEST(hypercalls_while_the_container_closes_are_safe,
     .setup = BARE, .race = "TCE hypercalls, close of the container",
     .intree = LEAKS, .crashes = true)
{
	struct before before = before_all();
	struct storm_state state = { .log = follow_log() };
	unsigned int seed = getpid();

	dprintf(STDOUT_FILENO, "# seed %u\n", seed);
	while (race_round()) {
		struct workers workers = { .v = v, .arg = &state };
		struct guest g;

		open_container(v, 0);
		g = guest_armed(v);
		state.g = &g;
		state.ua = storm_memory(v);
		workers_start(&workers, 2, storm);
		usleep(rand_r(&seed) % 20000);
		vfio_close(v);
		workers_stop(&workers);
		munmap(state.ua, (REGIONS + 1) * REGION);
		if (score->rounds % 2)
			guest_close(&g);
		else
			close(g.fd);
		expect_soon("all resources are released", as_before, &before);
	}
	storm_ends(&state);
}

static void storm_until_killed(void *arg)
{
	struct vfio *v = arg;
	static struct guest g;
	static struct storm_state state;
	static struct workers workers;
	unsigned int seed = getpid();

	open_container(v, 0);
	g = guest_armed(v);
	/* Make short calls, so that some return before the process is killed */
	state = (struct storm_state){ .g = &g, .ms = 4, .ua = storm_memory(v) };
	workers = (struct workers){ .v = v, .arg = &state };
	workers_start(&workers, 2, storm);
	for (;;)
		disturb(v, state.ua, &seed);
}

TEST(a_kill_during_hypercalls_is_safe,
     .setup = BARE, .race = "TCE hypercalls, kill", .intree = LEAKS, .crashes = true)
{
	struct found before = found();

	close(guest_new(12).fd);
	while (race_round()) {
		int pid = start_child(storm_until_killed, v);

		usleep(20000 + score->rounds * 7919 % 80000);
		kill_child(pid);
		expect_soon("pages unpinned, backend unused", as_found,
			    &before);
	}
}

/* Data shared with another process, which makes hypercalls; this process's entries must stay */
struct strangers {
	struct vfio *v;
	struct storm_state state;
	bool stop;
};

static void storm_as_another_process(void *arg)
{
	struct strangers *shared = arg;
	struct workers workers = { .v = shared->v, .arg = &shared->state };

	while (!is_set(&shared->stop)) {
		storm(&workers, 0);
		race_turn();
	}
}

TEST(hypercalls_of_another_process_change_no_entry,
     .race = "TCE hypercalls of another process, map and unmap", .with_others = true,
     .intree = LEAKS, .crashes = true)
{
	struct strangers *shared = shared_memory(sizeof(*shared));
	struct guest g = guest_armed(v);
	uint8_t *ua = storm_memory(v);
	unsigned long stayed = 0;
	int pid;

	*shared = (struct strangers){
		.v = v, .state = { .log = follow_log(), .g = &g, .ua = ua },
	};
	/* These entries turn each leaf of the view into an array */
	for (uint64_t i = 0; i < STORM_TCES; i += 256)
		expect(dma_map(v->fd, GUEST_IOBA + i * TCE_4K, ua, TCE_4K,
			       READ_WRITE), 0);
	pid = start_child(storm_as_another_process, shared);
	race_has_threads(1);
	while (race_round()) {
		uint64_t iova = GUEST_IOBA + score->rounds * 7919 %
				STORM_TCES * TCE_4K;

		expect(dma_map(v->fd, iova, ua, TCE_4K, READ_WRITE), 0);
		sched_yield();
		expect(is_mapped(&g, iova), true);
		stayed++;
		expect(dma_unmap(v->fd, iova, TCE_4K), 0);
		expect(is_mapped(&g, iova), false);
	}
	set(&shared->stop);
	expect_child_ok(pid);
	expect(dma_unmap(v->fd, GUEST_IOBA, STORM_TCES * TCE_4K), 0);
	for (int i = 0; i < REGIONS; i++)
		unregister_ok(v, ua + i * REGION, REGION);
	race_saw("entries stayed", stayed);
	race_saw("hypercalls of the other process", shared->state.calls);
	expect(tripped(shared->state.log), 0);
	guest_close(&g);
}
