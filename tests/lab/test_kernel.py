# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.kernel and lab.source: package choice, cache contents, list of labels."""

from __future__ import annotations

import io
import os
import re
import subprocess
from pathlib import Path

import pytest

from lab import debug_kernel, docs, kernel, kernel_add, source
from lab.archive import Apt, host_architecture
from lab.kernel import (Image, arrange_headers, compiler_of, image_regex, need_kernel, newest_image,
                        packages_of)
from lab.labels import Label, kernels_dir, label
from lab.places import LabError
from lab_fixtures import FakeApt, fake_apt, progress  # noqa: F401, fixtures

ROW = Label("6.12-4k", "6.12", "powerpc64le", ("bookworm-backports",), "run", "always")
RELEASE = "6.12.95+deb12-powerpc64le"
IMAGE = f"linux-image-{RELEASE}"


@pytest.mark.parametrize("name", [
    "linux-image-6.12-powerpc64le", "linux-image-6.12.95+deb12-powerpc64le",
    "linux-image-6.12.0-50-powerpc64le", "linux-image-6.12~rc1-powerpc64le",
    "linux-image-6.12.9+bpo-2-powerpc64le"])
def test_image_packages_of_the_series_match(name: str) -> None:
    assert re.fullmatch(image_regex("6.12", "powerpc64le"), name)


@pytest.mark.parametrize("name", [
    "linux-image-6.12.95-powerpc64le-64k", "linux-image-6.120-powerpc64le",
    "linux-image-6.1-powerpc64le", "linux-image-6x12-powerpc64le",
    "linux-image-6.12.95-powerpc64le-dbg", "linux-image-6.12-amd64-powerpc64le",
    "linux-image-powerpc64le", "linux-headers-6.12-powerpc64le"])
def test_other_series_flavours_and_packages_do_not_match(name: str) -> None:
    assert not re.fullmatch(image_regex("6.12", "powerpc64le"), name)


@pytest.fixture
def archive_with_kernel(debian: FakeApt) -> FakeApt:
    """Return an archive with a 6.12 kernel."""
    debian.has("bookworm-backports", f"{IMAGE} linux-image-6.12.90-powerpc64le", {
        IMAGE: {"Version": "6.12.95-1", "Depends": "kmod, linux-base (>= 4)"},
        f"linux-headers-{RELEASE}": {"Depends": "x, linux-kbuild-6.12.95+deb12 (>= 1), gcc-12"},
    })
    return debian


def test_all_packages_of_a_kernel_have_one_version(archive_with_kernel: FakeApt) -> None:
    packages = list(packages_of(newest_image(ROW), ROW.flavour))
    assert packages == [
        ("image", f"{IMAGE}:ppc64el=6.12.95-1"),
        ("headers", f"linux-headers-{RELEASE}:ppc64el=6.12.95-1"),
        ("headers", "linux-headers-6.12.95+deb12-common:all=6.12.95-1"),
        ("headers", f"linux-kbuild-6.12.95+deb12:{host_architecture()}=6.12.95-1")]


def test_an_image_metapackage_is_replaced_by_its_dependencies(archive_with_kernel: FakeApt) -> None:
    archive_with_kernel.has("bookworm-backports", fields={IMAGE: {
        "Depends": "linux-base (>= 4), linux-binary-7.2-x (= 1), linux-modules-7.2-x (= 1)"}})
    image = Image(Apt("bookworm-backports"), IMAGE, "1")
    assert [name for kind, name in packages_of(image, ROW.flavour) if kind == "image"] == [
        "linux-binary-7.2-x:ppc64el=1", "linux-modules-7.2-x:ppc64el=1"]


def test_headers_without_kbuild_are_refused(archive_with_kernel: FakeApt) -> None:
    archive_with_kernel.has("bookworm-backports",
                            fields={f"linux-headers-{RELEASE}": {"Depends": "gcc-12"}})
    with pytest.raises(LabError, match="depends on no linux-kbuild"):
        list(packages_of(newest_image(ROW), ROW.flavour))


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    """Return a directory with kernel headers in the layout of Debian's packages."""
    build = tmp_path / "headers/usr/src" / f"linux-headers-{RELEASE}"
    build.mkdir(parents=True)
    (build / "Makefile").write_text("include /usr/src/linux-headers-common/Makefile\n")
    (build / ".kernelvariables").write_text("CC = powerpc64le-linux-gnu-gcc-12 # not gcc-9\n")
    (build / "vmlinux").touch()
    (build / "scripts").symlink_to("/usr/lib/linux-kbuild-6.12/scripts")
    (build / "relative").symlink_to("Makefile")
    return tmp_path


def test_paths_in_the_headers_point_into_the_cache(headers: Path) -> None:
    arrange_headers(headers, RELEASE, Path("/cache/6.12"))
    build = headers / "headers/usr/src" / f"linux-headers-{RELEASE}"
    assert (build / "Makefile").read_text() == (
        "include /cache/6.12/headers/usr/src/linux-headers-common/Makefile\n")
    assert os.readlink(build / "scripts") == (
        "/cache/6.12/headers/usr/lib/linux-kbuild-6.12/scripts")
    assert os.readlink(build / "relative") == "Makefile"
    assert (headers / "builddir").read_text() == (
        f"/cache/6.12/headers/usr/src/linux-headers-{RELEASE}\n")


def test_headers_have_no_vmlinux_so_kbuild_makes_no_btf(headers: Path) -> None:
    arrange_headers(headers, RELEASE, Path("/cache"))
    assert not list(headers.rglob("vmlinux"))


def test_the_compiler_is_read_from_the_headers(headers: Path) -> None:
    assert compiler_of(headers, RELEASE) == "gcc-12"
    next(headers.rglob(".kernelvariables")).unlink()
    with pytest.raises(LabError, match="name no compiler"):
        compiler_of(headers, RELEASE)


def cached(name: str, **files: str) -> Path:
    """Write a kernel's files into the cache; return its directory."""
    directory = kernels_dir() / name
    directory.mkdir(parents=True)
    for file, text in files.items():
        (directory / file).write_text(f"{text}\n")
    return directory


def test_a_cached_kernel_needs_no_network(debian: FakeApt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFRESH", raising=False)
    cached("6.12-4k", release=RELEASE)
    need_kernel(ROW)
    assert not debian.calls("update")


def test_an_added_kernel_is_never_refreshed(debian: FakeApt,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFRESH", "1")
    cached("mine", release="7.0", label="mine|-|-|-|run|asked")
    need_kernel(label("mine"))
    assert not debian.calls("update")


def test_refresh_keeps_the_newest_kernel(archive_with_kernel: FakeApt, said: io.StringIO,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFRESH", "1")
    cached("6.12-4k", release=RELEASE, version="6.12.95-1")
    need_kernel(ROW)
    assert f"kernel 6.12-4k: {RELEASE} (6.12.95-1) is still the newest" in said.getvalue()


def add_debs(debian: FakeApt, image: dict[str, dict[str, str]]) -> None:
    """Add the packages of a kernel to the archive: the image's packages, and headers."""
    build = f"usr/src/linux-headers-{RELEASE}"
    packages = {
        **image,
        f"linux-headers-{RELEASE}": {f"{build}/Makefile": "gcc-12 /usr/src/x\n",
                                     f"{build}/vmlinux": "elf"},
        "linux-headers-6.12.95+deb12-common": {"usr/src/linux-headers-common/Kbuild": "k"},
        "linux-kbuild-6.12.95+deb12": {"usr/lib/linux-kbuild-6.12/modpost": "m"},
    }
    for package, files in packages.items():
        debian.add_deb(package, files)
        debian.has("bookworm-backports", fields={package: {"Size": "1"}})
    debian.has("bookworm-backports", fields={
        IMAGE: {"Version": "6.12.95-1", "Size": "1", "Depends": ", ".join(image)},
        f"linux-headers-{RELEASE}": {"Size": "1", "Depends": "linux-kbuild-6.12.95+deb12"}})


OLD_LAYOUT = {IMAGE: {f"boot/vmlinux-{RELEASE}": "elf",
                      f"lib/modules/{RELEASE}/kernel/vfio.ko": "vfio"}}
NEW_LAYOUT = {f"linux-binary-{RELEASE}": {f"usr/lib/modules/{RELEASE}/vmlinuz": "elf"},
              f"linux-modules-{RELEASE}": {f"usr/lib/modules/{RELEASE}/kernel/vfio.ko": "vfio"}}


@pytest.mark.parametrize("image", [OLD_LAYOUT, NEW_LAYOUT], ids=["6.12", "7.2"])
def test_a_kernel_is_unpacked_into_the_cache(image: dict[str, dict[str, str]],
                                             archive_with_kernel: FakeApt, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFRESH", raising=False)
    monkeypatch.setattr(kernel, "LOG", tmp_path / "log")
    add_debs(archive_with_kernel, image)
    for name in ("depmod", "powerpc64le-linux-gnu-gcc-12"):
        program = archive_with_kernel.directory / "bin" / name
        program.write_text('#!/bin/sh\nmkdir -p "$2" && echo "$3" >"$2/depmod"\n')
        program.chmod(0o755)
    need_kernel(ROW)
    cache = ROW.directory
    texts = {str(file.relative_to(cache)): file.read_text() for file in cache.rglob("*")
             if file.is_file()}
    build = f"headers/usr/src/linux-headers-{RELEASE}"
    assert texts == {
        "vmlinux": "elf",
        f"modules/lib/modules/{RELEASE}/kernel/vfio.ko": "vfio",
        "modules/depmod": f"{RELEASE}\n",
        f"{build}/Makefile": f"gcc-12 {cache}/headers/usr/src/x\n",
        "headers/usr/src/linux-headers-common/Kbuild": "k",
        "headers/usr/lib/linux-kbuild-6.12/modpost": "m",
        "builddir": f"{cache}/{build}\n",
        "cc": "powerpc64le-linux-gnu-gcc-12\n",
        "version": "6.12.95-1\n",
        "release": f"{RELEASE}\n",
    }
    assert not {"debs", "image"} & set(os.listdir(cache))
    assert sorted(os.listdir(kernels_dir())) == ["6.12-4k", "6.12-4k.lock"]


@pytest.mark.parametrize("version", ["", "6.12.90-1"])
def test_a_missing_or_outdated_kernel_is_fetched(version: str, archive_with_kernel: FakeApt,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(work: Path, image: Image, row: Label) -> None:
        work.mkdir()
        (work / "release").write_text(f"{image.release} of {row.name}")

    monkeypatch.setattr(kernel, "_fill", fill)
    monkeypatch.setenv("REFRESH", "1")
    if version:
        cached("6.12-4k", release="6.12.90", version=version)
    need_kernel(ROW)
    assert (ROW.directory / "release").read_text() == f"{RELEASE} of 6.12-4k"
    assert [file.name for file in kernels_dir().iterdir() if file.is_dir()] == ["6.12-4k"]


def test_the_list_shows_the_cached_kernels(debian: FakeApt, said: io.StringIO) -> None:
    cached("6.12-64k", release="6.12.95-powerpc64le-64k")
    cached("mine", release="7.0", label="mine|-|-|-|load|asked")
    kernel.main(["--list"])
    lines = said.getvalue().splitlines()
    assert lines[:2] == [
        "KERNEL     IN THE CACHE                    THIS RELEASE",
        "6.12-64k   6.12.95-powerpc64le-64k         builds for it; demo and all tests"]
    assert lines[-1] == ("mine       7.0                             builds for it; loads and "
                         "unloads (its VFIO refuses every device on POWER); added, "
                         "if KERNELS names it")
    assert any(re.match("7.2-4k +- +builds for it; .*, if KERNELS names it$", line)
               for line in lines)


def test_the_newest_versions_of_the_chosen_kernels_are_written(
        archive_with_kernel: FakeApt, tmp_path: Path, said: io.StringIO,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "BUILD", tmp_path)
    monkeypatch.setenv("KERNELS", "6.12-4k mine")
    cached("mine", label="mine|-|-|-|load|asked")
    kernel.main(["--newest"])
    line = f"6.12-4k {RELEASE} 6.12.95-1\n"
    assert (tmp_path / "kernel-versions").read_text() == line
    assert said.getvalue().endswith(line)


@pytest.mark.parametrize(("command", "arguments"), [
    (kernel, []), (kernel, ["--list", "x"]), (source, ["a", "b"]), (debug_kernel, ["a", "b"]),
    (kernel_add, []), (kernel_add, ["mine"]), (kernel_add, ["mine", "/", "run"]),
    (kernel_add, ["--remove"]), (kernel_add, ["-x", "/"]), (docs, ["html"])])
def test_a_wrong_number_of_arguments_prints_the_usage(command: object,
                                                      arguments: list[str]) -> None:
    with pytest.raises(LabError, match="^usage: scripts/"):
        getattr(command, "main")(arguments)


def test_a_cached_source_needs_no_network(debian: FakeApt, said: io.StringIO,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFRESH", raising=False)
    directory = source.source_dir(ROW)
    directory.mkdir(parents=True)
    (directory / "Makefile").touch()
    source.need_source(ROW)
    assert not debian.calls("update") and not said.getvalue()


def source_package(debian: FakeApt, top: Path, *names: str) -> None:
    """Put a package of the source of 6.12 into the archive: a Makefile and empty files."""
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()
    (top / "Makefile").write_text("kernelversion:\n\t@echo 6.12.95\n")
    package = debian.directory / "linux-source-6.12" / "usr" / "src"
    package.mkdir(parents=True)
    subprocess.run(["tar", "-c", "-C", top.parent, "-f", package / "linux-source-6.12.tar.xz",
                    top.name], check=True)
    debian.add_deb("linux-source-6.12", {})
    debian.has("bookworm-backports", "linux-source-6.12", {"linux-source-6.12": {"Size": "1"}})


@pytest.mark.parametrize("refresh", [False, True], ids=["missing", "refresh"])
def test_a_source_is_unpacked_into_the_cache(refresh: bool, debian: FakeApt, tmp_path: Path,
                                             said: io.StringIO,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LOG", tmp_path / "log")
    monkeypatch.setenv("REFRESH", "1" if refresh else "")
    final = source.source_dir(ROW)
    if refresh:
        final.mkdir(parents=True)
        (final / "Makefile").touch()
        (final / "removed").touch()
    source_package(debian, tmp_path / "linux", "Makefile")
    source.need_source(ROW)
    assert os.listdir(final) == ["Makefile"]
    assert "source of 6.12: 6.12.95 is in the cache" in said.getvalue()
    assert sorted(os.listdir(final.parent)) == ["6.12", "6.12.lock"]


def test_only_the_files_for_the_documentation_are_unpacked(
        debian: FakeApt, tmp_path: Path, said: io.StringIO,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LOG", tmp_path / "log")
    source_package(debian, tmp_path / "linux", "tools/include/a.h",
                   *(f"{name}/a.h" for name in source.FOR_DOCS))
    final = source.need_docs_source(ROW)
    assert final.name == "6.12.docs"
    unpacked = {str(file.relative_to(final)) for file in final.rglob("a.h")}
    assert unpacked == {f"{name}/a.h" for name in source.FOR_DOCS}
    assert not (final / "Makefile").exists()
    source.need_docs_source(ROW)
    assert len(debian.calls("update")) == 1


def test_the_documentation_uses_the_whole_source_if_it_is_cached(debian: FakeApt) -> None:
    whole = source.source_dir(ROW)
    for name in ("Makefile", *source.FOR_DOCS):
        (whole / name).mkdir(parents=True)
    assert source.need_docs_source(ROW) == whole
    assert not debian.calls("update")


@pytest.mark.parametrize("command", [source, debug_kernel])
def test_an_added_kernel_has_no_source(command: object, debian: FakeApt) -> None:
    cached("mine", label="mine|-|-|-|run|asked")
    with pytest.raises(LabError, match="^Debian has no source for the kernel mine$"):
        getattr(command, "main")(["mine"])
