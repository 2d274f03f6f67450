// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check "layout": compare the module's layout records with the kernel's types.
 *
 * The check compares the offset, the size and the C type of each member, and
 * the value of each enumerator. A structure that the module gives to the kernel
 * must also have every member of the kernel's structure, because the kernel may
 * use each of them. A structure that the kernel makes may have additional members.
 *
 * Calls: types, report, libbpf.
 */
#include <bpf/btf.h>
#include <linux/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/tce2_layout.h"
#include "preflight.h"

#define CHECK	"layout"

/* Maximum depth of nested types; only damaged BTF exceeds it. */
#define DEPTH_MAX	16
/* Maximum number of members of a structure; only damaged BTF exceeds it. */
#define MEMBERS_MAX	1000

#define RECORD_SIZE	sizeof(struct tce2_layout_record)

/**
 * struct member - member of a structure of the kernel
 * @type: BTF id of the member's type
 * @offset: offset in bytes
 * @size: size in bytes
 * @bit_field: true for a bit field, whose offset in bytes may not be exact
 */
struct member {
	uint32_t type;
	uint32_t offset;
	uint32_t size;
	bool bit_field;
};

static const char *name_of(const struct btf *btf, uint32_t offset)
{
	const char *name = btf__name_by_offset(btf, offset);

	return name ? name : "";
}

/*
 * Finds a member by name. Also searches anonymous structures and unions inside
 * the structure, because C treats their members as members of the structure.
 * @left limits the number of members visited, because a type in a damaged file
 * may contain itself.
 */
static bool find_member(const struct btf *btf, uint32_t id, const char *name,
			uint32_t base, int *left, struct member *found)
{
	const struct btf_type *type = btf__type_by_id(btf, id);
	const struct btf_member *member;
	uint32_t i, at;
	int64_t size;

	if (!type || !btf_is_composite(type))
		return false;
	member = btf_members(type);
	for (i = 0; i < btf_vlen(type) && (*left)-- > 0; i++, member++) {
		const char *other = name_of(btf, member->name_off);

		at = base + btf_member_bit_offset(type, i) / 8;
		if (!*other && find_member(btf, member->type, name, at, left,
					   found))
			return true;
		if (!*other || strcmp(other, name))
			continue;
		size = btf__resolve_size(btf, member->type);
		*found = (struct member){
			.type = member->type,
			.offset = at,
			.size = size < 0 ? 0 : size,
			.bit_field = btf_member_bitfield_size(type, i),
		};
		return true;
	}
	return false;
}

/* Text in a buffer of fixed size; append() truncates longer text */
struct text {
	char *data;
	size_t room;
	size_t used;
};

static void append(struct text *text, const char *more)
{
	while (*more && text->used + 1 < text->room)
		text->data[text->used++] = *more++;
	text->data[text->used] = '\0';
}

/* Converts a compiler's name of a basic type to the spelling in the sources. */
static const char *usual_name(const char *name)
{
	static const char * const names[][2] = {
		{ "long int", "long" },
		{ "long unsigned int", "unsigned long" },
		{ "long long int", "long long" },
		{ "long long unsigned int", "unsigned long long" },
		{ "_Bool", "bool" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i][0]))
			return names[i][1];
	}
	return name;
}

static void append_type(struct text *text, const struct btf *btf, uint32_t id,
			int depth);

static void append_function(struct text *text, const struct btf *btf,
			    const struct btf_type *type, int depth)
{
	const struct btf_param *param = btf_params(type);
	unsigned int i;

	append_type(text, btf, type->type, depth + 1);
	append(text, " (*)(");
	for (i = 0; i < btf_vlen(type) && i < 32; i++) {
		append(text, i ? ", " : "");
		if (param[i].type)
			append_type(text, btf, param[i].type, depth + 1);
		else
			append(text, "...");
	}
	append(text, btf_vlen(type) ? ")" : "void)");
}

static void append_type(struct text *text, const struct btf *btf, uint32_t id,
			int depth)
{
	const struct btf_type *type = btf__type_by_id(btf, id), *to;

	if (!id) {
		append(text, "void");
		return;
	}
	if (!type || depth > DEPTH_MAX || text->used + 1 == text->room) {
		append(text, "?");
		return;
	}
	switch (btf_kind(type)) {
	case BTF_KIND_PTR:
		to = btf__type_by_id(btf, type->type);
		if (to && btf_is_func_proto(to)) {
			append_function(text, btf, to, depth + 1);
			return;
		}
		append_type(text, btf, type->type, depth + 1);
		append(text, text->used && text->data[text->used - 1] == '*' ?
		       "*" : " *");
		return;
	case BTF_KIND_CONST:
		append(text, "const ");
		append_type(text, btf, type->type, depth + 1);
		return;
	case BTF_KIND_ARRAY:
		/* check_place() compares the sizes of arrays, and so their lengths. */
		append_type(text, btf, btf_array(type)->type, depth + 1);
		append(text, " []");
		return;
	case BTF_KIND_STRUCT:
		append(text, "struct ");
		break;
	case BTF_KIND_UNION:
		append(text, "union ");
		break;
	case BTF_KIND_FWD:
		append(text, btf_kflag(type) ? "union " : "struct ");
		break;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		append(text, "enum ");
		break;
	}
	append(text, usual_name(name_of(btf, type->name_off)));
}

/* Ignores spaces, because layout records and append_type() differ in their spaces. */
static bool same_type(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, " ");
		b += strspn(b, " ");
		if (*a != *b)
			return false;
		if (!*a)
			return true;
	}
}

/**
 * struct record - layout record of the module, with NUL-terminated strings
 * @row: the part of the record that the report prints
 * @type: C type of the member
 * @kind: an enum tce2_layout_kind
 */
struct record {
	struct layout_row row;
	char type[129];
	uint32_t kind;
};

static struct record read_record(const struct module *module, size_t i)
{
	const unsigned char *at = module->layout.data +
				  sizeof(struct tce2_layout_header) +
				  i * RECORD_SIZE;
	struct record record = { 0 };

#define FIELD(name)	(at + offsetof(struct tce2_layout_record, name))
	memcpy(record.row.object, FIELD(object), 32);
	memcpy(record.row.member, FIELD(member), 32);
	memcpy(record.type, FIELD(type), 128);
	record.kind = get_le32(FIELD(kind));
	record.row.offset = get_le32(FIELD(offset));
	record.row.size = get_le32(FIELD(size));
#undef FIELD
	record.row.status = STATUS_UNKNOWN;
	return record;
}

/* Returns the number of records, or -1 if the module has no usable records. */
static int count_records(const struct module *module, struct error *err)
{
	const unsigned char *at = module->layout.data;
	size_t size = module->layout.size, records;
	struct tce2_layout_header header;

	if (!size)
		return fail(err, "the module has no layout record");
	if (size < sizeof(header))
		return fail(err, "the module's layout record is damaged");
	header.magic = get_le32(at);
	header.version = get_le32(at + 4);
	header.record_size = get_le32(at + 8);
	records = get_le32(at + 12);
	if (header.magic != TCE2_LAYOUT_MAGIC)
		return fail(err, "the module's layout record is damaged");
	if (header.version != TCE2_LAYOUT_VERSION ||
	    header.record_size != RECORD_SIZE)
		return fail(err,
			    "the module's layout record has version %u, this program supports only version %u",
			    header.version, TCE2_LAYOUT_VERSION);
	if (!records || records > (size - sizeof(header)) / RECORD_SIZE)
		return fail(err, "the module's layout record is truncated");
	return records;
}

/*
 * Returns the type of a member without const. The kernel may declare a member
 * const that the module only reads.
 */
static uint32_t without_const(const struct btf *btf, uint32_t id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	return type && btf_kind(type) == BTF_KIND_CONST ? type->type : id;
}

static void check_type(struct report *report, const struct record *record,
		       const struct btf *btf, uint32_t id,
		       enum status *status)
{
	char spelled[256];
	struct text text = { spelled, sizeof(spelled), 0 };

	append_type(&text, btf, without_const(btf, id), 0);
	if (same_type(spelled, record->type))
		return;
	*status = STATUS_FAIL;
	report_add(report, STATUS_FAIL, CHECK,
		   "the type of %s.%s differs: built with \"%s\", the kernel has \"%s\"",
		   record->row.object, record->row.member, record->type,
		   spelled);
}

static void check_place(struct report *report, struct record *record,
			const struct member *member)
{
	struct layout_row *row = &record->row;

	row->found = true;
	row->target_offset = member->offset;
	row->target_size = member->size;
	row->status = STATUS_OK;
	if (!member->bit_field && member->offset == row->offset &&
	    member->size == row->size)
		return;
	row->status = STATUS_FAIL;
	report_add(report, STATUS_FAIL, CHECK,
		   "%s.%s differs: built with offset %u, size %u, the kernel has offset %u, size %u%s",
		   row->object, row->member, row->offset, row->size,
		   member->offset, member->size,
		   member->bit_field ? " (a bit field)" : "");
}

/*
 * Reports a member that the kernel lacks. It may be absent if the module gives the
 * structure to the kernel, and the kernel's structure ends before the member.
 */
static void check_absent(struct report *report, struct record *record,
			 const struct record *object)
{
	struct layout_row *row = &record->row;

	if (object->kind == TCE2_LAYOUT_GIVEN &&
	    row->offset >= object->row.target_size) {
		row->status = STATUS_OK;
		return;
	}
	row->status = STATUS_FAIL;
	report_add(report, STATUS_FAIL, CHECK,
		   "the kernel's %s has no %s, which the module was built with (offset %u)",
		   row->object, row->member, row->offset);
}

static bool has_record(const struct module *module, int records,
		       const char *object, const char *member)
{
	int i;

	for (i = 0; i < records; i++) {
		struct record record = read_record(module, i);

		if (!strcmp(record.row.object, object) &&
		    !strcmp(record.row.member, member))
			return true;
	}
	return false;
}

/* Structure of the kernel, and its offset in the outermost structure */
struct type {
	const struct btf *btf;
	uint32_t id;
	uint32_t base;
};

/*
 * Checks that the kernel has no member that the module lacks. Otherwise the kernel
 * could call a function that the module does not set. Also checks the members of
 * anonymous structures and unions. As in find_member(), @left limits the number of
 * members.
 */
static void check_given(struct report *report, const struct module *module,
			int records, struct record *object,
			struct type in, int *left)
{
	const struct btf_type *type = btf__type_by_id(in.btf, in.id);
	const struct btf_member *member = btf_members(type);
	unsigned int i;

	for (i = 0; i < btf_vlen(type) && (*left)-- > 0; i++) {
		const char *name = name_of(in.btf, member[i].name_off);
		struct type inner = {
			in.btf, member[i].type,
			in.base + btf_member_bit_offset(type, i) / 8,
		};
		const struct btf_type *what = btf__type_by_id(in.btf, inner.id);

		if (*name && has_record(module, records, object->row.object,
					name))
			continue;
		if (!*name && what && btf_is_composite(what)) {
			check_given(report, module, records, object, inner,
				    left);
			continue;
		}
		object->row.status = STATUS_FAIL;
		report_add(report, STATUS_FAIL, CHECK,
			   "the kernel's %s has a member that the module lacks: %s at offset %u",
			   object->row.object,
			   *name ? name : "an anonymous member", inner.base);
	}
}

static void check_given_size(struct report *report, struct record *object)
{
	struct layout_row *row = &object->row;

	if (row->status != STATUS_OK || row->target_size <= row->size)
		return;
	row->status = STATUS_FAIL;
	report_add(report, STATUS_FAIL, CHECK,
		   "the kernel's %s has %u bytes, the module's has %u",
		   row->object, row->target_size, row->size);
}

/* Structure or enumeration of the current records, and its BTF in the kernel */
struct place {
	struct record object;
	const struct btf *btf;
	uint32_t id;
};

static void find_object(struct report *report, const struct module *module,
			int records, struct place *place,
			const struct types *types)
{
	struct record *object = &place->object;
	const struct btf_type *type;
	bool is_enum = object->kind == TCE2_LAYOUT_ENUM;
	int left = MEMBERS_MAX;

	place->btf = types_btf(types, object->row.object, &place->id);
	if (!place->btf || is_enum !=
	    btf_is_enum(btf__type_by_id(place->btf, place->id))) {
		place->btf = NULL;
		report_add(report, STATUS_UNKNOWN, CHECK,
			   "%s %s is not in the kernel's BTF%s%s",
			   is_enum ? "enum" : "struct", object->row.object,
			   types_vfio_error(types) ? ": " : "",
			   types_vfio_error(types) ?: "");
		return;
	}
	type = btf__type_by_id(place->btf, place->id);
	object->row.found = true;
	object->row.target_size = type->size;
	object->row.status = STATUS_OK;
	if (object->kind != TCE2_LAYOUT_GIVEN)
		return;
	check_given(report, module, records, object,
		    (struct type){ place->btf, place->id, 0 }, &left);
	check_given_size(report, object);
}

static void check_value(struct report *report, struct record *record,
			const struct place *place)
{
	const struct btf_type *type = btf__type_by_id(place->btf, place->id);
	const struct btf_enum *at = btf_enum(type);
	struct layout_row *row = &record->row;
	unsigned int i;

	for (i = 0; i < btf_vlen(type) && !row->found; i++) {
		row->found = !strcmp(name_of(place->btf, at[i].name_off),
				     row->member);
		row->target_offset = at[i].val;
		row->target_size = type->size;
	}
	row->status = STATUS_OK;
	if (row->found && row->target_offset == row->offset)
		return;
	row->status = STATUS_FAIL;
	if (row->found)
		report_add(report, STATUS_FAIL, CHECK,
			   "%s of enum %s differs: built as %u, the kernel has %u",
			   row->member, row->object, row->offset,
			   row->target_offset);
	else
		report_add(report, STATUS_FAIL, CHECK,
			   "the kernel's enum %s has no %s, which the module was built with (value %u)",
			   row->object, row->member, row->offset);
}

static void check_record(struct report *report, struct record *record,
			 const struct place *place)
{
	int left = MEMBERS_MAX;
	struct member member;

	if (!place->btf || strcmp(place->object.row.object, record->row.object))
		return;
	if ((record->kind == TCE2_LAYOUT_VALUE) !=
	    (place->object.kind == TCE2_LAYOUT_ENUM))
		return;
	if (record->kind == TCE2_LAYOUT_VALUE) {
		check_value(report, record, place);
		return;
	}
	if (!find_member(place->btf, place->id, record->row.member, 0,
			 &left, &member)) {
		check_absent(report, record, &place->object);
		return;
	}
	check_place(report, record, &member);
	check_type(report, record, place->btf, member.type,
		   &record->row.status);
}

static size_t check_records(struct report *report, const struct module *module,
			    int records, const struct types *types)
{
	struct place place = { 0 };
	size_t good = 0;
	int i;

	for (i = 0; i < records; i++) {
		struct record record = read_record(module, i);

		if (record.kind != TCE2_LAYOUT_MEMBER &&
		    record.kind != TCE2_LAYOUT_VALUE) {
			place.object = record;
			if (types)
				find_object(report, module, records, &place,
					    types);
			record = place.object;
		} else {
			check_record(report, &record, &place);
		}
		good += record.row.status == STATUS_OK;
		report_row(report, &record.row);
	}
	return good;
}

/**
 * check_layout() - compare the module's layout records with the kernel's types
 * @report: receives the findings, and a row for each record
 * @module: the module
 * @types: the kernel's types, or NULL
 * @why_no_types: the reason if @types is NULL
 */
void check_layout(struct report *report, const struct module *module,
		  const struct types *types, const char *why_no_types)
{
	struct error err;
	int records = count_records(module, &err);
	size_t good;

	if (records < 0) {
		report_add(report, STATUS_UNKNOWN, CHECK, "%s", err.text);
		return;
	}
	good = check_records(report, module, records, types);
	if (!types)
		report_add(report, STATUS_UNKNOWN, CHECK,
			   "the layout of the kernel's structures is unknown: %s",
			   why_no_types);
	else if (good == (size_t)records)
		report_add(report, STATUS_OK, CHECK,
			   "all %d structures, members, enumerations and enumerators match",
			   records);
}
