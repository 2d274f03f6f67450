# SPDX-License-Identifier: GPL-2.0-only
"""Build a tar archive of a root filesystem from Debian's ppc64el packages.

mmdebstrap builds it, without root if the user may create user namespaces. The maintainer
scripts of all packages run under qemu-user. This machine's dpkg unpacks the packages,
because an emulated dpkg takes ten times as long. Calls chroot, archive,
command and places.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .archive import POWER, Apt
from .chroot import register_interpreter
from .command import locked, quietly
from .places import LOGS, TOP, LabError

# Debian's release, and the next release, whose dkms the tests install later
RELEASE = "bookworm"
NEXT_RELEASE = "trixie"
SYSTEM = ("?essential", "apt", "systemd", "systemd-sysv", "udev", "kmod", "initramfs-tools",
          "linux-base", "dkms", "gcc-12", "make", "libc6-dev", "openssl", "build-essential",
          "python3-minimal")
# The series of two kernels. The kernel of the first flavour is installed in the root
# filesystem, the kernel of the second flavour by tests.
SERIES = r"6\.12"
FLAVOURS = ("powerpc64le-64k", "powerpc64le")
# Directories of packages, by the stage that installs them
KINDS = ("system", "kernels", "later")
# mmdebstrap mounts /proc and devices only if their directories exist
DIRECTORIES = 'cd "$1" && mkdir -p dev proc sys'
# Prepare the root before the first maintainer script runs: unpack all files, merge /usr,
# add the users, and install a policy-rc.d that starts no service. The index of manual
# pages is disabled, because it would take minutes.
FILL = r"""#!/bin/sh
set -eu
root=$1
packages=$(dirname "$0")
for directory in bin sbin lib lib64; do
    mkdir -p "$root/usr/$directory"
    ln -s "usr/$directory" "$root/$directory"
done
for deb in "$packages"/system/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" >"$root/data.tar"
    tar -C "$root" --keep-directory-symlink --exclude=./proc --exclude=./sys -xf "$root/data.tar"
done
rm "$root/data.tar"
mkdir -p "$root"/var/lib/dpkg/info "$root"/var/lib/dpkg/updates \
    "$root"/var/lib/dpkg/parts "$root"/var/lib/dpkg/triggers
touch "$root"/var/lib/dpkg/status "$root"/var/lib/dpkg/available \
    "$root"/var/lib/dpkg/diversions "$root"/var/lib/dpkg/statoverride
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/tce2"
printf 'MODULES=list\nCOMPRESS=gzip\n' >"$root/etc/initramfs-tools/conf.d/tce2"
printf 'nvme\next4\n' >>"$root/etc/initramfs-tools/modules"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

inside() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive TERM=dumb chroot "$root" "$@"
}
echo 'man-db man-db/auto-update boolean false' | inside debconf-set-selections
for kind in system kernels; do
    dpkg --root="$root" --log=/dev/null --force-architecture --force-depends \
        --force-unsafe-io --unpack "$packages/$kind"/*.deb
    inside dpkg --configure -a
done
mkdir "$root/packages"
cp "$packages"/later/*.deb "$root/packages/"
"""


def build_depends() -> list[str]:
    """Return the build dependencies in debian/control.

    Versions are dropped, so that apt can install each name: a package or a virtual package.
    """
    control = (TOP / "debian" / "control").read_text()
    found = re.search(r"^Build-Depends:\n((?: .*\n)+)", control, re.MULTILINE)
    return re.findall(r"^ ([^ ,\n]+)", found[1], re.MULTILINE) if found else []


def recipe() -> str:
    """Return a text that changes if other packages go into an archive."""
    return " ".join([RELEASE, NEXT_RELEASE, *SYSTEM, *build_depends(), SERIES, *FLAVOURS]) + "\n"


def recipe_file(out: Path) -> Path:
    """Return the file that records the recipe of an archive."""
    return out.with_name(f"{out.name}.recipe")


def is_current(out: Path) -> bool:
    """Check that an archive exists, and was made from the packages that recipe() lists now."""
    made_of = recipe_file(out)
    return (out.exists() and not os.environ.get("REFRESH")
            and made_of.exists() and made_of.read_text() == recipe())


def kernel_packages(apt: Apt) -> list[str]:
    """Return the names of the kernels' image and headers packages."""
    names = []
    for flavour in FLAVOURS:
        image = apt.newest_package(rf"linux-image-{SERIES}([.+~][0-9a-z.+~]+)?-{flavour}")
        names += [image, image.replace("linux-image-", "linux-headers-")]
    return names


def kind_of(deb: Path) -> str:
    """Return the directory of a package: system, kernels or later."""
    if re.match(rf"linux-(image|headers)-.*-{FLAVOURS[1]}_", deb.name):
        return "later"
    return "kernels" if re.match("linux-[hik]", deb.name) else "system"


def fetch_packages(packages: Path) -> None:
    """Fetch all packages; sort them into directories by the stage that installs them."""
    for kind in KINDS:
        (packages / kind).mkdir(parents=True)
    Apt.first_with("", [NEXT_RELEASE], native=POWER, foreign="").fetch(packages / "later", "dkms")
    apt = Apt.first_with(
        f"linux-image-{SERIES}.*-{FLAVOURS[0]}",
        [f"{RELEASE}+{RELEASE}-updates+{RELEASE}-backports", f"{RELEASE}+{RELEASE}-backports"],
        native=POWER, foreign="")
    for deb in apt.fetch_all(packages / "fetched",
                             [*SYSTEM, *build_depends(), *kernel_packages(apt)],
                             what="fetching the packages of a root filesystem (300 MB)",
                             failure="the packages could not be fetched"):
        deb.rename(packages / kind_of(deb) / deb.name)


def command_for(packages: Path, out: Path) -> list[str]:
    """Return the mmdebstrap command, which downloads no package: FILL unpacks all packages."""
    mode = "root" if os.getuid() == 0 else "unshare"
    return ["mmdebstrap", f"--mode={mode}", "--variant=extract", "--format=tar",
            f"--architectures={POWER}", "--skip=update", "--skip=chroot/policy-rc.d",
            f"--setup-hook={DIRECTORIES}", f"--extract-hook={packages / 'fill'}",
            "", str(out), "-"]


def make_root(packages: Path, out: Path) -> None:
    """Build the archive from the packages in a directory."""
    (packages / "fill").write_text(FILL)
    (packages / "fill").chmod(0o755)
    quietly(LOGS / "rootfs.log", "making a ppc64el root filesystem",
            command_for(packages, out), failure="no root filesystem could be made")


def main(arguments: Sequence[str]) -> None:
    """Run scripts/rootfs."""
    if len(arguments) != 1:
        raise LabError("usage: scripts/rootfs FILE")
    register_interpreter()
    # The packages must be readable for all users: root of the user namespace is another user
    os.umask(0o022)
    out = Path(arguments[0])
    with locked(out.with_name(f"{out.name}.lock")):
        if is_current(out):
            return
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR") or "/var/tmp",
                                         prefix="tce2-rootfs.") as work:
            Path(work).chmod(0o755)
            packages = Path(work) / "packages"
            fetch_packages(packages)
            new = out.with_name(f"{out.name}.new")
            make_root(packages, new)
        recipe_file(out).unlink(missing_ok=True)
        new.replace(out)
        recipe_file(out).write_text(recipe())
