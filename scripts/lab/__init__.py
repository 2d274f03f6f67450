# SPDX-License-Identifier: GPL-2.0-only
"""The emulated laboratory: kernels, compilers, root filesystems, and machines that boot them.

Each command of scripts/ that belongs to it imports main() from the module of its name.
Calls go down only:

vm            boots a kernel in an emulated POWER machine
clients       programs of Debian's packages for a machine that runs clients
rootfs        a root filesystem of Debian's packages; chroot runs programs in one
initramfs     a root filesystem in memory, for the tests
programs      the guest's programs
module        builds vfio_spapr_tce2.ko for a kernel
debug_kernel  builds a kernel that checks itself
kernel_add    makes a kernel of the user's own a label
kernel        fetches Debian's kernels
source        fetches the source of a kernel
hosttools     installs what this machine lacks
toolchain     compilers that this machine's release doesn't have
archive       Debian's archive, through an apt of our own
labels        the table of kernels
command       runs programs, and says what is being done
places        the directories
"""
