// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that a device reaches no memory after the setup of its group failed. When an
 * owner returns a group, the platform sets up the group's default window. Each call
 * in this setup that inject_into_return() selects fails once. The next owner of the
 * group maps nothing. It then lets the device write to the owner's memory through
 * powernv's bypass window: the write must not arrive.
 */
#include "job_failnth.h"
#include "lib.h"
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define MOST_FAILURES	200
/* The platform logs this text if it failed to set up a group's default window */
#define LEFT_OPEN	"Failed to configure 32-bit TCE table"

#define IOVA		MIB(16)

static unsigned int nth, injected, left_open, reached;

static void set_fail_nth(unsigned int value)
{
	if (!write_number(FAIL_NTH, value))
		exit(2);
}

/* Close a group or a container; the last close returns the group to the platform */
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
		printf("# cannot open a container\n");
		exit(2);
	}
}

/* Check that the device can write to mapped memory: otherwise a missing write proves nothing */
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

/* Check whether the device reaches an unmapped page through the bypass */
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

/*
 * Run in a child process. Return true if the setup of a group failed at least once, and
 * no device reached memory.
 */
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
		printf("# the device does not write to mapped memory\n");
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
