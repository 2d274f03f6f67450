# SPDX-License-Identifier: GPL-2.0-only
"""Test that scripts/kernel-add adds the user's own kernel, and refuses unusable trees."""

from __future__ import annotations

import lzma
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.command import without_settings
from lab.labels import DEFAULT_LABEL, kernels_dir, release, vmlinux
from lab.places import BUILD, SCRIPTS, cache_dir
from runner.command import Done, run
from runner.kernel_copy import KernelCopy, link_into

AUTO_CONF = "build/include/config/auto.conf"


class OwnKernel:
    """A kernel as installed by `make modules_install`, and a cache without kernels."""

    def __init__(self, label: str, work: Path) -> None:
        self.copy = KernelCopy(label, work / "kernel")
        self.top = self.copy.top
        self.release = release(label)
        self.modules = self.top / "lib" / "modules" / self.release
        self.image = self.top / "vmlinux"
        self.genuine = kernels_dir() / label / "modules" / "lib" / "modules" / self.release
        link_into(self.genuine, self.modules)
        self.image.symlink_to(vmlinux(label))
        cache = work / "cache" / "vfio-spapr-tce2"
        cache.mkdir(parents=True)
        (cache / "toolchains").symlink_to(cache_dir() / "toolchains")
        self.added = cache / "kernels"
        # Debian has modprobe and modinfo in /sbin, which is not on a user's PATH
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        self.environment = without_settings(XDG_CACHE_HOME=str(cache.parent), PATH=path)

    def own_modules(self) -> None:
        """Replace the links to module directories with real directories."""
        shutil.rmtree(self.modules)
        shutil.copytree(self.genuine, self.modules, copy_function=os.symlink)

    def run(self, *command: str | Path, **variables: str) -> Done:
        """Run a command with the private cache, and with environment variables."""
        return run(*command, env={**self.environment, **variables})

    def add(self, *arguments: str | Path, **variables: str) -> Done:
        """Run scripts/kernel-add."""
        return self.run(SCRIPTS / "kernel-add", *arguments, **variables)


@pytest.fixture
def own_kernel(first_label: str, work: Path) -> OwnKernel:
    """Return a user's kernel, and an empty cache."""
    return OwnKernel(first_label, work)


def test_a_kernel_of_the_users_own_is_a_label_like_the_others(own_kernel: OwnKernel) -> None:
    name = f"own-{own_kernel.copy.label}"
    own_kernel.own_modules()
    module, = own_kernel.modules.rglob("vfio.ko")
    vfio = module.read_bytes()
    module.with_name("vfio.ko.xz").write_bytes(lzma.compress(vfio, preset=0))
    module.unlink()
    own_kernel.add(name, own_kernel.top).expect(0)
    own_kernel.run(SCRIPTS / "kernel", "--list").expect(0, rf"^{re.escape(name)} .*added")
    own_kernel.run(SCRIPTS / "module", name, FRESH="1").expect(0)
    own_kernel.run("modinfo", "-F", "vermagic", BUILD / name / "vfio_spapr_tce2.ko").expect(
        0, rf"\A{re.escape(own_kernel.release)} ")
    # The compressed module is decompressed and listed in modules.dep
    done = own_kernel.run("modprobe", "-S", own_kernel.release, "-d",
                          own_kernel.added / name / "modules", "--show-depends", "vfio")
    loaded = set(re.findall(r"^insmod (.*/vfio\.ko) *$", done.expect(0).output, re.MULTILINE))
    assert [Path(file).read_bytes() for file in loaded] == [vfio]
    shutil.rmtree(BUILD / name)


@dataclass(frozen=True)
class Refusal:
    """A change that makes a kernel unusable, and the expected message.

    {top} stands for the directory of the kernel, {release} for the output of `uname -r`.
    """

    message: str
    arguments: tuple[str, ...]
    spoil: Callable[[OwnKernel], object]
    cc: str


def refused(name: str, message: str, *arguments: str,
            spoil: Callable[[OwnKernel], object] = lambda _: None, cc: str = "") -> Any:
    """Return a row of the table of refusals."""
    return pytest.param(Refusal(message, arguments or ("mine", "{top}"), spoil, cc), id=name)


def replace_image(kernel: OwnKernel) -> None:
    """Replace the image by a program of this machine."""
    kernel.image.unlink()
    kernel.image.symlink_to(shutil.which("bash") or "/bin/sh")


@pytest.mark.parametrize("row", [
    refused("without_its_directory", "there is no directory {top}/nowhere",
            "mine", "{top}/nowhere"),
    refused("with_the_name_of_a_label", f"{DEFAULT_LABEL} is one of this project's labels",
            DEFAULT_LABEL, "{top}"),
    refused("with_a_slash_in_its_name", "'a/b' can't be a kernel's name", "a/b", "{top}"),
    refused("with_an_unknown_argument", "usage: ", "mine", "{top}", "anything"),
    refused("with_a_compiler_for_this_machine", "CC=gcc is no compiler for ppc64le", cc="gcc"),
    refused("of_another_machine", "the kernel in {top} is not for ppc64le",
            spoil=lambda kernel: kernel.copy.change(AUTO_CONF, r"^.*CONFIG_PPC64=.*\n", "")),
    refused("with_an_image_for_this_machine", "{top}/vmlinux is no ELF file for POWER",
            spoil=replace_image),
    refused("without_an_image", "{top} has no vmlinux, vmlinuz or zImage",
            spoil=lambda kernel: kernel.image.unlink()),
    refused("without_modules", "{top}/lib/modules has no {release}",
            spoil=lambda kernel: shutil.rmtree(kernel.modules.parent)),
    refused("without_a_build_tree", "{top} has no build tree",
            spoil=lambda kernel: shutil.rmtree(kernel.copy.build)),
])
def test_kernel_add_refuses_a_kernel(row: Refusal, own_kernel: OwnKernel) -> None:
    row.spoil(own_kernel)
    names = {"top": own_kernel.top, "release": own_kernel.release}
    done = own_kernel.add(*(word.format(**names) for word in row.arguments), CC=row.cc)
    done.expect(1, re.escape(f"error: {row.message.format(**names)}"))
    assert not list(own_kernel.added.glob("*"))
