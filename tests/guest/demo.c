// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-demo: show step by step that the backend works. Memory is registered and
 * mapped in two windows. A PCI device reaches the mapped memory, but no other
 * memory. At the end, all memory and windows are released. Each line is printed
 * after its step was verified.
 *
 * Exit status 0 if every step succeeded.
 */
#include "lib.h"
#include "machine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BASE_SIZE	MIB(64)
#define BASE_IOVA	MIB(256)	/* in the default window */
#define WINDOW_SIZE	GIB(1024)
#define PROBE		EDU_BUFFER	/* bytes of each DMA transfer */

static struct vfio vfio;
static uint64_t seed = 1;

static struct {
	uint8_t *ua;
	uint64_t size;
	uint64_t page;
	uint64_t window;
} huge;
static uint8_t *base;

static __attribute__((format(printf, 1, 2))) void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("DEMO: ", stdout);
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
	va_end(ap);
}

static __attribute__((format(printf, 1, 2), noreturn)) void
failed(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("DEMO: FAILED: ", stdout);
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
	va_end(ap);
	exit(1);
}

static void need(int ret, const char *what)
{
	if (ret)
		failed("%s: %s", what,
		       ret < 0 ? strerror(-ret) : "unexpected return value");
}

/* Return a size as text, like "64 MiB"; the text is valid until the second next call */
static const char *amount(uint64_t bytes)
{
	static const char *const unit[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	static char text[2][32];
	static int turn;
	unsigned int i = 0;

	while (i < ARRAY_SIZE(unit) - 1 && bytes >= 1024 && bytes % 1024 == 0) {
		bytes /= 1024;
		i++;
	}
	turn = !turn;
	snprintf(text[turn], sizeof(text[turn]), "%llu %s",
		 (unsigned long long)bytes, unit[i]);
	return text[turn];
}

/* Let the device copy PROBE bytes from @src_iova to @dst_iova, and compare the data */
static void copy_proven(uint64_t src_iova, uint8_t *src, uint64_t dst_iova,
			uint8_t *dst, const char *what)
{
	pattern_fill(src, PROBE, ++seed);
	memset(dst, 0, PROBE);
	need(edu_to_device(&vfio.edu[0], src_iova, 0, PROBE), "DMA to device");
	need(edu_from_device(&vfio.edu[0], dst_iova, 0, PROBE),
	     "DMA from device");
	if (!pattern_is(dst, PROBE, seed))
		failed("%s: the device copied wrong data", what);
}

static void open_container(void)
{
	int before = module_refs(OUR_MODULE), after;

	if (before < 0)
		failed("module " OUR_MODULE " is not loaded");
	if (!vfio_devices())
		failed("found no edu device with an IOMMU group");
	need(vfio_open(&vfio), "open /dev/vfio/vfio");
	need(vfio_attach(&vfio, 0), "attach the device's group");
	need(vfio_set_iommu(&vfio, VFIO_SPAPR_TCE_v2_IOMMU),
	     "VFIO_SET_IOMMU(SPAPR TCE v2)");
	after = module_refs(OUR_MODULE);
	if (after != before + 1)
		failed("another backend handles the container");
	need(vfio_open_device(&vfio, 0), "open the device");
	say("opened a container with device %s (IOMMU group %d): " OUR_MODULE
	    " handles it, use count %d -> %d", vfio_device_name(0),
	    vfio_device_group(0), before, after);
}

static void show_info(void)
{
	struct vfio_iommu_spapr_tce_info info;
	char sizes[160] = "";

	need(get_info(vfio.fd, &info), "VFIO_IOMMU_SPAPR_TCE_GET_INFO");
	if (!(info.flags & VFIO_IOMMU_SPAPR_INFO_DDW))
		failed("the container offers no dynamic DMA windows");
	for (int shift = 12; shift < 64; shift++)
		if (info.ddw.pgsizes & (1ULL << shift))
			snprintf(sizes + strlen(sizes),
				 sizeof(sizes) - strlen(sizes), "%s%s",
				 *sizes ? ", " : "", amount(1ULL << shift));
	say("the container offers a default window of %s at bus address %#x, %u windows, up to %u table levels, IOMMU pages of %s",
	    amount(info.dma32_window_size), info.dma32_window_start,
	    info.ddw.max_dynamic_windows_supported, info.ddw.levels, sizes);
}

static void get_hugepages(void)
{
	huge.page = GIB(1);
	huge.size = GIB(1);
	huge.ua = mem_hugetlb(huge.page, 1);
	if (huge.ua)
		return;
	huge.page = MIB(2);
	huge.size = MIB(32);
	huge.ua = mem_hugetlb(huge.page, huge.size / huge.page);
	if (!huge.ua)
		failed("cannot allocate hugepages");
}

static void register_memory(void)
{
	int64_t locked = vmlck(), pinned = pins();

	base = mem_base(BASE_SIZE);
	if (!base)
		failed("cannot allocate memory");
	get_hugepages();
	need(spapr_register(vfio.fd, base, BASE_SIZE), "register base pages");
	need(spapr_register(vfio.fd, huge.ua, huge.size), "register hugepages");
	if (vmlck() - locked != (int64_t)(BASE_SIZE + huge.size))
		failed("registering charged %lld bytes", (long long)(vmlck() - locked));
	say("registered %s of base pages and %s of hugepages: VmLck %lld -> %lld MiB, %lld pages pinned",
	    amount(BASE_SIZE), amount(huge.size), (long long)(locked >> 20),
	    (long long)(vmlck() >> 20), (long long)(pins() - pinned));
}

static void use_default_window(void)
{
	uint64_t last = BASE_SIZE - PROBE;

	need(dma_map(vfio.fd, BASE_IOVA, base, BASE_SIZE, READ_WRITE),
	     "map in the default window");
	say("mapped %s at %#llx in the default 32-bit window, with 4 KiB IOMMU pages",
	    amount(BASE_SIZE), (unsigned long long)BASE_IOVA);
	copy_proven(BASE_IOVA, base, BASE_IOVA + last, base + last,
		    "default window");
	copy_proven(BASE_IOVA + last, base + last, BASE_IOVA, base,
		    "default window");
	say("the device copied %d bytes from the first page to the last and back: the data is correct",
	    PROBE);
}

static void use_second_window(void)
{
	uint64_t last = huge.size - PROBE;

	need(window_create(vfio.fd, __builtin_ctzll(huge.page), WINDOW_SIZE, 1,
			   &huge.window), "create the second window");
	if (huge.window != WINDOW1_START)
		failed("the second window starts at %#llx",
		       (unsigned long long)huge.window);
	need(dma_map(vfio.fd, huge.window, huge.ua, huge.size, READ_WRITE),
	     "map in the second window");
	say("created a second window at %#llx (1 << 59) with %s IOMMU pages, and mapped the hugepages in it",
	    (unsigned long long)huge.window, amount(huge.page));
	copy_proven(BASE_IOVA, base, huge.window + last, huge.ua + last,
		    "second window");
	copy_proven(huge.window + last, huge.ua + last, BASE_IOVA, base,
		    "second window");
	say("the device copied data from the default window to the end of the second window and back: the data is correct");
}

/*
 * Check that the device does not read the memory at @ua through @iova. The memory was
 * mapped at @iova before.
 */
static void not_readable(uint64_t iova, uint8_t *ua)
{
	uint64_t secret = ++seed;

	pattern_fill(ua, PROBE, secret);
	pattern_fill(base, PROBE, ++seed);
	need(edu_to_device(&vfio.edu[0], iova, 0, PROBE), "DMA to device");
	need(edu_from_device(&vfio.edu[0], BASE_IOVA, 0, PROBE),
	     "DMA from device");
	if (pattern_is(base, PROBE, secret))
		failed("the device read memory through the unmapped address %#llx",
		       (unsigned long long)iova);
	if (pattern_is(base, PROBE, seed))
		failed("the device did not write to a mapped address");
}

/* Check that the device does not write to the memory at @ua through @iova */
static void not_writable(uint64_t iova, uint8_t *ua)
{
	uint64_t secret = ++seed;

	pattern_fill(ua, PROBE, secret);
	pattern_fill(base, PROBE, ++seed);
	need(edu_to_device(&vfio.edu[0], BASE_IOVA, 0, PROBE), "DMA to device");
	need(edu_from_device(&vfio.edu[0], iova, 0, PROBE), "DMA from device");
	if (!pattern_is(ua, PROBE, secret))
		failed("the device wrote to memory through the unmapped address %#llx",
		       (unsigned long long)iova);
}

static void reach_nothing(void)
{
	uint64_t hole = MIB(32);

	need(dma_unmap(vfio.fd, BASE_IOVA + hole, base_page()), "unmap a page");
	not_readable(BASE_IOVA + hole, base + hole);
	not_writable(BASE_IOVA + hole, base + hole);
	say("unmapped the page at %#llx: the device can no longer read or write it",
	    (unsigned long long)(BASE_IOVA + hole));
	not_writable(BASE_IOVA + BASE_SIZE, base + BASE_SIZE - PROBE);
	not_writable(huge.window + huge.size, huge.ua);
	say("the device wrote to addresses never mapped, in both windows: no memory was changed");
}

static void busy_while_mapped(void)
{
	int ret = spapr_unregister(vfio.fd, base, BASE_SIZE);

	if (ret != -EBUSY)
		failed("unregistering mapped memory returned %d", ret);
	copy_proven(BASE_IOVA, base, huge.window, huge.ua,
		    "after the failed unregister");
	say("unregistering mapped memory failed with EBUSY, and the device can still use the memory");
}

static void give_back(int64_t locked, int64_t pinned, int refs)
{
	need(dma_unmap(vfio.fd, BASE_IOVA, BASE_SIZE), "unmap");
	need(window_remove(vfio.fd, huge.window), "remove the second window");
	need(spapr_unregister(vfio.fd, base, BASE_SIZE),
	     "unregister base pages");
	need(spapr_unregister(vfio.fd, huge.ua, huge.size),
	     "unregister hugepages");
	if (pins() != pinned)
		failed("%lld pages are still pinned",
		       (long long)(pins() - pinned));
	say("unmapped the default window, removed the second window, unregistered the memory: all pages are unpinned");
	vfio_close(&vfio);
	if (vmlck() != locked)
		failed("VmLck is %lld KiB, was %lld KiB",
		       (long long)(vmlck() >> 10), (long long)(locked >> 10));
	if (module_refs(OUR_MODULE) != refs)
		failed("the module's use count is still %d", module_refs(OUR_MODULE));
	say("closed the container: VmLck is back at %lld MiB, the use count of " OUR_MODULE
	    " is back at %d", (long long)(locked >> 20), refs);
}

static void name_machine(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[128], cpu[32] = "an unknown CPU";
	struct utsname kernel;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "cpu : %31[A-Z0-9]", cpu) == 1)
			break;
	if (f)
		fclose(f);
	uname(&kernel);
	say("Linux %s is running on %s with %ld CPUs", kernel.release, cpu,
	    sysconf(_SC_NPROCESSORS_ONLN));
}

static void load_modules(void)
{
	if (!load_module(IN_TREE_MODULE))
		failed("cannot load the in-tree driver");
	if (!load_module("vfio-pci"))
		failed("cannot load vfio-pci");
	say("the in-tree driver " IN_TREE_MODULE " is loaded");
	if (!load_module(OUR_MODULE))
		failed(OUR_MODULE " cannot be loaded");
	say(OUR_MODULE " is loaded: VFIO asks " OUR_MODULE " before the in-tree driver");
}

static void bind_devices(void)
{
	char edu[SLOTS][PCI_ADDRESS];
	size_t found = find_edus(edu, SLOTS);

	if (!bind_edus("# edu "))
		failed("cannot bind the edu devices to vfio-pci");
	for (size_t i = 0; i < found; i++)
		say("edu device %s (IOMMU group %d) is bound to vfio-pci", edu[i],
		    group_of(edu[i]));
}

static void unload_and_check(void)
{
	if (!unload_module(OUR_MODULE))
		failed(OUR_MODULE " cannot be unloaded");
	say(OUR_MODULE " is unloaded");
	if (log_print_complaints("DEMO: kernel log: ", ANY_COMPLAINT))
		failed("the kernel log has warnings");
	say("the kernel log has no warnings");
}

static void use_backend(void)
{
	int64_t locked = vmlck(), pinned = pins();
	int refs = module_refs(OUR_MODULE);

	open_container();
	show_info();
	register_memory();
	use_default_window();
	use_second_window();
	reach_nothing();
	busy_while_mapped();
	give_back(locked, pinned, refs);
}

int main(void)
{
	name_machine();
	log_mark();
	load_modules();
	bind_devices();
	use_backend();
	unload_and_check();
	return 0;
}
