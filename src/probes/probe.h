/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Assertions for probes.
 *
 * A probe is a source file for one API. It compiles only if the kernel has the API as
 * this module uses it: same type of every member, same prototype of every function.
 * Without assertions, C only warns about a pointer of another type, and silently
 * converts an integer of another size.
 */
#ifndef TCE2_PROBE_H
#define TCE2_PROBE_H

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/types.h>

/* The compiler prints these texts if an assertion fails */
#define PROBE_MEMBER(structure, member, type...)			\
	static_assert(__same_type(((structure *)0)->member, type),	\
		      #structure " has another type of " #member)

#define PROBE_FUNCTION(name, prototype...)				\
	static_assert(__same_type(name, prototype),			\
		      #name "() has another prototype")

#define PROBE_VALUE(name, value)					\
	static_assert((name) == (value), #name " has another value")

/* For the entries of include/tce2_kernel_api.h */
#define KERNEL_MEMBER(structure, member, type...)			\
	PROBE_MEMBER(struct structure, member, type);
#define KERNEL_PROBED(type...)		PROBE_MEMBER(type);
#define KERNEL_FUNCTION(prototype...)	PROBE_FUNCTION(prototype);
#define KERNEL_INLINE(prototype...)	PROBE_FUNCTION(prototype);

#endif /* TCE2_PROBE_H */
