// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: the change of owner. A process takes over the container of another process,
 * which has offered it, has ended, or has executed another program, while the device goes
 * on. The in-tree driver does not have these requests.
 */
#define _GNU_SOURCE
#include "conformance_kvm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../include/uapi/vfio_spapr_tce2.h"

#define SIZE	MIB(1)

static int offer_owner(int fd, uint32_t flags)
{
	struct vfio_tce2_owner request = { .argsz = sizeof(request), .flags = flags };

	return call(fd, VFIO_TCE2_OFFER_OWNER, &request);
}

static int take_owner(int fd)
{
	struct vfio_tce2_owner request = { .argsz = sizeof(request) };

	return call(fd, VFIO_TCE2_TAKE_OWNER, &request);
}

FIXTURE(owner);

/* The memory of the test, mapped at IOVA. Its device has been opened. */
static uint8_t *shared;
static int file;

FIXTURE_SETUP(owner)
{
	if (!check_extension(v->fd, VFIO_TCE2_OWNER))
		skip("the backend has no change of owner");
	file = memfd_create("tce2", 0);
	if (file < 0 || ftruncate(file, SIZE))
		fail("cannot create a file");
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (shared == MAP_FAILED)
		fail("cannot map the file");
	expect(spapr_register(v->fd, shared, SIZE), 0);
	expect(dma_map(v->fd, IOVA, shared, SIZE, READ_WRITE), 0);
	device(v, 0);
}

FIXTURE_TEARDOWN(owner)
{
}

static void expect_stranger(struct vfio *v)
{
	uint8_t *ua = memory(base_page());

	expect(spapr_register(v->fd, ua, base_page()), -EPERM);
	expect(spapr_unregister(v->fd, shared, SIZE), -EPERM);
	expect(dma_map(v->fd, IOVA, shared, base_page(), READ_WRITE), -EPERM);
	expect(dma_unmap(v->fd, IOVA, base_page()), -EPERM);
	expect(window_remove(v->fd, 0), -EPERM);
	expect(offer_owner(v->fd, 0), -EPERM);
	expect(munmap(ua, base_page()), 0);
}

/* Use the container as its owner; the mapping at IOVA stays */
static void expect_owner(struct vfio *v)
{
	uint8_t *ua = registered(v, base_page());

	device_reaches(v, 0, IOVA, shared);
	device_reaches(v, 0, IOVA + SIZE - base_page(), shared + SIZE - base_page());
	expect(dma_map(v->fd, SINK_IOVA, ua, base_page(), READ_WRITE), 0);
	device_reaches(v, 0, SINK_IOVA, ua);
	expect(dma_unmap(v->fd, SINK_IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	expect(dma_map(v->fd, IOVA, shared, base_page(), READ_WRITE), 0);
}

static void take_and_use(void *arg)
{
	struct vfio *v = arg;
	int64_t pinned = pins();

	expect(take_owner(v->fd), 0);
	expect(pins(), pinned);
	if (vmlck() < (int64_t)SIZE)
		fail("expected the memory to be charged to the new owner, VmLck is %lld",
		     (long long)vmlck());
	expect_owner(v);
	expect(take_owner(v->fd), 0);
}

TEST_F(owner, a_child_takes_over_the_offered_container_of_its_parent)
{
	expect(offer_owner(v->fd, 0), 0);
	in_child(take_and_use, v);
	expect(vmlck(), 0);
	expect_stranger(v);
	/* The child has ended, so the parent can take the container over */
	take_and_use(v);
}

static void take_busy(void *arg)
{
	struct vfio *v = arg;

	expect(take_owner(v->fd), -EBUSY);
}

static bool is_taken(void *arg)
{
	struct vfio *v = arg;

	return !take_owner(v->fd);
}

static void take_kvms_mappings(void *arg)
{
	struct vfio *v = arg;

	/* KVM puts its reference to the table in an RCU callback */
	expect_soon("KVM has detached", is_taken, v);
	device_reaches(v, 0, GUEST_IOBA, shared);
	expect(dma_unmap(v->fd, GUEST_IOBA, TCE_4K), 0);
	expect(dma_map(v->fd, GUEST_IOBA, shared, TCE_4K, READ_WRITE), 0);
	expect_owner(v);
}

/* A guest of KVM ends with the old program, but its mappings stay */
TEST_F(owner, a_child_takes_over_memory_that_kvm_has_mapped)
{
	struct guest g = guest_in_window(v, 12, 12);

	need_kernel_maps();
	expect(dma_map(v->fd, ARM_IOBA, shared, base_page(), READ_WRITE), 0);
	expect(put(&g, GUEST_IOBA, shared, READ_WRITE), 0);
	expect(is_shared(&g, shared, SIZE), true);
	expect(offer_owner(v->fd, 0), 0);
	in_child(take_busy, v);
	guest_detach(&g, 0);
	in_child(take_kvms_mappings, v);
	expect(is_shared(&g, shared, SIZE), false);
	expect(vmlck(), 0);
	take_and_use(v);
	guest_close(&g);
}

static void take_refused(void *arg)
{
	struct vfio *v = arg;

	expect(take_owner(v->fd), -EPERM);
	expect_stranger(v);
	expect(vmlck(), 0);
}

TEST_F(owner, a_container_that_is_not_offered_stays_with_its_process)
{
	in_child(take_refused, v);
	expect(offer_owner(v->fd, 0), 0);
	expect(offer_owner(v->fd, VFIO_TCE2_OFFER_WITHDRAW), 0);
	in_child(take_refused, v);
	expect_owner(v);
}

static void take_without_pages(void *arg)
{
	struct vfio *v = arg;

	expect(take_owner(v->fd), -EFAULT);
	expect(munmap(shared + SIZE - base_page(), base_page()), 0);
	expect(take_owner(v->fd), -EFAULT);
	expect(vmlck(), 0);
}

/* Private memory: the child has a copy of each page */
TEST_F(owner, a_child_with_copies_of_the_pages_is_refused)
{
	uint8_t *ua = registered(v, base_page());

	expect(offer_owner(v->fd, 0), 0);
	in_child(take_without_pages, v);
	expect(offer_owner(v->fd, VFIO_TCE2_OFFER_WITHDRAW), 0);
	unregister_ok(v, ua, base_page());
	expect_owner(v);
}

static void take_read_only(void *arg)
{
	struct vfio *v = arg;

	expect(mprotect(shared, base_page(), PROT_READ), 0);
	expect(take_owner(v->fd), -EFAULT);
	expect(mprotect(shared, base_page(), PROT_READ | PROT_WRITE), 0);
	expect(take_owner(v->fd), 0);
}

TEST_F(owner, a_process_that_may_not_write_to_the_pages_is_refused)
{
	expect(offer_owner(v->fd, 0), 0);
	in_child(take_read_only, v);
}

static void take_over_limit(void *arg)
{
	struct rlimit limit = { SIZE, SIZE };
	struct vfio *v = arg;

	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		fail("setrlimit: %s", strerror(errno));
	/* Without CAP_IPC_LOCK, which root has */
	if (setuid(1000))
		fail("setuid: %s", strerror(errno));
	expect(take_owner(v->fd), -ENOMEM);
	expect(vmlck(), 0);
}

/* The table of the default window does not fit into the limit */
TEST_F(owner, take_owner_above_the_new_processs_memlock_limit_returns_enomem)
{
	expect(offer_owner(v->fd, 0), 0);
	in_child(take_over_limit, v);
	expect(offer_owner(v->fd, VFIO_TCE2_OFFER_WITHDRAW), 0);
	expect_owner(v);
}

/*
 * Exec. A child opens a container, maps a file and executes this program again. The new
 * program maps the file at the same address, and takes the container over.
 */
static void exec_update(void *arg)
{
	struct vfio *v = arg;
	char words[4][24];

	open_container(v, 0);
	owner_setup(v);
	pattern_fill(shared, PROBE, 4711);
	fcntl(v->fd, F_SETFD, 0);
	fcntl(v->group[0], F_SETFD, 0);
	fcntl(v->edu[0].fd, F_SETFD, 0);
	fcntl(file, F_SETFD, 0);
	snprintf(words[0], sizeof(words[0]), "%d", v->fd);
	snprintf(words[1], sizeof(words[1]), "%d", v->edu[0].fd);
	snprintf(words[2], sizeof(words[2]), "%d", file);
	snprintf(words[3], sizeof(words[3]), "%p", (void *)shared);
	execl("/proc/self/exe", "conformance", "--after-update", words[0], words[1],
	      words[2], words[3], NULL);
	fail("exec: %s", strerror(errno));
}

/* The new program's part: main() calls this function for the option --after-update */
int after_update(int argc, char **argv)
{
	struct vfio v;
	void *where;

	if (argc != 6)
		return 1;
	vfio_init(&v);
	v.fd = atoi(argv[2]);
	file = atoi(argv[4]);
	where = (void *)strtoul(argv[5], NULL, 0);
	expect_stranger(&v);
	expect(take_owner(v.fd), -EFAULT);
	shared = mmap(where, SIZE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
	if (shared == MAP_FAILED)
		fail("cannot map the file");
	expect(edu_adopt(&v.edu[0], atoi(argv[3])), 0);
	if (!pattern_is(shared, PROBE, 4711))
		fail("the file does not have the old program's data");
	take_and_use(&v);
	return 0;
}

TEST(after_exec_the_new_program_takes_the_container_over, .setup = BARE)
{
	struct found before = found();
	struct vfio probe;

	vfio_init(&probe);
	open_container(&probe, 0);
	if (!check_extension(probe.fd, VFIO_TCE2_OWNER))
		skip("the backend has no change of owner");
	vfio_close(&probe);
	in_child(exec_update, v);
	expect_soon("pages unpinned, backend unused", as_found, &before);
}

TEST_F(owner, bad_requests_are_refused)
{
	struct vfio_tce2_owner request = { .argsz = sizeof(request) - 1 };

	expect(call(v->fd, VFIO_TCE2_OFFER_OWNER, &request), -EINVAL);
	expect(call(v->fd, VFIO_TCE2_TAKE_OWNER, &request), -EINVAL);
	expect(offer_owner(v->fd, 2), -EINVAL);
	request = (struct vfio_tce2_owner){ .argsz = sizeof(request), .flags = 1 };
	expect(call(v->fd, VFIO_TCE2_TAKE_OWNER, &request), -EINVAL);
	/* The second half of the request is in a page that does not exist */
	request.argsz = sizeof(request);
	expect(call(v->fd, VFIO_TCE2_OFFER_OWNER, at_page_end(&request, 4)), -EFAULT);
	expect(call(v->fd, VFIO_TCE2_TAKE_OWNER, at_page_end(&request, 4)), -EFAULT);
	expect(call(v->fd, VFIO_TCE2_TAKE_OWNER, NULL), -EFAULT);
	expect(take_owner(v->fd), 0);
}

TEST(a_container_that_was_never_used_has_no_owner)
{
	if (!check_extension(v->fd, VFIO_TCE2_OWNER))
		skip("the backend has no change of owner");
	expect(offer_owner(v->fd, 0), -EINVAL);
	expect(take_owner(v->fd), -EINVAL);
}

/* Take over and map and unmap, while the other process does the same */
struct duel {
	struct vfio *v;
	int64_t taken;
	int64_t mapped;
};

static void fight(struct duel *duel)
{
	struct vfio *v = duel->v;
	int ret = take_owner(v->fd);

	if (ret && ret != -EPERM && ret != -EBUSY)
		fail("TAKE_OWNER returned %d", ret);
	duel->taken += !ret;
	ret = dma_unmap(v->fd, IOVA, base_page()) ?:
	      dma_map(v->fd, IOVA, shared, base_page(), READ_WRITE);
	if (ret && ret != -EPERM)
		fail("MAP_DMA or UNMAP_DMA returned %d", ret);
	duel->mapped += !ret;
	ret = offer_owner(v->fd, 0);
	if (ret && ret != -EPERM)
		fail("OFFER_OWNER returned %d", ret);
	race_turn();
}

static void fight_in_child(void *arg)
{
	while (race_goes_on())
		fight(arg);
}

TEST_F(owner, two_processes_take_a_container_from_each_other,
       .race = "TAKE_OWNER, MAP_DMA and UNMAP_DMA of two processes", .with_others = true)
{
	struct duel duel = { .v = v };
	int pid;

	need_two_processors();
	expect(offer_owner(v->fd, 0), 0);
	race_has_threads(2);
	pid = start_child(fight_in_child, &duel);
	while (race_goes_on())
		fight(&duel);
	expect_child_ok(pid);
	race_saw("containers taken over", duel.taken);
	/* The child has ended, or has offered the container */
	expect(take_owner(v->fd), 0);
	expect_owner(v);
}

/* Map, unmap, register and unregister, also while another process owns the container */
static void use_anyway(struct workers *workers, int number)
{
	uint64_t iova = IOVA + MIB(4) * (1 + number);
	struct vfio *v = workers->v;
	int ret;

	ret = dma_map(v->fd, iova, shared, base_page(), READ_WRITE);
	expect_either(ret, 0, -EPERM);
	ret = dma_map(v->fd, iova, shared, (2 + number) * base_page(), READ_WRITE);
	expect_either(ret, 0, -EPERM);
	ret = dma_unmap(v->fd, iova, (2 + number) * base_page());
	expect_either(ret, 0, -EPERM);
	if (number)
		return;
	ret = spapr_register(v->fd, workers->arg, base_page());
	if (ret != -EBUSY)
		expect_either(ret, 0, -EPERM);
	ret = spapr_unregister(v->fd, workers->arg, base_page());
	/* The registration may have been refused, or an earlier one may be left */
	if (ret != -ENOENT)
		expect_either(ret, 0, -EPERM);
}

/* Take the container over while threads of the old owner use it, and leave it without owner */
static void take_from_threads(void *arg)
{
	struct vfio *v = arg;
	uint64_t iova = IOVA + MIB(2);

	expect(take_owner(v->fd), 0);
	for (int i = 0; i < 3; i++) {
		expect(dma_map(v->fd, iova, shared, base_page(), READ_WRITE), 0);
		expect(dma_unmap(v->fd, iova, base_page()), 0);
	}
	if (vmlck() < (int64_t)SIZE)
		fail("expected the memory to be charged to the new owner");
}

TEST_F(owner, a_child_takes_the_container_over_from_threads_of_its_parent,
       .race = "TAKE_OWNER, MAP_DMA, UNMAP_DMA, REGISTER_MEMORY and UNREGISTER_MEMORY",
       .with_others = true)
{
	struct workers workers = { .v = v, .arg = shared_memory(base_page()) };
	unsigned long taken = 0;

	workers_start(&workers, race_threads(), use_anyway);
	while (race_round()) {
		expect(offer_owner(v->fd, 0), 0);
		in_child(take_from_threads, v);
		/* The child has ended */
		expect(take_owner(v->fd), 0);
		taken++;
	}
	workers_stop(&workers);
	race_saw("containers taken over", taken);
	spapr_unregister(v->fd, workers.arg, base_page());
	expect_owner(v);
}
