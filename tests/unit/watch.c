// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arrays that are write-protected until the first store to them; see watch.h.
 */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/list.h>
#include <linux/mm.h>

#include "sim.h"
#include "watch.h"

/* The page size of this machine, not that of the simulated one */
#define HOST_PAGE 4096
/* A smaller array is not protected: comparing it is faster than a page fault */
#define WATCH_MINIMUM (4 * HOST_PAGE)

/**
 * struct watched - an array that is watched for stores
 * @array: address of the array
 * @bytes: size of the array
 * @owner: argument of watch_new(), passed to the callback of watch_for_each()
 * @next: the next array on the list of all arrays
 * @from: offset in bytes of the first byte that may have been stored to
 * @to: end of the range of bytes from @from on; 0 if there was no store, else the array is
 *	on the list @all_stored
 * @entry: link in @all_stored
 */
struct watched {
	char *array;
	size_t bytes;
	void *owner;
	struct watched *next;
	size_t from, to;
	struct list_head entry;
};

static struct watched *all;
static LIST_HEAD(all_stored);
static struct sigaction before;

static bool is_protected(const struct watched *w)
{
	return w->bytes >= WATCH_MINIMUM;
}

static void note_store(struct watched *w, size_t from, size_t to)
{
	if (!w->to) {
		w->from = from;
		list_add_tail(&w->entry, &all_stored);
	}
	w->from = min(w->from, from);
	w->to = max(w->to, to);
}

static void protect(const struct watched *w, size_t from, size_t to, int how)
{
	if (mprotect(w->array + from, to - from, how))
		sim_bug("mprotect() of %zu bytes failed", to - from);
}

static struct watched *find(const char *at)
{
	for (struct watched *w = all; w; w = w->next) {
		if (at >= w->array && at < w->array + w->bytes)
			return w;
	}
	return NULL;
}

/* Unprotects the page, after which the store is repeated. Any other fault is a defect. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
	const char *at = info->si_addr;
	struct watched *w = find(at);
	size_t page;

	if (!w || !is_protected(w)) {
		before.sa_sigaction(sig, info, context);
		return;
	}
	page = (at - w->array) & -HOST_PAGE;
	note_store(w, page, page + HOST_PAGE);
	protect(w, page, page + HOST_PAGE, PROT_READ | PROT_WRITE);
}

/* cmocka installs a handler for each test; pass all other faults to it */
static void catch_faults(void)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	}, now;

	sigaction(SIGSEGV, NULL, &now);
	if (now.sa_sigaction == on_fault)
		return;
	before = now;
	sigaction(SIGSEGV, &action, NULL);
}

/* Map an array with a guard page after it, to detect stores beyond the end */
static char *map_aligned(size_t bytes)
{
	size_t all_bytes = 2 * bytes + HOST_PAGE;
	char *from = mmap(NULL, all_bytes, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *array = from + (-(uintptr_t)from & (bytes - 1));
	char *end = array + bytes + HOST_PAGE;

	if (from == MAP_FAILED)
		sim_bug("mmap() of %zu bytes failed", all_bytes);
	if (array > from)
		munmap(from, array - from);
	if (end < from + all_bytes)
		munmap(end, from + all_bytes - end);
	return array;
}

struct watched *watch_new(size_t bytes, void *owner)
{
	struct watched *w = calloc(1, sizeof(*w));

	w->bytes = bytes;
	w->owner = owner;
	if (is_protected(w)) {
		catch_faults();
		w->array = map_aligned(bytes);
		protect(w, 0, bytes, PROT_READ);
	} else {
		w->array = aligned_alloc(bytes, bytes);
		memset(w->array, 0, bytes);
		note_store(w, 0, bytes);
	}
	w->next = all;
	all = w;
	return w;
}

void watch_free(struct watched *watched)
{
	struct watched **at = &all;

	while (*at != watched)
		at = &(*at)->next;
	*at = watched->next;
	if (watched->to)
		list_del(&watched->entry);
	if (is_protected(watched))
		munmap(watched->array, watched->bytes + HOST_PAGE);
	else
		free(watched->array);
	free(watched);
}

void *watch_array(const struct watched *watched)
{
	return watched->array;
}

void watch_for_each(void (*look)(void *owner, size_t from, size_t to))
{
	struct watched *w, *next;

	list_for_each_entry_safe(w, next, &all_stored, entry) {
		size_t from = w->from, to = w->to;

		if (is_protected(w)) {
			list_del(&w->entry);
			w->to = 0;
			protect(w, from, to, PROT_READ);
		}
		look(w->owner, from, to);
	}
}
