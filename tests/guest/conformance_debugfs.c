// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: the files in debugfs (Documentation/debugfs.rst). The tests parse the files
 * as a program does, and read them while other threads change containers.
 */
#define _GNU_SOURCE
#define TEST_ORDER LATE
#include "conformance.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INTREE		.intree = "has no files in debugfs", .crashes = true
#define DIRECTORY	"/sys/kernel/debug/vfio_spapr_tce2"
#define FILE_SIZE	MIB(4)

static const char *const files[] = {
	"version", "containers", "groups", "windows", "regions", "mappings", "refusals",
};

#define FILES	(sizeof(files) / sizeof(*files))

static int open_file(const char *name)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), DIRECTORY "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return fd;
}

/* Read a whole file with reads of at most size bytes, and check its header */
static char *read_file_by(const char *name, size_t size)
{
	char *text = malloc(FILE_SIZE), header[100];
	size_t length = 0;
	int fd = open_file(name);
	ssize_t got;

	if (!text)
		fail("no memory");
	while ((got = read(fd, text + length, size)) > 0) {
		length += got;
		if (length + size >= FILE_SIZE)
			fail("%s is too large", name);
	}
	if (got < 0)
		fail("read of %s: %s", name, strerror(errno));
	text[length] = '\0';
	close(fd);
	snprintf(header, sizeof(header), "vfio_spapr_tce2 %s 1\n", name);
	if (strncmp(text, header, strlen(header)))
		fail("%s begins with: %.60s", name, text);
	return text;
}

/* Return the number of the container of this process */
static unsigned int own_container(void)
{
	char *text = read_file_by("containers", 4096), pid[40], *at;
	unsigned int id;

	snprintf(pid, sizeof(pid), " pid=%d ", getpid());
	at = strstr(text, pid);
	if (!at)
		fail("no container of process %d in:\n%s", getpid(), text);
	while (at > text && at[-1] != '\n')
		at--;
	if (sscanf(at, "container=%u ", &id) != 1)
		fail("no number in: %s", at);
	free(text);
	return id;
}

/* Number of records of the own container in a file */
static unsigned int count_records(const char *name)
{
	char *text = read_file_by(name, 4096), key[40], *at;
	unsigned int count = 0;

	snprintf(key, sizeof(key), "\ncontainer=%u ", own_container());
	for (at = text; (at = strstr(at, key)); at++)
		count++;
	free(text);
	return count;
}

/* Check that a record of the own container has a text, which may contain spaces */
static void __attribute__((format(printf, 2, 3)))
expect_record(const char *name, const char *fmt, ...)
{
	char *text = read_file_by(name, 4096), key[40], want[300], *at, *end;
	va_list args;

	va_start(args, fmt);
	vsnprintf(want, sizeof(want), fmt, args);
	va_end(args);
	snprintf(key, sizeof(key), "\ncontainer=%u ", own_container());
	for (at = text; (at = strstr(at, key)); at = end) {
		end = strchr(at + 1, '\n');
		*end = '\0';
		if (strstr(at, want)) {
			free(text);
			return;
		}
		*end = '\n';
	}
	fail("%s: no record of container %u with \"%s\" in:\n%s", name,
	     own_container(), want, text);
}

FIXTURE(debugfs);

FIXTURE_SETUP(debugfs)
{
	if (access(DIRECTORY, R_OK))
		fail(DIRECTORY ": %s", strerror(errno));
}

FIXTURE_TEARDOWN(debugfs)
{
}

TEST_F(debugfs, debugfs_files_have_a_header_and_mode_0400, INTREE)
{
	for (size_t i = 0; i < FILES; i++) {
		int fd = open_file(files[i]);
		struct stat st;

		expect(fstat(fd, &st), 0);
		expect(st.st_mode & 07777, 0400);
		close(fd);
		free(read_file_by(files[i], 4096));
	}
}

TEST_F(debugfs, debugfs_shows_the_version_and_each_parameter, INTREE)
{
	char *text = read_file_by("version", 4096), line[100], want[200];

	expect(!strstr(text, "\nmodule="), 0);
	if (read_line("/sys/module/vfio_spapr_tce2/srcversion", line, sizeof(line))) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(want, sizeof(want), " srcversion=%s\n", line);
		expect(!strstr(text, want), 0);
	}
	expect(!strstr(text, "\nparameter=enabled value=Y\n"), 0);
	expect(!strstr(text, "\nparameter=kvm value=on\n"), 0);
	expect(!strstr(text, "\nparameter=kvm_declined value="), 0);
	expect(!strstr(text, "\nparameter=kvm_windows value="), 0);
	free(text);
}

TEST(debugfs_shows_windows_regions_and_mappings, INTREE)
{
	uint64_t p = base_page(), second;
	uint8_t *ua = registered(v, 4 * p);
	uint8_t *other = registered(v, p);

	expect(dma_map(v->fd, IOVA, ua, 2 * p, READ_WRITE), 0);
	expect(dma_map(v->fd, IOVA + 2 * p, ua + 2 * p, p, READ_WRITE), 0);
	expect(dma_map(v->fd, IOVA + 3 * p, ua, p, VFIO_DMA_MAP_FLAG_READ), 0);
	second = new_window(v, 16, GIB(1), 1);
	if (p == MIB(1) / 16)
		expect(dma_map(v->fd, second, other, p, READ_WRITE), 0);

	expect_record("containers", " pid=%d comm=", getpid());
	expect_record("containers", " state=bound groups=1 windows=2 regions=2 ");
	expect_record("containers", " locked=%" PRId64 " ", vmlck());
	expect_record("containers", " register=2 unregister=0 map=%d unmap=0 create=1 ",
		      p == MIB(1) / 16 ? 4 : 3);
	expect_record("groups", " group=%d devices=", vfio_device_group(0));
	expect_record("groups", "%s", vfio_device_name(0));
	expect_record("windows", " page=4096 levels=1 mapped=%" PRIu64 " ", 4 * p / TCE_4K);
	expect_record("windows", " start=0x%" PRIx64 " size=%" PRIu64 " page=65536 levels=1 ",
		      second, GIB(1));
	expect_record("regions", " ua=0x%" PRIxPTR " size=%" PRIu64 " ", (uintptr_t)ua, 4 * p);
	expect_record("regions", " used=0 mapped=%" PRIu64 " readonly=0 ", 4 * p / TCE_4K);
	expect(count_records("regions"), 2);
	expect_record("mappings",
		      " iova=0x%" PRIx64 " size=%" PRIu64 " ua=0x%" PRIxPTR " perm=rw",
		      IOVA, 3 * p, (uintptr_t)ua);
	expect_record("mappings",
		      " iova=0x%" PRIx64 " size=%" PRIu64 " ua=0x%" PRIxPTR " perm=r",
		      IOVA + 3 * p, p, (uintptr_t)ua);
	expect(count_records("mappings"), p == MIB(1) / 16 ? 3 : 2);
	expect(dma_unmap(v->fd, IOVA, 4 * p), 0);
	expect(count_records("mappings"), p == MIB(1) / 16 ? 1 : 0);
}

TEST(debugfs_names_the_rule_of_each_refusal, INTREE)
{
	uint64_t p = base_page();
	uint8_t *ua = memory(4 * p);

	expect(dma_map(v->fd, IOVA, ua, p, READ_WRITE), -EPERM);
	expect(spapr_register(v->fd, ua, 0), -EINVAL);
	expect(spapr_register(v->fd, ua, 4 * p), 0);
	expect(spapr_register(v->fd, ua, 4 * p), -EBUSY);
	expect(dma_map(v->fd, IOVA + 1, ua, p, READ_WRITE), -EINVAL);
	expect(dma_map(v->fd, IOVA, ua + 4 * p, p, READ_WRITE), -EINVAL);
	expect(window_create(v->fd, 13, GIB(1), 1, NULL), -EINVAL);
	expect_record("refusals", " seq=1 age=");
	expect_record("refusals", " request=map errno=1 rule=nothing-registered text=no\\040");
	expect_record("refusals", " request=register errno=22 rule=empty ");
	expect_record("refusals", " request=register errno=16 rule=already-registered ");
	expect_record("refusals", " request=map errno=22 rule=misaligned ");
	expect_record("refusals", " request=map errno=22 rule=memory-not-registered ");
	expect_record("refusals", " request=create errno=22 rule=page-size ");
	expect_record("containers", " refused=6");
	expect_record("containers", " rules=nothing-registered:1,empty:1,already-registered:1,memory-not-registered:1,misaligned:1,page-size:1");
	expect(count_records("refusals"), 6);
}

TEST(debugfs_tells_a_memlock_limit_from_other_causes_of_enomem, INTREE)
{
	uint8_t *ua = memory(base_page());

	drop_ipc_lock();
	limit_memlock(vmlck());
	expect(spapr_register(v->fd, ua, base_page()), -ENOMEM);
	expect_record("refusals", " request=register errno=12 rule=memlock ");
	expect_record("containers", " limit=%" PRId64 " ", vmlck());
	/* A table of 2^39 bytes. On pseries it is in the hypervisor, but is charged */
	expect(window_create(v->fd, 12, 1ULL << 48, 1, NULL), -ENOMEM);
	expect_record("refusals", " request=create errno=12 rule=%s ",
		      under_hypervisor() ? "memlock" : "level-too-large");
}

static void refuse_one_request(void *arg)
{
	struct vfio v;

	vfio_init(&v);
	expect(vfio_own(&v), 0);
	expect(spapr_register(v.fd, arg, 0), -EINVAL);
	vfio_close(&v);
}

TEST(debugfs_shows_refusals_after_the_process_has_ended, .setup = BARE, INTREE)
{
	int pid = start_child(refuse_one_request, v);
	char *text, want[40];

	expect_child_ok(pid);
	text = read_file_by("refusals", 4096);
	snprintf(want, sizeof(want), " pid=%d ", pid);
	expect(!strstr(text, want), 0);
	expect(!strstr(strstr(text, want), " released=1\n"), 0);
	free(text);
}

static void send_a_request_to_a_container_of_another(void *arg)
{
	expect(dma_map(*(int *)arg, IOVA, memory(base_page()), TCE_4K, READ_WRITE), -EPERM);
}

TEST(debugfs_shows_the_process_whose_request_was_refused, INTREE)
{
	int pid;

	registered(v, base_page());
	pid = start_child(send_a_request_to_a_container_of_another, &v->fd);
	expect_child_ok(pid);
	expect_record("refusals", " rule=other-process ");
	expect_record("refusals", " pid=%d comm=", pid);
	expect_record("containers", " pid=%d comm=", getpid());
}

static void expect_no_pid(UNUSED void *arg)
{
	char *text = read_file_by("refusals", 4096), *last = strrchr(text, '\n');

	*last = '\0';
	last = strrchr(text, '\n');
	expect(!strstr(last, " rule=empty "), 0);
	expect(!strstr(last, " pid=0 comm="), 0);
	free(text);
}

TEST(debugfs_shows_no_pid_of_a_refusal_in_another_pid_namespace, INTREE)
{
	expect(spapr_register(v->fd, memory(base_page()), 0), -EINVAL);
	expect_record("refusals", " rule=empty ");
	expect_record("refusals", " pid=%d comm=", getpid());
	/* Only the children of this process are in the new namespace */
	if (unshare(CLONE_NEWPID))
		skip("this kernel has no pid namespaces");
	expect_child_ok(start_child(expect_no_pid, NULL));
}

TEST(debugfs_escapes_hostile_names_of_processes, INTREE)
{
	expect(prctl(PR_SET_NAME, "a =,\\\033[2J\n\377"), 0);
	/* Binds the container, so that the process becomes its owner */
	expect(spapr_unregister(v->fd, registered(v, base_page()), 2 * base_page()),
	       -ENOENT);
	expect_record("containers", " comm=a\\040\\075\\054\\134\\033[2J\\012\\377 state=");
	expect_record("refusals", " comm=a\\040\\075\\054\\134\\033[2J\\012\\377 released=0");
}

TEST_F(debugfs, an_open_file_of_debugfs_is_a_use_of_the_module, .setup = BARE, INTREE)
{
	int before = module_refs(backend_module), fd = open_file("containers");

	expect(module_refs(backend_module), before + 1);
	close(fd);
	expect(module_refs(backend_module), before);
}

/* A reader that has read half of a file, and never reads on */
TEST(a_reader_of_debugfs_that_stops_delays_no_request, INTREE)
{
	uint64_t p = base_page();
	char text[128];
	uint8_t *ua;
	int fd[FILES];

	ua = mapped(v, IOVA, 16 * p);
	for (size_t i = 0; i < FILES; i++) {
		fd[i] = open_file(files[i]);
		expect(read(fd[i], text, 40) > 0, 1);
	}
	expect(dma_unmap(v->fd, IOVA, 16 * p), 0);
	unregister_ok(v, ua, 16 * p);
	expect(window_remove(v->fd, 0), 0);
	vfio_close(v);
	for (size_t i = 0; i < FILES; i++) {
		expect(read(fd[i], text, sizeof(text)) >= 0, 1);
		close(fd[i]);
	}
}

#define REGIONS	8192

/* Check that the file lists each region of the own container once, after a hole of a page */
static void expect_each_region_once(const uint8_t *ua)
{
	char *text = read_file_by("regions", 4096), key[60], *at;
	uint8_t *seen = calloc(REGIONS, sizeof(*seen));
	unsigned int count = 0;

	snprintf(key, sizeof(key), "\ncontainer=%u ua=0x", own_container());
	for (at = text; (at = strstr(at, key)); count++) {
		uint64_t page;

		at += strlen(key);
		page = (strtoull(at, NULL, 16) - (uintptr_t)ua) / base_page();
		if (page % 2 != 1 || page / 2 >= REGIONS || seen[page / 2]++)
			fail("unknown region, or region listed twice: %.80s", at);
	}
	expect(count, REGIONS);
	free(seen);
	free(text);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Print the time to read each file. A slow host may take any time, so no limit is checked. */
static void time_each_file(void)
{
	uint64_t all = 0;

	for (size_t i = 0; i < FILES; i++) {
		uint64_t began = now_us();

		free(read_file_by(files[i], 65536));
		began = now_us() - began;
		all += began;
		dprintf(STDOUT_FILENO, "# %s: read in %" PRIu64 " us\n", files[i], began);
	}
	dprintf(STDOUT_FILENO, "# %d regions: debugfs was read in %" PRIu64 " ms\n", REGIONS,
		all / 1000);
}

/* All regions are the same page, so that they need little memory */
TEST(debugfs_shows_each_of_8192_regions_once, INTREE)
{
	uint64_t p = base_page();
	int fd = memfd_create("page", MFD_CLOEXEC);
	uint8_t *ua = mmap(NULL, 2 * REGIONS * p, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (fd < 0 || ua == MAP_FAILED || ftruncate(fd, p))
		fail("cannot make memory: %s", strerror(errno));
	for (unsigned int i = 0; i < REGIONS; i++) {
		/* A hole before each region keeps the regions apart */
		uint8_t *at = ua + (2 * i + 1) * p;

		if (mmap(at, p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != at)
			fail("mmap of region %u: %s", i, strerror(errno));
		expect(spapr_register(v->fd, at, p), 0);
	}
	time_each_file();
	expect_each_region_once(ua);
	expect_record("containers", " regions=%d ", REGIONS);
}

/* Thread 0 reads all files, the others register and map */
static void read_or_change(struct workers *workers, int number)
{
	uint64_t p = base_page(), iova = IOVA + number * MIB(4);
	uint8_t *ua = (uint8_t *)workers->arg + number * 4 * p;

	if (!number) {
		for (size_t i = 0; i < FILES; i++)
			free(read_file_by(files[i], 256 + 512 * i));
		return;
	}
	expect(spapr_register(workers->v->fd, ua, 4 * p), 0);
	expect(dma_map(workers->v->fd, iova, ua, 2 * p, READ_WRITE), 0);
	expect(dma_map(workers->v->fd, iova + MIB(3), ua, p, READ_WRITE), 0);
	expect(spapr_register(workers->v->fd, ua, 4 * p), -EBUSY);
	expect(dma_unmap(workers->v->fd, iova, MIB(4)), 0);
	expect(spapr_unregister(workers->v->fd, ua, 4 * p), 0);
}

TEST(reading_debugfs_beside_requests_is_safe,
     .race = "read debugfs, register, map, unmap, create window, attach", INTREE)
{
	uint8_t *ua = memory(4 * MAX_THREADS * base_page());
	struct workers workers = { .v = v, .arg = ua };
	struct vfio b;
	uint64_t start;

	expect(dma_map(v->fd, IOVA, registered(v, base_page()), TCE_4K, READ_WRITE), 0);
	workers_start(&workers, race_threads(), read_or_change);
	while (race_round()) {
		start = new_window(v, 12, GIB(1), 1);
		expect(window_remove(v->fd, start), 0);
		if (vfio_devices() < 2)
			continue;
		open_container(&b, 1);
		vfio_close(&b);
	}
	workers_stop(&workers);
	expect(count_records("mappings"), 1);
	expect(count_records("regions"), 1);
	expect(count_records("groups"), 1);
	expect(dma_unmap(v->fd, IOVA, TCE_4K), 0);
}
