/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_LOCKDEP_H
#define SIM_SHIM_LOCKDEP_H

struct mutex;

/* Accepts mutexes; held.h adds a macro that accepts the other locks */
void lockdep_assert_held(const struct mutex *lock);

#endif /* SIM_SHIM_LOCKDEP_H */
