// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/uapi.c: the checks of every ioctl, their order, and the answers. Sizes of
 * structures are written as numbers, because they are part of the interface.
 */
#include <string.h>

#include <linux/vfio.h>

#include "client.h"
#include "sim_eeh.h"
#include "sim_user.h"
#include "tce2_uapi.h"

/* A request of any ioctl */
union request {
	struct {
		u32 argsz;
		u32 flags;
	};
	struct vfio_iommu_spapr_tce_info info;
	struct vfio_iommu_type1_dma_map map;
	struct vfio_iommu_type1_dma_unmap unmap;
	struct vfio_iommu_spapr_register_memory memory;
	struct vfio_iommu_spapr_tce_create create;
	struct vfio_iommu_spapr_tce_remove remove;
	struct vfio_eeh_pe_op eeh;
};

/**
 * struct ioctl - an ioctl, and a request that succeeds
 * @row: name of the ioctl
 * @cmd: number of the ioctl
 * @size: bytes of the request structure, which is the smallest valid argsz
 * @flags: flags that the ioctl accepts
 * @needs_memory: returns -EPERM before memory is registered
 * @request: a request that succeeds after the requests of the previous rows
 */
struct ioctl {
	const char *row;
	unsigned int cmd;
	size_t size;
	u32 flags;
	bool needs_memory;
	union request request;
};

#define MAP_RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define MAPPED PAGES(1)
#define PAST_DEFAULT GIB(1) /* the first bus address after the default window */

static const struct ioctl ioctls[] = {
	{ "REGISTER_MEMORY", VFIO_IOMMU_SPAPR_REGISTER_MEMORY, 24, 0, false,
	  { .memory = { .vaddr = UA, .size = PAGES(4) } } },
	{ "TCE_GET_INFO", VFIO_IOMMU_SPAPR_TCE_GET_INFO, 16, ~0U, false, {} },
	{ "MAP_DMA", VFIO_IOMMU_MAP_DMA, 32, MAP_RW, true,
	  { .map = { .flags = MAP_RW, .vaddr = UA, .size = MAPPED } } },
	{ "UNMAP_DMA", VFIO_IOMMU_UNMAP_DMA, 24, 0, true,
	  { .unmap = { .size = MAPPED } } },
	{ "UNREGISTER_MEMORY", VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, 24, 0, false,
	  { .memory = { .vaddr = UA, .size = PAGES(4) } } },
	{ "TCE_CREATE", VFIO_IOMMU_SPAPR_TCE_CREATE, 40, 0, false,
	  { .create = { .page_shift = 16, .window_size = MIB(64), .levels = 1 } } },
	{ "TCE_REMOVE", VFIO_IOMMU_SPAPR_TCE_REMOVE, 16, 0, false,
	  { .remove = { .start_addr = NOWHERE } } },
	{ "EEH_PE_OP", VFIO_EEH_PE_OP, 12, 0, false,
	  { .eeh = { .op = VFIO_EEH_PE_ENABLE } } },
};

static long ioctl_at(unsigned int cmd, u64 arg)
{
	return tce2_uapi_ioctl(cookie, cmd, arg);
}

/* Sends a request of which only the first @there bytes are readable */
static long send(const struct ioctl *r, union request *request, size_t there)
{
	return ioctl_at(r->cmd, user_place(request, there));
}

static union request request_of(const struct ioctl *r)
{
	union request request = r->request;

	request.argsz = r->size;
	return request;
}

static void send_ok(const struct ioctl *r)
{
	union request request = request_of(r);

	row = r->row;
	expect(send(r, &request, r->size), 0);
}

static const struct ioctl *find(unsigned int cmd)
{
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
		if (ioctls[i].cmd == cmd)
			return &ioctls[i];
	}
	return NULL;
}

static long request(unsigned int cmd, union request request)
{
	const struct ioctl *r = find(cmd);

	request.argsz = r->size;
	return send(r, &request, r->size);
}

static long map_dma(u64 iova, u64 ua, u64 size, u32 flags)
{
	return request(VFIO_IOMMU_MAP_DMA,
		       (union request){ .map = { .flags = flags, .vaddr = ua,
						 .iova = iova, .size = size } });
}

static long unmap_dma(u64 iova, u64 size)
{
	return request(VFIO_IOMMU_UNMAP_DMA,
		       (union request){ .unmap = { .iova = iova, .size = size } });
}

static long register_memory(u64 ua, u64 size)
{
	return request(VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
		       (union request){ .memory = { .vaddr = ua, .size = size } });
}

static long unregister_memory(u64 ua, u64 size)
{
	return request(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY,
		       (union request){ .memory = { .vaddr = ua, .size = size } });
}

static long tce_create(u32 page_shift, u64 size, u32 levels)
{
	return request(VFIO_IOMMU_SPAPR_TCE_CREATE,
		       (union request){ .create = { .page_shift = page_shift,
						    .window_size = size,
						    .levels = levels } });
}

static long tce_remove(u64 start)
{
	return request(VFIO_IOMMU_SPAPR_TCE_REMOVE,
		       (union request){ .remove = { .start_addr = start } });
}

/* A larger argsz does not make the module read more than the structure */
TEST(argsz_below_the_structure_size_returns_einval)
{
	begin_client(1);
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
		const struct ioctl *r = &ioctls[i];
		const u32 sizes[] = { 0, 8, r->size - 1, r->size };
		union request request = request_of(r);

		row = r->row;
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			request.argsz = sizes[k];
			expect(send(r, &request, r->size),
			       k == ARRAY_SIZE(sizes) - 1 ? 0 : -EINVAL);
		}
	}
	end_client();

	/* GET_INFO writes 32 bytes if argsz allows it */
	for (u64 argsz = 41; argsz <= ~0U; argsz = argsz == 41 ? ~0U : argsz + 1) {
		begin_client(1);
		for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
			const struct ioctl *r = &ioctls[i];
			union request request = request_of(r);

			row = r->row;
			request.argsz = argsz;
			expect(send(r, &request,
				    r->cmd == VFIO_IOMMU_SPAPR_TCE_GET_INFO ?
					    32 : r->size), 0);
		}
		end_client();
	}
}

TEST_F(client, an_unknown_flag_returns_einval)
{
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
		const struct ioctl *r = &ioctls[i];

		row = r->row;
		for (unsigned int bit = 0; bit < 32; bit++) {
			union request request = request_of(r);

			if (r->flags & BIT(bit))
				continue;
			request.flags |= BIT(bit);
			expect(send(r, &request, r->size), -EINVAL);
		}
		send_ok(r);
	}
}

TEST_F(client, an_unreadable_request_returns_efault)
{
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
		const struct ioctl *r = &ioctls[i];
		union request request = request_of(r);

		row = r->row;
		expect(send(r, &request, r->size - 1), -EFAULT);
		expect(send(r, &request, 0), -EFAULT);
		expect(ioctl_at(r->cmd, 0), -EFAULT);
		expect(ioctl_at(r->cmd, USER_END), -EFAULT);
		expect(send(r, &request, r->size), 0);
	}
}

/* On bare metal, copy_from_user() of Linux 7.2 does not fault at a kernel address */
TEST_F(client, a_kernel_address_returns_efault_without_a_copy)
{
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
		const struct ioctl *r = &ioctls[i];

		row = r->row;
		/* Skip ioctls that return -EPERM, because no memory is registered yet */
		if (r->needs_memory)
			continue;
		memset(&user, 0, sizeof(user));
		expect(ioctl_at(r->cmd, 0xc000000000000000ULL), -EFAULT);
		expect(ioctl_at(r->cmd, 1ULL << 63), -EFAULT);
		expect(ioctl_at(r->cmd, -(u64)r->size), -EFAULT);
		expect(ioctl_at(r->cmd, (1ULL << 52) - r->size + 1), -EFAULT);
		expect(user.copies, 0);
		/* A valid user address that is not mapped */
		expect(ioctl_at(r->cmd, (1ULL << 52) - r->size), -EFAULT);
		expect(user.copies, 1);
	}
	expect(register_memory(UA, PAGES(4)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
		memset(&user, 0, sizeof(user));
		expect(ioctl_at(ioctls[i].cmd, 0xc000000000000000ULL), -EFAULT);
		expect(user.copies, 0);
	}
}

TEST_F(client, an_unknown_ioctl_returns_enotty)
{
	const unsigned int cmds[] = {
		0, ~0U, VFIO_IOMMU_ENABLE, VFIO_IOMMU_DISABLE,
		VFIO_EEH_PE_OP + 1, VFIO_IOMMU_MAP_DMA | BIT(30),
		VFIO_GET_API_VERSION,
	};

	memset(&user, 0, sizeof(user));
	for (int bound = 0; bound < 2; bound++) {
		for (size_t i = 0; i < ARRAY_SIZE(cmds); i++)
			expect(ioctl_at(cmds[i], 0), -ENOTTY);
		expect(user.copies, bound);
		expect(register_memory(UA + PAGES(bound), PAGES(1)), 0);
	}
	be_another_process();
	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++)
		expect(ioctl_at(cmds[i], 0), -EPERM);
	be_first_process();
}

/* The ioctl checks for registered memory before it waits for the request */
TEST_F(client, map_and_unmap_return_eperm_before_memory_is_registered)
{
	for (int tries = 0; tries < 3; tries++) {
		memset(&user, 0, sizeof(user));
		expect(ioctl_at(VFIO_IOMMU_MAP_DMA, 0), -EPERM);
		expect(ioctl_at(VFIO_IOMMU_UNMAP_DMA, 0), -EPERM);
		expect(user.copies, 0);
		expect(map_dma(0, UA, MAPPED, MAP_RW), -EPERM);
		expect(unmap_dma(0, MAPPED), -EPERM);
		/* Binding the container, or a failed registration, does not enable it */
		if (!tries)
			expect(tce_remove(7), -EINVAL);
		else
			expect(register_memory(UA, PAGES(MEMORY_PAGES + 1)), -EFAULT);
	}
	expect(register_memory(UA, PAGES(4)), 0);
	expect(map_dma(0, UA, MAPPED, MAP_RW), 0);
	expect(unmap_dma(0, MAPPED), 0);
	/* The container stays enabled after the last region is gone */
	expect(unregister_memory(UA, PAGES(4)), 0);
	expect(unmap_dma(0, MAPPED), 0);
	expect(map_dma(0, UA, MAPPED, MAP_RW), -EINVAL);
}

TEST_F(client, another_process_gets_eperm_before_the_request_is_waited_for)
{
	expect(register_memory(UA, PAGES(4)), 0);
	expect(map_dma(0, UA, MAPPED, MAP_RW), 0);
	be_another_process();
	memset(&user, 0, sizeof(user));
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
		row = ioctls[i].row;
		expect(ioctl_at(ioctls[i].cmd, 0), -EPERM);
	}
	expect(user.copies, 0);
	expect(unmap_dma(0, MAPPED), -EPERM);
	expect(unregister_memory(UA, PAGES(4)), -EPERM);
	be_first_process();
	expect(unregister_memory(UA, PAGES(4)), -EBUSY);
}

/* No other ioctl binds the container, and no malformed request does */
TEST(register_create_and_remove_bind_the_container_to_the_process)
{
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
		const struct ioctl *r = &ioctls[i];
		const bool binds = r->cmd == VFIO_IOMMU_SPAPR_REGISTER_MEMORY ||
				   r->cmd == VFIO_IOMMU_SPAPR_TCE_CREATE ||
				   r->cmd == VFIO_IOMMU_SPAPR_TCE_REMOVE;
		union request request = request_of(r);

		begin_client(1);
		row = r->row;
		/* Malformed requests: argsz too small, structure not readable, unknown flag */
		request.argsz--;
		send(r, &request, r->size);
		send(r, &request, r->size - 1);
		if (!(r->flags & BIT(31))) {
			request.argsz++;
			request.flags |= BIT(31);
			send(r, &request, r->size);
		}
		expect(!container->cache, true);
		request = request_of(r);
		send(r, &request, r->size);
		expect(!container->cache, !binds);
		be_another_process();
		expect(tce_remove(7), binds ? -EPERM : -EINVAL);
		be_first_process();
		expect(tce_remove(7), binds ? -EINVAL : -EPERM);
		end_client();
	}
}

TEST_F(client, map_flags_become_device_permissions)
{
	const u64 perms[] = { 0, TCE2_PERM_READ, TCE2_PERM_WRITE, RW };

	expect(register_memory(UA, PAGES(4)), 0);
	for (u32 flags = 0; flags < 4; flags++) {
		const u64 size = PAGES(1);
		u64 iova = flags * size;
		struct tce2_window *window;

		expect(map_dma(iova, UA, size, flags), flags ? 0 : -EINVAL);
		window = container->ddw.window[0];
		expect(!window, !flags);
		if (flags)
			expect(view_at(window, iova >> SHIFT), UA | perms[flags]);
	}
}

static const struct {
	const char *row;
	u64 iova, ua, size;
	int map, unmap;
} ranges[] = {
	{ "a page", 0, UA, PAGES(1), 0, 0 },
	{ "the last page", PAST_DEFAULT - IOVA(1), UA, IOVA(1), 0, 0 },
	{ "all of the window", 0, UA, PAST_DEFAULT, -EINVAL, 0 },
	{ "empty", 0, UA, 0, -EINVAL, -EINVAL },
	{ "odd bus address", 1, UA, PAGES(1), -EINVAL, -EINVAL },
	{ "bus address of half a page", IOVA(1) / 2, UA, IOVA(1), -EINVAL, -EINVAL },
	{ "odd user address", 0, UA + 1, PAGES(1), -EINVAL, 0 },
	{ "user address of half a page", 0, UA + IOVA(1) / 2, IOVA(1), -EINVAL, 0 },
	{ "odd size", 0, UA, PAGES(1) + 1, -EINVAL, -EINVAL },
	{ "size of half a page", 0, UA, IOVA(1) / 2, -EINVAL, -EINVAL },
	{ "one page beyond the end of the window", PAST_DEFAULT - IOVA(1), UA, IOVA(2),
	  -EINVAL, -EINVAL },
	{ "larger than the window", 0, UA, PAST_DEFAULT + IOVA(1), -EINVAL, -EINVAL },
	{ "wrapping bus addresses", IOVA(1), UA, -IOVA(1), -EINVAL, -EINVAL },
	{ "wrapping user addresses", 0, -IOVA(1), IOVA(1), -EINVAL, 0 },
	{ "wrapping user addresses by a page", 0, -IOVA(1), IOVA(2), -EINVAL, 0 },
	{ "after the window", PAST_DEFAULT, UA, IOVA(1), -ENXIO, -ENXIO },
	{ "after the window, and empty", PAST_DEFAULT, UA, 0, -ENXIO, -ENXIO },
	{ "the last bus address", ~0ULL, UA, IOVA(1), -ENXIO, -ENXIO },
	{ "memory that is not registered", 0, UA + PAGES(4), PAGES(1), -EINVAL, 0 },
};

/* The ranges are in the default window, which does not exist yet, or exists */
TEST(map_and_unmap_refuse_misaligned_empty_and_outside_ranges)
{
	for (int made = 0; made < 2; made++) {
		begin_client(1);
		expect(register_memory(UA, PAGES(4)), 0);
		if (made)
			expect(map_dma(0, UA, PAGES(1), MAP_RW), 0);
		for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
			const u64 iova = ranges[i].iova, size = ranges[i].size;

			row = ranges[i].row;
			expect(unmap_dma(iova, size), ranges[i].unmap);
			if (ranges[i].map)
				expect(map_dma(iova, ranges[i].ua, size, MAP_RW),
				       ranges[i].map);
		}
		expect(!container->ddw.window[0], !made);
		for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
			row = ranges[i].row;
			if (ranges[i].map)
				continue;
			expect(map_dma(ranges[i].iova, ranges[i].ua,
				       ranges[i].size, MAP_RW), 0);
			expect(unmap_dma(ranges[i].iova, ranges[i].size), 0);
			expect(platform.held, 0);
		}
		end_client();
	}
}

/* Window 0 has pages of 4 KiB, window 1 pages of 64 KiB */
TEST_F(client, alignment_depends_on_the_page_size_of_the_window)
{
	expect(register_memory(UA, PAGES(16)), 0);
	expect(tce_remove(0), 0);
	expect(tce_create(12, MIB(64), 1), 0);
	expect(tce_create(16, MIB(64), 1), 0);
	expect(map_dma(IOVA(1), UA, IOVA(1), MAP_RW), 0);
	expect(map_dma(NOWHERE + IOVA(1), UA, KIB(64), MAP_RW), -EINVAL);
	expect(map_dma(NOWHERE, UA + IOVA(1), KIB(64), MAP_RW), -EINVAL);
	expect(map_dma(NOWHERE, UA, KIB(64) + IOVA(1), MAP_RW), -EINVAL);
	expect(unmap_dma(NOWHERE, IOVA(1)), -EINVAL);
	expect(unmap_dma(NOWHERE + IOVA(1), KIB(64)), -EINVAL);
	expect(unmap_dma(NOWHERE + MIB(64) - KIB(64), KIB(64)), 0);
	expect(unmap_dma(NOWHERE + MIB(64) - KIB(64), KIB(128)), -EINVAL);
	expect(unmap_dma(NOWHERE - KIB(64), KIB(128)), -ENXIO);
	expect(unmap_dma(NOWHERE, MIB(64)), 0);
	expect(unmap_dma(MIB(64), IOVA(1)), -ENXIO);
}

static void expect_info(u32 argsz, size_t written)
{
	struct vfio_iommu_spapr_tce_info info, want;

	memset(&info, 0xa5, sizeof(info));
	info.argsz = argsz;
	info.flags = 0x12345678;
	want = info;
	expect(ioctl_at(VFIO_IOMMU_SPAPR_TCE_GET_INFO,
			user_place(&info, sizeof(info))), 0);
	if (written >= 16) {
		want.flags = VFIO_IOMMU_SPAPR_INFO_DDW;
		want.dma32_window_start = 0;
		want.dma32_window_size = GIB(1);
	}
	if (written >= 32) {
		want.ddw.pgsizes = BIT_ULL(12) | BIT_ULL(16) | BIT_ULL(24);
		want.ddw.max_dynamic_windows_supported = 2;
		want.ddw.levels = 3;
	}
	user_look(&info, sizeof(info));
	expect(memcmp(&info, &want, sizeof(info)), 0);
}

TEST_F(client, get_info_writes_at_most_argsz_bytes)
{
	expect_info(16, 16);
	expect_info(17, 16);
	expect_info(31, 16);
	expect_info(32, 32);
	expect_info(33, 32);
	expect_info(~0U, 32);
	/* GET_INFO reports the 32-bit window of the group */
	group[0]->tg.tce32_start = 0x1000;
	group[0]->tg.tce32_size = MIB(256);
	send_ok(find(VFIO_IOMMU_SPAPR_TCE_GET_INFO));
	expect(((struct vfio_iommu_spapr_tce_info *)
		(user.bytes + USER_BYTES - 16))->dma32_window_start, 0x1000);
	expect(((struct vfio_iommu_spapr_tce_info *)
		(user.bytes + USER_BYTES - 16))->dma32_window_size, MIB(256));
}

TEST_F(client, get_info_to_unwritable_memory_returns_efault)
{
	union request request = { .argsz = 32 };
	u64 arg;

	arg = user_place(&request, 16);
	expect(ioctl_at(VFIO_IOMMU_SPAPR_TCE_GET_INFO, arg), -EFAULT);
	for (size_t size = 16; size <= 32; size += 16) {
		request.argsz = size;
		arg = user_place(&request, size);
		user.readonly = true;
		expect(ioctl_at(VFIO_IOMMU_SPAPR_TCE_GET_INFO, arg), -EFAULT);
	}
}

TEST(window_requests_without_a_group_return_enxio)
{
	begin_client(0);
	expect(request(VFIO_IOMMU_SPAPR_TCE_GET_INFO, (union request){}), -ENXIO);
	expect(tce_create(12, MIB(64), 1), -ENXIO);
	expect(tce_remove(0), -ENXIO);
	expect(register_memory(UA, PAGES(4)), 0);
	expect(map_dma(0, UA, PAGES(1), MAP_RW), -ENXIO);
	expect(unmap_dma(0, PAGES(1)), -ENXIO);
	/* An EEH operation on no group succeeds */
	expect(request(VFIO_EEH_PE_OP, (union request){}), 0);
	end_client();
}

TEST(create_passes_every_field_to_the_platform)
{
	static const struct vfio_iommu_spapr_tce_create rows[] = {
		{ .page_shift = 12, .window_size = GIB(1), .levels = 3 },
		{ .page_shift = 16, .window_size = GIB(2), .levels = 1 },
		{ .page_shift = 24, .window_size = GIB(64), .levels = 2 },
	};

	begin_client(1);
	expect(tce_remove(0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vfio_iommu_spapr_tce_create create = rows[i];
		const struct iommu_table *tbl;

		create.argsz = sizeof(create);
		create.start_addr = ~0ULL;
		expect(ioctl_at(VFIO_IOMMU_SPAPR_TCE_CREATE,
				user_place(&create, sizeof(create))), 0);
		user_look(&create, sizeof(create));
		expect(create.start_addr, 0);
		expect(create.window_size, rows[i].window_size);
		tbl = container->ddw.window[0]->table.tbl;
		expect(tbl->it_page_shift, rows[i].page_shift);
		expect(tbl->it_size, rows[i].window_size >> rows[i].page_shift);
		expect(tbl->it_indirect_levels, rows[i].levels - 1);
		expect(tce_remove(0), 0);
		expect(platform.tables, 0);
	}
	end_client();
}

static u64 created_at(void)
{
	struct vfio_iommu_spapr_tce_create create;

	user_look(&create, sizeof(create));
	return create.start_addr;
}

TEST(create_to_unwritable_memory_leaves_no_window)
{
	union request create = find(VFIO_IOMMU_SPAPR_TCE_CREATE)->request;
	struct sim_counts before;

	create.argsz = sizeof(create.create);
	begin_client(1);
	/* Bind the container first, because binding allocates memory until release */
	expect(tce_remove(7), -EINVAL);
	before = sim.now;
	for (int removed = 0; removed < 2; removed++) {
		u64 arg = user_place(&create.create, sizeof(create.create));

		user.readonly = true;
		expect(ioctl_at(VFIO_IOMMU_SPAPR_TCE_CREATE, arg), -EFAULT);
		sim_grace_period();
		expect_counts(before);
		expect(platform.tables, 0);
		expect(container->ddw.default_pending, !removed);
		user.readonly = false;
		expect(ioctl_at(VFIO_IOMMU_SPAPR_TCE_CREATE, arg), 0);
		expect(created_at(), removed ? 0 : NOWHERE);
		expect(tce_remove(created_at()), 0);
		if (!removed)
			expect(tce_remove(0), 0);
	}
	end_client();
}

/* Another thread guesses the window's address, and sends requests for it */
static void use_window_early(void)
{
	expect(tce2_container_unmap(container, NOWHERE, KIB(64)), -ENXIO);
	expect(tce2_container_remove_window(container, NOWHERE), -EINVAL);
	expect(container->ddw.window[1]->published, false);
}

TEST(a_window_is_published_after_its_address_is_written)
{
	union request create = find(VFIO_IOMMU_SPAPR_TCE_CREATE)->request;
	u64 arg;

	begin_client(1);
	create.argsz = sizeof(create.create);
	arg = user_place(&create.create, sizeof(create.create));
	user.other_at = 2;
	user.other = use_window_early;
	expect(ioctl_at(VFIO_IOMMU_SPAPR_TCE_CREATE, arg), 0);
	expect(user.copies, 2);
	expect(created_at(), NOWHERE);
	expect(tce2_container_unmap(container, NOWHERE, KIB(64)), 0);
	expect(tce_remove(NOWHERE), 0);
	end_client();
}

/* The memory for the answer is writable, or not writable */
TEST(create_during_close_fails_and_leaves_no_window)
{
	for (int readonly = 0; readonly < 2; readonly++) {
		union request create = find(VFIO_IOMMU_SPAPR_TCE_CREATE)->request;
		u64 arg;

		begin_client(1);
		create.argsz = sizeof(create.create);
		arg = user_place(&create.create, sizeof(create.create));
		user.other_at = 2;
		user.other = close_container;
		user.readonly = readonly;
		expect(ioctl_at(VFIO_IOMMU_SPAPR_TCE_CREATE, arg),
		       readonly ? -EFAULT : -ENXIO);
		expect(platform.tables, 0);
		end_client();
	}
}

static long eeh_op(u32 op)
{
	return request(VFIO_EEH_PE_OP, (union request){ .eeh = { .op = op } });
}

TEST_F(client, each_eeh_operation_calls_its_eeh_function)
{
	static const struct {
		const char *row;
		u32 op;
		struct eeh_call call;
	} rows[] = {
		{ "disable", VFIO_EEH_PE_DISABLE, { EEH_SET_OPTION, .arg = 0 } },
		{ "enable", VFIO_EEH_PE_ENABLE, { EEH_SET_OPTION, .arg = 1 } },
		{ "unfreeze I/O", VFIO_EEH_PE_UNFREEZE_IO, { EEH_SET_OPTION, .arg = 2 } },
		{ "unfreeze DMA", VFIO_EEH_PE_UNFREEZE_DMA, { EEH_SET_OPTION, .arg = 3 } },
		{ "get state", VFIO_EEH_PE_GET_STATE, { .what = EEH_GET_STATE } },
		{ "deactivate reset", VFIO_EEH_PE_RESET_DEACTIVATE, { EEH_RESET, .arg = 0 } },
		{ "hot reset", VFIO_EEH_PE_RESET_HOT, { EEH_RESET, .arg = 1 } },
		{ "fundamental reset", VFIO_EEH_PE_RESET_FUNDAMENTAL,
		  { EEH_RESET, .arg = 3 } },
		{ "configure", VFIO_EEH_PE_CONFIGURE, { .what = EEH_CONFIGURE } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		row = rows[i].row;
		eeh_reset();
		expect(eeh_op(rows[i].op), 0);
		expect(eeh.calls, 1);
		expect(eeh.call[0].what, rows[i].call.what);
		expect(eeh.call[0].arg, rows[i].call.arg);
	}
	eeh_reset();
	expect(eeh_op(10), -EINVAL);
	expect(eeh_op(~0U), -EINVAL);
	expect(eeh.calls, 0);
}

/* The result is an error, or a state of the endpoint other than normal */
TEST(an_eeh_operation_stops_at_the_first_result_other_than_0)
{
	begin_client(3);
	for (unsigned int i = 0; i < 3; i++) {
		for (int answer = -EIO; answer <= 4; answer += 4 + EIO) {
			eeh_reset();
			eeh.answer[i] = answer;
			expect(eeh_op(VFIO_EEH_PE_GET_STATE), answer);
			expect(eeh.calls, i + 1);
		}
	}
	eeh_reset();
	expect(eeh_op(VFIO_EEH_PE_GET_STATE), 0);
	expect(eeh.calls, 3);
	for (unsigned int i = 0; i < 3; i++)
		expect(eeh.call[i].group, i);
	eeh_reset();
	eeh.no_pe = BIT(1);
	expect(eeh_op(VFIO_EEH_PE_GET_STATE), -ENODEV);
	expect(eeh.calls, 1);
	end_client();
}

static long inject(u32 argsz, size_t there, u32 type, u32 func)
{
	struct vfio_eeh_pe_op op = {
		.argsz = argsz,
		.op = VFIO_EEH_PE_INJECT_ERR,
		.err = { .type = type, .func = func, .addr = 0x123456789000ULL,
			 .mask = 0xfffffff0000ULL },
	};

	return ioctl_at(VFIO_EEH_PE_OP, user_place(&op, there));
}

TEST_F(client, eeh_injection_needs_the_longer_structure)
{
	expect(inject(12, 40, 0, 0), -EINVAL);
	expect(inject(39, 40, 0, 0), -EINVAL);
	expect(inject(40, 39, 0, 0), -EFAULT);
	expect(inject(40, 12, 0, 0), -EFAULT);
	expect(inject(40, 11, 0, 0), -EFAULT);
	expect(eeh.calls, 0);
	expect(inject(40, 40, 1, 7), 0);
	expect(inject(41, 40, 1, 7), 0);
	expect(eeh.calls, 2);
	expect(eeh.call[0].what, EEH_INJECT);
	expect(eeh.call[0].arg, 1);
	expect(eeh.call[0].func, 7);
	expect(eeh.call[0].addr, 0x123456789000ULL);
	expect(eeh.call[0].mask, 0xfffffff0000ULL);
	/* Other operations read the short structure only */
	expect(eeh_op(VFIO_EEH_PE_CONFIGURE), 0);
	expect(user.copies, 1);
}

TEST_F(client, eeh_injection_of_an_unknown_error_is_refused)
{
	expect(inject(40, 40, 0, 20), -EINVAL);
	expect(inject(40, 40, 0, ~0U), -EINVAL);
	expect(inject(40, 40, 2, 0), -ERANGE);
	expect(inject(40, 40, ~0U, 0), -ERANGE);
	/* The function is checked before the type */
	expect(inject(40, 40, 2, 20), -EINVAL);
	expect(eeh.calls, 0);
	expect(inject(40, 40, 0, 19), 0);
	expect(inject(40, 40, 1, 0), 0);
	expect(eeh.calls, 2);
}

static void make_it_a_reset(void)
{
	struct vfio_eeh_pe_op op;

	user_look(&op, sizeof(op));
	op.op = VFIO_EEH_PE_RESET_HOT;
	memcpy(user.bytes + USER_BYTES - sizeof(op), &op, sizeof(op));
}

/* Another thread of the client changes the structure between two reads */
TEST_F(client, an_injection_changed_between_two_reads_stays_an_injection)
{
	struct vfio_eeh_pe_op op = { .argsz = 40, .op = VFIO_EEH_PE_INJECT_ERR };
	u64 arg;

	arg = user_place(&op, sizeof(op));
	user.other_at = 2;
	user.other = make_it_a_reset;
	expect(ioctl_at(VFIO_EEH_PE_OP, arg), 0);
	expect(eeh.calls, 1);
	expect(eeh.call[0].what, EEH_INJECT);
}

static long check_extension(unsigned long extension)
{
	return tce2_uapi_ioctl(NULL, VFIO_CHECK_EXTENSION, extension);
}

TEST(check_extension_offers_v2_and_eeh_only)
{
	begin_client(0);
	for (int enabled = 0; enabled < 2; enabled++) {
		eeh.enabled = enabled;
		for (unsigned long extension = 0; extension < 64; extension++) {
			long want = extension == VFIO_SPAPR_TCE_v2_IOMMU ||
				    (extension == VFIO_EEH && enabled);

			expect(check_extension(extension), want);
		}
		expect(check_extension(~0UL), 0);
		/* All 64 bits of the argument are compared */
		expect(check_extension(1UL << 32 | VFIO_SPAPR_TCE_v2_IOMMU), 0);
	}
	end_client();
}
