# SPDX-License-Identifier: GPL-2.0-only
"""Tests of runner.kernel_copy, with a kernel of a few files."""

from __future__ import annotations

from pathlib import Path

import pytest

from .kernel_copy import KernelCopy

HEADER = "arch/powerpc/include/asm/iommu.h"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the build tree of the kernel "small", in the layout of Debian's packages."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    directory = tmp_path / "vfio-spapr-tce2" / "kernels" / "small"
    build = directory / "headers-64k"
    common = directory / "headers-common"
    for file, text in ((build / "Makefile", f"include {common}/Makefile\nO = {build}\n"),
                       (build / "include" / "autoconf.h", "#define A 1\n#define B 1\n"),
                       (common / HEADER, "int a;\n")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (directory / "builddir").write_text(f"{build}\n")
    return build


def test_the_makefile_of_a_copy_names_the_copy(kernel: Path, tmp_path: Path) -> None:
    copy = KernelCopy("small", tmp_path / "copy")
    assert (copy.build / "Makefile").read_text() == (
        f"include {copy.source}/Makefile\nO = {copy.build}\n")
    assert (copy.source / HEADER).read_text() == "int a;\n"
    assert (copy.build / "include").resolve() == kernel / "include"


def test_a_changed_header_leaves_the_kernel_in_the_cache_alone(kernel: Path,
                                                               tmp_path: Path) -> None:
    copy = KernelCopy("small", tmp_path / "copy")
    copy.change(f"source/{HEADER}", r"^int", "long")
    copy.change("build/include/autoconf.h", r"1$", "2")
    assert (copy.source / HEADER).read_text() == "long a;\n"
    assert (copy.build / "include" / "autoconf.h").read_text() == "#define A 2\n#define B 2\n"
    assert (kernel.parent / "headers-common" / HEADER).read_text() == "int a;\n"
    assert (kernel / "include" / "autoconf.h").read_text() == "#define A 1\n#define B 1\n"


def test_a_pattern_without_match_fails(kernel: Path, tmp_path: Path) -> None:
    copy = KernelCopy("small", tmp_path / "copy")
    for pattern, replacement in (("char", "long"), ("int", "int")):
        with pytest.raises(pytest.fail.Exception, match="changes nothing"):
            copy.change(f"source/{HEADER}", pattern, replacement)


def test_a_kernel_without_common_headers_has_only_a_build_tree(kernel: Path,
                                                               tmp_path: Path) -> None:
    (kernel / "Makefile").write_text("all:\n")
    copy = KernelCopy("small", tmp_path / "copy")
    assert (copy.source / "include" / "autoconf.h").samefile(kernel / "include" / "autoconf.h")
