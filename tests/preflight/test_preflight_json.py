# SPDX-License-Identifier: GPL-2.0-only
"""Test tce2-preflight --json: the JSON report."""

from __future__ import annotations

from pathlib import Path

import pytest
from preflight_tool import FAIL, LAYOUT, OK, SYMBOL, UNKNOWN, Preflight

pytest_plugins = ["preflight_fixtures"]


def test_json_of_a_good_kernel_has_all_symbols_and_members(preflight: Preflight) -> None:
    status, report = preflight.report()
    assert (status, report["format"], report["verdict"], report["error"]) == (OK, 1, "ok", None)
    for name, at_least in (("symbols", 50), ("layout", 30)):
        assert len(report[name]) > at_least
        assert {row["status"] for row in report[name]} == {"ok"}


def test_json_names_a_symbol_that_differs_with_both_crcs(preflight: Preflight) -> None:
    status, report = preflight.report("--symvers", preflight.symvers(
        rf"^(0x[0-9a-f]+)(\t{SYMBOL}\t)", r"0x00000bad\2"))
    row, = (row for row in report["symbols"] if row["status"] == "crc-differs")
    assert (row["name"], row["owner"]) == (SYMBOL, "drivers/vfio/vfio")
    assert row["kernel"] == "0x00000bad" != row["built"]
    assert (status, report["verdict"]) == (FAIL, "fail")


def test_json_names_a_member_that_differs_with_both_offsets(preflight: Preflight) -> None:
    status, report = preflight.report(
        module=preflight.changed_module(LAYOUT, "it_base", 164, b"\x31"))
    row, = (row for row in report["layout"] if row["status"] == "fail")
    assert (row["struct"], row["member"]) == ("iommu_table", "it_base")
    assert (row["built"]["offset"], row["kernel"]["offset"]) == (49, 48)
    assert status == FAIL


def test_json_has_the_reason_if_there_is_no_result(preflight: Preflight, work: Path) -> None:
    status, report = preflight.report(module=work / "absent.ko")
    assert (status, report["verdict"]) == (UNKNOWN, "unknown")
    assert "absent.ko: No such" in report["error"]


@pytest.fixture
def odd_version(preflight: Preflight) -> Path:
    """Return a module whose version has a quote, a backslash and invalid UTF-8."""
    return preflight.changed_module(".modinfo", "version=", 8, b'"\\\xff\x01\xc3')


def test_json_escapes_special_characters(preflight: Preflight, odd_version: Path) -> None:
    version = preflight.report(module=odd_version)[1]["module"]["version"]
    assert all(character in version for character in '"\\\ufffd')


def test_json_is_valid_utf_8_for_an_invalid_string(preflight: Preflight, odd_version: Path) -> None:
    assert '"format":1' in preflight.json(module=odd_version)[1].decode("utf-8", "strict")
