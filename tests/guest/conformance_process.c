// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: processes. A container is bound to one process. The tests show the answers
 * to other processes, and the container's memory after fork, exec, exit and kill.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE	MIB(1)

/* Check the answers to a process that does not own the container */
static void expect_stranger(struct vfio *v)
{
	struct vfio_iommu_spapr_tce_info info;
	uint8_t *ua = memory(base_page());

	expect(spapr_register(v->fd, ua, base_page()), -EPERM);
	expect(spapr_unregister(v->fd, ua, base_page()), -EPERM);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), -EPERM);
	expect(dma_unmap(v->fd, IOVA, base_page()), -EPERM);
	expect(window_create(v->fd, 12, GIB(1), 1, NULL), -EPERM);
	expect(window_remove(v->fd, 0), -EPERM);
	expect(get_info(v->fd, &info), -EPERM);
	expect(eeh_op(v->fd, VFIO_EEH_PE_GET_STATE), -EPERM);
	expect(check_extension(v->fd, VFIO_SPAPR_TCE_v2_IOMMU), 1);
}

static void stranger(void *arg)
{
	expect_stranger(arg);
}

TEST(a_forked_child_gets_eperm_and_the_parent_continues)
{
	uint8_t *ua = mapped(v, IOVA, SIZE);

	in_child(stranger, v);
	device_reaches(v, 0, IOVA, ua);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, ua, SIZE);
}

TEST(tce_create_binds_the_container_to_the_process)
{
	new_window(v, 12, GIB(1), 1);
	in_child(stranger, v);
}

TEST(tce_remove_binds_the_container_to_the_process)
{
	expect(window_remove(v->fd, 0), 0);
	in_child(stranger, v);
}

static void ask(void *arg)
{
	info_of(arg);
}

TEST(get_info_does_not_bind_the_container_to_the_process)
{
	in_child(ask, v);
	ask(v);
	registered(v, SIZE);
}

static void register_something(void *arg)
{
	registered(arg, SIZE);
}

TEST(the_first_process_to_register_memory_owns_the_container)
{
	in_child(register_something, v);
	expect_stranger(v);
}

struct written {
	uint8_t *ua;
};

static void scribble(void *arg)
{
	struct written *written = arg;

	memset(written->ua, 0xff, base_page());
}

/* Copy-on-write must give the copied page to the child, and keep the parent's page */
TEST(fork_keeps_mapped_pages_with_the_parent_and_its_device)
{
	struct written written = { mapped(v, IOVA, base_page()) };

	pattern_fill(written.ua, PROBE, 5);
	in_child(scribble, &written);
	if (!pattern_is(written.ua, PROBE, 5))
		fail("the child's writes arrived in the parent");
	device_reaches(v, 0, IOVA, written.ua);
}

/*
 * Exec. A child maps a private page with a secret and a page of a file, then executes
 * this program again. The new program does not own the container. The device still reads
 * the old program's page, until the last descriptor is closed.
 */
#define SECRET_SEED	1234567

static void keep_across_exec(int fd)
{
	fcntl(fd, F_SETFD, 0);
}

static void exec_with_everything_mapped(void *arg)
{
	struct vfio *v = arg;
	int file = memfd_create("tce2", 0);
	char fds[4][16];
	uint8_t *secret, *shared;

	open_container(v, 0);
	secret = mapped(v, IOVA, base_page());
	pattern_fill(secret, PROBE, SECRET_SEED);
	if (file < 0 || ftruncate(file, base_page()))
		fail("cannot create a file");
	shared = mmap(NULL, base_page(), PROT_READ | PROT_WRITE, MAP_SHARED,
		      file, 0);
	expect(spapr_register(v->fd, shared, base_page()), 0);
	expect(dma_map(v->fd, SINK_IOVA, shared, base_page(), READ_WRITE), 0);
	device(v, 0);

	keep_across_exec(v->fd);
	keep_across_exec(v->group[0]);
	keep_across_exec(v->edu[0].fd);
	snprintf(fds[0], sizeof(fds[0]), "%d", v->fd);
	snprintf(fds[1], sizeof(fds[1]), "%d", v->edu[0].fd);
	snprintf(fds[2], sizeof(fds[2]), "%d", file);
	snprintf(fds[3], sizeof(fds[3]), "%lld", (long long)pins());
	execl("/proc/self/exe", "conformance", "--after-exec", fds[0], fds[1],
	      fds[2], fds[3], NULL);
	fail("exec: %s", strerror(errno));
}

/* The new program's part: main() calls this function for the option --after-exec */
int after_exec(int argc, char **argv)
{
	struct vfio v;
	uint8_t *shared;
	int file;

	if (argc != 6)
		return 1;
	vfio_init(&v);
	v.fd = atoi(argv[2]);
	file = atoi(argv[4]);
	expect(vmlck(), 0);
	expect(pins(), atoll(argv[5]));
	expect_stranger(&v);
	expect(edu_adopt(&v.edu[0], atoi(argv[3])), 0);
	shared = mmap(NULL, base_page(), PROT_READ | PROT_WRITE, MAP_SHARED,
		      file, 0);
	if (shared == MAP_FAILED)
		fail("cannot map the file");
	expect(edu_to_device(&v.edu[0], IOVA, 0, PROBE), 0);
	expect(edu_from_device(&v.edu[0], SINK_IOVA, 0, PROBE), 0);
	if (!pattern_is(shared, PROBE, SECRET_SEED))
		fail("expected the device to read the old program's page, it did not");
	return 0;
}

TEST(after_exec_requests_get_eperm_and_memory_stays_pinned_until_close,
     .setup = BARE, .intree = "defect 18: unpins pages late")
{
	int64_t before = pins();

	in_child(exec_with_everything_mapped, v);
	expect(pins(), before);
}

/*
 * Exit of a process with two windows, mappings in both of them, and a registered hugepage
 * if there is one.
 */
static void use_everything(struct vfio *v)
{
	uint8_t *huge = mem_hugetlb(MIB(2), 1);

	open_container(v, 0);
	mapped(v, IOVA, MIB(4));
	new_window(v, 12, GIB(1), 1);
	mapped(v, WINDOW1_START, MIB(4));
	if (huge)
		expect(spapr_register(v->fd, huge, MIB(2)), 0);
}

static void exit_in_use(void *arg)
{
	use_everything(arg);
}

TEST(exit_of_the_owner_releases_all_resources, .setup = BARE)
{
	struct found before = found();

	in_child(exit_in_use, v);
	expect_soon("pages unpinned, backend unused", as_found, &before);
}

struct channel {
	struct vfio *v;
	int fd[2];
};

static void use_everything_and_wait(void *arg)
{
	struct channel *channel = arg;

	use_everything(channel->v);
	if (write(channel->fd[1], "x", 1) != 1)
		fail("write");
	for (;;)
		pause();
}

static void await_byte(struct channel *channel)
{
	char byte;

	if (read(channel->fd[0], &byte, 1) != 1)
		fail("a child of the test ended too early");
}

TEST(killing_the_owner_releases_all_resources, .setup = BARE)
{
	struct found before = found();
	struct channel ready = { .v = v };
	int pid;

	if (pipe(ready.fd))
		fail("pipe");
	pid = start_child(use_everything_and_wait, &ready);
	close(ready.fd[1]);
	await_byte(&ready);
	if (as_found(&before))
		fail("expected pages pinned in the child, saw none");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	expect_soon("pages unpinned, backend unused", as_found, &before);
}

/* Keep inherited descriptors of the container open until the parent closes the pipe */
static void hold_descriptors(void *arg)
{
	struct channel *channel = arg;
	char byte;

	close(channel->fd[1]);
	if (read(channel->fd[0], &byte, 1) < 0)
		fail("read");
}

static void use_everything_and_leave_a_holder(void *arg)
{
	struct channel *channel = arg;

	use_everything(channel->v);
	start_child(hold_descriptors, arg);
}

/* The owner has exited, and its address space is freed; a child has the container open */
TEST(memory_stays_pinned_while_any_process_has_the_container_open, .setup = BARE)
{
	struct found before = found();
	struct channel hold = { .v = v };
	int64_t held;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe(hold.fd))
		fail("pipe");
	in_child(use_everything_and_leave_a_holder, &hold);
	held = pins() - before.pins;
	if (held < (int64_t)(MIB(8) / base_page()))
		fail("expected 8 MiB pinned while the container is open, saw %lld pages",
		     (long long)held);
	close(hold.fd[0]);
	close(hold.fd[1]);
	expect_child_ok(-1);
	expect_soon("pages unpinned, backend unused", as_found, &before);
}

TEST(a_forked_child_may_outlive_the_container)
{
	struct channel hold = { .v = v };
	uint8_t *ua;
	int pid;

	if (pipe(hold.fd))
		fail("pipe");
	ua = mapped(v, IOVA, SIZE);
	pid = start_child(hold_descriptors, &hold);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, ua, SIZE);
	vfio_close(v);
	close(hold.fd[1]);
	expect_child_ok(pid);
}
