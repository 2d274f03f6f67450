/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for programs that control the emulated machine: modules, PCI
 * devices, the kernel log, memory leaks, and results as TAP.
 *
 * Functions of type bool return true on success.
 */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUR_MODULE	"vfio_spapr_tce2"
#define IN_TREE_MODULE	"vfio_iommu_spapr_tce"

/*
 * Processes and files (lib_machine.c)
 */

int run_command(const char *path, char *const argv[]);
bool succeeds_in_child(bool (*run)(void *arg), void *arg);
bool read_whole(const char *path, char **text);

/*
 * Modules (lib_machine.c). The in-tree driver is loaded first and this module last,
 * because VFIO first asks the backend that was loaded last.
 */

bool load_module(const char *name);
bool unload_module(const char *name);
bool module_is_loaded(const char *name);
bool load_ours(void);
bool load_backends(void);

/*
 * PCI devices (lib_machine.c)
 */

#define PCI_ADDRESS	16	/* bytes for an address such as "0000:00:00.0" */
#define DISK		"/dev/nvme0n1"
#define DISK_CLASS	0x010802

size_t devices_of_class(unsigned int class, char addresses[][PCI_ADDRESS], size_t most);
bool device_of_class(unsigned int class, char address[PCI_ADDRESS]);
bool remove_device(const char *address);
bool give(const char *address, const char *driver);
size_t find_edus(char addresses[][PCI_ADDRESS], size_t most);
bool bind_edus(const char *prefix);
bool edus_are_bound(size_t count);
bool await_disk(void);
bool load_disk(void);
bool reserve_hugepages(unsigned int of_2m, unsigned int of_1g);

/*
 * The kernel's log (lib_log.c). Complaints are warnings, call traces and faults, and lines of
 * this module, except debug messages and lines that the program expects.
 */

enum complaints {
	ANY_COMPLAINT,
	FAULTS_ONLY,	/* ignore warnings and call traces, which failed allocations cause */
};

void log_mark(void);
void log_expect(const char *text);
size_t log_count(const char *text);
bool log_is_whole(void);
size_t log_count_lines(const char *pattern);
size_t log_count_own(const char *text, int level);
size_t log_print_complaints(const char *prefix, enum complaints which);
bool no_new_taint(void);

/*
 * Memory leaks (lib_leak.c), on a kernel with kmemleak
 */

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
/* The name of processes that load a module whose load may fail */
#define LOADER		"tce2-loader"

/**
 * struct text - an address range of code
 * @first: address of the first function
 * @end: address after the last function
 */
struct text {
	uint64_t first;
	uint64_t end;
};

bool text_of_function(const char *name, struct text *text);
bool text_of_ours(struct text *text);
void note_place_of_ours(void);
bool find_leaks(void);
bool ours_has_no_leaks(void);
bool ours_left_nothing(const struct text *text);

/*
 * Results (lib_tap.c). The name of a result is a true sentence.
 */

void tap_begin(void);
bool tap(const char *name, bool ok);
int tap_end(void);
void tap_load_cycle(void);
void tap_bind_edus(void);
void tap_no_complaints(void);
void tap_unload_without_leaks(void);

#endif /* GUEST_MACHINE_H */
