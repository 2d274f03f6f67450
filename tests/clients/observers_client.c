// SPDX-License-Identifier: GPL-2.0-only
/*
 * The clients whose requests are observed: QEMU with a device passed through, a program that
 * makes one request of each kind, a program that fills a window, and a program that maps
 * without a pause.
 */
#define _GNU_SOURCE
#include "observers.h"

#include "../kvmplay/kvmplay.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <linux/capability.h>
#include <unistd.h>

#define IOVA		MIB(256)
#define WINDOW_SIZE	GIB(1)
#define SIZE		MIB(4)
#define KVM_IOVA	(WINDOW1_START + MIB(512))
#define BUSY_ROUNDS	20000
#define KVM_PARAMETER	"/sys/module/" OUR_MODULE "/parameters/kvm"
#define CONTAINERS	"/sys/kernel/debug/" OUR_MODULE "/containers"

/* A failed client prints the request and the error, and ends */
static void need(const char *request, long ret, long want)
{
	if (ret == want)
		return;
	fprintf(stderr, "%s returned %ld, expected %ld\n", request, ret, want);
	exit(1);
}

static FILE *expected;

/* Write the name of an event, and the text that its fields must have */
static void __attribute__((format(printf, 1, 2))) expect_event(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(expected, format, args);
	va_end(args);
	fputc('\n', expected);
}

static void open_container(struct vfio *v, int slot)
{
	vfio_init(v);
	need("open", vfio_open(v), 0);
	need("VFIO_GROUP_SET_CONTAINER", vfio_attach(v, slot), 0);
	need("VFIO_SET_IOMMU", vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), 0);
}

static void make_requests(struct vfio *v, uint8_t *ua, uint64_t size)
{
	uint64_t p = base_page();

	need("REGISTER_MEMORY", spapr_register(v->fd, ua, size), 0);
	expect_event("tce2_register ua=0x%lx size=%lu ret=0",
		     (unsigned long)ua, size);
	need("REGISTER_MEMORY", spapr_register(v->fd, ua, size), -EBUSY);
	expect_event("tce2_register ua=0x%lx size=%lu ret=-16",
		     (unsigned long)ua, size);
	expect_event("tce2_refusal request=register ret=-16 rule=already-registered");
	need("MAP_DMA", dma_map(v->fd, IOVA, ua, p, READ_WRITE), 0);
	expect_event("tce2_map iova=0x%lx ua=0x%lx size=%lu flags=0x3 ret=0",
		     IOVA, (unsigned long)ua, p);
	need("UNMAP_DMA", dma_unmap(v->fd, IOVA, p), 0);
	expect_event("tce2_unmap iova=0x%lx size=%lu ret=0", IOVA, p);
}

/* A vector that maps a page, copies the mapping, and has an element refused */
static void make_vector(struct vfio *v, uint8_t *ua)
{
	uint64_t p = base_page();
	struct vfio_tce2_range ranges[] = {
		map_range(IOVA, ua, p, READ_WRITE), copy_range(IOVA + p, IOVA, p),
		unmap_range(IOVA, 2 * p), copy_range(IOVA + p, IOVA, p),
	};
	uint32_t done = 0;

	need("TCE2_RANGES", run_ranges(v->fd, ranges, 4, 0, NULL, &done), -ENOENT);
	need("done", done, 3);
	expect_event("tce2_map iova=0x%lx ua=0x%lx size=%lu flags=0x3 ret=0", IOVA,
		     (unsigned long)ua, p);
	expect_event("tce2_copy iova=0x%lx source=0x%lx size=%lu ret=0", IOVA + p, IOVA, p);
	expect_event("tce2_unmap iova=0x%lx size=%lu ret=0", IOVA, 2 * p);
	expect_event("tce2_refusal request=copy ret=-2 rule=source-not-mapped");
	expect_event("tce2_ranges count=4 done=3 ret=-2");
}

/* The module vfio_spapr_tce2_kvmplay stands in for KVM, as in tests/guest/conformance_kvm.c */
static void make_hypercalls(struct vfio *v, uint8_t *ua)
{
	struct kvmplay_attach attach = {
		.group = vfio_device_group(0), .page_shift = 12,
		.start = WINDOW1_START, .size = WINDOW_SIZE,
	};
	struct kvmplay_call put = {
		.op = KVMPLAY_PUT, .npages = 1, .ioba = WINDOW1_START,
		.tce = (uintptr_t)ua | READ_WRITE,
	};
	int fd = open(KVMPLAY_DEVICE, O_RDWR | O_CLOEXEC);

	need("open " KVMPLAY_DEVICE, fd < 0, 0);
	need("KVMPLAY_ATTACH", ioctl(fd, KVMPLAY_ATTACH, &attach), 0);
	/* MAP_DMA in the window makes the mirror in which KVM looks up memory */
	need("MAP_DMA", dma_map(v->fd, KVM_IOVA, ua, base_page(), READ_WRITE), 0);
	expect_event("tce2_mirror made=1");
	need("H_PUT_TCE", ioctl(fd, KVMPLAY_CALL, &put), 0);
	need("result of H_PUT_TCE", put.ret, KVMPLAY_SUCCESS);
	expect_event("tce2_kvm_attach start=0x%llx size=%lu", WINDOW1_START,
		     WINDOW_SIZE);
	write_text(KVM_PARAMETER, "unmap-only");
	need("H_PUT_TCE", ioctl(fd, KVMPLAY_CALL, &put), 0);
	need("result of H_PUT_TCE with kvm=unmap-only", put.ret, KVMPLAY_TOO_HARD);
	write_text(KVM_PARAMETER, "on");
	expect_event("tce2_kvm_fallback start=0x%llx iova=0x%llx", WINDOW1_START,
		     WINDOW1_START);
	close(fd);
}

static void use_window(struct vfio *v, uint8_t *ua)
{
	uint64_t start;

	need("TCE_CREATE", window_create(v->fd, 12, WINDOW_SIZE, 1, &start), 0);
	need("start of the window", start == WINDOW1_START, true);
	expect_event("tce2_create start=0x%lx size=%lu page_shift=12 levels=1 ret=0",
		     start, WINDOW_SIZE);
	if (!access(KVMPLAY_DEVICE, F_OK))
		make_hypercalls(v, ua);
	need("TCE_REMOVE", window_remove(v->fd, start), 0);
	expect_event("tce2_remove start=0x%lx ret=0", start);
}

/* Make a request of each kind, and write its event to the file EXPECTED */
int client_main(void)
{
	uint8_t *ua = mem_base(SIZE);
	struct vfio v;

	expected = fopen(EXPECTED, "we");
	need("fopen", !expected || !ua || !vfio_devices(), false);
	open_container(&v, 0);
	expect_event("tce2_attach group=%d ret=0", vfio_device_group(0));
	/* VFIO waits for the lock under which groups are attached, at least for an instant */
	expect_event("tce2_wait why=groups ns=");
	make_requests(&v, ua, SIZE);
	make_vector(&v, ua);
	use_window(&v, ua);
	need("UNREGISTER_MEMORY", spapr_unregister(v.fd, ua, SIZE), 0);
	expect_event("tce2_unregister ua=0x%lx size=%lu ret=0",
		     (unsigned long)ua, SIZE);
	vfio_close(&v);
	expect_event("tce2_detach group=%d", vfio_device_group(0));
	return fclose(expected);
}

/* Map and unmap a page many times, with an error every hundredth time */
int busy_main(void)
{
	uint64_t p = base_page();
	uint8_t *ua = mem_base(p);
	struct vfio v;

	prctl(PR_SET_NAME, "busy-client");
	need("memory", !ua || !vfio_devices(), false);
	open_container(&v, 0);
	need("REGISTER_MEMORY", spapr_register(v.fd, ua, p), 0);
	for (int i = 0; i < BUSY_ROUNDS; i++) {
		need("MAP_DMA", dma_map(v.fd, IOVA, ua, p, READ_WRITE), 0);
		need("UNMAP_DMA", dma_unmap(v.fd, IOVA, p), 0);
		if (i % 100 == 0)
			dma_map(v.fd, IOVA, ua + p, p, READ_WRITE);
		usleep(1000);
	}
	vfio_close(&v);
	return 0;
}

/* The limit also applies to root, if root has no CAP_IPC_LOCK */
static void limit_memory(uint64_t bytes)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };

	setrlimit(RLIMIT_MEMLOCK, &limit);
	prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK);
}

static void hold(void)
{
	uint8_t *ua = mem_base(HOLDER_MEMORY), *more = mem_base(2 * HOLDER_LIMIT);
	uint64_t start;
	struct vfio v;

	need("memory", !ua || !more, false);
	open_container(&v, 1);
	need("REGISTER_MEMORY", spapr_register(v.fd, ua, HOLDER_MEMORY), 0);
	for (uint64_t i = 0; i < HOLDER_MAPS; i++)
		need("MAP_DMA", dma_map(v.fd, i * HOLDER_MEMORY, ua, HOLDER_MEMORY,
					READ_WRITE), 0);
	need("UNMAP_DMA", dma_unmap(v.fd, 0, HOLDER_HOLE), 0);
	need("TCE_CREATE", window_create(v.fd, 16, WINDOW_SIZE, 1, &start), 0);
	need("MAP_DMA", dma_map(v.fd, start, ua, HOLDER_MEMORY / 2, READ_ONLY), 0);
	need("MAP_DMA", dma_map(v.fd, GIB(3), ua, MIB(1), READ_WRITE), -ENXIO);
	need("REGISTER_MEMORY", spapr_register(v.fd, more, 2 * HOLDER_LIMIT), -ENOMEM);
}

static int hold_main(int ready)
{
	prctl(PR_SET_NAME, "dma-client");
	hold();
	need("write", write(ready, "", 1), 1);
	pause();
	return 0;
}

/*
 * Start a program that fills 93% of its 32-bit window and has two requests refused. Return its
 * process ID when it has done so, or 0.
 */
pid_t holder_start(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	fflush(stdout);
	if (pipe(ready))
		return 0;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		limit_memory(HOLDER_LIMIT);
		execl("/proc/self/exe", "tce2-observers", "hold",
		      (char[]){ '0' + ready[1], '\0' }, NULL);
		_exit(127);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		end(pid);
		pid = 0;
	}
	close(ready[0]);
	return pid;
}

int holder_main(const char *ready)
{
	return vfio_devices() < 2 || hold_main(atoi(ready));
}

/*
 * Start QEMU with a device passed through, and with a limit of locked memory. Its processor
 * stays stopped: QEMU registers memory and makes windows before it starts the processor.
 */
pid_t guest_start(const char *log, uint64_t memlock)
{
	char device[64];
	pid_t pid;

	snprintf(device, sizeof(device), "vfio-pci,host=%s", vfio_device_name(0));
	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	limit_memory(memlock);
	if (!freopen(log, "we", stderr) || !freopen("/dev/null", "re", stdin))
		_exit(127);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execlp("qemu-system-ppc64", "qemu-system-ppc64", "-machine",
	       "pseries,x-vof=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off",
	       "-accel", "kvm", "-m", "256M", "-nodefaults", "-display", "none", "-S",
	       "-device", device, NULL);
	_exit(127);
}

/* True if a process has ended */
bool has_ended(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG) == pid;
}

/* True if the module lists a bound container of the process */
bool guest_has_container(pid_t pid)
{
	char want[48], *text, *at;
	bool found;

	snprintf(want, sizeof(want), " pid=%d ", pid);
	if (!read_whole(CONTAINERS, &text))
		return false;
	at = strstr(text, want);
	found = at && strstr(at, " state=bound ");
	free(text);
	return found;
}

void end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
