/* SPDX-License-Identifier: GPL-2.0-only */
/* Files in debugfs of the simulated machine, as an administrator reads them */
#ifndef UNIT_SIM_OBSERVER_H
#define UNIT_SIM_OBSERVER_H

#include <linux/types.h>

/* RLIMIT_MEMLOCK of each process; 0 if the process has ended */
extern unsigned long sim_memlock;

/**
 * sim_cat() - read a file in debugfs
 * @name: name of the file
 * @records: number of records of each read(), at least 1
 *
 * Between two reads, sim_cat() calls sim_between_reads() unless it is NULL. Before each
 * read, it shows the last record again, as the kernel does if the record did not fit into
 * the buffer of the previous read.
 *
 * Return: the text, valid until the next call; NULL if there is no such file.
 */
const char *sim_cat(const char *name, unsigned int records);
extern void (*sim_between_reads)(void);

#endif /* UNIT_SIM_OBSERVER_H */
