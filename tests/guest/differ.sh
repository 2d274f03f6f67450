#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of the differential test, as TAP: both backends are loaded,
# tce2-differ compares them call by call, then what the kernel's log says of it.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

kernel_mark
tap_try "in-tree backend, vfio-pci and then the module load" load_backends
bind_edu | sed 's/^/# edu /'
tap_try "both edu devices are bound to vfio-pci" edu_bound 2
tap_try "both backends answer alike except for intended differences" \
	/bin/tce2-differ "$@"
tap_unload_without_leaks
tap_no_splats
tap_plan
