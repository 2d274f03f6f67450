// SPDX-License-Identifier: GPL-2.0-only
/* User memory with contents, see sim_user.h. */
#include <string.h>

#include <linux/minmax.h>
#include <linux/uaccess.h>

#include "sim.h"
#include "sim_platform.h"
#include "sim_user.h"

struct user user;

static unsigned int faults_disabled;

void pagefault_disable(void)
{
	faults_disabled++;
}

void pagefault_enable(void)
{
	faults_disabled--;
}

u64 user_place(const void *from, size_t size)
{
	memset(&user, 0, sizeof(user));
	memcpy(user.bytes + USER_BYTES - size, from, size);
	return USER_END - size;
}

void user_look(void *to, size_t size)
{
	memcpy(to, user.bytes + USER_BYTES - size, size);
}

bool access_ok(const void *ptr, unsigned long size)
{
	u64 start = (uintptr_t)ptr;

	return size <= TASK_SIZE_USER64 && start <= TASK_SIZE_USER64 - size;
}

/* Runs another thread of the process, as if the current one waited for a page fault */
static void run_other(void)
{
	struct task_struct other, *self;

	sim_task_init(&other, sim_task()->mm);
	self = sim_switch_to(&other);
	user.other();
	sim_switch_to(self);
}

/*
 * Finds the memory of a user address. Returns how many of @size bytes exist there, and
 * sets *@at if this is not 0.
 */
static size_t find_bytes(const char *what, const void *ptr, size_t size,
			 unsigned char **at)
{
	u64 start = (uintptr_t)ptr;

	/* Linux 7.2 may not fault at a kernel address, so src/ must call access_ok() */
	if (start >> 63)
		sim_bug("%s: %llx is a kernel address", what, start);
	if (start < USER_END - USER_BYTES || start >= USER_END)
		return 0;
	*at = user.bytes + (start - (USER_END - USER_BYTES));
	return min_t(u64, size, USER_END - start);
}

/* Called before an access that may wait for a page fault */
static void may_wait(const char *what)
{
	sim_may_fault(what);
	platform_expect_unlocked(what);
	if (faults_disabled)
		sim_bug("%s: page faults are disabled", what);
	if (++user.copies == user.other_at)
		run_other();
}

unsigned long __copy_from_user_inatomic(void *to, const void *from, unsigned long size)
{
	unsigned char *at;
	size_t count = find_bytes(__func__, from, size, &at);

	if (!faults_disabled)
		sim_bug("%s: page faults are not disabled", __func__);
	user.peeks++;
	if (user.absent)
		return size;
	if (count)
		memcpy(to, at, count);
	return size - count;
}

unsigned long copy_from_user(void *to, const void *from, unsigned long size)
{
	unsigned char *at;
	size_t count;

	may_wait("copy_from_user");
	count = find_bytes("copy_from_user", from, size, &at);
	if (count)
		memcpy(to, at, count);
	/* As the kernel, clear the bytes that could not be read */
	memset((char *)to + count, 0, size - count);
	return size - count;
}

unsigned long copy_to_user(void *to, const void *from, unsigned long size)
{
	unsigned char *at;
	size_t count;

	may_wait("copy_to_user");
	count = find_bytes("copy_to_user", to, size, &at);
	if (user.readonly)
		return size;
	if (count)
		memcpy(at, from, count);
	return size - count;
}
