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
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A page that is not there before this process lets it come, and who waits */
struct late {
	struct vfio *v;
	uint8_t *page;
	int fd;
	int ret;
	pthread_t thread;
};

static void begin_late(struct late *late, struct vfio *v)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	late->v = v;
	late->page = mmap(NULL, base_page(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (late->page == MAP_FAILED)
		fail("mmap");
	range.range.start = (uintptr_t)late->page;
	range.range.len = base_page();
	late->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (late->fd < 0 && errno == ENOSYS)
		skip("the kernel has no userfaultfd");
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
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)late->page, base_page() },
	};

	if (ioctl(late->fd, UFFDIO_ZEROPAGE, &zero))
		fail("UFFDIO_ZEROPAGE: %s", strerror(errno));
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
	/* A call that failed for want of memory is made again, too late */
	expect(end_late(&late), injecting() ? -EINVAL : -ENODEV);
	expect_ledger("when the page has come", before, 0);
}

static void *ask_late(void *arg)
{
	struct late *late = arg;

	late->ret = call(late->v->fd, VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
			 late->page);
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
	start_late(&late, ask_late);
	expect(vfio_detach(v, 0), 0);
	expect(module_refs(backend_module), refs);
	expect(end_late(&late), -EINVAL);
	refs--;
	expect_soon("the module is let go", backend_has_refs, &refs);
}

static const struct test tests[] = {
	TEST(a_page_that_does_not_come_keeps_nobody_waiting,
	     .intree = "does not wait for such pages"),
	TEST(a_request_that_outlives_the_container_keeps_the_module,
	     .intree = "used after it was freed", .crashes = true),
};

SUITE(late_suite, tests);
