#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# For kernels whose VFIO refuses every device on POWER: the module loads, unloads
# and loads again, and that is all there is to test. As TAP.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

kernel_mark
tap_load_cycle
tap_try "module unloads in the end" unload_backend
tap_no_splats
tap_plan
