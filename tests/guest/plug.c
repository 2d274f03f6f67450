// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-plug DEVICE: has a group in use when that device of it, which was removed
 * before, is found again. powernv takes the windows from the group then; neither
 * they nor the group may be lost by that to who uses them. Status 0 if neither
 * was.
 */
#include "lib.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RESCAN	"/sys/bus/pci/rescan"
#define IOVA	MIB(16)

static void need(bool good, const char *what)
{
	if (!good) {
		printf("# tce2-plug: %s\n", what);
		exit(1);
	}
}

/* In the group of the first slot's device */
static bool is_there(const char *device)
{
	char path[128];

	snprintf(path, sizeof(path),
		 "/sys/bus/pci/devices/%s/iommu_group/devices/%s",
		 vfio_device_name(0), device);
	return !access(path, F_OK);
}

static void rescan(void)
{
	FILE *file = fopen(RESCAN, "w");

	need(file && fputs("1", file) >= 0 && !fclose(file), RESCAN);
}

static int map(struct vfio *v, uint64_t iova, uint8_t *page)
{
	return dma_map(v->fd, iova, page, base_page(), READ_WRITE);
}

static void own_and_write(struct vfio *v, uint8_t *page)
{
	need(!vfio_own(v), "no container to be had");
	need(!spapr_register(v->fd, page, base_page()), "REGISTER");
	need(!map(v, IOVA, page), "MAP");
	need(vfio_device_writes(v, IOVA, page) == 1, "the device is silent");
}

/* As one who has a mapping would, of a window that no device has any more */
static void use_and_close(struct vfio *v, uint8_t *page)
{
	need(!vfio_device_writes(v, IOVA, page), "the group has its window");
	need(!map(v, IOVA + MIB(1), page), "MAP after it came");
	need(!dma_unmap(v->fd, IOVA, base_page()), "UNMAP after it came");
	need(!map(v, IOVA, page), "MAP again");
	vfio_close(v);
}

int main(int argc, char **argv)
{
	uint8_t *page = mem_base(base_page());
	struct vfio v;

	need(argc == 2, "tce2-plug DEVICE");
	need(page && vfio_devices(), "no memory or no device");
	own_and_write(&v, page);
	need(!is_there(argv[1]), "the other device is there already");
	rescan();
	need(is_there(argv[1]), "the other device has not come");
	use_and_close(&v, page);
	own_and_write(&v, page);
	vfio_close(&v);
	return 0;
}
