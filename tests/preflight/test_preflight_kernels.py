# SPDX-License-Identifier: GPL-2.0-only
"""Test tce2-preflight: stock kernels, and files that are no kernel or no module."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from preflight_tool import (
    FAIL,
    OK,
    PLAIN,
    SCRIPT,
    TOOL,
    UNKNOWN,
    USAGE,
    Kernel,
    Preflight,
    changed_copy,
    sanitized,
    sections,
)

from lab.places import BUILD, TOP

pytest_plugins = ["preflight_fixtures"]

# Maximum run time of the installed tool in milliseconds
QUICK = 100


@pytest.mark.parametrize("kernel", ["kernel_64k", "kernel_4k"], ids=["6.12-64k", "6.12-4k"])
def test_a_module_works_on_the_kernel_that_it_was_built_for(
        kernel: str, request: pytest.FixtureRequest, preflight: Preflight) -> None:
    stock: Kernel = request.getfixturevalue(kernel)
    preflight.check(module=stock.module, kernel=stock).expect(
        OK, r"^vfio_spapr_tce2 .*: will work$")


def test_load_order_is_not_judged_without_the_root_of_a_machine(preflight: Preflight) -> None:
    preflight.check().expect(OK, r"note +load-order")


def test_a_kernel_of_another_page_size_is_refused(preflight: Preflight, kernel_4k: Kernel) -> None:
    preflight.check(kernel=kernel_4k).expect(
        FAIL, r"fail +page-size +built for pages of 64K, the kernel has pages of 4K")


def test_6_1_is_refused_because_of_its_vfio(preflight: Preflight, kernel_6_1: Kernel) -> None:
    preflight.check(module=kernel_6_1.module, kernel=kernel_6_1).expect(
        FAIL, r"fail +vfio .*attaches no device on POWER")


def test_a_6_1_kernel_without_module_symvers_is_refused_by_its_version(
        preflight: Preflight, kernel_6_1: Kernel, work: Path) -> None:
    preflight.check("--build", work, module=kernel_6_1.module, kernel=kernel_6_1).expect(
        FAIL, r"fail +vfio .*known from the kernel's version")


def test_7_2_has_no_crcs_and_is_unknown(preflight: Preflight) -> None:
    module = BUILD / "7.2-4k" / "vfio_spapr_tce2.ko"
    if not module.exists():
        pytest.skip("no module was built for 7.2-4k")
    preflight.check(module=module, kernel=Kernel("7.2-4k", module)).expect(
        UNKNOWN, r"unknown +symbols .*no CRC")


def test_the_installed_tool_takes_less_than_100_ms(preflight: Preflight) -> None:
    """Use the fastest of many runs, because other work on this machine slows the tool down."""
    command = [str(PLAIN / "tce2-preflight"), *preflight.command("-v")[1:]]
    best = float("inf")
    for _ in range(50):
        began = time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        best = min(best, 1000 * (time.monotonic() - began))
        if best < QUICK:
            return
    pytest.fail(f"{best:.0f} ms", pytrace=False)


def refuse(preflight: Preflight, module: Path, reason: str) -> None:
    """Fail unless a file is refused as a module with this reason."""
    __tracebackhide__ = True
    preflight.check(module=module).expect(
        UNKNOWN, f"^tce2-preflight: {re.escape(str(module))}: {reason}")


@pytest.mark.parametrize(("size", "reason"), [
    (3000, "truncated or damaged: the section headers"),
    (40, "truncated in the ELF header"),
    (0, "the file is empty"),
], ids=["3000", "40", "0"])
def test_a_module_truncated_to_this_size_is_refused(size: int, reason: str, preflight: Preflight,
                                                    work: Path) -> None:
    (work / "cut.ko").write_bytes(preflight.module.read_bytes()[:size])
    refuse(preflight, work / "cut.ko", reason)


def test_a_module_that_does_not_exist_is_refused(preflight: Preflight, work: Path) -> None:
    refuse(preflight, work / "absent.ko", "No such file or directory")


def test_a_directory_is_refused_as_a_module(preflight: Preflight, work: Path) -> None:
    refuse(preflight, work, "is a directory")


def test_a_script_is_refused_as_a_module(preflight: Preflight) -> None:
    refuse(preflight, SCRIPT, "not an ELF file")


def test_a_program_of_this_machine_is_refused_as_a_module(preflight: Preflight) -> None:
    refuse(preflight, Path(sys.executable), "an ELF file for .*, not for ppc64le")


def test_a_kernel_is_refused_as_a_module(preflight: Preflight) -> None:
    refuse(preflight, preflight.kernel.vmlinux, "not a kernel module but a program")


def test_a_module_for_big_endian_ppc64_is_refused(preflight: Preflight, work: Path) -> None:
    """Set EI_DATA to big-endian, and store e_machine in big-endian byte order."""
    big = changed_copy(preflight.module, work / "order.ko", 5, b"\2")
    refuse(preflight, changed_copy(big, work / "big.ko", 18, b"\0\x15"),
           "an ELF file for big-endian ppc64")


def test_a_module_with_a_section_outside_of_it_is_refused(preflight: Preflight, work: Path) -> None:
    """Set the fifth byte of section 1's size, so that it exceeds the size of the file."""
    first = list(sections(preflight.module.read_bytes()).values())[1]
    wide = changed_copy(preflight.module, work / "wide.ko", first.header + 36, b"\1")
    refuse(preflight, wide, "truncated or damaged: section 1 lies outside")


def test_a_kernel_that_does_not_exist_is_named(preflight: Preflight) -> None:
    sanitized(TOOL, "-m", preflight.module, "9.9-nowhere").expect(
        UNKNOWN, r"no kernel 9.9-nowhere: neither")


def test_a_directory_without_a_kernel_is_named(preflight: Preflight) -> None:
    sanitized(TOOL, "-m", preflight.module, TOP / "src").expect(UNKNOWN, r"no kernel found")


def test_a_build_tree_that_does_not_exist_is_named(preflight: Preflight, work: Path) -> None:
    preflight.check("--build", work / "absent").expect(
        UNKNOWN, r"absent: no such directory")


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("options", [[], ["--frobnicate", "x"]],
                         ids=["without_a_kernel", "an_unknown_option"])
def test_wrong_usage_prints_the_usage(options: list[str]) -> None:
    sanitized(TOOL, *options).expect(USAGE, r"^usage: ")


def test_the_machines_are_named_if_one_is_unknown(preflight: Preflight) -> None:
    preflight.check("--machine=mainframe").expect(USAGE, r"must be powernv or pseries")


def test_a_result_that_cannot_be_written_is_unknown(preflight: Preflight) -> None:
    sanitized("sh", "-c", 'exec "$@" >/dev/full', "sh", *preflight.command("-v")).expect(
        UNKNOWN, r"cannot write the result")
