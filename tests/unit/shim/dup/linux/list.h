/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_LIST_H
#define DUP_LIST_H

#include <linux/compiler.h>
#include <linux/types.h>

/* A circular list; the head is not part of an object */
struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

#define LIST_HEAD(name) struct list_head name = { &(name), &(name) }

static inline void list_add(struct list_head *node, struct list_head *head)
{
	node->next = head->next;
	node->prev = head;
	head->next->prev = node;
	head->next = node;
}

static inline void list_add_tail(struct list_head *node, struct list_head *head)
{
	node->next = head;
	node->prev = head->prev;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_del(struct list_head *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = NULL;
	node->prev = NULL;
}

static inline void list_del_init(struct list_head *node)
{
	list_del(node);
	INIT_LIST_HEAD(node);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)

#define list_next_entry(pos, member) \
	list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_first_entry(head, type, member) \
	list_entry((head)->next, type, member)

#define list_for_each_entry(obj, head, member)                            \
	for (obj = list_entry((head)->next, __typeof__(*obj), member);    \
	     &obj->member != (head);                                      \
	     obj = list_entry(obj->member.next, __typeof__(*obj), member))

#define list_for_each_entry_safe(obj, after, head, member)                     \
	for (obj = list_entry((head)->next, __typeof__(*obj), member),         \
	    after = list_entry(obj->member.next, __typeof__(*obj), member);    \
	     &obj->member != (head); obj = after,                              \
	    after = list_entry(after->member.next, __typeof__(*obj), member))

#endif /* DUP_LIST_H */
