# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.kernel_add: accepted and refused kernel trees."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import kernel_add, toolchain
from lab.labels import builddir, compiler, kernels_dir, label, release, vmlinux
from lab.places import LabError
from lab_fixtures import progress  # noqa: F401, a fixture

CONFIG = "CONFIG_PPC64=y\nCONFIG_CPU_LITTLE_ENDIAN=y\nCONFIG_GCC_VERSION=120200\n"
# ELF header of a little-endian 64-bit POWER file
POWER_ELF = b"\x7fELF\x02\x01" + bytes(12) + b"\x15\x00" + bytes(44)
GCC = "powerpc64le-linux-gnu-gcc-12"


def write(file: Path, content: bytes | str) -> None:
    """Write a file and make its directories."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def program(file: Path, script: str) -> None:
    """Write a shell script."""
    write(file, f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: io.StringIO) -> Path:
    """Return a tree with the user's kernel, and an empty cache."""
    del said
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(kernel_add, "LOG", tmp_path / "log")
    # Any call fails: these tests must not use the network
    monkeypatch.delattr(toolchain, "need_toolchain")
    program(tmp_path / "bin/depmod", f'echo "$@" >{tmp_path}/depmod')
    program(tmp_path / "bin" / GCC, "echo powerpc64le-linux-gnu")
    program(tmp_path / "bin/cc", "echo x86_64-linux-gnu")
    directory = tmp_path / "own"
    write(directory / "vmlinux", POWER_ELF)
    write(directory / "lib/modules/7.0/kernel/vfio.ko", "vfio")
    write(directory / "build/include/config/auto.conf", CONFIG)
    write(directory / "build/include/generated/utsrelease.h", '#define UTS_RELEASE "7.0"\n')
    write(directory / "build/Module.symvers", "")
    return directory


def test_an_added_kernel_is_a_label_like_the_others(tree: Path, said: io.StringIO,
                                                    tmp_path: Path) -> None:
    kernel_add.main(["mine", str(tree)])
    assert (label("mine").is_added, label("mine").use) == (True, "run")
    assert (release("mine"), builddir("mine"), compiler("mine")) == ("7.0", tree / "build", GCC)
    assert os.readlink(vmlinux("mine")) == str(tree / "vmlinux")
    modules = kernels_dir() / "mine/modules"
    assert (modules / "lib/modules/7.0/kernel/vfio.ko").read_text() == "vfio"
    assert (tmp_path / "depmod").read_text() == f"-b {kernels_dir()}/mine.new/modules 7.0\n"
    assert f"kernel mine is 7.0 in {tree}: make check KERNELS=mine" in said.getvalue()


def test_a_kernel_added_for_load_tests_has_use_load(tree: Path) -> None:
    kernel_add.main(["mine", str(tree), "load"])
    assert label("mine").use == "load"


def test_a_compressed_module_is_copied_uncompressed(tree: Path) -> None:
    write(tree / "lib/modules/7.0/nvme.ko.gz", gzip.compress(b"nvme"))
    kernel_add.main(["mine", str(tree)])
    modules = kernels_dir() / "mine/modules/lib/modules/7.0"
    assert (modules / "nvme.ko").read_text() == "nvme" and not (modules / "nvme.ko.gz").exists()
    assert (tree / "lib/modules/7.0/nvme.ko.gz").exists()


def test_the_build_link_beside_the_modules_is_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "build").rename(tmp_path / "linux")
    (tree / "lib/modules/7.0/build").symlink_to(tmp_path / "linux")
    kernel_add.main(["mine", str(tree)])
    assert builddir("mine") == tmp_path / "linux"


@pytest.mark.parametrize("name", ["vmlinuz", "zImage"])
def test_the_image_may_have_another_name(name: str, tree: Path) -> None:
    (tree / "vmlinux").rename(tree / name)
    kernel_add.main(["mine", str(tree)])
    assert os.readlink(vmlinux("mine")) == str(tree / name)


def test_adding_a_name_again_replaces_the_kernel(tree: Path) -> None:
    kernel_add.main(["mine", str(tree)])
    write(kernels_dir() / "mine/rest", "")
    kernel_add.main(["mine", str(tree), "load"])
    assert label("mine").use == "load" and not (kernels_dir() / "mine/rest").exists()


def test_the_user_may_name_the_compiler(tree: Path, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin/ccache", 'exec "$@"')
    monkeypatch.setenv("CC", f"ccache {GCC}")
    write(tree / "build/include/config/auto.conf", CONFIG.replace("120200", "0"))
    kernel_add.main(["mine", str(tree)])
    assert compiler("mine") == f"ccache {GCC}"


def removed(name: str) -> Callable[[Path], None]:
    """Return a function that removes a file from the tree."""
    return lambda tree: (tree / name).unlink()


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Return a function that replaces a text in a file of the tree."""
    return lambda tree: write(tree / name, (tree / name).read_text().replace(old, new))


CONF = "build/include/config/auto.conf"
REFUSALS = {
    "not configured": (removed(CONF), "@ has no build tree: @/build has to be one"),
    "not prepared": (removed("build/include/generated/utsrelease.h"), "@ has no build tree"),
    "big-endian": (replaced(CONF, "CONFIG_CPU_LITTLE_ENDIAN=y\n", ""), "is not for ppc64le"),
    "another architecture": (replaced(CONF, "CONFIG_PPC64=y\n", ""), "is not for ppc64le"),
    "not built": (removed("build/Module.symvers"), "@/build has no Module.symvers"),
    "by clang": (replaced(CONF, "120200", "0"), "was not built by gcc: name its compiler"),
    "other modules": (replaced("build/include/generated/utsrelease.h", "7.0", "7.1"),
                      "@/lib/modules has no 7.1, the release of the build tree"),
    "no release": (replaced("build/include/generated/utsrelease.h", "UTS", "X"),
                   "@/lib/modules has no"),
    "no image": (removed("vmlinux"), "@ has no vmlinux, vmlinuz or zImage"),
    "no ELF file": (lambda tree: write(tree / "vmlinux", POWER_ELF.replace(b"ELF", b"FLE")),
                    "@/vmlinux is no ELF file for POWER, so QEMU can't boot it"),
    "x86": (lambda tree: write(tree / "vmlinux", POWER_ELF.replace(b"\x15", b"\x3e")),
            "@/vmlinux is no ELF file for POWER"),
    "cut short": (lambda tree: write(tree / "vmlinux", POWER_ELF[:19]),
                  "@/vmlinux is no ELF file for POWER"),
    "broken module": (lambda tree: write(tree / "lib/modules/7.0/a.ko.gz", b"no gzip"),
                      "the modules in @/lib/modules/7.0 can't be used"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_an_unusable_kernel_tree_is_refused(what: str, tree: Path) -> None:
    change, sentence = REFUSALS[what]
    change(tree)
    with pytest.raises(LabError) as raised:
        kernel_add.main(["mine", str(tree)])
    assert sentence.replace("@", str(tree)) in str(raised.value)
    assert not list(kernels_dir().iterdir()) if kernels_dir().exists() else True


@pytest.mark.parametrize(("name", "sentence"), [
    ("a/b", "'a/b' can't be a kernel's name"), ("all", "'all' can't be a kernel's name"),
    ("", "'' can't be a kernel's name"), (".a", "'.a' can't be a kernel's name"),
    ("a b", "'a b' can't be a kernel's name"),
    ("6.12-64k", "6.12-64k is one of this project's labels, choose another name")])
def test_an_invalid_or_used_name_is_refused(name: str, sentence: str, tree: Path) -> None:
    with pytest.raises(LabError, match=f"^{sentence}$"):
        kernel_add.main([name, str(tree)])
    assert not kernels_dir().exists()


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_a_missing_directory_is_refused(name: str, tree: Path) -> None:
    with pytest.raises(LabError, match=f"^there is no directory {name}$"):
        kernel_add.main(["mine", name])


@pytest.mark.parametrize("cc", ["cc", "no-such-compiler", " "])
def test_a_compiler_for_another_machine_is_refused(cc: str, tree: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", cc)
    with pytest.raises(LabError, match=f"^CC={cc} is no compiler for ppc64le$"):
        kernel_add.main(["mine", str(tree)])


def test_an_added_kernel_can_be_removed(tree: Path) -> None:
    kernel_add.main(["mine", str(tree)])
    kernel_add.main(["--remove", "mine"])
    assert not list(kernels_dir().iterdir())
    assert (tree / "lib/modules/7.0/kernel/vfio.ko").exists()


@pytest.mark.parametrize("name", ["mine", "6.12-64k"])
def test_only_an_added_kernel_can_be_removed(name: str, tree: Path) -> None:
    write(kernels_dir() / "6.12-64k/release", "6.12")
    with pytest.raises(LabError, match=f"^no kernel {name} was added$"):
        kernel_add.main(["--remove", name])
    assert (kernels_dir() / "6.12-64k/release").exists()
