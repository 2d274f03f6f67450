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

static inline void hlist_add_head_rcu(struct hlist_node *node,
				      struct hlist_head *head)
{
	node->next = head->first;
	node->pprev = &head->first;
	if (node->next)
		node->next->pprev = &node->next;
	WRITE_ONCE(head->first, node);
}

/* Keeps node->next, so that readers at the node can continue */
static inline void hlist_del_rcu(struct hlist_node *node)
{
	WRITE_ONCE(*node->pprev, node->next);
	if (node->next)
		node->next->pprev = node->pprev;
	node->pprev = NULL;
}

#define hlist_object_rcu(link, type, member)                          \
	({                                                            \
		struct hlist_node *hlist_n = READ_ONCE(link);         \
		hlist_n ? container_of(hlist_n, type, member) : NULL; \
	})

/* The kernel checks the last argument only if the caller is not an RCU reader */
#define hlist_for_each_entry_rcu(obj, head, member, cond)                      \
	for (obj = hlist_object_rcu((head)->first, __typeof__(*obj), member);  \
	     obj && ((void)(cond), true);                                      \
	     obj = hlist_object_rcu(obj->member.next, __typeof__(*obj), member))

#endif /* SIM_SHIM_RCULIST_H */
