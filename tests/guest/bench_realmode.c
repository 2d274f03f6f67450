// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "realmode" of the benchmark: the cost of one lookup and translation of a user
 * address. This module's functions are measured with the data MMU off and with the data
 * MMU on. The kernel's own list of regions (mm_iommu), which does not support real mode,
 * is measured with the MMU on. The module vfio_spapr_tce2_selftest makes all three
 * measurements on the same random pages, and subtracts the time of empty functions.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define TRANSLATIONS	4096

static const char per_translation[] = "instructions per translation";

/* Results of the self-test, in ns for all translations */
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
