// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-hold GROUP: has a group for a while as a client would, then ends and
 * leaves it to the kernel to clean up: memory registered and mapped in the
 * default window and in a second one. Status 0
 * if all that went well and this module served it.
 */
#include "lib.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SIZE		MIB(4)
#define WINDOW		GIB(1)
#define IOVA		MIB(1)

static void need(int ret, const char *what)
{
	if (ret) {
		printf("# tce2-hold: %s: %d\n", what, ret);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	int refs = module_refs("vfio_spapr_tce2"), group;
	uint8_t *ua = mem_base(SIZE);
	uint64_t start;
	struct vfio v;
	char path[64];

	need(argc != 2 || !ua, "usage");
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[1]);
	vfio_init(&v);
	need(vfio_open(&v), "opening a container");
	group = open(path, O_RDWR | O_CLOEXEC);
	need(group < 0, path);
	need(ioctl(group, VFIO_GROUP_SET_CONTAINER, &v.fd), "SET_CONTAINER");
	need(vfio_set_iommu(&v, VFIO_SPAPR_TCE_v2_IOMMU), "SET_IOMMU");
	need(module_refs("vfio_spapr_tce2") != refs + 1, "not served");
	need(spapr_register(v.fd, ua, SIZE), "REGISTER");
	need(dma_map(v.fd, IOVA, ua, SIZE, READ_WRITE), "MAP");
	need(window_create(v.fd, 12, WINDOW, 1, &start), "TCE_CREATE");
	need(dma_map(v.fd, start + WINDOW - SIZE, ua, SIZE, READ_WRITE),
	     "MAP in the second window");
	return 0;
}
