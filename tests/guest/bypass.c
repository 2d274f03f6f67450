// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-bypass: what a device reaches of a group that the platform could not set
 * up when its last owner left. Each call that tests/guest/failnth.sh lets fail
 * there fails once; whoever has the group next maps nothing, and has the device
 * write to its own memory by way of powernv's bypass. Status 0: there were such
 * groups, and no device has reached anything.
 */
#include "lib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <unistd.h>

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define MOST_FAILURES	200
/* What the platform says when it goes on without a default window */
#define LEFT_OPEN	"Failed to configure 32-bit TCE table"

#define READ_ALL	3	/* of klogctl() */
#define LOG_BYTES	MIB(16)
#define IOVA		MIB(16)

static unsigned int nth, injected, left_open, reached;

static void set_fail_nth(unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	if (!write_text(FAIL_NTH, text))
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

static unsigned int times_left_open(void)
{
	static char log[LOG_BYTES + 1];
	int len = klogctl(READ_ALL, log, LOG_BYTES);
	unsigned int times = 0;

	if (len < 0)
		exit(2);
	log[len] = 0;
	for (char *at = log; (at = strstr(at, LEFT_OPEN)); at++)
		times++;
	return times;
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

int main(void)
{
	uint8_t *page = mem_base(base_page());
	unsigned int before = times_left_open();
	struct vfio v;

	if (!page || !vfio_devices()) {
		printf("# no memory or no device\n");
		return 2;
	}
	if (!device_can_write(page)) {
		printf("# the device does not write even where it may\n");
		return 2;
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
	left_open = times_left_open() - before;
	printf("# fail-nth: bypass: failures=%u left_open=%u reached=%u\n",
	       injected, left_open, reached);
	return !left_open || reached || nth > MOST_FAILURES;
}
