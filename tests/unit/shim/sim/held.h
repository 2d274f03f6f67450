/* SPDX-License-Identifier: GPL-2.0-only */
/* Makes lockdep_assert_held() accept locks other than mutexes */
#ifndef SIM_SHIM_HELD_H
#define SIM_SHIM_HELD_H

#include <linux/lockdep.h>
#include <linux/types.h>

struct spinlock;
struct rw_semaphore;

void spin_assert_held(struct spinlock *lock);
void rwsem_assert_held(struct rw_semaphore *sem);
void rwsem_assert_held_write(struct rw_semaphore *sem);

#define lockdep_assert_held(lock)                             \
	_Generic((lock), struct spinlock *: spin_assert_held, \
		 struct rw_semaphore *: rwsem_assert_held,    \
		 default: lockdep_assert_held)(lock)

#define lockdep_assert_held_write(sem) rwsem_assert_held_write(sem)

#define lockdep_is_held(lock) ((void)(lock), true)

#define lock_map_acquire(map) ((void)0)
#define lock_map_release(map) ((void)0)
#define lock_acquire_exclusive(map, subclass, trylock, nest, ip) ((void)0)
#define _THIS_IP_ 0UL

struct lock_class_key {
	int unused;
};

#define __maybe_unused __attribute__((__unused__))

#endif /* SIM_SHIM_HELD_H */
