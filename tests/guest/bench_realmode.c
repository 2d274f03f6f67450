// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark's part about real mode: what one lookup and translation costs
 * with the data MMU off, with it on, and in the kernel's own list of regions,
 * which knows no real mode. The module vfio_spapr_tce2_selftest does all three on
 * the same random pages; what the same takes with functions that do nothing is
 * subtracted.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define TRANSLATIONS	4096

static const char per_translation[] = "instructions per translation";

/* What the self-test measured, in ns for all of them */
struct times {
	long long real;
	long long virtual;
	long long kernel;
};

static void ask_for_times(const uint8_t *ua, uint64_t size, struct times *times)
{
	int fd = open("/sys/kernel/debug/vfio_spapr_tce2_selftest/command",
		      O_RDWR | O_CLOEXEC);
	char text[256];
	ssize_t len = snprintf(text, sizeof(text), "time %lx %lx c %x 0 %lx",
			       (unsigned long)ua, (unsigned long)size,
			       TRANSLATIONS, (unsigned long)base_page());

	need(fd < 0 || write(fd, text, len) != len, "self-test");
	len = pread(fd, text, sizeof(text) - 1, 0);
	text[len > 0 ? len : 0] = '\0';
	need(sscanf(text, "real %lld virtual %lld kernel %lld", &times->real,
		    &times->virtual, &times->kernel) != 3,
	     "answer of the self-test");
	close(fd);
}

static void measure_regions(uint8_t *ua, unsigned int regions)
{
	uint64_t p = base_page();
	struct times times;

	for (unsigned int i = 0; i < regions; i++)
		need(spapr_register(vfio.fd, ua + i * p, p), "register");
	ask_for_times(ua, regions * p, &times);
	figures_of(true);
	figure((double)times.real / TRANSLATIONS, per_translation,
	       "realmode.translate.%u-regions", regions);
	figure((double)times.virtual / TRANSLATIONS, per_translation,
	       "realmode.virtual.%u-regions", regions);
	figures_of(false);
	figure((double)times.kernel / TRANSLATIONS, per_translation,
	       "realmode.translate.%u-regions", regions);
	figure((double)times.kernel / TRANSLATIONS, per_translation,
	       "realmode.virtual.%u-regions", regions);
	for (unsigned int i = 0; i < regions; i++)
		need(spapr_unregister(vfio.fd, ua + i * p, p), "unregister");
}

void bench_realmode(void)
{
	struct memory mem;

	need(!memory_get(&mem, FRESH, 8192 * base_page()), "memory");
	run_program("modprobe", "vfio_spapr_tce2_selftest");
	need(vfio_open(&vfio), "open /dev/vfio/vfio");
	need(vfio_attach(&vfio, 0), "attach the device's group");
	need(vfio_set_iommu(&vfio, VFIO_SPAPR_TCE_v2_IOMMU), "VFIO_SET_IOMMU");
	measure_regions(mem.ua, 1);
	measure_regions(mem.ua, 64);
	measure_regions(mem.ua, 1024);
	measure_regions(mem.ua, 8192);
	vfio_close(&vfio);
	run_program("rmmod", "vfio_spapr_tce2_selftest");
	run_program("rmmod", "vfio_spapr_tce2");
	memory_put(&mem);
}
