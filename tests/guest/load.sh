#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# For kernels whose VFIO refuses every device on POWER: the module loads, says
# so, unloads and loads again, and that is all there is to test. As TAP.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

# shellcheck disable=SC2034 # read by kernel_splats
EXPECTED='VFIO of this kernel refuses every device on POWER'

# said TIMES: that line, and at the level of a notice
said() {
	own_lines | sed 's/^/# /'
	[ "$(own_lines | grep -c "^<5>.*$EXPECTED")" = "$1" ]
}

kernel_mark
tap_try "nothing is said while the module is not loaded" said 0
tap_load_cycle
tap_try "each of the two loads has said once why there is nothing to serve" said 2
tap_try "module unloads in the end" unload_backend
tap_no_splats
tap_plan
