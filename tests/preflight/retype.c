// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes one type in BTF, to simulate a kernel with another type.
 *
 * usage: retype BASE BTF OUT anonymous STRUCT
 *	retype BASE BTF OUT larger STRUCT
 *	retype BASE BTF OUT value ENUM ENUMERATOR
 *
 * BASE is the BTF of vmlinux. BTF is the split BTF of a module, or "-" to change
 * BASE. OUT receives the changed BTF.
 *
 * "anonymous" appends an anonymous union with a pointer "secret" to the
 * structure. "larger" only changes the structure's size. "value" changes the
 * value of the enumerator.
 */
#include <bpf/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
	fprintf(stderr, "retype: %s\n", what);
	exit(1);
}

static struct btf_type *find(struct btf *btf, const char *name, int kind)
{
	int id = btf__find_by_name_kind(btf, name, kind);

	if (id < 0)
		die("no such type");
	return (struct btf_type *)btf__type_by_id(btf, id);
}

static int add_union(struct btf *btf)
{
	int pointer = btf__add_ptr(btf, 0);
	int id = btf__add_union(btf, NULL, 8);

	if (pointer < 0 || id < 0 ||
	    btf__add_field(btf, "secret", pointer, 0, 0))
		die("cannot add a union");
	return id;
}

/*
 * Adds a copy of the structure with one more member, and renames the original. No
 * other type in BTF may refer to the structure, because it would continue to refer
 * to the original.
 */
static void add_member(struct btf *btf, const char *name)
{
	const struct btf_type *old;
	int with = add_union(btf), hidden = btf__add_str(btf, "hidden");
	unsigned int i, size;

	old = find(btf, name, BTF_KIND_STRUCT);
	size = old->size;
	if (hidden < 0 || btf__add_struct(btf, name, size + 8) < 0)
		die("cannot add a structure");
	for (i = 0; ; i++) {
		old = find(btf, name, BTF_KIND_STRUCT);
		if (i == btf_vlen(old))
			break;
		if (btf__add_field(btf,
				   btf__name_by_offset(btf, btf_members(old)[i].name_off),
				   btf_members(old)[i].type,
				   btf_member_bit_offset(old, i), 0))
			die("cannot copy a member");
	}
	if (btf__add_field(btf, NULL, with, size * 8, 0))
		die("cannot add a member");
	find(btf, name, BTF_KIND_STRUCT)->name_off = hidden;
}

static void change_value(struct btf *btf, const char *name, const char *value)
{
	struct btf_type *type = find(btf, name, BTF_KIND_ENUM);
	struct btf_enum *at = btf_enum(type);
	unsigned int i;

	for (i = 0; i < btf_vlen(type); i++) {
		if (strcmp(btf__name_by_offset(btf, at[i].name_off), value))
			continue;
		at[i].val += 16;
		return;
	}
	die("no such enumerator");
}

static void write_out(struct btf *btf, const char *path)
{
	unsigned int size;
	const void *data = btf__raw_data(btf, &size);
	FILE *file = fopen(path, "w");

	if (!data || !file || fwrite(data, size, 1, file) != 1 || fclose(file))
		die("cannot write the output file");
}

int main(int argc, char **argv)
{
	struct btf *base, *btf;

	if (argc < 6)
		die("usage: retype BASE BTF OUT anonymous|larger|value NAME [NAME]");
	base = btf__parse_raw(argv[1]);
	btf = strcmp(argv[2], "-") ? btf__parse_raw_split(argv[2], base) : base;
	/* Add a string, because libbpf then copies the BTF to memory that can be changed. */
	if (!base || !btf || btf__add_str(btf, "hidden") < 0)
		die("cannot read the BTF");
	if (!strcmp(argv[4], "anonymous"))
		add_member(btf, argv[5]);
	else if (!strcmp(argv[4], "larger"))
		find(btf, argv[5], BTF_KIND_STRUCT)->size += 32;
	else if (argc > 6)
		change_value(btf, argv[5], argv[6]);
	write_out(btf, argv[3]);
	return 0;
}
