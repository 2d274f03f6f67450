// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-plug DEVICE: has a group in use when that device of it, removed before, is
 * found again. powernv takes the first window from the group then; neither it nor
 * the group may be lost by that to who uses them. Status 0 if neither was.
 */
#include "lib.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RESCAN	"/sys/bus/pci/rescan"
#define IOVA	MIB(16)
#define SEED	7

static void need(bool good, const char *what)
{
	if (!good) {
		printf("# tce2-plug: %s\n", what);
		exit(1);
	}
}

static bool is_there(const char *device)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", device);
	return !access(path, F_OK);
}

static void rescan(void)
{
	FILE *file = fopen(RESCAN, "w");

	need(file && fputs("1", file) >= 0 && !fclose(file), RESCAN);
}

static void own(struct vfio *v)
{
	vfio_init(v);
	need(!vfio_open(v) && !vfio_attach(v, 0) &&
	     !vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), "no container");
}

static int map(struct vfio *v, uint64_t iova, uint8_t *page)
{
	return dma_map(v->fd, iova, page, base_page(),
		       VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
}

static bool device_writes(struct vfio *v, uint8_t *page)
{
	pattern_fill(page, EDU_BUFFER, SEED);
	need(!vfio_open_device(v, 0) && !edu_enable(&v->edu[0]), "no device");
	edu_from_device(&v->edu[0], IOVA, 0, EDU_BUFFER);
	return !pattern_is(page, EDU_BUFFER, SEED);
}

/* As one who has a mapping would, of a window that no device has any more */
static void use_and_close(struct vfio *v, uint8_t *page)
{
	need(!map(v, IOVA + MIB(1), page), "MAP after it came");
	need(!dma_unmap(v->fd, IOVA, base_page()), "UNMAP after it came");
	need(!map(v, IOVA, page), "MAP again");
	vfio_close(v);
}

static void own_and_write(struct vfio *v, uint8_t *page)
{
	own(v);
	need(!spapr_register(v->fd, page, base_page()), "REGISTER");
	need(!map(v, IOVA, page), "MAP");
	need(device_writes(v, page), "the device does not write");
}

int main(int argc, char **argv)
{
	uint8_t *page = mem_base(base_page());
	struct vfio v;

	need(argc == 2 && page && vfio_devices(), "usage");
	own_and_write(&v, page);
	need(!is_there(argv[1]), "the other device is there already");
	rescan();
	need(is_there(argv[1]), "the other device has not come");
	printf("# tce2-plug: the group's device %s then\n",
	       device_writes(&v, page) ? "writes on" : "writes nothing");
	use_and_close(&v, page);
	own_and_write(&v, page);
	vfio_close(&v);
	return 0;
}
