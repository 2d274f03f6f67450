// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: user memory that comes late, and may never come. The process serves
 * page faults itself (userfaultfd), so a request that reads, writes or pins such a
 * page takes as long as the process likes; nobody else may have to wait for it.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * A page that is not there before this process lets it come, and who waits: a
 * thread that registers the page, or one with a request that is to be read there
 */
struct late {
	struct vfio *v;
	unsigned long nr;
	uint8_t *page;
	uint8_t *content;
	int fd;
	int ret;
	pthread_t thread;
};

static int userfaultfd(void)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 && errno == ENOSYS)
		skip("the kernel has no userfaultfd");
	return fd;
}

static void begin_late(struct late *late, struct vfio *v)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	late->v = v;
	late->content = memory(base_page());
	memset(late->content, 0, base_page());
	late->page = mmap(NULL, base_page(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (late->page == MAP_FAILED)
		fail("mmap");
	range.range.start = (uintptr_t)late->page;
	range.range.len = base_page();
	late->fd = userfaultfd();
	if (late->fd < 0 || ioctl(late->fd, UFFDIO_API, &api) ||
	    ioctl(late->fd, UFFDIO_REGISTER, &range))
		fail("userfaultfd: %s", strerror(errno));
}

static void start_late(struct late *late, void *(*run)(void *))
{
	struct uffd_msg msg;

	if (pthread_create(&late->thread, NULL, run, late))
		fail("pthread_create");
	if (read(late->fd, &msg, sizeof(msg)) != sizeof(msg))
		fail("no page fault");
}

/* What the thread that waited is answered */
static int end_late(struct late *late)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)late->page,
		.src = (uintptr_t)late->content,
		.len = base_page(),
	};

	if (ioctl(late->fd, UFFDIO_COPY, &copy))
		fail("UFFDIO_COPY: %s", strerror(errno));
	pthread_join(late->thread, NULL);
	close(late->fd);
	return late->ret;
}

static void *register_late(void *arg)
{
	struct late *late = arg;

	late->ret = spapr_register(late->v->fd, late->page, base_page());
	return NULL;
}

static void a_page_that_does_not_come_keeps_nobody_waiting(struct vfio *v)
{
	struct ledger before = ledger();
	struct late late;
	uint8_t *ua;

	begin_late(&late, v);
	start_late(&late, register_late);
	ua = mapped(v, IOVA, base_page());
	expect(spapr_register(v->fd, late.page, base_page()), -EBUSY);
	expect(spapr_unregister(v->fd, late.page, base_page()), -EBUSY);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
	/* The last group goes, and the container with it */
	expect(vfio_detach(v, 0), 0);
	/* A call that failed once its page had come is made again, too late */
	expect_either(end_late(&late), -ENODEV,
		      injecting() ? -EINVAL : -ENODEV);
	expect_ledger("when the page has come", before, 0);
}

static void *ask_late(void *arg)
{
	struct late *late = arg;

	late->ret = call(late->v->fd, late->nr, late->page);
	return NULL;
}

static bool backend_has_refs(void *arg)
{
	return module_refs(backend_module) == *(int *)arg;
}

static void a_request_that_outlives_the_container_keeps_the_module(
	struct vfio *v)
{
	struct late late;
	int refs;

	if (!backend_module)
		skip("any backend may serve it");
	refs = module_refs(backend_module);
	begin_late(&late, v);
	late.nr = VFIO_IOMMU_SPAPR_REGISTER_MEMORY;
	start_late(&late, ask_late);
	expect(vfio_detach(v, 0), 0);
	expect(module_refs(backend_module), refs);
	expect(end_late(&late), -EINVAL);
	refs--;
	expect_soon("the module is let go", backend_has_refs, &refs);
}

/*
 * Another process's request that began before the container was anybody's, and
 * is read when it is this one's
 */
union request {
	struct vfio_iommu_spapr_register_memory memory;
	struct vfio_iommu_spapr_tce_create create;
	struct vfio_iommu_spapr_tce_remove remove;
};

/**
 * struct stranger - that process, in memory shared with it
 * @v: the container
 * @nr: what it asks
 * @request: with what
 * @ret: what it is answered
 * @step: how far the two are
 */
struct stranger {
	struct vfio *v;
	unsigned long nr;
	union request request;
	int ret;
	enum { ASLEEP = 1, BOUND } step;
};

static bool stranger_sleeps(void *arg)
{
	struct stranger *stranger = arg;

	return __atomic_load_n(&stranger->step, __ATOMIC_ACQUIRE) == ASLEEP;
}

static bool owner_has_bound(void *arg)
{
	struct stranger *stranger = arg;

	return __atomic_load_n(&stranger->step, __ATOMIC_ACQUIRE) == BOUND;
}

static void ask_as_a_stranger(void *arg)
{
	struct stranger *stranger = arg;
	struct late late;

	begin_late(&late, stranger->v);
	late.nr = stranger->nr;
	memcpy(late.content, &stranger->request, sizeof(stranger->request));
	start_late(&late, ask_late);
	__atomic_store_n(&stranger->step, ASLEEP, __ATOMIC_RELEASE);
	expect_soon("the container is bound", owner_has_bound, stranger);
	stranger->ret = end_late(&late);
}

static void expect_too_late(struct vfio *v, struct stranger *stranger,
			    uint8_t *ua)
{
	struct ledger before = ledger();
	int pid;

	open_container(v, 0);
	stranger->v = v;
	stranger->step = 0;
	pid = start_child(ask_as_a_stranger, stranger);
	expect_soon("the other process sleeps", stranger_sleeps, stranger);
	expect(spapr_register(v->fd, ua, base_page()), 0);
	__atomic_store_n(&stranger->step, BOUND, __ATOMIC_RELEASE);
	expect_child_ok(pid);
	expect(stranger->ret, -EPERM);
	expect_ledger("the other process refused", before, base_page());
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
	vfio_close(v);
}

static void a_request_that_was_begun_before_the_binding_is_a_strangers(
	struct vfio *v)
{
	struct stranger *stranger = shared_memory(sizeof(*stranger));
	uint8_t *ua = memory(2 * base_page());

	/* Here, as it is not for a child to skip the test */
	close(userfaultfd());
	stranger->request.memory = (struct vfio_iommu_spapr_register_memory){
		.argsz = sizeof(stranger->request.memory),
		.vaddr = (uintptr_t)ua,
		.size = base_page(),
	};
	stranger->nr = VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY;
	expect_too_late(v, stranger, ua);
	/* Beside it: at the same place it would find the owner's */
	stranger->request.memory.vaddr += base_page();
	stranger->nr = VFIO_IOMMU_SPAPR_REGISTER_MEMORY;
	expect_too_late(v, stranger, ua);

	stranger->request.create = (struct vfio_iommu_spapr_tce_create){
		.argsz = sizeof(stranger->request.create),
		.page_shift = 12, .window_size = GIB(1), .levels = 1,
	};
	stranger->nr = VFIO_IOMMU_SPAPR_TCE_CREATE;
	expect_too_late(v, stranger, ua);
	stranger->request.remove = (struct vfio_iommu_spapr_tce_remove){
		.argsz = sizeof(stranger->request.remove),
	};
	stranger->nr = VFIO_IOMMU_SPAPR_TCE_REMOVE;
	expect_too_late(v, stranger, ua);
}

/*
 * A page for the answer. It is present when TCE_CREATE reads its request, and gone when
 * the window has been made
 */

#define ANSWER_TRIES	1000

static void bring_page(struct late *late)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)late->page,
		.src = (uintptr_t)late->content,
		.len = base_page(),
	};

	if (ioctl(late->fd, UFFDIO_COPY, &copy) && errno != EEXIST)
		fail("UFFDIO_COPY: %s", strerror(errno));
}

static void drop_page_of(struct late *late)
{
	if (madvise(late->page, base_page(), MADV_DONTNEED))
		fail("MADV_DONTNEED: %s", strerror(errno));
}

/* Returns true if the thread waits for the page, false if the request has returned */
static bool is_waiting(struct late *late)
{
	struct pollfd fault = { .fd = late->fd, .events = POLLIN };
	struct uffd_msg msg;

	while (poll(&fault, 1, 1) <= 0) {
		if (!pthread_tryjoin_np(late->thread, NULL))
			return false;
	}
	if (read(late->fd, &msg, sizeof(msg)) != sizeof(msg))
		fail("no page fault: %s", strerror(errno));
	return true;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

/* Begins a request and drops the page after @us microseconds; true if the answer waits */
static bool answer_waits(struct late *late, int64_t locked, unsigned int us)
{
	uint64_t end = now_us() + us;

	bring_page(late);
	if (pthread_create(&late->thread, NULL, ask_late, late))
		fail("pthread_create");
	while (now_us() < end)
		;
	drop_page_of(late);
	if (is_waiting(late)) {
		if (vmlck() > locked)
			return true;
		bring_page(late);
		pthread_join(late->thread, NULL);
	}
	expect(late->ret, 0);
	expect(window_remove(late->v->fd, WINDOW1_START), 0);
	drop_page_of(late);
	return false;
}

/* Begins a TCE_CREATE that waits for the page of its answer */
static void begin_answer(struct late *late, struct vfio *v)
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = sizeof(create), .page_shift = 12,
		.window_size = GIB(1), .levels = 1,
	};
	int64_t locked;

	need_two_processors();
	if (injecting())
		skip("each failure would have to come in this very moment");
	/* After this the default window exists */
	mapped(v, IOVA, base_page());
	begin_late(late, v);
	/* poll() of a userfaultfd that blocks says that there is an error */
	if (fcntl(late->fd, F_SETFL, O_NONBLOCK))
		fail("fcntl: %s", strerror(errno));
	memcpy(late->content, &create, sizeof(create));
	late->nr = VFIO_IOMMU_SPAPR_TCE_CREATE;
	locked = vmlck();
	for (unsigned int i = 0; i < ANSWER_TRIES; i++) {
		if (answer_waits(late, locked, i * 10 % 2000))
			return;
	}
	fail("the answer never waited for its page");
}

static void a_window_is_of_no_use_before_its_address_is_told(struct vfio *v)
{
	struct late late;
	uint8_t *ua;

	begin_answer(&late, v);
	ua = registered(v, base_page());
	expect(dma_map(v->fd, WINDOW1_START, ua, base_page(), READ_WRITE),
	       -ENXIO);
	expect(dma_unmap(v->fd, WINDOW1_START, base_page()), -ENXIO);
	expect(window_remove(v->fd, WINDOW1_START), -EINVAL);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
	expect(end_late(&late), 0);
	expect(((struct vfio_iommu_spapr_tce_create *)late.page)->start_addr,
	       WINDOW1_START);
	expect(dma_map(v->fd, WINDOW1_START, ua, base_page(), READ_WRITE), 0);
	expect(window_remove(v->fd, WINDOW1_START), 0);
}

static void a_window_whose_address_waits_to_be_told_goes_with_the_container(
	struct vfio *v)
{
	struct late late;

	begin_answer(&late, v);
	expect(vfio_detach(v, 0), 0);
	expect(end_late(&late), -ENXIO);
}

static const struct test tests[] = {
	TEST(a_page_that_does_not_come_keeps_nobody_waiting,
	     .intree = "does not wait for such pages"),
	TEST(a_request_that_outlives_the_container_keeps_the_module,
	     .intree = "used after it was freed", .crashes = true),
	TEST(a_request_that_was_begun_before_the_binding_is_a_strangers,
	     .setup = BARE, .with_others = true,
	     .intree = "says EPERM without reading it"),
	TEST(a_window_is_of_no_use_before_its_address_is_told,
	     .intree = "uses it at once"),
	TEST(a_window_whose_address_waits_to_be_told_goes_with_the_container,
	     .intree = "answers 0: it copies with no lock held"),
};

SUITE(late_suite, tests);
