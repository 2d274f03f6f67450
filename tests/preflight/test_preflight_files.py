# SPDX-License-Identifier: GPL-2.0-only
"""Test tce2-preflight: compressed modules, missing files and FIFOs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from preflight_tool import OK, TOOL, UNKNOWN, Kernel, Preflight, Root, put_fifo, sanitized

pytest_plugins = ["preflight_fixtures"]

SUFFIXES = {"xz": "xz", "gzip": "gz", "zstd": "zst"}
# Size in bytes of a truncated compressed file
CUT = 5000


def pack(packer: str, file: Path, packed: Path, size: int | None = None) -> Path:
    """Compress a file with a program, truncate the result to a size, and return it."""
    done = subprocess.run([packer, "-qc", str(file)], stdout=subprocess.PIPE, check=True)
    packed.write_bytes(done.stdout[:size])
    return packed


@pytest.fixture
def unordered(root: Root) -> Root:
    """Return a root without modprobe.d, so that the tool does not check the load order.

    That check needs depmod's index, and Debian's depmod cannot index modules compressed by gzip.
    """
    shutil.rmtree(root.path / "etc" / "modprobe.d")
    return root


@pytest.fixture(params=SUFFIXES)
def packer(request: pytest.FixtureRequest) -> str:
    """Return a compressor for modules."""
    return str(request.param)


@pytest.fixture
def packed_vfio(packer: str, unordered: Root) -> Path:
    """Replace vfio.ko in the root with a compressed file; return that file."""
    file = unordered.vfio_dir / "vfio.ko"
    packed = pack(packer, file, file.with_name(f"vfio.ko.{SUFFIXES[packer]}"))
    file.unlink()
    return packed


def test_a_compressed_module_and_a_compressed_vfio_are_read(packer: str, unordered: Root,
                                                            packed_vfio: Path, work: Path) -> None:
    del packed_vfio
    module = pack(packer, unordered.module, work / f"packed.ko.{SUFFIXES[packer]}")
    sanitized(TOOL, "-m", module, unordered.path).expect(OK, r"ok .*layout")


def test_a_truncated_compressed_module_is_refused(packer: str, unordered: Root, packed_vfio: Path,
                                                  work: Path) -> None:
    del packed_vfio
    module = pack(packer, unordered.module, work / f"cut.ko.{SUFFIXES[packer]}", CUT)
    sanitized(TOOL, "-m", module, unordered.path).expect(
        UNKNOWN, rf"{module.name}: truncated {packer} data")


def test_layout_is_unknown_if_a_compressed_vfio_is_truncated(packer: str, unordered: Root,
                                                             packed_vfio: Path) -> None:
    packed_vfio.write_bytes(packed_vfio.read_bytes()[:CUT])
    unordered.check().expect(
        UNKNOWN, rf"unknown +layout .*{packed_vfio.name}: truncated {packer} data")


@pytest.fixture
def without_vfio(kernel_64k: Kernel, unordered: Root) -> Root:
    """Return a root whose kernel has one module, and no VFIO module."""
    shutil.rmtree(unordered.vfio_dir)
    other = unordered.modules / "kernel" / "lib" / "crc7.ko"
    other.parent.mkdir()
    shutil.copy(kernel_64k.modules / "kernel" / "lib" / "crc7.ko", other)
    unordered.depmod()
    return unordered


def test_the_kernels_vermagic_is_read_from_any_of_its_modules(without_vfio: Root) -> None:
    without_vfio.check().expect(UNKNOWN, r"ok +symbols, vermagic")


def test_layout_is_unknown_without_vfio(without_vfio: Root) -> None:
    without_vfio.check().expect(UNKNOWN, r"unknown +layout .*vfio.ko was not found")


def test_a_fifo_as_kernel_release_is_ignored(preflight: Preflight, work: Path) -> None:
    put_fifo(work / "include" / "config" / "kernel.release")
    (work / ".config").write_text("\n")
    sanitized(TOOL, "-m", preflight.module, work).expect(
        UNKNOWN, r" on a kernel of unknown release: unknown$")


def test_vermagic_is_unknown_if_modules_dep_is_a_fifo(root: Root) -> None:
    """With a regular modules.dep, the tool would find a module from which it reads the vermagic."""
    (root.vfio_dir / "vfio.ko").unlink()
    root.depmod()
    put_fifo(root.modules / "modules.dep")
    sanitized(TOOL, "-m", root.module, root.modules).expect(UNKNOWN, r"vermagic is unknown")
