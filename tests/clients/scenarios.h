/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interfaces between the source files of tce2-scenarios: the checks of a scenario, the
 * processes of clients, and a KVM guest.
 *
 * Functions of type bool return true on success.
 */
#ifndef CLIENTS_SCENARIOS_H
#define CLIENTS_SCENARIOS_H

#include "machine.h"

#include <sys/types.h>

#define MOST_DISKS	2

/**
 * struct settings - constants of all scenarios
 * @backend: "ours" or "intree"
 * @module: the backend's module
 * @is_ours: the backend is this module
 * @sum: MD5 sum of the known content at the beginning of each disk
 * @patience: factor by which all time limits are multiplied
 */
struct settings {
	const char *backend;
	const char *module;
	bool is_ours;
	const char *sum;
	unsigned int patience;
};

extern struct settings settings;

/*
 * Results and figures of a scenario (scenarios_judge.c). A failure of the in-tree driver
 * is reported as skipped, and is counted in the table that tests/runner/clients.py prints.
 */

void set_scenario(const char *name, const char *option);
bool judge(const char *name, bool ok);
void judge_handled(const char *what);
void tap_known(const char *name, const char *reason);
void figure(const char *name, long long value);
void figure_of(const char *kind, const char *name, long long value);
void figure_text(const char *name, const char *value);
void scenario_begins(const char *name, const char *option);
void scenario_ends(void);
long long phase_ends(const char *name);
long long phase_calls(const char *request);
void settle(void);
bool handled_by_backend(void);
bool is_unused(void);
bool no_page_left_pinned(void);
bool hugepages_are_back(void);
void kvm_leaks(const char *reason);
const char *kvm_leak(void);

/*
 * Checks of the disks' content (scenarios_disk.c)
 */

size_t disks(char addresses[MOST_DISKS][PCI_ADDRESS]);
bool copy_is_on_disk(void);

/*
 * Counts of the hypercalls of a KVM guest (scenarios_trace.c)
 */

bool trace_hypercalls(void);
void forget_hypercalls(void);
void hypercall_figures(void);

/*
 * Processes of clients (scenarios_client.c)
 */

#define IOCTLS		"/tmp/ioctls"

/**
 * struct client - a started program
 * @pid: process ID, 0 before the start and after the end
 * @status: status from waitpid() after the end
 */
struct client {
	pid_t pid;
	int status;
};

bool client_start(struct client *client, char *const argv[], const char *log,
		  const char *ioctls);
bool client_runs(struct client *client);
void client_wait(struct client *client);
void client_kill(struct client *client);
long long client_kilobytes(const struct client *client, const char *name);
void print_tail(const char *path, const char *name, size_t lines);
char *last_lines(char *text, size_t lines);

/*
 * A KVM guest, which is controlled through its console and QEMU's monitor
 * (scenarios_guest.c)
 */

#define MOST_OPTIONS	8

/**
 * struct guest - configuration of a guest
 * @processors: number of virtual processors
 * @arguments: additional arguments for the guest's kernel
 * @options: additional options for QEMU; NULL ends the list
 * @hide_kvm_tces: hide KVM's in-kernel TCE tables for VFIO from QEMU (ioctls.c)
 */
struct guest {
	unsigned int processors;
	const char *arguments;
	const char *options[MOST_OPTIONS];
	bool hide_kvm_tces;
};

/* A condition for which await() waits */
typedef bool condition_fn(long long arg);

void guest_start(const struct guest *guest, const char *device);
bool guest_runs(void);
long long guest_kilobytes(const char *name);
void guest_stop(void);
void guest_kill(void);
void guest_quiet(bool quiet);
bool guest_boots(unsigned int seconds);
bool await(unsigned int seconds, condition_fn *holds, long long arg);
void tell(const char *command);
__attribute__((format(printf, 2, 3)))
bool ask(unsigned int seconds, const char *format, ...);
const char *answer(const char *word);
bool console_has(const char *word);
char *console(void);
char *monitor_output(void);
__attribute__((format(printf, 1, 2)))
void monitor(const char *format, ...);

/*
 * The scenarios (scenarios_kvm.c, scenarios_dpdk.c). @option is the text after the colon of
 * the command-line argument.
 */

void boot_with_disk(const char *arguments);
void judge_io(void);
void judge_guest_log(void);
void judge_copy_on_disk(void);

void scenario_io(const char *option);
void scenario_reboot(const char *option);
void scenario_unplug(const char *option);
void scenario_killed(const char *option);
void scenario_dimm(const char *option);
void scenario_groups(const char *option);
void scenario_hostile(const char *option);
void scenario_testpmd(const char *option);
void scenario_both(const char *option);

bool has_cards(void);
bool cards_to_vfio(void);

#endif /* CLIENTS_SCENARIOS_H */
