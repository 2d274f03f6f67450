// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that are not made on the in-tree driver, because it would crash, write outside its
 * tables, leak pages until reboot, loop almost endlessly, or log messages that this test
 * takes for defects. "defect N" refers to Documentation/differences.rst. The calls are
 * made on this module only, and must fail.
 *
 * The following cases are generated for no side, because a single call cannot make them:
 *
 * - MAP_DMA and UNMAP_DMA during TCE_CREATE, TCE_REMOVE or UNREGISTER_MEMORY in other
 *   threads (defects 2, 4)
 * - first MAPs of several threads at the same time (defect 15)
 * - detaching one of several groups (defect 5)
 * - failing allocations (defects 14, 16, 19)
 * - device memory in regions (defect 17)
 *
 * The test makes no EEH resets: each takes seconds and resets the devices.
 */
#include "differ.h"

#include <stdlib.h>
#include <sys/utsname.h>

/*
 * Check that a call is ioctl @nr with valid caller, argsz and flags. Then the other fields
 * decide the answer.
 */
static bool judged(const struct model *m, const struct call *call, uint32_t nr)
{
	return call->nr == nr && may_call(m, call) && head_is_valid(call);
}

static bool unregisters_what_is_mapped(const struct model *m,
				       const struct call *call)
{
	int i;

	if (!judged(m, call, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY))
		return false;
	i = find_region(m, call->arg.memory.vaddr, call->arg.memory.size);
	return i >= 0 && region_is_mapped(m, &m->region[i]);
}

static bool reaches_past(const struct model *m, uint64_t iova, uint64_t size)
{
	struct window w;
	int slot = window_at(m, iova, &w);

	return slot >= 0 && size && size > window_span(&w) - (iova - w.start);
}

static bool maps_past_the_table(const struct model *m, const struct call *call)
{
	return judged(m, call, VFIO_IOMMU_MAP_DMA) && m->enabled &&
	       reaches_past(m, call->arg.map.iova, call->arg.map.size);
}

static bool unmaps_past_the_table(const struct model *m,
				  const struct call *call)
{
	return judged(m, call, VFIO_IOMMU_UNMAP_DMA) && m->enabled &&
	       reaches_past(m, call->arg.unmap.iova, call->arg.unmap.size);
}

static bool creates(const struct model *m, const struct call *call)
{
	return judged(m, call, VFIO_IOMMU_SPAPR_TCE_CREATE);
}

static struct window wanted(const struct call *call)
{
	return (struct window){
		.size = call->arg.create.window_size,
		.shift = call->arg.create.page_shift,
		.levels = call->arg.create.levels,
	};
}

static bool offered(const struct call *call)
{
	return call->arg.create.page_shift < 64 &&
	       machine.pgsizes >> call->arg.create.page_shift & 1;
}

static bool shifts_too_far(const struct model *m, const struct call *call)
{
	return creates(m, call) && call->arg.create.page_shift >= 64;
}

static bool smaller_than_a_page(const struct model *m, const struct call *call)
{
	return creates(m, call) && offered(call) &&
	       call->arg.create.window_size >> call->arg.create.page_shift == 0;
}

/* Check that sizes and shifts are valid, so that the following functions can compute with them */
static bool well_formed(const struct call *call)
{
	struct window w = wanted(call);

	return offered(call) && w.size >> w.shift && !(w.size & (w.size - 1)) &&
	       w.levels && w.levels <= machine.max_levels;
}

static bool table_too_large(const struct model *m, const struct call *call)
{
	struct window w = wanted(call);

	return !machine.hypervisor && creates(m, call) && well_formed(call) &&
	       level_shift(&w) > 24 && !spans_too_much(&w);
}

static bool slow_to_clear(const struct model *m, const struct call *call)
{
	struct window w = wanted(call);

	return creates(m, call) && well_formed(call) && !spans_too_much(&w) &&
	       clear_steps(&w) > 1 << 19;
}

static bool is_default(const struct window *w)
{
	return w->shift == DEFAULT_SHIFT && w->size == machine.default_size;
}

/* Check for a second window: a hypervisor has room for one window besides the default window */
static bool place_is_taken(const struct model *m)
{
	return m->window[1].live ||
	       (m->window[0].live && m->window[0].start);
}

static bool has_no_place(const struct model *m, const struct call *call)
{
	return machine.hypervisor && creates(m, call) && well_formed(call) &&
	       call->arg.create.levels == 1 && place_is_taken(m);
}

static bool has_no_levels(const struct model *m, const struct call *call)
{
	return machine.hypervisor && creates(m, call) &&
	       !call->arg.create.levels;
}

/*
 * Check for a window after which Linux creates no window for the device until reboot.
 * Linux does so after the firmware has failed to create a window. It also takes a small
 * window with 4 KiB pages in slot 0 for the default window when it removes the window.
 */
static bool costs_the_device(const struct model *m, const struct call *call)
{
	struct window w = wanted(call);

	if (!machine.hypervisor || !creates(m, call) || !well_formed(call))
		return false;
	if (w.size > 1ULL << 36 || call->where == READ_ONLY_PAGE)
		return true;
	return w.shift == DEFAULT_SHIFT && !is_default(&w) &&
	       w.size <= machine.default_size;
}

static bool registers(const struct model *m, const struct call *call)
{
	return judged(m, call, VFIO_IOMMU_SPAPR_REGISTER_MEMORY);
}

static bool registers_nothing(const struct model *m, const struct call *call)
{
	return registers(m, call) && !call->arg.memory.size &&
	       !(call->arg.memory.vaddr & ((1ULL << machine.page_shift) - 1));
}

static bool registers_too_much(const struct model *m, const struct call *call)
{
	return registers(m, call) && !m->limit &&
	       call->arg.memory.size > MIB(512);
}

static bool points_into_the_kernel(const struct model *m,
				   const struct call *call)
{
	struct utsname name;

	(void)m;
	return call->where == IN_KERNEL && !uname(&name) &&
	       atoi(name.release) >= 7;
}

static struct never nevers[] = {
	{ .name = "UNREGISTER of mapped memory", .is = unregisters_what_is_mapped,
	  .may_be = { -EBUSY },
	  .reason = "defect 3: pages stay pinned until reboot" },
	{ .name = "MAP past the table", .is = maps_past_the_table,
	  .may_be = { -EINVAL, -ENXIO },
	  .reason = "defect 1: writes outside the table" },
	{ .name = "UNMAP past the table", .is = unmaps_past_the_table,
	  .may_be = { -EINVAL, -ENXIO },
	  .reason = "defect 1, and a loop over up to 2^52 entries" },
	{ .name = "page_shift of 64 or more", .is = shifts_too_far,
	  .may_be = { -EINVAL }, .reason = "defect 8: undefined shifts" },
	{ .name = "window smaller than its page", .is = smaller_than_a_page,
	  .may_be = { -EINVAL }, .reason = "undefined arithmetic" },
	{ .name = "window whose table is too large", .is = table_too_large,
	  .may_be = { -ENOMEM, -EINVAL, -ENOSPC },
	  .reason = "a kernel warning" },
	{ .name = "window without levels", .is = has_no_levels,
	  .may_be = { -EINVAL }, .reason = "defect 19: the driver accepts it" },
	{ .name = "window that disables the device", .is = costs_the_device,
	  .nobody = true,
	  .reason = "the kernel creates no window for the device until reboot" },
	{ .name = "window without room", .is = has_no_place,
	  .may_be = { -ENOSPC, -EPERM },
	  .reason = "the kernel creates no window for the device until reboot" },
	{ .name = "window of many entries", .is = slow_to_clear, .nobody = true,
	  .reason = "defect 13: its removal takes minutes" },
	{ .name = "REGISTER of size 0", .is = registers_nothing,
	  .may_be = { -EINVAL }, .reason = "defect 11: a kernel warning" },
	{ .name = "REGISTER of more memory than exists", .is = registers_too_much,
	  .may_be = { -EFAULT, -EINVAL },
	  .reason = "a kernel warning of vmalloc" },
	{ .name = "structure in kernel memory", .is = points_into_the_kernel,
	  .may_be = { -EFAULT, -EPERM, -ENOTTY },
	  .reason = "kernel memory is read" },
};

struct never *never_for(const struct model *m, const struct call *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(nevers); i++)
		if (nevers[i].is(m, call))
			return &nevers[i];
	return NULL;
}

void never_print(void)
{
	printf("# calls not made on the in-tree driver:\n");
	for (size_t i = 0; i < ARRAY_SIZE(nevers); i++)
		printf("# %6lu  %s (%s)%s\n", nevers[i].count, nevers[i].name,
		       nevers[i].reason,
		       nevers[i].nobody ? ", not made on this module either" : "");
}
