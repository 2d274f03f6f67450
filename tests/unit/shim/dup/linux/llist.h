/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_LLIST_H
#define DUP_LLIST_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/types.h>

/* A lockless list: any thread may add a node or take all nodes */
struct llist_node {
	struct llist_node *next;
};

struct llist_head {
	struct llist_node *first;
};

#define LLIST_HEAD(name) struct llist_head name = { NULL }

static inline void init_llist_head(struct llist_head *head)
{
	head->first = NULL;
}

static inline bool llist_empty(const struct llist_head *head)
{
	return !READ_ONCE(head->first);
}

/* Returns true if the list was empty */
static inline bool llist_add(struct llist_node *node, struct llist_head *head)
{
	struct llist_node *first;

	do {
		first = READ_ONCE(head->first);
		node->next = first;
	} while (cmpxchg(&head->first, first, node) != first);
	return !first;
}

static inline struct llist_node *llist_del_all(struct llist_head *head)
{
	return xchg(&head->first, NULL);
}

#define llist_entry(ptr, type, member) container_of(ptr, type, member)

#define llist_for_each_entry_safe(pos, n, node, member)                       \
	for (struct llist_node *llist_at = (node), *llist_next;               \
	     llist_at && (llist_next = llist_at->next,                        \
			  pos = llist_entry(llist_at, __typeof__(*pos), member), \
			  (void)n, true);                                     \
	     llist_at = llist_next)

#endif /* DUP_LLIST_H */
