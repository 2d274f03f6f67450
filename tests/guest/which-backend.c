// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-which-backend [wait]: open a container with the first edu device and print the
 * module that handles it, which is the module whose use count went up. With `wait`, keep
 * the container open until end of input. Exit status 0 if a backend handles the container.
 */
#include "lib.h"

#include <stdio.h>
#include <unistd.h>

static const char *const backends[] = {
	"vfio_spapr_tce2", "vfio_iommu_spapr_tce",
};

static int refuse(const char *what, int error)
{
	printf("no backend: %s: %d\n", what, error);
	return 1;
}

int main(int argc, char **argv)
{
	int refs[ARRAY_SIZE(backends)], ret;
	const char *backend = NULL;
	struct vfio v;
	char byte;
	size_t i;

	(void)argv;
	for (i = 0; i < ARRAY_SIZE(backends); i++)
		refs[i] = module_refs(backends[i]);
	ret = vfio_open(&v);
	if (ret)
		return refuse("opening a container", ret);
	ret = vfio_devices() ? vfio_attach(&v, 0) : -1;
	if (ret)
		return refuse("SET_CONTAINER", ret);
	ret = vfio_set_iommu(&v, VFIO_SPAPR_TCE_v2_IOMMU);
	if (ret)
		return refuse("SET_IOMMU", ret);
	for (i = 0; i < ARRAY_SIZE(backends); i++)
		if (module_refs(backends[i]) == refs[i] + 1)
			backend = backends[i];
	puts(backend ? backend : "no backend");
	fflush(stdout);
	while (argc > 1 && read(STDIN_FILENO, &byte, 1) > 0)
		;
	vfio_close(&v);
	return !backend;
}
