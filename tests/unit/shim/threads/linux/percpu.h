/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef THREADS_PERCPU_H
#define THREADS_PERCPU_H

/* Threads share one count, in place of one for each processor */
#define raw_cpu_inc(variable) ((void)__atomic_fetch_add(&(variable), 1, __ATOMIC_RELAXED))

#endif /* THREADS_PERCPU_H */
