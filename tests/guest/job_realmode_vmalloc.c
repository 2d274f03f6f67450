// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-job_realmode_vmalloc: read vmalloc() memory with the MMU on, for comparison, and
 * then with the data MMU off, which no kernel code may do. On bare metal the second read
 * causes a machine check, which stops the kernel. In a hypervisor's guest on QEMU the
 * kernel repeats the load until its watchdog stops it.
 */
#include "lib.h"
#include "machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COMMAND		"/sys/kernel/debug/" OUR_MODULE "_selftest/command"
#define MMU_ON		8
#define MMU_OFF		0

static void start_watchdog(void)
{
	write_number("/proc/sys/kernel/watchdog_thresh", 4);
	write_number("/proc/sys/kernel/hardlockup_panic", 1);
	write_number("/proc/sys/kernel/nmi_watchdog", 1);
	write_number("/proc/sys/kernel/watchdog", 1);
}

/* Read a vmalloc() address through the self-test; print a text and the result */
static bool read_wildly(const char *what, int flags)
{
	int fd = open(COMMAND, O_RDWR | O_CLOEXEC);
	char text[256];
	ssize_t len;

	len = snprintf(text, sizeof(text), "wild 0 1000 c 1 %d 0\n", flags);
	if (fd < 0 || write(fd, text, len) != len)
		return false;
	len = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	if (len < 0)
		return false;
	text[len] = 0;
	printf("%s: %s\n", what, text);
	return true;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!load_backends() || !load_module(OUR_MODULE "_selftest"))
		return 1;
	start_watchdog();
	return !read_wildly("vmalloc read with the MMU on", MMU_ON) ||
	       !read_wildly("vmalloc read with the MMU off", MMU_OFF);
}
