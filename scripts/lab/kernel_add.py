# SPDX-License-Identifier: GPL-2.0-only
"""Add the user's own kernels as labels.

Owns CACHE/kernels/LABEL for these labels. The directory has links to the user's files, with
the names that scripts/kernel uses for a label, and the file "label" with the label's row of
the table. Calls toolchain, labels, command and places.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .command import Step, say, step
from .labels import all_labels, kernels_dir, release
from .places import LOGS, LabError
from .toolchain import arrange_compiler

USAGE = "usage: scripts/kernel-add NAME DIR [load] | --remove NAME"
LOG = LOGS / "kernel.log"
IMAGES = ("vmlinux", "vmlinuz", "zImage")
# Decompressors for modules, by file suffix
UNCOMPRESS = {".xz": "xz", ".gz": "gzip", ".zst": "zstd"}
# Magic and e_machine in the ELF header of a 64-bit POWER file
ELF_MAGIC = b"\x7fELF"
EM_PPC64 = 21


def _option(build: Path, name: str) -> str:
    """Return the value of an option in a build tree's configuration."""
    text = (build / "include" / "config" / "auto.conf").read_text()
    found = re.search(rf"^CONFIG_{name}=(.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def _check_tree(directory: Path, build: Path) -> None:
    """Raise LabError unless modules for ppc64le can be built in a build tree."""
    needed = ("include/config/auto.conf", "include/generated/utsrelease.h")
    if not all((build / name).exists() for name in needed):
        raise LabError(f"{directory} has no build tree: {directory}/build has to be one, "
                       "configured and prepared")
    if _option(build, "PPC64") != "y" or _option(build, "CPU_LITTLE_ENDIAN") != "y":
        raise LabError(f"the kernel in {directory} is not for ppc64le")
    if not (build / "Module.symvers").exists():
        raise LabError(f"{directory}/build has no Module.symvers: "
                       "build the kernel and its modules first")


def _is_for_power(image: Path) -> bool:
    with image.open("rb") as file:
        header = file.read(20)
    if len(header) < 20 or not header.startswith(ELF_MAGIC):
        return False
    return int.from_bytes(header[18:20], "little" if header[5] == 1 else "big") == EM_PPC64


def _image_in(directory: Path) -> Path:
    for image in (directory / name for name in IMAGES):
        if image.exists():
            if not _is_for_power(image):
                raise LabError(f"{image} is no ELF file for POWER, so QEMU can't boot it")
            return image
    raise LabError(f"{directory} has no vmlinux, vmlinuz or zImage")


def _uncompress(linking: Step, module: Path) -> None:
    """Replace the link to a compressed module with a decompressed copy."""
    with module.with_suffix("").open("wb") as plain:
        linking.run(UNCOMPRESS[module.suffix], "-dc", module, stdout=plain)
    module.unlink()


def _link_modules(linking: Step, modules: Path, to: Path) -> None:
    parent = to / "lib" / "modules"
    parent.mkdir(parents=True)
    linking.run("cp", "-rs", modules, f"{parent}/")
    for module in sorted(parent.rglob("*.ko.*")):
        if module.suffix in UNCOMPRESS:
            _uncompress(linking, module)
    linking.run("depmod", "-b", to, modules.name)


def _target_of(compiler: str) -> str:
    """Return the target of a compiler, or "" if the program is no compiler."""
    try:
        return subprocess.run([*compiler.split(), "-dumpmachine"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def _choose_compiler(work: Path, build: Path, compiler: str) -> None:
    """Write the file cc with the user's CC, or with gcc of the version that built the kernel."""
    if compiler:
        if not _target_of(compiler).startswith("powerpc64le-"):
            raise LabError(f"CC={compiler} is no compiler for ppc64le")
        (work / "cc").write_text(f"{compiler}\n")
        return
    version = int(_option(build, "GCC_VERSION") or 0)
    if version < 10000:
        raise LabError("the kernel was not built by gcc: name its compiler with CC=")
    arrange_compiler(work, f"gcc-{version // 10000}")


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name == "all":
        raise LabError(f"'{name}' can't be a kernel's name")
    if name in all_labels() and not all_labels()[name].is_added:
        raise LabError(f"{name} is one of this project's labels, choose another name")


def _fill(work: Path, directory: Path, build: Path, compiler: str) -> None:
    """Write the files of a label into work, with the names that scripts/kernel uses."""
    header = (build / "include" / "generated" / "utsrelease.h").read_text()
    found = re.search(r'^#define UTS_RELEASE "(.*)"', header, re.MULTILINE)
    name = found[1] if found else ""
    modules = directory / "lib" / "modules" / name
    if not name or not modules.is_dir():
        raise LabError(f"{directory}/lib/modules has no {name}, "
                       "the release of the build tree")
    image = _image_in(directory)
    _choose_compiler(work, build, compiler)
    with step(LOG, f"linking the modules of {name}",
              f"the modules in {modules} can't be used") as linking:
        _link_modules(linking, modules, work / "modules")
    (work / "vmlinux").symlink_to(image)
    (work / "builddir").write_text(f"{build}\n")
    (work / "release").write_text(f"{name}\n")


def _build_tree(directory: Path) -> Path:
    """Return DIR/build, or without DIR/build the target of the link DIR/lib/modules/*/build."""
    build = directory / "build"
    if build.exists():
        return build
    beside = sorted((directory / "lib" / "modules").glob("*/build"))
    return beside[0] if len(beside) == 1 else build


def add_kernel(name: str, asked: str, *, use: str = "run", compiler: str = "") -> None:
    """Add the kernel in a directory as a label; replace an earlier label with this name."""
    _check_name(name)
    if not os.path.isdir(asked):
        raise LabError(f"there is no directory {asked}")
    directory = Path(asked).resolve()
    build = _build_tree(directory)
    _check_tree(directory, build)
    final = kernels_dir() / name
    work = final.with_name(f"{name}.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        _fill(work, directory, build.resolve(), compiler)
        (work / "label").write_text(f"{name}|-|-|-|{use}|asked\n")
        shutil.rmtree(final, ignore_errors=True)
        work.rename(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"kernel {name} is {release(name)} in {directory}: make check KERNELS={name}")


def remove_kernel(name: str) -> None:
    """Remove an added label."""
    row = all_labels().get(name)
    if not row or not row.is_added:
        raise LabError(f"no kernel {name} was added")
    shutil.rmtree(row.directory)


def main(arguments: Sequence[str]) -> None:
    """Run scripts/kernel-add."""
    match arguments:
        case ["--remove", name]:
            remove_kernel(name)
        case [name, directory, *rest] if rest in ([], ["load"]) and not name.startswith("-"):
            add_kernel(name, directory, use=rest[0] if rest else "run",
                       compiler=os.environ.get("CC", ""))
        case _:
            raise LabError(USAGE)
