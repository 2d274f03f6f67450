/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * User memory with contents, for the requests that src/uapi.c reads and for its
 * answers. The memory ends at USER_END. An access beyond its end faults, as does a
 * write to read-only memory. An access with a lock held ends the test, because a
 * process can delay a page fault as long as it likes. This does not hold for
 * __copy_from_user_inatomic(), which fails instead of waiting.
 */
#ifndef UNIT_USER_H
#define UNIT_USER_H

#include <linux/types.h>

#define USER_END   (1ULL << 40)
#define USER_BYTES 32768

/**
 * struct user - the state of user memory
 * @readonly: writes fault
 * @absent: the memory is not in the page tables, so an access has to wait for a page fault
 * @peeks: calls of __copy_from_user_inatomic() so far
 * @copies: calls of copy_from_user() and copy_to_user() so far
 * @other_at: the number of the call, from 1 on, during which @other runs
 * @other: function that runs as another thread
 * @bytes: the last bytes before USER_END
 */
struct user {
	bool readonly;
	bool absent;
	unsigned int peeks;
	unsigned int copies;
	unsigned int other_at;
	void (*other)(void);
	unsigned char bytes[USER_BYTES];
};

extern struct user user;

/* Resets the memory, copies @size bytes to its end, and returns their user address */
u64 user_place(const void *from, size_t size);
/* Copies the last @size bytes of the memory to @to */
void user_look(void *to, size_t size);

#endif /* UNIT_USER_H */
