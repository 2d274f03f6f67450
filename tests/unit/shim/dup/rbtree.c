// SPDX-License-Identifier: GPL-2.0-only
/*
 * The search tree of shim/dup/linux/rbtree.h, a treap. Each node has a rank, which is
 * a hash of its address. No child has a higher rank than its parent. Ranks are almost
 * random, so the tree is as deep as a tree built in random order.
 */
#include <linux/rbtree.h>

static u64 rank(const struct rb_node *node)
{
	u64 x = (uintptr_t)node;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Makes the pointer to @old, in its parent or in the root, point to @new */
static void replace(struct rb_root *root, struct rb_node *old,
		    struct rb_node *new)
{
	struct rb_node *parent = old->rb_parent;

	if (!parent)
		RB_STORE(root->rb_node, new);
	else if (parent->rb_left == old)
		RB_STORE(parent->rb_left, new);
	else
		RB_STORE(parent->rb_right, new);
	if (new)
		new->rb_parent = parent;
}

/* Makes a node the parent of its parent */
static void rotate_up(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *parent = node->rb_parent, *child;

	replace(root, parent, node);
	if (parent->rb_left == node) {
		child = node->rb_right;
		RB_STORE(node->rb_right, parent);
		RB_STORE(parent->rb_left, child);
	} else {
		child = node->rb_left;
		RB_STORE(node->rb_left, parent);
		RB_STORE(parent->rb_right, child);
	}
	parent->rb_parent = node;
	if (child)
		child->rb_parent = parent;
}

void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	while (node->rb_parent && rank(node->rb_parent) < rank(node))
		rotate_up(root, node);
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	while (node->rb_left && node->rb_right)
		rotate_up(root, rank(node->rb_left) > rank(node->rb_right)
					? node->rb_left
					: node->rb_right);
	replace(root, node, node->rb_left ? node->rb_left : node->rb_right);
}

struct rb_node *rb_next(const struct rb_node *node)
{
	struct rb_node *next = node->rb_right;

	while (next && next->rb_left)
		next = next->rb_left;
	if (next)
		return next;
	while (node->rb_parent && node->rb_parent->rb_right == node)
		node = node->rb_parent;
	return node->rb_parent;
}

struct rb_node *rb_find(const void *key, const struct rb_root *root,
			int (*compare)(const void *key, const struct rb_node *node))
{
	struct rb_node *node = root->rb_node;

	while (node) {
		int order = compare(key, node);

		if (!order)
			break;
		node = order < 0 ? node->rb_left : node->rb_right;
	}
	return node;
}

struct rb_node *rb_find_add(struct rb_node *node, struct rb_root *root,
			    int (*compare)(struct rb_node *new,
					   const struct rb_node *node))
{
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		int order = compare(node, *link);

		if (!order)
			return *link;
		parent = *link;
		link = order < 0 ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(node, parent, link);
	rb_insert_color(node, root);
	return NULL;
}

/* Returns the leftmost node without children below a node, or the node itself */
static struct rb_node *deepest(struct rb_node *node)
{
	while (node->rb_left || node->rb_right)
		node = node->rb_left ? node->rb_left : node->rb_right;
	return node;
}

struct rb_node *rb_first_postorder(const struct rb_root *root)
{
	return root->rb_node ? deepest(root->rb_node) : NULL;
}

/* After a left child, the walk visits the subtree of the right child, then the parent */
struct rb_node *rb_next_postorder(const struct rb_node *node)
{
	struct rb_node *parent = node->rb_parent;

	if (parent && parent->rb_left == node && parent->rb_right)
		return deepest(parent->rb_right);
	return parent;
}
