#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of the conformance tests, as TAP: the module's comings and
# goings, then tce2-conformance, then what the kernel's log says about it all.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

kernel_mark
tap_load_cycle
bind_edu | sed 's/^/# edu /'
tap_try "both edu devices are bound to vfio-pci" edu_bound 2

/bin/tce2-conformance "$@"
status=$?
# 1 is what it says when a case of its own has failed.
tap_try "tce2-conformance runs to its end" [ $status -le 1 ]

tap_try "module unloads after everything it has served" unload_backend
tap_no_splats
tap_plan && [ $status = 0 ]
