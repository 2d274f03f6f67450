# SPDX-License-Identifier: GPL-2.0-only
"""Fetch and unpack Debian's kernels.

Owns CACHE/kernels/LABEL, except for labels made by kernel_add. The header of scripts/kernel
lists the files in this directory. Calls toolchain, archive, labels, command and places.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .archive import POWER, Apt, host_architecture
from .command import Step, locked, say, step
from .labels import Label, all_labels, chosen_names, label, release
from .places import BUILD, LOGS, LabError
from .toolchain import arrange_compiler, start_through_loader, toolchain_dir

USAGE = "usage: scripts/kernel LABEL | --list | --newest"
LOG = LOGS / "kernel.log"
USES = {
    "run": "builds for it; demo and all tests",
    "load": "builds for it; loads and unloads (its VFIO refuses every device on POWER)",
}
# Modules per decompressing process
MODULES_AT_ONCE = 50


@dataclass(frozen=True)
class Image:
    """A package with a kernel image, and the apt for its suite."""

    apt: Apt
    name: str
    version: str

    @property
    def release(self) -> str:
        """The output of `uname -r` on the kernel."""
        return self.name.removeprefix("linux-image-")

    def depends(self, package: str, pattern: str) -> list[str]:
        """Return the dependencies of a ppc64el package that match a pattern."""
        return re.findall(pattern, self.apt.package_field(f"{package}:{POWER}", "Depends"))


def image_regex(series: str, flavour: str) -> str:
    """Return the regular expression for the names of image packages.

    After "linux-image-" a name has the version, like 6.1.0-50, 6.12.95+deb12 or 7.3, and the
    flavour.
    """
    return rf"linux-image-{re.escape(series)}([.+~][0-9a-z.+~]+)?(-[0-9]+)?-{flavour}"


def newest_image(row: Label) -> Image:
    """Return the newest image package of a label."""
    regex = image_regex(row.series, row.flavour)
    apt = Apt.first_with(regex, row.suites)
    name = apt.newest_package(regex)
    return Image(apt, name, apt.package_field(f"{name}:{POWER}", "Version"))


def packages_of(image: Image, flavour: str) -> Iterator[tuple[str, str]]:
    """Yield each package of a kernel, after its kind: "image" or "headers".

    All packages have the same version. Since 7.2 the image package is a metapackage, which
    depends on the packages with the files.
    """
    binaries = image.depends(image.name, r"linux-(?:base|binary|modules)-[0-9][^ ,]+")
    for name in binaries or [image.name]:
        yield "image", f"{name}:{POWER}={image.version}"
    headers = f"linux-headers-{image.release}"
    common = f"linux-headers-{image.release.removesuffix(f'-{flavour}')}-common"
    yield "headers", f"{headers}:{POWER}={image.version}"
    yield "headers", f"{common}:all={image.version}"
    kbuild = image.depends(headers, r"linux-kbuild-[^ ,]+")
    if not kbuild:
        raise LabError(f"{headers} depends on no linux-kbuild package")
    yield "headers", f"{kbuild[0]}:{host_architecture()}={image.version}"


def _unpack(unpacking: Step, directory: Path, debs: Path) -> None:
    directory.mkdir()
    for deb in sorted(debs.glob("*.deb")):
        unpacking.run("dpkg-deb", "-x", deb, directory)
        deb.unlink()


def _uncompress(uncompressing: Step, modules: Path) -> None:
    files = sorted(modules.rglob("*.ko.xz"))
    parts = [files[first:first + MODULES_AT_ONCE]
             for first in range(0, len(files), MODULES_AT_ONCE)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(lambda part: uncompressing.run("xz", "-d", *part), parts))


def _arrange_image(arranging: Step, work: Path, release_name: str) -> None:
    """Keep only the boot image and the modules of the image packages.

    Since 7.2 the image and the modules are in one directory below /usr.
    """
    image = work / "image"
    modules = image / "lib" / "modules" / release_name
    if not modules.is_dir():
        modules = image / "usr" / "lib" / "modules" / release_name
    boot = image / "boot" / f"vmlinux-{release_name}"
    (boot if boot.exists() else modules / "vmlinuz").rename(work / "vmlinux")
    parent = work / "modules" / "lib" / "modules"
    parent.mkdir(parents=True)
    modules.rename(parent / release_name)
    shutil.rmtree(image)
    _uncompress(arranging, parent)
    arranging.run("depmod", "-b", work / "modules", release_name)


def _links_below(directory: Path) -> Iterator[Path]:
    for parent, directories, files in os.walk(directory):
        yield from (path for name in (*directories, *files)
                    if (path := Path(parent) / name).is_symlink())


def _build_files(headers: Path, release_name: str) -> list[Path]:
    """Return the headers' build files that contain the compiler's name or absolute paths."""
    directory = headers / "usr" / "src" / f"linux-headers-{release_name}"
    return [file for name in ("Makefile", ".kernelvariables")
            if (file := directory / name).is_file() and not file.is_symlink()]


def arrange_headers(work: Path, release_name: str, final: Path) -> None:
    """Rewrite paths in the headers: work will be renamed to final.

    The headers packages refer to each other by absolute paths below /usr.
    """
    headers = work / "headers"
    for file in _build_files(headers, release_name):
        file.write_text(file.read_text().replace("/usr/src/", f"{final}/headers/usr/src/"))
    for link in list(_links_below(headers / "usr" / "src")):
        target = os.readlink(link)
        if target.startswith("/usr/"):
            link.unlink()
            link.symlink_to(f"{final}/headers{target}")
    build = Path("headers", "usr", "src", f"linux-headers-{release_name}")
    # Remove vmlinux: with it, kbuild would generate BTF for every module, which needs pahole
    (work / build / "vmlinux").unlink(missing_ok=True)
    (work / "builddir").write_text(f"{final / build}\n")


def compiler_of(work: Path, release_name: str) -> str:
    """Return the compiler that built a kernel, such as gcc-12, from its build files."""
    text = "".join(file.read_text() for file in _build_files(work / "headers", release_name))
    versions = re.findall(r"gcc-([0-9]+)", text)
    if not versions:
        raise LabError(f"the headers of {release_name} name no compiler")
    return f"gcc-{max(map(int, versions))}"


def _fill(work: Path, image: Image, row: Label) -> None:
    """Make all files of a label in work, which will be renamed to the label's directory."""
    debs = work / "debs"
    for kind, package in list(packages_of(image, row.flavour)):
        (debs / kind).mkdir(parents=True, exist_ok=True)
        image.apt.fetch(debs / kind, package)
    with step(LOG, f"unpacking {image.release}") as unpacking:
        _unpack(unpacking, work / "image", debs / "image")
    with step(LOG, f"unpacking the headers of {image.release}") as unpacking:
        _unpack(unpacking, work / "headers", debs / "headers")
    shutil.rmtree(debs)
    with step(LOG, f"uncompressing the modules of {image.release}") as uncompressing:
        _arrange_image(uncompressing, work, image.release)
    arrange_headers(work, image.release, row.directory)
    cc = compiler_of(work, image.release)
    arrange_compiler(work, cc)
    if (work / "path").exists():
        # kbuild's prebuilt programs need the C library of the same release as the compiler
        start_through_loader(work / "headers" / "usr" / "lib", toolchain_dir(cc),
                             row.directory / "headers" / "usr" / "lib")
    (work / "version").write_text(f"{image.version}\n")
    (work / "release").write_text(f"{image.release}\n")


def _install(row: Label) -> None:
    final = row.directory
    work = final.with_name(f"{final.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    image = newest_image(row)
    version = final / "version"
    if version.exists() and version.read_text().strip() == image.version:
        say(f"kernel {row.name}: {image.release} ({image.version}) is still the newest")
        return
    _fill(work, image, row)
    shutil.rmtree(final, ignore_errors=True)
    work.rename(final)
    say(f"kernel {row.name}: {image.release} is in the cache")


def need_kernel(row: Label) -> None:
    """Fetch the kernel of a label unless it is in the cache.

    If REFRESH is set, also fetch a newer version from the archive. A kernel of kernel_add is
    never fetched.
    """
    def is_done() -> bool:
        return (row.directory / "release").exists() and not os.environ.get("REFRESH")

    if row.is_added or is_done():
        return
    with locked(row.directory.with_name(f"{row.name}.lock")):
        # Check again: another process may have fetched it while this one waited for the lock
        if not is_done():
            _install(row)


def list_labels() -> None:
    """Print the labels and the cached release of each."""
    print(f"{'KERNEL':<10} {'IN THE CACHE':<31} THIS RELEASE")
    for row in all_labels().values():
        cached = release(row.name) if (row.directory / "release").exists() else "-"
        use = USES[row.use]
        if row.is_added:
            use += "; added"
        if row.when != "always":
            use += ", if KERNELS names it"
        print(f"{row.name:<10} {cached:<31} {use}")


def list_newest() -> None:
    """Write the newest versions in the archive to build/kernel-versions; print them.

    Kernels of kernel_add are left out: they are in no archive.
    """
    rows = [row for name in chosen_names() if not (row := label(name)).is_added]
    lines = []
    for row in rows:
        image = newest_image(row)
        lines.append(f"{row.name} {image.release} {image.version}\n")
    new = BUILD / "kernel-versions.new"
    new.write_text("".join(lines))
    new.rename(BUILD / "kernel-versions")
    print("".join(lines), end="")


def main(arguments: Sequence[str]) -> None:
    """Run scripts/kernel."""
    match arguments:
        case ["--list"]:
            list_labels()
        case ["--newest"]:
            list_newest()
        case [name]:
            need_kernel(label(name))
        case _:
            raise LabError(USAGE)
