# SPDX-License-Identifier: GPL-2.0-only
"""The emulated laboratory: kernels, compilers, root filesystems, and machines that boot them.

A command of scripts/ calls main() of the module with the same name. A module calls only
modules that are further down in this list:

vm            boots a kernel in an emulated POWER machine
observers     programs of administrators for a machine, with the clients that they observe
clients       programs of Debian's packages for a machine that runs clients
rootfs        a root filesystem of Debian's packages; chroot runs programs in one
initramfs     a root filesystem in memory, for the tests
programs      the guest's programs
module        builds vfio_spapr_tce2.ko for a kernel
debug_kernel  builds a kernel with KASAN, lockdep and the other run-time checks
kernel_add    adds the user's own kernel as a label
kernel        fetches Debian's kernels
docs          builds the documentation
source        fetches the source of a kernel
hosttools     installs missing packages on this machine
toolchain     compilers that this machine's Debian release lacks
archive       Debian's archive, through a private apt
labels        the table of kernels
command       runs programs, keeps their logs, reports progress
places        the directories
"""
