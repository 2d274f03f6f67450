# SPDX-License-Identifier: GPL-2.0-only
"""Make the initramfs of an emulated machine that runs clients, QEMU and DPDK.

Programs of Debian's ppc64el packages are packed into two cpio archives. The kernel unpacks an
archive after the archive of scripts/initramfs. The host's archive has QEMU with its firmware
and DPDK's testpmd with its drivers. The KVM guest's archive has drmgr, which plugs PCI devices
in the guest. Of the shared libraries, the archives have only those used by the programs. Owns
CACHE/clients and build/clients. Calls programs, initramfs, kernel, archive, labels, command
and places.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import labels, programs
from .archive import POWER, Apt
from .command import (CROSS, Step, in_si, locked, output_of, quietly, say, step,
                      without_settings)
from .initramfs import pack
from .kernel import need_kernel
from .places import BUILD, LOGS, SCRIPTS, TOP, LabError, cache_dir

CLIENTS = TOP / "tests" / "clients"
OUT = BUILD / "clients"
# The kernel of a KVM guest
INNER = "6.12-64k"
SUITES = "bookworm+bookworm-backports"
# QEMU comes from the backports, because it must have the option x-vof. x-vof boots the guest
# without the firmware SLOF, which takes long under emulation.
PACKAGES = ("qemu-system-ppc/bookworm-backports", "qemu-system-common/bookworm-backports",
            "qemu-system-data/bookworm-backports", "dpdk-dev", "librte-net-e1000-23",
            "librte-mempool-ring23", "librte-bus-pci23", "powerpc-ibm-utils")
LIBRARIES = "usr/lib/powerpc64le-linux-gnu"
# libgcc_s is opened by name when a thread is cancelled
PROGRAMS = ("usr/bin/qemu-system-ppc64", "usr/bin/dpdk-testpmd", f"{LIBRARIES}/libgcc_s.so.1")
GUEST_PROGRAMS = ("usr/sbin/drmgr",)
# DPDK loads all files that end in .so from this directory
DRIVERS = f"{LIBRARIES}/dpdk/pmds-23.0"
PLUGINS = ("librte_net_e1000.so.23", "librte_mempool_ring.so.23", "librte_bus_pci.so.23")
FIRMWARE = ("usr/share/qemu/vof.bin",)
# The search path of libraries, and the directories that are links in Debian
LIBRARY_PATH = (LIBRARIES, "usr/lib64", "usr/lib")
MERGED = ("bin", "sbin", "lib", "lib64")
NEEDED = re.compile(r"\(NEEDED\).*\[(.*)\]")
LOG = LOGS / "clients-root.log"
BUILD_LOG = LOGS / "clients-build.log"


@dataclass(frozen=True)
class Archives:
    """Two archives: for the machine that runs the clients, and for a KVM guest in that machine."""

    host: Path
    guest: Path


def recipe() -> str:
    """Return a text that changes if other packages or files go into the archives."""
    return " ".join([SUITES, *PACKAGES, *PROGRAMS, *GUEST_PROGRAMS, *PLUGINS, *FIRMWARE]) + "\n"


class Root:
    """A root filesystem with all files of the packages, and a directory of files to keep."""

    def __init__(self, root: Path, kept: Path) -> None:
        self._root = root
        self._kept = kept

    def keep(self, name: str) -> None:
        """Keep a program or library, with the libraries that it needs."""
        target = self._kept / name
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._root / name, target)
        for library in NEEDED.findall(output_of(f"{CROSS}readelf", "-d", str(target))):
            for directory in LIBRARY_PATH:
                if (self._root / directory / library).exists():
                    self.keep(f"{directory}/{library}")
                    break

    def keep_plugins(self) -> None:
        """Keep DPDK's drivers in the directory from which DPDK loads all drivers.

        In this directory they are links to the libraries: DPDK would load copies again.
        """
        (self._kept / DRIVERS).mkdir(parents=True)
        for name in PLUGINS:
            self.keep(f"{LIBRARIES}/{name}")
            link = self._kept / DRIVERS / name.removesuffix(".23")
            link.symlink_to(f"/{LIBRARIES}/{name}")

    def keep_data(self, name: str) -> None:
        """Keep a file that is no program."""
        target = self._kept / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._root / name, target)

    def link_libraries(self) -> None:
        """Make the paths in /lib and /lib64 by which programs find the loader and libraries.

        They are needed because scripts/initramfs does not merge these directories into /usr.
        """
        for name in ("lib", "lib64"):
            (self._kept / name).mkdir()
        (self._kept / "lib" / Path(LIBRARIES).name).symlink_to(f"/{LIBRARIES}")
        shutil.copy(self._root / LIBRARIES / "ld64.so.2", self._kept / "lib64")


def unpack(doing: Step, root: Path, packages: list[Path]) -> None:
    """Unpack packages into a root whose directories are merged into /usr."""
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages:
        content = root.with_name("data.tar")
        with content.open("wb") as file:
            doing.run("dpkg-deb", "--fsys-tarfile", package, stdout=file)
        doing.run("tar", "-C", root, "--keep-directory-symlink", "-xf", content)


def make_archive(doing: Step, kept: Path, out: Path) -> None:
    """Pack the files to keep into a compressed archive."""
    plain = out.with_suffix("")
    pack(kept, plain)
    doing.run("zstd", "-q", "-12", "-T0", "-f", "--rm", "-o", out, plain)


def make_archives(doing: Step, work: Path, packages: list[Path], archives: Archives) -> None:
    """Unpack the packages, and make the archives of the host and of the KVM guest."""
    root = work / "root"
    unpack(doing, root, packages)
    for kept, out in ((work / "host", archives.host), (work / "guest", archives.guest)):
        kept.mkdir()
        tree = Root(root, kept)
        for name in PROGRAMS if out is archives.host else GUEST_PROGRAMS:
            tree.keep(name)
        if out is archives.host:
            tree.keep_plugins()
            for name in FIRMWARE:
                tree.keep_data(name)
        tree.link_libraries()
        make_archive(doing, kept, out)


def archives_of_clients() -> Archives:
    """Return the archives. Make them if they do not exist or the list of packages has changed.

    REFRESH=1 makes the archives again.
    """
    directory = cache_dir() / "clients"
    archives = Archives(directory / "host.cpio.zst", directory / "guest.cpio.zst")
    made_of = directory / "recipe"
    with locked(directory / "lock"):
        if (not os.environ.get("REFRESH") and made_of.exists()
                and made_of.read_text() == recipe()):
            return archives
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp"),
                                         prefix="tce2-clients.") as name:
            work = Path(name)
            apt = Apt.first_with("", [SUITES], native=POWER, foreign="")
            packages = apt.fetch_all(work / "packages", PACKAGES,
                                     what="fetching QEMU and DPDK for ppc64el (90 MB)",
                                     failure="the packages could not be fetched")
            made_of.unlink(missing_ok=True)
            with step(LOG, "packing QEMU and DPDK", "cannot pack QEMU and DPDK") as doing:
                make_archives(doing, work, packages, archives)
        made_of.write_text(recipe())
    say(f"packed QEMU and DPDK ({in_si(archives.host.stat().st_size)})")
    return archives


def build_counter() -> None:
    """Build the library that counts the clients' ioctls."""
    quietly(BUILD_LOG, "building the ioctl counter", [
        f"{CROSS}gcc-12", "-std=gnu11", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra",
        "-Werror", "-o", OUT / "ioctls.so", CLIENTS / "ioctls.c", "-ldl"])


def build_hostile() -> None:
    """Build the hostile guest's kernel module, in build/clients/hostile."""
    directory = OUT / "hostile"
    directory.mkdir(exist_ok=True)
    for source in (CLIENTS / "hostile").iterdir():
        link = directory / source.name
        link.unlink(missing_ok=True)
        link.symlink_to(source)
    quietly(BUILD_LOG, "building the hostile guest's module", [
        "make", "-C", labels.builddir(INNER), f"M={directory}", "ARCH=powerpc",
        f"CROSS_COMPILE={CROSS}", f"CC={labels.compiler(INNER)}", "PAHOLE_VERSION=0",
        "modules"], env=without_settings())


def make_initramfs(out: Path, label: str, modules: str, *files: str) -> None:
    """Make an initramfs, with additional modules of the kernel."""
    quietly(BUILD_LOG, f"packing {out.name}", [SCRIPTS / "initramfs", label, out, *files],
            env={**os.environ, "MORE_MODULES": modules})


def join(out: Path, *parts: Path) -> None:
    """Write archives into one file. The kernel unpacks each archive, compressed or not."""
    with out.open("wb") as file:
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, file)


def pack_inner(archives: Archives) -> Path:
    """Return an archive with the kernel and the root filesystem of the KVM guest."""
    make_initramfs(OUT / "inner.cpio", INNER, "rpaphp rpadlpar_io",
                   str(CLIENTS / "inner.sh"), f"{OUT}/hostile/hostile.ko:lib/hostile.ko")
    work = OUT / "inner"
    shutil.rmtree(work, ignore_errors=True)
    (work / "inner").mkdir(parents=True)
    join(work / "inner" / "initrd", OUT / "inner.cpio", archives.guest)
    shutil.copy(labels.vmlinux(INNER), work / "inner" / "vmlinux")
    plain = OUT / "inner-files.cpio"
    pack(work, plain)
    packed = plain.with_name(f"{plain.name}.zst")
    quietly(BUILD_LOG, "compressing the KVM guest",
            ["zstd", "-q", "-3", "-T0", "-f", "--rm", "-o", packed, plain])
    return packed


def main(arguments: Sequence[str]) -> None:
    """Run scripts/clients."""
    if len(arguments) != 1:
        raise LabError("usage: scripts/clients LABEL")
    label = labels.label(arguments[0])
    for row in (label, labels.label(INNER)):
        need_kernel(row)
    OUT.mkdir(parents=True, exist_ok=True)
    archives = archives_of_clients()
    programs.main(["scenarios"])
    build_counter()
    build_hostile()
    inner = pack_inner(archives)
    make_initramfs(OUT / "base.cpio", label.name, "kvm-hv",
                   str(programs.program("scenarios")), f"{OUT}/ioctls.so:lib/ioctls.so")
    join(OUT / "initrd", OUT / "base.cpio", archives.host, inner)
