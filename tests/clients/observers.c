// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-observers: run the programs with which administrators observe the module, on the
 * running module: tce2ctl, trace-cmd, perf and bpftrace. Compares their output with the
 * requests that clients have made. Prints TAP, the output of each program ("# | "), and a
 * report of tce2ctl in each situation ("# > ").
 *
 * With the argument "client" or "busy" it is a client (observers_client.c).
 */
#define _GNU_SOURCE
#include "observers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TRACING		"/sys/kernel/tracing"
#define GUEST_LOG	"/tmp/qemu.log"
#define GUEST_SECONDS	120
#define GUEST_RAM	MIB(256)
#define ARGUMENTS	"-m 256M -device vfio-pci,host=0000:01:00.0"
#define CLIENT		"/bin/tce2-observers client"
#define COUNT		"tracepoint:vfio_spapr_tce2:tce2_refusal { @[args->request, args->rule] = count(); }"
#define LISTS		"containers groups windows"
/* Compare the lists of a report with the lists of the running module */
#define COMPARE		"tce2ctl $l >/tmp/now; tce2ctl --from /tmp/report $l | cmp - /tmp/now"

static bool await_container(pid_t pid, int *status)
{
	for (int i = 0; i < 10 * GUEST_SECONDS; i++) {
		if (guest_has_container(pid))
			return true;
		if (has_ended(pid, status))
			return false;
		usleep(100000);
	}
	return false;
}

static bool await_end(pid_t pid, int *status)
{
	for (int i = 0; i < 10 * GUEST_SECONDS; i++) {
		if (has_ended(pid, status))
			return true;
		usleep(100000);
	}
	end(pid);
	return false;
}

/* Wait until the in-tree driver is in use */
static bool await_in_tree(void)
{
	for (int i = 0; i < 10 * GUEST_SECONDS; i++) {
		if (module_refs(IN_TREE_MODULE) > 0)
			return true;
		usleep(100000);
	}
	return false;
}

/*
 * A guest started before the module was loaded: the in-tree driver handles its container
 */
static void before_the_module(void)
{
	static const struct look not_loaded = {
		"status says that the module is installed but not loaded", "tce2ctl status", 1,
		{ "fail     module      version ", "is installed but not loaded: modprobe" },
	};
	static const struct look other_driver = {
		"status names the container of the in-tree driver, and the reason",
		"tce2ctl status", 1,
		{ "handles 0 of 1 containers", "fail     container   qemu-system-ppc (",
		  "backend vfio_iommu_spapr_tce for 1 of 1 containers: opened before the ", },
	};
	static const struct look json = {
		"status --json has the backend of the container", "tce2ctl status --json", 1,
		{ "\"result\": \"fail\"", "\"backend\": \"vfio_iommu_spapr_tce\"" },
	};
	pid_t guest;

	look(&not_loaded);
	guest = guest_start(GUEST_LOG, RLIM_INFINITY);
	tap("QEMU opens a container before the module is loaded", await_in_tree());
	tap("the module loads", load_ours());
	look(&other_driver);
	look(&json);
	print_report("in-tree");
	end(guest);
}

/* Return the bytes that tce2ctl computes for the guest, or 0 */
static uint64_t computed_need(void)
{
	static const char key[] = "\"need\": {";
	int status;
	char *text = run("tce2ctl --json explain --guest " ARGUMENTS, &status);
	char *at = strstr(text, key);
	uint64_t bytes = 0;

	at = at ? strstr(at, "\"bytes\":") : NULL;
	if (at)
		bytes = strtoull(at + strlen("\"bytes\":"), NULL, 10);
	free(text);
	return bytes;
}

/*
 * A guest that does not start for want of memlock
 */
static void want_of_memlock(void)
{
	static const struct look status = {
		"status says why the guest has ended", "tce2ctl status", 0,
		{ "note     ended       qemu-system-ppc (", "raise the limit" },
	};
	static const struct look refusals = {
		"refusals has the request, the error and the rule", "tce2ctl refusals", 0,
		{ "qemu-system-ppc", "register", "ENOMEM", "memlock" },
	};
	static const struct look json = {
		"refusals --json has the same", "tce2ctl refusals --json", 0,
		{ "\"request\": \"register\"", "\"errno\": 12", "\"rule\": \"memlock\"" },
	};
	char explain[64];
	const struct look ended = {
		"explain shows the refused request of the ended guest", explain, 1,
		{ "qemu-system-ppc (", "RLIMIT_MEMLOCK", "register", "ENOMEM" },
	};
	static const struct look setting = {
		"explain --guest prints the setting", "tce2ctl explain --guest " ARGUMENTS, 0,
		{ "set memlock to at least", "LimitMEMLOCK=", "ulimit -l " },
	};
	int ended_with = 0;
	pid_t guest = guest_start(GUEST_LOG, GUEST_RAM / 2);

	tap("QEMU with too low a limit ends with an error",
	    await_end(guest, &ended_with) && ended_with);
	system("sed 's/^/# qemu: /' " GUEST_LOG);
	look(&status);
	look(&refusals);
	look(&json);
	snprintf(explain, sizeof(explain), "tce2ctl explain %d", guest);
	look(&ended);
	look(&setting);
	print_report("memlock");
}

/*
 * A guest that runs with the computed limit
 */
static pid_t guest_with_need(void)
{
	uint64_t need = computed_need();
	int status;
	pid_t guest = guest_start(GUEST_LOG, need);

	tap("tce2ctl computes a need above the guest's memory", need > GUEST_RAM);
	if (!tap("QEMU starts with the computed limit", await_container(guest, &status)))
		system("sed 's/^/# qemu: /' " GUEST_LOG);
	return guest;
}

static void lists(pid_t guest)
{
	static const struct look looks[] = {
		{ "status shows that the module handles the container", "tce2ctl status", 0,
		  { "handles 1 of 1 containers", "ok       installed", "qemu-system-ppc" } },
		{ "containers shows the guest", "tce2ctl containers", 0,
		  { "qemu-system-ppc  bound       1" } },
		{ "groups shows the device", "tce2ctl groups", 0, { "0000:" } },
		{ "windows shows the window of 4 KiB pages", "tce2ctl windows", 0,
		  { "4 KiB       1" } },
		{ "regions shows the guest's RAM", "tce2ctl regions", 0, { "256 MiB" } },
	};
	char explain[64];
	const struct look enough = {
		"explain says that the limit is sufficient", explain, 0,
		{ "ok       memlock", "containers of this module", "guest's RAM (-m)" },
	};

	look_at_all(looks, ARRAY_SIZE(looks));
	snprintf(explain, sizeof(explain), "tce2ctl explain %d", guest);
	look(&enough);
	print_report("running");
}

/*
 * A table that is nearly full, and two refused requests
 */
static void nearly_full(void)
{
	static const struct look looks[] = {
		{ "status warns of the nearly full window", "tce2ctl status", 0,
		  { "note     window      container ",
		    "window at 0x0: 491264 of 524288 TCEs are in use: tce2ctl map",
		    "note     refused     dma-client (", "refused requests: 2" } },
		{ "containers counts the requests", "tce2ctl containers", 0,
		  { "dma-client", "    62       1        0       0        2" } },
		{ "windows counts the TCEs", "tce2ctl windows", 0,
		  { "491264  93%", "256   1%" } },
		{ "regions counts extents and TCEs", "tce2ctl regions", 0, { "32 MiB" } },
		{ "mappings joins adjacent mappings only", "tce2ctl mappings", 0,
		  { "  0x100000  31 MiB  0x", " 0x2000000  32 MiB  0x",
		    "0x800000000000000  16 MiB  0x", "  r\n" } },
		{ "refusals shows both refused requests", "tce2ctl refusals", 0,
		  { "dma-client", "  map         ENXIO   no-window  ",
		    "  register    ENOMEM  memlock  " } },
		{ "map draws the windows", "LC_ALL=C.UTF-8 tce2ctl map --width=78", 0,
		  { "491264 of 524288 TCEs in use (93%)", "256 of 16384 TCEs in use (1%)",
		    "0x7fffffff" } },
		{ "map --svg writes a picture",
		  "tce2ctl map --svg=/tmp/map.svg && cat /tmp/map.svg | head -n 3", 0,
		  { "<svg " } },
		{ "metrics counts the requests", "tce2ctl metrics", 0,
		  { "vfio_spapr_tce2_containers 2\n", "comm=\"dma-client\",request=\"map\"} 62\n",
		    "vfio_spapr_tce2_window_mapped_tces{container=", "} 491264\n", "# EOF" } },
		{ "containers --json has the requests", "tce2ctl containers --json", 0,
		  { "\"comm\": \"dma-client\"", "\"map\": 62,", "\"unmap\": 1,",
		    "\"refused\": 2" } },
		{ "groups --json has the devices", "tce2ctl groups --json", 0,
		  { "\"devices\":" } },
		{ "windows --json has the TCEs", "tce2ctl windows --json", 0,
		  { "\"mapped\": 491264,", "\"use\": 93" } },
		{ "regions --json has the size", "tce2ctl regions --json", 0,
		  { "\"size\": 33554432," } },
		{ "mappings --json has the bus address", "tce2ctl mappings --json", 0,
		  { "\"iova\": \"0x100000\"", "\"perm\": \"r\"" } },
		{ "map --json has the cells", "tce2ctl map --json", 0, { "\"cells\":" } },
	};
	pid_t holder = holder_start();
	char command[64];
	const struct look why = {
		"explain shows limit and refusals of the client", command, 1,
		{ "fail     refused     a request was refused because of the limit",
		  "40.2 MiB of 64 MiB are charged", "  register  ENOMEM  memlock  ",
		  "  map       ENXIO   no-window  " },
	};
	const struct look why_json = {
		"explain --json has limit and refusals", command, 1,
		{ "\"limit\": 67108864", "\"rule\": \"memlock\"" },
	};
	static const struct look saved = {
		"a report shows the same as the running module",
		"tce2ctl report --output=/tmp/report && for l in " LISTS "; do " COMPARE
		" || exit; done; echo equal", 0, { "equal" },
	};

	tap("a client fills a window and has two requests refused", holder > 0);
	look_at_all(looks, ARRAY_SIZE(looks));
	snprintf(command, sizeof(command), "tce2ctl explain %d", holder);
	look(&why);
	snprintf(command, sizeof(command), "tce2ctl explain %d --json", holder);
	look(&why_json);
	look(&saved);
	print_report("full");
	end(holder);
}

/*
 * Events, as the tools show them
 */
static void observe_events(void)
{
	static const struct look parsed = {
		"trace-cmd can parse all events of the module",
		"trace-cmd check-events 2>&1 | grep -c vfio_spapr_tce2", 1, { "0" },
	};
	static const struct look listed = {
		"trace-cmd lists the events", "trace-cmd list -e vfio_spapr_tce2", 0,
		{ "vfio_spapr_tce2:tce2_register", "vfio_spapr_tce2:tce2_refusal",
		  "vfio_spapr_tce2:tce2_kvm_fallback", "vfio_spapr_tce2:tce2_wait" },
	};
	static const struct look recorded[] = {
		{ "trace-cmd records the events of a client",
		  "trace-cmd record -q -e vfio_spapr_tce2 -o /tmp/trace.dat " CLIENT, 0, { NULL } },
		{ "perf records the events of a client",
		  "perf record -q -a -e 'vfio_spapr_tce2:*' -o /tmp/perf.data -- " CLIENT, 0,
		  { NULL } },
		{ "bpftrace counts refusals by rule",
		  "bpftrace -e '" COUNT "' -c '" CLIENT "'", 0,
		  { "@[register, already-registered]: 1", "@[copy, source-not-mapped]: 1" } },
	};

	look(&parsed);
	look(&listed);
	look(&recorded[0]);
	tap_events("trace-cmd report shows each event with its fields",
		   "trace-cmd report -i /tmp/trace.dat");
	look(&recorded[1]);
	tap_events("perf script shows each event with its fields",
		   "perf script -i /tmp/perf.data");
	look(&recorded[2]);
}

static void observe_at_once(void)
{
	static const struct look looks[] = {
		{ "trace prints the events of a client",
		  "(sleep 3; " CLIENT ") & tce2ctl trace -n 5; wait", 0,
		  { "tce2_attach: container=", "tce2_register: container=",
		    "tce2_refusal: container=", "rule=already-registered" } },
		{ "trace --json prints them as JSON",
		  "(sleep 3; " CLIENT ") & tce2ctl trace -n 5 --json; wait", 0,
		  { "\"event\": \"tce2_register\"", "rule=already-registered\"" } },
		{ "top shows the busy client",
		  "/bin/tce2-observers busy & sleep 2; tce2ctl top --batch -n 2 -d 2; kill $!", 0,
		  { "busy-client" } },
		{ "top --json shows the busy client",
		  "/bin/tce2-observers busy & sleep 2; tce2ctl top --json -n 2 -d 2; kill $!", 0,
		  { "\"comm\": \"busy-client\"" } },
	};

	look_at_all(looks, ARRAY_SIZE(looks));
}

/* Change the last character of a property of a module, which follows a NUL */
static bool change(char *data, size_t size, const char *key)
{
	for (char *at = data; (at = memmem(at, data + size - at, key, strlen(key))); at++)
		if (!at[-1]) {
			at[strlen(at) - 1] ^= 1;
			return true;
		}
	return false;
}

/* Give the installed module another version, as an upgrade does */
static bool upgrade(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat info;
	char *data;
	bool ok;

	if (fd < 0 || fstat(fd, &info))
		return false;
	data = malloc(info.st_size);
	ok = data && pread(fd, data, info.st_size, 0) == info.st_size &&
	     change(data, info.st_size, "version=") &&
	     change(data, info.st_size, "srcversion=") &&
	     pwrite(fd, data, info.st_size, 0) == info.st_size;
	free(data);
	return !close(fd) && ok;
}

/*
 * A module upgraded on disk, but not loaded
 */
static void upgraded(void)
{
	static const struct look looks[] = {
		{ "status says that another version is installed than is loaded", "tce2ctl status",
		  1, { "fail     upgrade     version ", "is loaded, but ",
		       "end the programs that use the module (use count " } },
		{ "metrics says that an upgrade is pending", "tce2ctl metrics | grep pending", 0,
		  { "vfio_spapr_tce2_upgrade_pending 1" } },
	};
	struct utsname name;
	char path[300];

	uname(&name);
	snprintf(path, sizeof(path), "/lib/modules/%s/extra/" OUR_MODULE ".ko", name.release);
	tap("the module on disk is replaced", upgrade(path));
	look_at_all(looks, ARRAY_SIZE(looks));
	print_report("upgrade");
}

static bool prepare(void)
{
	mount("none", TRACING, "tracefs", 0, NULL);
	return load_module(IN_TREE_MODULE) && load_module("vfio-pci") && load_module("kvm_hv") &&
	       bind_edus("# edu ") && vfio_devices() == 2;
}

int main(int argc, char **argv)
{
	pid_t guest;

	setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 1);
	setenv("LC_ALL", "C", 1);
	if (argc == 2 && !strcmp(argv[1], "client"))
		return client_main();
	if (argc == 2 && !strcmp(argv[1], "busy"))
		return busy_main();
	if (argc == 3 && !strcmp(argv[1], "hold"))
		return holder_main(argv[2]);
	tap_begin();
	tap("the in-tree driver, vfio-pci and KVM load", prepare());
	before_the_module();
	want_of_memlock();
	guest = guest_with_need();
	lists(guest);
	nearly_full();
	upgraded();
	end(guest);
	load_module(OUR_MODULE "_kvmplay");
	observe_events();
	observe_at_once();
	unload_module(OUR_MODULE "_kvmplay");
	tap("the module unloads", unload_module(OUR_MODULE));
	tap_no_complaints();
	return tap_end();
}
