// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA by a device whose group the platform failed to set up when the last owner
 * returned it. Each call selected by inject_into_return() fails once. The next
 * owner of the group maps nothing, and lets the device write to the owner's memory
 * through powernv's bypass.
 */
#include "job_failnth.h"
#include "lib.h"
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define MOST_FAILURES	200
/* What the platform says when it goes on without a default window */
#define LEFT_OPEN	"Failed to configure 32-bit TCE table"

#define IOVA		MIB(16)

static unsigned int nth, injected, left_open, reached;

static void set_fail_nth(unsigned int value)
{
	if (!write_number(FAIL_NTH, value))
		exit(2);
}

/* A group or a container; the group goes back to the platform with its last */
static void failing_close(int fd)
{
	set_fail_nth(nth);
	close(fd);
	if (!read_number(FAIL_NTH))
		injected++;
	set_fail_nth(0);
}

static void own(struct vfio *v)
{
	if (vfio_own(v)) {
		printf("# no container to be had\n");
		exit(2);
	}
}

/* What its owner has mapped it does write to, or its silence would say nothing */
static bool device_can_write(uint8_t *page)
{
	struct vfio v;
	bool wrote;

	own(&v);
	wrote = !spapr_register(v.fd, page, base_page()) &&
		!dma_map(v.fd, IOVA, page, base_page(), READ_WRITE) &&
		vfio_device_writes(&v, IOVA, page) == 1;
	vfio_close(&v);
	return wrote;
}

static bool bypass_is_open(uint8_t *page)
{
	struct vfio v;
	uint64_t frame;
	int wrote;

	own(&v);
	if (!mem_frames(page, 1, &frame))
		exit(2);
	wrote = vfio_device_writes(&v, WINDOW1_START + frame * base_page(),
				   page);
	vfio_close(&v);
	if (wrote < 0)
		exit(2);
	return wrote;
}

/* Run in a child process. True if such groups existed and no device reached memory. */
bool bypass_reaches_nothing(void *unused)
{
	uint8_t *page = mem_base(base_page());
	size_t before = log_count(LEFT_OPEN);
	struct vfio v;

	(void)unused;
	if (!page || !vfio_devices()) {
		printf("# no memory or no device\n");
		return false;
	}
	if (!device_can_write(page)) {
		printf("# the device does not write even where it may\n");
		return false;
	}
	for (nth = 1; nth <= MOST_FAILURES; nth++) {
		unsigned int had = injected;

		own(&v);
		hooks.close = failing_close;
		vfio_close(&v);
		hooks = plain_hooks;
		reached += bypass_is_open(page);
		if (injected == had)
			break;
	}
	left_open = log_count(LEFT_OPEN) - before;
	printf("# fail-nth: bypass: failures=%u left_open=%u reached=%u\n",
	       injected, left_open, reached);
	return left_open && !reached && nth <= MOST_FAILURES;
}
