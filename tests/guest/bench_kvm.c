// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "kvm" of the benchmark: the cost of one TCE in a guest's hypercall that KVM
 * handles in the kernel. The module vfio_spapr_tce2_kvmplay makes the same calls as
 * KVM in the same order, and reads the clock before and after them. The time includes
 * KVM's check of each TCE before a map. It does not include the ioctls of
 * vfio_spapr_tce2_kvmplay, or the entry and exit of a guest.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../kvmplay/kvmplay.h"

#define TCES		KVMPLAY_LIST	/* TCEs of an action, in one call or in one call each */
#define REPEATS		9
#define WINDOW_SIZE	GIB(1)
#define UNTOUCHED	MIB(512)	/* no TCE at or above this offset is ever mapped */

static const char per_tce[] = "instructions per TCE";

/**
 * struct job - a window to measure
 * @name: name of the window's page size
 * @shift: log2 of the window's page size
 * @mem: memory for twice the TCEs of a call
 * @start: bus address of the window
 * @play: file descriptor of /dev/tce2-kvmplay
 */
struct job {
	const char *name;
	unsigned int shift;
	struct memory mem;
	uint64_t start;
	int play;
};

enum action {
	PUT_MAP, PUT_REPLACE, PUT_UNMAP, INDIRECT_MAP, STUFF_UNMAP, STUFF_EMPTY,
	ACTIONS
};

static const char *const action_name[ACTIONS] = {
	[PUT_MAP] = "put-map", [PUT_REPLACE] = "put-replace",
	[PUT_UNMAP] = "put-unmap", [INDIRECT_MAP] = "indirect-map",
	[STUFF_UNMAP] = "stuff-unmap", [STUFF_EMPTY] = "stuff-empty",
};

static uint64_t tce_of(const struct job *job, uint64_t page)
{
	return ((uintptr_t)job->mem.ua + (page << job->shift)) | READ_WRITE;
}

static struct kvmplay_call call_of(const struct job *job, enum action action)
{
	static uint64_t list[TCES];
	struct kvmplay_call call = {
		.op = KVMPLAY_PUT, .flags = KVMPLAY_UNCHECKED,
		.ioba = job->start, .npages = TCES,
	};

	switch (action) {
	case PUT_MAP:
		call.tce = tce_of(job, 0);
		break;
	case PUT_REPLACE:
		call.tce = tce_of(job, TCES);
		break;
	case INDIRECT_MAP:
		for (int i = 0; i < TCES; i++)
			list[i] = tce_of(job, i);
		call.op = KVMPLAY_INDIRECT;
		call.list = (uintptr_t)list;
		break;
	case STUFF_EMPTY:
		call.ioba += UNTOUCHED;
		call.op = KVMPLAY_STUFF;
		break;
	case STUFF_UNMAP:
		call.op = KVMPLAY_STUFF;
		break;
	default:
		break;
	}
	return call;
}

static double ns_of(uint64_t ticks)
{
	return ticks * (1e9 / __ppc_get_timebase_freq());
}

/* Check whether hypercalls go to userspace; if so, report all actions as refused */
static bool left_to_userspace(const struct job *job)
{
	struct kvmplay_call call = call_of(job, PUT_MAP);

	call.npages = 1;
	need(ioctl(job->play, KVMPLAY_CALL, &call), action_name[PUT_MAP]);
	if (call.ret != KVMPLAY_TOO_HARD)
		return false;
	for (int a = 0; a < ACTIONS; a++)
		refused(-EOPNOTSUPP, "kvm.%s.%s", action_name[a], job->name);
	return true;
}

/* The order of the actions matters: each needs the TCEs of the previous actions */
static void measure_actions(const struct job *job)
{
	double sample[ACTIONS][REPEATS];

	if (left_to_userspace(job))
		return;
	for (int i = 0; i < REPEATS; i++) {
		for (int a = 0; a < ACTIONS; a++) {
			struct kvmplay_call call = call_of(job, a);

			need(ioctl(job->play, KVMPLAY_CALL, &call),
			     action_name[a]);
			need(call.ret, action_name[a]);
			sample[a][i] = ns_of(call.ticks) / TCES;
		}
	}
	for (int a = 0; a < ACTIONS; a++)
		figure(median(sample[a], REPEATS), per_tce, "kvm.%s.%s",
		       action_name[a], job->name);
}

/* On pseries KVM maps nothing in the kernel, so MAP_DMA maps before each unmap */
static void measure_unmaps(const struct job *job)
{
	double sample[2][REPEATS];

	for (int i = 0; i < REPEATS; i++) {
		for (int a = 0; a < 2; a++) {
			struct kvmplay_call call =
				call_of(job, STUFF_UNMAP + a);

			need(dma_map(vfio.fd, job->start, job->mem.ua,
				     (uint64_t)TCES << job->shift, READ_WRITE),
			     "map");
			need(ioctl(job->play, KVMPLAY_CALL, &call), "stuff");
			need(call.ret, "stuff");
			sample[a][i] = ns_of(call.ticks) / TCES;
		}
	}
	for (int a = 0; a < 2; a++)
		figure(median(sample[a], REPEATS), per_tce, "kvm.%s.%s",
		       action_name[STUFF_UNMAP + a], job->name);
}

static void attach(const struct job *job)
{
	struct kvmplay_attach attach = {
		.group = vfio_device_group(0), .page_shift = job->shift,
		.start = job->start, .size = WINDOW_SIZE,
	};

	need(ioctl(job->play, KVMPLAY_ATTACH, &attach), "KVMPLAY_ATTACH");
}

static void measure_window(void *arg)
{
	struct job *job = arg;

	need(spapr_register(vfio.fd, job->mem.ua, job->mem.size), "register");
	need(window_create(vfio.fd, job->shift, WINDOW_SIZE, 1, &job->start),
	     "create window");
	job->play = open(KVMPLAY_DEVICE, O_RDWR | O_CLOEXEC);
	need(job->play < 0, "open " KVMPLAY_DEVICE);
	attach(job);
	/* At the first map, this module adds the memory to the list that KVM searches */
	need(dma_map(vfio.fd, job->start, job->mem.ua, 1ULL << job->shift,
		     READ_WRITE), "map");
	need(dma_unmap(vfio.fd, job->start, 1ULL << job->shift), "unmap");
	settle();
	if (under_hypervisor())
		measure_unmaps(job);
	else
		measure_actions(job);
	need(dma_unmap(vfio.fd, job->start, WINDOW_SIZE), "unmap");
	need(ioctl(job->play, KVMPLAY_DETACH_ALL), "detach");
	close(job->play);
	need(window_remove(vfio.fd, job->start), "remove window");
	need(spapr_unregister(vfio.fd, job->mem.ua, job->mem.size),
	     "unregister");
}

static void bench_pages(const char *name, unsigned int shift)
{
	enum memory_kind kind = base_page() >> shift ? FRESH : HUGE_2M;
	struct job job = { .name = name, .shift = shift };

	if (!offered(shift, 1))
		return;
	if (memory_get(&job.mem, kind, 2ULL * TCES << shift))
		each_backend(measure_window, &job);
	else
		printf("BENCH-NOTE: no memory of kind %s\n", kind_name[kind]);
	memory_put(&job.mem);
}

void bench_kvm(void)
{
	run_program("modprobe", "vfio_spapr_tce2_kvmplay");
	bench_pages("4k", 12);
	bench_pages("64k", 16);
	run_program("rmmod", "vfio_spapr_tce2_kvmplay");
}
