// SPDX-License-Identifier: GPL-2.0-only
/*
 * Print calls as C, with names and numbers that can be pasted into a program.
 */
#include "differ.h"

#include <string.h>

static const char *const actors[ACTORS] = {
	"owner", "thread 1", "thread 2", "child", "second",
};

static const char *const places[PLACES] = {
	[AT_PAGE_END]		= "at the end of a page",
	[CUT_SHORT]		= "last byte unmapped",
	[READ_ONLY_PAGE]	= "in a read-only page",
	[NOWHERE]		= "unmapped",
	[AT_NULL]		= "NULL",
	[IN_KERNEL]		= "a kernel address",
};

static const struct {
	uint32_t nr;
	const char *name;
} names[] = {
	{ VFIO_IOMMU_MAP_DMA, "VFIO_IOMMU_MAP_DMA" },
	{ VFIO_IOMMU_UNMAP_DMA, "VFIO_IOMMU_UNMAP_DMA" },
	{ VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
	  "VFIO_IOMMU_SPAPR_REGISTER_MEMORY" },
	{ VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY,
	  "VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY" },
	{ VFIO_IOMMU_SPAPR_TCE_GET_INFO, "VFIO_IOMMU_SPAPR_TCE_GET_INFO" },
	{ VFIO_IOMMU_SPAPR_TCE_CREATE, "VFIO_IOMMU_SPAPR_TCE_CREATE" },
	{ VFIO_IOMMU_SPAPR_TCE_REMOVE, "VFIO_IOMMU_SPAPR_TCE_REMOVE" },
	{ VFIO_EEH_PE_OP, "VFIO_EEH_PE_OP" },
	{ VFIO_CHECK_EXTENSION, "VFIO_CHECK_EXTENSION" },
};

const char *name_of(uint32_t nr)
{
	static char number[32];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].nr == nr)
			return names[i].name;
	snprintf(number, sizeof(number), "%#x", nr);
	return number;
}

static void print_fields(const struct call *call)
{
	const union request *arg = &call->arg;

	printf(".argsz = %u, .flags = %#x", arg->argsz, arg->flags);
	switch (call->nr) {
	case VFIO_IOMMU_MAP_DMA:
		printf(", .vaddr = %#lx, .iova = %#lx, .size = %#lx",
		       arg->map.vaddr, arg->map.iova, arg->map.size);
		break;
	case VFIO_IOMMU_UNMAP_DMA:
		printf(", .iova = %#lx, .size = %#lx", arg->unmap.iova,
		       arg->unmap.size);
		break;
	case VFIO_IOMMU_SPAPR_REGISTER_MEMORY:
	case VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY:
		printf(", .vaddr = %#lx, .size = %#lx", arg->memory.vaddr,
		       arg->memory.size);
		break;
	case VFIO_IOMMU_SPAPR_TCE_CREATE:
		printf(", .page_shift = %u, .window_size = %#lx, .levels = %u",
		       arg->create.page_shift, arg->create.window_size,
		       arg->create.levels);
		break;
	case VFIO_IOMMU_SPAPR_TCE_REMOVE:
		printf(", .start_addr = %#lx", arg->remove.start_addr);
		break;
	case VFIO_EEH_PE_OP:
		printf(", .op = %u, .err = { .type = %u, .func = %u }",
		       arg->eeh.op, arg->eeh.err.type, arg->eeh.err.func);
		break;
	}
}

void print_call(const struct call *call)
{
	printf("ioctl(container, %s, ", name_of(call->nr));
	if (call->where == BY_VALUE) {
		printf("%#llx);", (unsigned long long)call->arg.value);
	} else {
		printf("{ ");
		print_fields(call);
		printf(" });");
	}
	printf(" /* %s", actors[call->actor]);
	if (places[call->where])
		printf(", %s", places[call->where]);
	if (call->form == AS_VECTOR)
		printf(", as a vector on %s", side_name[OURS]);
	else if (call->form == AS_COPY)
		printf(", as a copy from %#llx on %s",
		       (unsigned long long)call->source, side_name[OURS]);
	printf(" */");
}

void print_op(const struct op *op)
{
	switch (op->kind) {
	case CALL:
		printf("#   ");
		print_call(&op->call[0]);
		break;
	case BURST:
		printf("#   at the same time:");
		for (int i = 0; i < op->count; i++) {
			printf("\n#\t");
			print_call(&op->call[i]);
		}
		break;
	case FORK:
		printf("#   fork(); /* a new child of the owner */");
		break;
	case PROBE:
		printf("#   device_reads(");
		for (int i = 0; i < op->count; i++)
			printf("%s%#llx", i ? ", " : "",
			       (unsigned long long)op->iova[i]);
		printf("); /* and writes at the first %d addresses */",
		       MAX_WRITES);
		break;
	}
	printf("\n");
}
