/* SPDX-License-Identifier: GPL-2.0-only */
/* What test_kvm_threads.c asks the machine of machine.c for */
#ifndef THREADS_MACHINE_H
#define THREADS_MACHINE_H

#include <linux/types.h>

/* The process's memory; page frames have the same order */
#define MACHINE_UA     (1ULL << 34)
#define MACHINE_FRAMES 1024ULL

/* What the machine is in the middle of, as struct sim_counts */
struct machine_counts {
	u64 pinned;
	u64 charged;
	u64 allocs;
	u64 modules;
	u64 mm_refs;
	u64 log_lines;
};

struct machine_counts machine_counts(void);

/* Runs what waits for a grace period or for a thread of the kernel */
void machine_run_later(void);

/* Defined by the test: a page frame is free now */
void machine_unpinned(u64 pfn);

/* The sanitizer of threads: what it is told, and what it asks for */
void __tsan_acquire(void *ptr);
void __tsan_release(void *ptr);
void __sanitizer_set_death_callback(void (*callback)(void));
const char *__tsan_default_options(void);

#endif /* THREADS_MACHINE_H */
