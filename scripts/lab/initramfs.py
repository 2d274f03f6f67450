# SPDX-License-Identifier: GPL-2.0-only
"""Build an initramfs for a cached kernel.

The initramfs has busybox, the VFIO modules, nvme, vfio_spapr_tce2 if it has been built,
tests/guest/init as /init and tests/guest/functions.sh in /lib. Owns CACHE/busybox. Calls
kernel, archive, labels, command and places.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import labels
from .archive import POWER, Apt, host_codename
from .command import locked, output_of, started
from .kernel import need_kernel
from .places import BUILD, TOP, LabError, cache_dir

GUEST = TOP / "tests" / "guest"
# Kernel modules that the guest loads by name; their dependencies are added
MODULES = ("vfio", "vfio_iommu_spapr_tce", "vfio-pci", "nvme")
# Modules of this project, which scripts/module builds
OURS = ("vfio_spapr_tce2", "vfio_spapr_tce2_selftest", "vfio_spapr_tce2_kvmplay",
        "vfio_spapr_tce2_emulated")
DIRECTORIES = ("bin", "sbin", "lib", "dev", "proc", "sys", "tmp", "etc")


def busybox() -> Path:
    """Return the path of a static ppc64el busybox; fetch it unless it is cached."""
    file = cache_dir() / "busybox" / "busybox"
    if not file.exists():
        with locked(file.with_name("lock")):
            if not file.exists():
                fetch_busybox(file)
    return file


def fetch_busybox(file: Path) -> None:
    """Extract busybox from its package."""
    apt = Apt.first_with("", [host_codename()])
    with tempfile.TemporaryDirectory(dir=file.parent, prefix="unpacked.") as name:
        unpacked = Path(name)
        apt.fetch(unpacked, f"busybox-static:{POWER}")
        output_of("dpkg-deb", "-x", str(next(unpacked.glob("*.deb"))), name)
        next(unpacked.rglob("bin/busybox")).rename(file)


def install(file: Path, target: Path, mode: int) -> None:
    """Copy a file; make the target's directories."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    target.chmod(mode)


def module_files(row: labels.Label) -> list[Path]:
    """Return the .ko files of the kernel modules that the guest loads, and of dependencies.

    The environment variable MORE_MODULES adds modules.
    """
    release = labels.release(row.name)
    files: set[Path] = set()
    for module in (*MODULES, *os.environ.get("MORE_MODULES", "").split()):
        try:
            shown = output_of("modprobe", "-S", release, "-d", str(row.directory / "modules"),
                              "--show-depends", module)
        except subprocess.CalledProcessError:
            raise LabError(f"kernel {row.name} has no module {module}") from None
        files.update(Path(line.removeprefix("insmod ").strip())
                     for line in shown.splitlines() if line.startswith("insmod "))
    return sorted(files)


def copy_modules(root: Path, row: labels.Label) -> None:
    """Copy the modules into a root. If BACKEND is set, it is the vfio_spapr_tce2.ko to copy."""
    release = labels.release(row.name)
    modules = row.directory / "modules"
    base = Path("lib") / "modules" / release
    for file in module_files(row):
        install(file, root / file.relative_to(modules), 0o644)
    extra = root / base / "extra"
    extra.mkdir(parents=True, exist_ok=True)
    ours = [BUILD / row.name / f"{name}.ko" for name in OURS]
    backend = os.environ.get("BACKEND", "")
    for file in [*filter(Path.exists, ours), *([Path(backend)] if backend else [])]:
        shutil.copy(file, extra)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(modules / base / name, root / base)
    output_of("depmod", "-b", str(root), release)


def copy_file(root: Path, file: str) -> None:
    """Copy FILE[:DEST] into a root: to DEST, or into /bin under its name without ".sh"."""
    source, _, target = file.partition(":")
    name = target or f"bin/{Path(source).name.removesuffix('.sh')}"
    install(Path(source), root / name.lstrip("/"), 0o755)


def fill(root: Path, row: labels.Label, files: Sequence[str]) -> None:
    """Fill an empty root with all files that the guest needs."""
    for name in DIRECTORIES:
        (root / name).mkdir()
    shutil.copy(busybox(), root / "bin")
    (root / "bin" / "sh").symlink_to("busybox")
    copy_modules(root, row)
    for file in (f"{GUEST}/init:init", f"{GUEST}/functions.sh:lib/functions.sh", *files):
        copy_file(root, file)


def pack(root: Path, out: Path) -> None:
    """Pack a root, uncompressed: decompression is slow on the emulated machine."""
    names = [".", *(f"./{file.relative_to(root)}" for file in sorted(root.rglob("*")))]
    new = out.with_name(f"{root.name}.new")
    try:
        with new.open("wb") as archive, started(
                ["cpio", "--quiet", "-o", "-0", "-H", "newc", "-R", "0:0"], cwd=root,
                stdin=subprocess.PIPE, stdout=archive) as cpio:
            cpio.communicate("\0".join([*names, ""]).encode())
        if cpio.returncode:
            raise LabError(f"cpio cannot pack {out}")
        new.replace(out)
    finally:
        new.unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> None:
    """Run scripts/initramfs."""
    if len(arguments) < 2:
        raise LabError("usage: scripts/initramfs LABEL OUT [FILE[:DEST]]...")
    row = labels.label(arguments[0])
    need_kernel(row)
    out = Path(arguments[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.") as name:
        root = Path(name)
        root.chmod(0o755)
        fill(root, row, arguments[2:])
        pack(root, out)
