/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_RCULIST_H
#define SIM_SHIM_RCULIST_H

#include <linux/list.h>
#include <linux/rcupdate.h>

static inline void list_add_rcu(struct list_head *node, struct list_head *head)
{
	node->next = head->next;
	node->prev = head;
	head->next->prev = node;
	WRITE_ONCE(head->next, node);
}

/* Keeps node->next, so that readers at the node can continue */
static inline void list_del_rcu(struct list_head *node)
{
	node->next->prev = node->prev;
	WRITE_ONCE(node->prev->next, node->next);
	node->prev = NULL;
}

#define list_for_each_rcu(pos, head)                          \
	for (pos = READ_ONCE((head)->next); pos != (head);    \
	     pos = READ_ONCE(pos->next))

#endif /* SIM_SHIM_RCULIST_H */
