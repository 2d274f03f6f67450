/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A search tree with the kernel's interface, but with another way of balancing:
 * see rbtree.c.
 */
#ifndef DUP_RBTREE_H
#define DUP_RBTREE_H

#include <linux/compiler.h>
#include <linux/types.h>

struct rb_node {
	struct rb_node *rb_parent;
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

#define RB_ROOT		    ((struct rb_root){ NULL })
#define RB_EMPTY_ROOT(root) (!READ_ONCE((root)->rb_node))

/* Stores a pointer that lockless lookups follow */
#ifndef RB_STORE
#define RB_STORE(pointer, value) ((pointer) = (value))
#endif

/* A node that is not in a tree is its own parent */
#define RB_EMPTY_NODE(node) ((node)->rb_parent == (node))
#define RB_CLEAR_NODE(node) ((node)->rb_parent = (node))

#define rb_entry(ptr, type, member) container_of(ptr, type, member)

static inline void rb_link_node(struct rb_node *node, struct rb_node *parent,
				struct rb_node **link)
{
	node->rb_parent = parent;
	node->rb_left = NULL;
	node->rb_right = NULL;
	RB_STORE(*link, node);
}

/* Returns the next node in order, or NULL */
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_first_postorder(const struct rb_root *root);
struct rb_node *rb_next_postorder(const struct rb_node *node);

#define rb_entry_or_null(node, type, member)                           \
	({                                                             \
		struct rb_node *entry_node = (node);                   \
		entry_node ? rb_entry(entry_node, type, member) : NULL; \
	})

/* Visits children before parents, so that the body may free the entry */
#define rbtree_postorder_for_each_entry_safe(pos, n, root, field)              \
	for (pos = rb_entry_or_null(rb_first_postorder(root),                  \
				    __typeof__(*pos), field);                  \
	     pos && ({ n = rb_entry_or_null(rb_next_postorder(&pos->field),    \
					    __typeof__(*pos), field); 1; });   \
	     pos = n)

void rb_insert_color(struct rb_node *node, struct rb_root *root);
/* Find a node by key, or add a node; returns an equal node if there is one, else NULL */
struct rb_node *rb_find(const void *key, const struct rb_root *root,
			int (*compare)(const void *key, const struct rb_node *node));
struct rb_node *rb_find_add(struct rb_node *node, struct rb_root *root,
			    int (*compare)(struct rb_node *new,
					   const struct rb_node *node));
void rb_erase(struct rb_node *node, struct rb_root *root);

#endif /* DUP_RBTREE_H */
