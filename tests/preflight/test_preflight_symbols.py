# SPDX-License-Identifier: GPL-2.0-only
"""Test tce2-preflight: symbols and CRCs, with a changed Module.symvers or module."""

from __future__ import annotations

from pathlib import Path

import pytest
from preflight_tool import FAIL, OK, SYMBOL, UNKNOWN, Preflight

pytest_plugins = ["preflight_fixtures"]

# Patterns in Module.symvers: the CRC of SYMBOL, every CRC, the namespace of SYMBOL
CRC = rf"^0x[0-9a-f]+(\t{SYMBOL}\t)"
EACH_CRC = r"^0x[0-9a-f]+"
NAMESPACE = rf"(\t{SYMBOL}\t.*)$"
# Pattern in the kernel configuration
FORCE_LOAD = r"^(# )?CONFIG_MODULE_FORCE_LOAD[= ].*"
# Offset of the CRC from the name in the section __versions
BEFORE_NAME = -8
BAD_CRC = b"\xad\x0b\0\0"


@pytest.mark.parametrize(("pattern", "replacement", "status", "line"), [
    pytest.param(CRC, r"0x00000bad\1",
                 FAIL, rf"fail +symbols .*{SYMBOL} .*the kernel has 0x00000bad",
                 id="a_crc_that_differs_is_named"),
    pytest.param(r"^.*\tiommu_tce_table_put\t.*\n", "",
                 FAIL, r"fail +symbols .*does not export iommu_tce_table_put$",
                 id="a_symbol_that_is_missing_is_named"),
    pytest.param(EACH_CRC, "0x00000000", UNKNOWN, r"unknown +symbols .*the kernel has no CRC",
                 id="symbols_without_crcs_are_unknown"),
    pytest.param(CRC, r"0x00000000\1", UNKNOWN, r"unknown +symbols +1 of ",
                 id="one_symbol_without_a_crc_is_unknown"),
    pytest.param(NAMESPACE, r"\1VFIO", FAIL, rf"fail +symbols +{SYMBOL} is in the namespace VFIO",
                 id="a_namespace_that_is_not_imported_is_named"),
    pytest.param(NAMESPACE, r"\1module:kvm,vfio-*",
                 FAIL, rf"fail +symbols +{SYMBOL} is in the namespace module:kvm",
                 id="a_symbol_for_other_modules_alone_is_named"),
    pytest.param(NAMESPACE, r"\1module:kvm,vfio_*", OK, r"ok +symbols",
                 id="a_symbol_for_this_module_among_others_is_good"),
])
def test_a_changed_module_symvers_is_judged(pattern: str, replacement: str, status: int, line: str,
                                            preflight: Preflight) -> None:
    preflight.check("--symvers", preflight.symvers(pattern, replacement)).expect(status, line)


@pytest.mark.parametrize(("section", "name", "offset", "new", "line"), [
    pytest.param("__versions", SYMBOL, BEFORE_NAME, BAD_CRC,
                 rf"fail +symbols .*{SYMBOL} .*built against 0x00000bad",
                 id="a_crc_that_differs_is_named"),
    pytest.param("__versions", "module_layout", BEFORE_NAME, BAD_CRC,
                 r"fail +symbols .*module_layout .*built against 0x00000bad",
                 id="the_crc_of_module_layout_counts_without_an_import"),
    pytest.param(".modinfo", "license=GPL", 8, b"BSD",
                 rf"fail +symbols +{SYMBOL} is only for modules whose license",
                 id="a_license_other_than_the_gpl_is_named"),
])
def test_a_changed_symbol_table_of_the_module_is_named(section: str, name: str, offset: int,
                                                       new: bytes, line: str,
                                                       preflight: Preflight) -> None:
    module = preflight.changed_module(section, name, offset, new)
    preflight.check(module=module).expect(FAIL, line)


@pytest.fixture
def without_one_crc(preflight: Preflight) -> Path:
    """Return a module whose CRC list has another name in place of SYMBOL."""
    return preflight.changed_module("__versions", SYMBOL, 0, b"W")


def test_a_crc_that_only_the_module_lacks_is_named(preflight: Preflight,
                                                   without_one_crc: Path) -> None:
    preflight.check("--accept-unknown-crcs", module=without_one_crc).expect(
        FAIL, rf"fail +symbols .*module has no CRC of {SYMBOL} .*requires one")


def test_json_has_the_status_of_a_crc_that_only_the_module_lacks(preflight: Preflight,
                                                                 without_one_crc: Path) -> None:
    status, report = preflight.report(module=without_one_crc)
    absent, = (row for row in report["symbols"] if row["status"] == "crc-absent")
    assert absent["built"] is None and absent["kernel"] is not None
    assert status == FAIL


def test_a_module_without_crcs_is_refused_by_a_kernel_that_has_crcs(preflight: Preflight) -> None:
    config = preflight.config(FORCE_LOAD, "# CONFIG_MODULE_FORCE_LOAD is not set")
    preflight.check("--accept-unknown-crcs", "--config", config,
                    module=preflight.module_without("__versions")).expect(
        FAIL, r"fail +symbols .*no CRCs at all, .*requires them")


def test_a_module_without_crcs_is_unknown_if_its_load_may_be_forced(preflight: Preflight) -> None:
    config = preflight.config(FORCE_LOAD, "CONFIG_MODULE_FORCE_LOAD=y")
    preflight.check("--config", config, module=preflight.module_without("__versions")).expect(
        UNKNOWN, r"unknown +symbols .*no CRCs at all, .*without comparing")


def test_symbols_are_unknown_if_neither_module_nor_kernel_has_crcs(preflight: Preflight) -> None:
    preflight.check("--symvers", preflight.symvers(EACH_CRC, "0x00000000"),
                    module=preflight.module_without("__versions")).expect(
        UNKNOWN, r"unknown +symbols .*the kernel has no CRC")


def test_a_kernel_without_crcs_is_accepted_if_the_option_says_so(preflight: Preflight) -> None:
    preflight.check("--accept-unknown-crcs", "--symvers",
                    preflight.symvers(EACH_CRC, "0x00000000")).expect(
        OK, r"note +symbols .*no CRC")


def test_a_module_symvers_that_does_not_exist_is_named(preflight: Preflight, work: Path) -> None:
    preflight.check("--symvers", work / "absent").expect(UNKNOWN, r"absent: No such file")


def test_symbols_are_unknown_if_module_symvers_is_truncated(preflight: Preflight,
                                                            work: Path) -> None:
    """Truncate the last column only, so that the last line still looks valid."""
    lines = (preflight.kernel.build / "Module.symvers").read_text().splitlines(keepends=True)
    (work / "cut").write_text("".join(lines[:100])[:-2])
    preflight.check("--symvers", work / "cut").expect(
        UNKNOWN, r"unknown +symbols .*line 100 is damaged or truncated")


def test_symbols_are_unknown_without_module_symvers(preflight: Preflight, work: Path) -> None:
    preflight.check("--build", work).expect(
        UNKNOWN, r"unknown +symbols .*Module.symvers was not found")
