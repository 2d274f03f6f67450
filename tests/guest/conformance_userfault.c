// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: user pages that are missing. The process handles its page faults itself
 * (userfaultfd). So it decides how long a request waits for a missing page that the
 * request reads, writes or pins. No other request may wait for that page.
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
 * A missing page, and the thread whose request faults there. The request is a
 * REGISTER_MEMORY of the page, or has its argument in the page.
 */
struct userfault {
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

static void userfault_begin(struct userfault *uf, struct vfio *v)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	uf->v = v;
	uf->content = memory(base_page());
	memset(uf->content, 0, base_page());
	uf->page = mmap(NULL, base_page(), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (uf->page == MAP_FAILED)
		fail("mmap");
	range.range.start = (uintptr_t)uf->page;
	range.range.len = base_page();
	uf->fd = userfaultfd();
	if (uf->fd < 0 || ioctl(uf->fd, UFFDIO_API, &api) ||
	    ioctl(uf->fd, UFFDIO_REGISTER, &range))
		fail("userfaultfd: %s", strerror(errno));
}

static void userfault_start(struct userfault *uf, void *(*run)(void *))
{
	struct uffd_msg msg;

	if (pthread_create(&uf->thread, NULL, run, uf))
		fail("pthread_create");
	if (read(uf->fd, &msg, sizeof(msg)) != sizeof(msg))
		fail("no page fault");
}

/* Deliver the page; return the answer of the request that waited for it */
static int userfault_end(struct userfault *uf)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)uf->page,
		.src = (uintptr_t)uf->content,
		.len = base_page(),
	};

	if (ioctl(uf->fd, UFFDIO_COPY, &copy))
		fail("UFFDIO_COPY: %s", strerror(errno));
	pthread_join(uf->thread, NULL);
	close(uf->fd);
	return uf->ret;
}

static void *register_missing_page(void *arg)
{
	struct userfault *uf = arg;

	uf->ret = spapr_register(uf->v->fd, uf->page, base_page());
	return NULL;
}

TEST(register_of_a_missing_page_blocks_no_other_request,
     .intree = "REGISTER_MEMORY fails instead of waiting for the page")
{
	struct ledger before = ledger();
	struct userfault uf;
	uint8_t *ua;

	userfault_begin(&uf, v);
	userfault_start(&uf, register_missing_page);
	ua = mapped(v, IOVA, base_page());
	expect(spapr_register(v->fd, uf.page, base_page()), -EBUSY);
	expect(spapr_unregister(v->fd, uf.page, base_page()), -EBUSY);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
	/* The last group is detached, so VFIO releases the container's backend */
	expect(vfio_detach(v, 0), 0);
	/* --fail-nth repeats a failed call after the container has lost its backend */
	expect_either(userfault_end(&uf), -ENODEV,
		      injecting() ? -EINVAL : -ENODEV);
	expect_ledger("after the page was delivered", before, 0);
}

static void *call_with_missing_page(void *arg)
{
	struct userfault *uf = arg;

	uf->ret = call(uf->v->fd, uf->nr, uf->page);
	return NULL;
}

static bool backend_has_refs(void *arg)
{
	return module_refs(backend_module) == *(int *)arg;
}

TEST(a_request_that_outlives_the_container_keeps_the_module_loaded,
     .intree = "uses the container after it was freed", .crashes = true)
{
	struct userfault uf;
	int refs;

	if (!backend_module)
		skip("--backend any names no module to check");
	refs = module_refs(backend_module);
	userfault_begin(&uf, v);
	uf.nr = VFIO_IOMMU_SPAPR_REGISTER_MEMORY;
	userfault_start(&uf, call_with_missing_page);
	expect(vfio_detach(v, 0), 0);
	expect(module_refs(backend_module), refs);
	expect(userfault_end(&uf), -EINVAL);
	refs--;
	expect_soon("the use count of the module is decremented", backend_has_refs, &refs);
}

/*
 * A request of another process. The request begins before the container is bound to a
 * process. Its argument is read after the container was bound to this process.
 */
union request {
	struct vfio_iommu_spapr_register_memory memory;
	struct vfio_iommu_spapr_tce_create create;
	struct vfio_iommu_spapr_tce_remove remove;
};

/**
 * struct stranger - another process and its request, in memory shared with the process
 * @v: the container
 * @nr: number of the ioctl that the process makes
 * @request: the argument of the ioctl
 * @ret: the answer to the ioctl
 * @step: progress of both processes
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
	struct userfault uf;

	userfault_begin(&uf, stranger->v);
	uf.nr = stranger->nr;
	memcpy(uf.content, &stranger->request, sizeof(stranger->request));
	userfault_start(&uf, call_with_missing_page);
	__atomic_store_n(&stranger->step, ASLEEP, __ATOMIC_RELEASE);
	expect_soon("the container is bound", owner_has_bound, stranger);
	stranger->ret = userfault_end(&uf);
}

static void expect_refused_once_bound(struct vfio *v, struct stranger *stranger,
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

TEST(a_request_begun_before_another_process_was_bound_returns_eperm,
     .setup = BARE, .with_others = true, .intree = "returns EPERM without reading the request")
{
	struct stranger *stranger = shared_memory(sizeof(*stranger));
	uint8_t *ua = memory(2 * base_page());

	/* Check for userfaultfd here, because a child can't skip the test */
	close(userfaultfd());
	stranger->request.memory = (struct vfio_iommu_spapr_register_memory){
		.argsz = sizeof(stranger->request.memory),
		.vaddr = (uintptr_t)ua,
		.size = base_page(),
	};
	stranger->nr = VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY;
	expect_refused_once_bound(v, stranger, ua);
	/* Register the next page, because the owner has registered this one */
	stranger->request.memory.vaddr += base_page();
	stranger->nr = VFIO_IOMMU_SPAPR_REGISTER_MEMORY;
	expect_refused_once_bound(v, stranger, ua);

	stranger->request.create = (struct vfio_iommu_spapr_tce_create){
		.argsz = sizeof(stranger->request.create),
		.page_shift = 12, .window_size = GIB(1), .levels = 1,
	};
	stranger->nr = VFIO_IOMMU_SPAPR_TCE_CREATE;
	expect_refused_once_bound(v, stranger, ua);
	stranger->request.remove = (struct vfio_iommu_spapr_tce_remove){
		.argsz = sizeof(stranger->request.remove),
	};
	stranger->nr = VFIO_IOMMU_SPAPR_TCE_REMOVE;
	expect_refused_once_bound(v, stranger, ua);
}

/*
 * Tests with a page fault at the answer of TCE_CREATE: the page is present when TCE_CREATE
 * reads its request, and missing when TCE_CREATE writes the address of the new window.
 */

#define ANSWER_TRIES	1000

static void userfault_deliver(struct userfault *uf)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)uf->page,
		.src = (uintptr_t)uf->content,
		.len = base_page(),
	};

	if (ioctl(uf->fd, UFFDIO_COPY, &copy) && errno != EEXIST)
		fail("UFFDIO_COPY: %s", strerror(errno));
}

static void userfault_drop(struct userfault *uf)
{
	if (madvise(uf->page, base_page(), MADV_DONTNEED))
		fail("MADV_DONTNEED: %s", strerror(errno));
}

/* Wait for a page fault of the thread; false if its request has returned instead */
static bool userfault_is_waiting(struct userfault *uf)
{
	struct pollfd fault = { .fd = uf->fd, .events = POLLIN };
	struct uffd_msg msg;

	while (poll(&fault, 1, 1) <= 0) {
		if (!pthread_tryjoin_np(uf->thread, NULL))
			return false;
	}
	if (read(uf->fd, &msg, sizeof(msg)) != sizeof(msg))
		fail("no page fault: %s", strerror(errno));
	return true;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

/* Begin a request, drop the page after @us microseconds, and return true if the answer waits */
static bool answer_waits(struct userfault *uf, int64_t locked, unsigned int us)
{
	uint64_t end = now_us() + us;

	userfault_deliver(uf);
	if (pthread_create(&uf->thread, NULL, call_with_missing_page, uf))
		fail("pthread_create");
	while (now_us() < end)
		;
	userfault_drop(uf);
	if (userfault_is_waiting(uf)) {
		if (vmlck() > locked)
			return true;
		userfault_deliver(uf);
		pthread_join(uf->thread, NULL);
	}
	expect(uf->ret, 0);
	expect(window_remove(uf->v->fd, WINDOW1_START), 0);
	userfault_drop(uf);
	return false;
}

/* Begin a TCE_CREATE that waits for the page of its answer */
static void begin_answer(struct userfault *uf, struct vfio *v)
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = sizeof(create), .page_shift = 12,
		.window_size = GIB(1), .levels = 1,
	};
	int64_t locked;

	need_two_processors();
	if (injecting())
		skip("--fail-nth would have to discard the page again for each failure");
	/* MAP_DMA makes the default window */
	mapped(v, IOVA, base_page());
	userfault_begin(uf, v);
	/* poll() reports an error for a blocking userfaultfd */
	if (fcntl(uf->fd, F_SETFL, O_NONBLOCK))
		fail("fcntl: %s", strerror(errno));
	memcpy(uf->content, &create, sizeof(create));
	uf->nr = VFIO_IOMMU_SPAPR_TCE_CREATE;
	locked = vmlck();
	for (unsigned int i = 0; i < ANSWER_TRIES; i++) {
		if (answer_waits(uf, locked, i * 10 % 2000))
			return;
	}
	fail("TCE_CREATE never waited for the page of its answer");
}

TEST(a_window_cannot_be_used_before_its_address_is_written,
     .intree = "maps in the window before TCE_CREATE returns")
{
	struct userfault uf;
	uint8_t *ua;

	begin_answer(&uf, v);
	ua = registered(v, base_page());
	expect(dma_map(v->fd, WINDOW1_START, ua, base_page(), READ_WRITE),
	       -ENXIO);
	expect(dma_unmap(v->fd, WINDOW1_START, base_page()), -ENXIO);
	expect(window_remove(v->fd, WINDOW1_START), -EINVAL);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
	expect(userfault_end(&uf), 0);
	expect(((struct vfio_iommu_spapr_tce_create *)uf.page)->start_addr,
	       WINDOW1_START);
	expect(dma_map(v->fd, WINDOW1_START, ua, base_page(), READ_WRITE), 0);
	expect(window_remove(v->fd, WINDOW1_START), 0);
}

TEST(a_window_with_a_pending_answer_is_removed_with_the_container,
     .intree = "returns 0, because it writes the answer without a lock")
{
	struct userfault uf;

	begin_answer(&uf, v);
	expect(vfio_detach(v, 0), 0);
	expect(userfault_end(&uf), -ENXIO);
}
