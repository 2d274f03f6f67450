/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_HASHTABLE_H
#define DUP_HASHTABLE_H

#include <linux/compiler.h>
#include <linux/hash.h>
#include <linux/types.h>

#define DEFINE_HASHTABLE(name, bits) struct hlist_head name[1 << (bits)]

#define hash_bucket(table, key) \
	(&(table)[hash_long(    \
		key, __builtin_ctzl(sizeof(table) / sizeof((table)[0])))])

static inline void hlist_add_head(struct hlist_node *node,
				  struct hlist_head *head)
{
	node->next = head->first;
	node->pprev = &head->first;
	if (node->next)
		node->next->pprev = &node->next;
	head->first = node;
}

static inline void hash_del(struct hlist_node *node)
{
	*node->pprev = node->next;
	if (node->next)
		node->next->pprev = node->pprev;
	node->next = NULL;
	node->pprev = NULL;
}

#define hash_add(table, node, key) hlist_add_head(node, hash_bucket(table, key))

#define hlist_object(node, type, member)                              \
	({                                                            \
		struct hlist_node *hlist_n = (node);                  \
		hlist_n ? container_of(hlist_n, type, member) : NULL; \
	})

#define hash_for_each_possible(table, obj, member, key)         \
	for (obj = hlist_object(hash_bucket(table, key)->first, \
				__typeof__(*obj), member);      \
	     obj;                                               \
	     obj = hlist_object(obj->member.next, __typeof__(*obj), member))

#endif /* DUP_HASHTABLE_H */
