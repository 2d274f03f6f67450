# SPDX-License-Identifier: GPL-2.0-only
"""Test tce2-preflight: the module's layout record is compared with the kernel's types."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from preflight_tool import (
    FAIL,
    LAYOUT,
    OK,
    TOOL,
    UNKNOWN,
    Kernel,
    Preflight,
    contents,
    retyped,
    sanitized,
)

from lab.command import CROSS
from runner.command import run

pytest_plugins = ["preflight_fixtures"]

# In a row of the layout record: the fields "offset" and "size", relative to the member's name
MEMBER_OFFSET = 164
MEMBER_SIZE = 168


@pytest.mark.parametrize(("name", "offset", "new", "line"), [
    pytest.param("it_base", MEMBER_OFFSET, b"\x31",
                 r"fail +layout +iommu_table.it_base differs: built with offset 49,",
                 id="an_offset_that_differs_is_named"),
    pytest.param("pgsizes", MEMBER_SIZE, b"\4",
                 r"fail +layout +iommu_table_group.pgsizes differs: .* size 4, ",
                 id="a_size_that_differs_is_named"),
    pytest.param("ioctl", 32, b"L",
                 r'fail +layout .*vfio_iommu_driver_ops.ioctl differs: built with "Long',
                 id="a_prototype_that_differs_is_named"),
    pytest.param("tce32_size", 4, b"3", r"fail +layout .*iommu_table_group has no tce33_size",
                 id="a_member_that_the_kernel_lacks_is_named"),
    pytest.param("dma_rw", 0, b"D",
                 r"fail +layout .*vfio_iommu_driver_ops has a member .*: dma_rw at",
                 id="a_member_that_only_the_kernel_has_is_named"),
    pytest.param("dma_rw", 0, b"D", r"fail +layout .*vfio_iommu_driver_ops has no Dma_rw",
                 id="a_member_that_only_the_module_has_is_named"),
    pytest.param("DMA_NONE", 5, b"n",
                 r"fail +layout .*enum dma_data_direction has no DMA_NnNE",
                 id="an_enumerator_that_the_kernel_lacks_is_named"),
    pytest.param("_refcount", MEMBER_OFFSET, b"\5",
                 r"fail +layout +page._refcount differs: built with offset 5,",
                 id="an_offset_in_struct_page_that_differs_is_named"),
    pytest.param("char []", 0, b"C", r'fail +layout .*module.name differs: built with "Char',
                 id="another_type_in_struct_module_is_named"),
])
def test_a_changed_layout_record_is_named(name: str, offset: int, new: bytes, line: str,
                                          preflight: Preflight) -> None:
    module = preflight.changed_module(LAYOUT, name, offset, new)
    preflight.check(module=module).expect(FAIL, line)


def test_layout_is_unknown_with_a_record_of_another_version(preflight: Preflight) -> None:
    preflight.check(module=preflight.changed_module(LAYOUT, "tce2", 4, b"\3")).expect(
        UNKNOWN, r"unknown +layout .*version 3, this program supports only version 2")


def test_layout_is_unknown_without_a_record(preflight: Preflight) -> None:
    preflight.check(module=preflight.module_without(LAYOUT)).expect(
        UNKNOWN, r"unknown +layout .*has no layout record")


def test_layout_is_unknown_without_btf_in_the_kernel(preflight: Preflight,
                                                     kernel_6_1: Kernel) -> None:
    preflight.check("--vmlinux", kernel_6_1.vmlinux).expect(
        UNKNOWN, r"unknown +layout .*no BTF")


def test_layout_is_unknown_with_the_btf_of_another_kernel(preflight: Preflight,
                                                          kernel_4k: Kernel) -> None:
    preflight.check("--vmlinux", kernel_4k.vmlinux).expect(
        UNKNOWN, r"unknown +layout .*for kernel 6.12")


def test_a_file_with_only_btf_is_enough(preflight: Preflight, btf: Path) -> None:
    preflight.check("--vmlinux", btf).expect(OK, r"ok .*layout")


def test_layout_is_unknown_if_the_btf_is_truncated(preflight: Preflight, btf: Path,
                                                   work: Path) -> None:
    (work / "cut").write_bytes(btf.read_bytes()[:1000000])
    preflight.check("--vmlinux", work / "cut").expect(UNKNOWN, r"unknown +layout .*damaged")


@pytest.mark.parametrize(("change", "line"), [
    pytest.param(["anonymous", "vfio_iommu_driver_ops"],
                 r"fail +layout .*vfio_iommu_driver_ops has a member .*: secret at offset 104",
                 id="a_member_within_one_without_a_name_is_named"),
    pytest.param(["larger", "vfio_iommu_driver_ops"],
                 r"fail +layout .*vfio_iommu_driver_ops has 136 bytes, "
                 r"the module's has 112",
                 id="a_structure_larger_than_the_one_of_the_module_is_named"),
    pytest.param(["value", "vfio_group_type", "VFIO_NO_IOMMU"],
                 r"fail +layout +VFIO_NO_IOMMU of enum vfio_group_type differs: "
                 r"built as 2, the kernel has 18",
                 id="an_enumerator_with_another_value_is_named"),
])
def test_a_changed_type_in_vfios_btf_is_named(change: list[str], line: str, preflight: Preflight,
                                              btf: Path, work: Path) -> None:
    """Change one type in the BTF of vfio.ko."""
    kernel = preflight.kernel
    vfio = work / "root" / "kernel" / "drivers" / "vfio" / "vfio.ko"
    vfio.parent.mkdir(parents=True)
    shutil.copy(kernel.vfio_dir / "vfio.ko", vfio)
    (work / "vfio.btf").write_bytes(contents(vfio, ".BTF"))
    types = retyped(btf, work / "vfio.btf", work / "retyped.btf", *change)
    run(f"{CROSS}objcopy", "--update-section", f".BTF={types}", vfio).expect(0)
    sanitized(TOOL, "--module", preflight.module, "--vmlinux", btf, "--build", kernel.build,
              work / "root").expect(FAIL, line)


def test_an_enumerator_of_the_kernel_with_another_value_is_named(preflight: Preflight, btf: Path,
                                                                 work: Path) -> None:
    types = retyped(btf, "-", work / "retyped.btf", "value", "dma_data_direction", "DMA_NONE")
    preflight.check("--vmlinux", types).expect(
        FAIL, r"fail +layout +DMA_NONE of enum dma_data_direction differs: "
              r"built as 3, the kernel has 19")
