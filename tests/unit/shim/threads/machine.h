/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions that machine.c and test_kvm_threads.c provide for each other */
#ifndef THREADS_MACHINE_H
#define THREADS_MACHINE_H

#include <linux/types.h>

/* First user address of the process's memory, and number of its page frames, from 0 on */
#define MACHINE_UA     (1ULL << 34)
#define MACHINE_FRAMES 1024ULL

/* Current counts of the machine; the fields have the meanings of struct sim_counts */
struct machine_counts {
	u64 pinned;
	u64 charged;
	u64 allocs;
	u64 modules;
	u64 mm_refs;
	u64 log_lines;
};

struct machine_counts machine_counts(void);

/* Runs RCU callbacks and queued work */
void machine_run_later(void);

/* Defined by the test: called when a page frame has no pins left */
void machine_unpinned(u64 pfn);

/* Functions of ThreadSanitizer */
void __tsan_acquire(void *ptr);
void __tsan_release(void *ptr);
void __sanitizer_set_death_callback(void (*callback)(void));
const char *__tsan_default_options(void);

#endif /* THREADS_MACHINE_H */
