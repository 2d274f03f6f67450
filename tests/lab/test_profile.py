# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.profile: tables of a guest's console and of the counts of QEMU's plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import profile, profile_report
from lab.places import LabError
from lab.profile import Symbols, group_of, profile_tables, read_counts, read_phases
from lab.profile_report import main

KERNEL = [(0xc000000000001000, "system_call_common"), (0xc000000000002000, "kfree")]
CONSOLE = """\
SYMBOLS: new
SYMBOL: c008000000001000 tce2_window_map vfio_spapr_tce2
SYMBOL: c008000000002000 tce2_window_unmap vfio_spapr_tce2
PROFILE: {"phase": 1, "figure": "map.all", "backend": "ours", "unit": "TCE", "units": 2}
SYMBOLS: new
SYMBOL: c008000000001000 tce_iommu_ioctl vfio_iommu_spapr_tce
PROFILE: {"phase": 2, "figure": "map.all", "backend": "in-tree", "unit": "TCE", "units": 2}
"""
COUNTS = """\
phase 0
insn 0 c000000000001000 63
phase 1
insn 0 c000000000001ffc 2
insn 0 c008000000001008 c8
insn 1 c008000000001008 64
insn 0 c008000000002000 2
phase 2
insn 0 c008000000001ffc c8
insn 0 30000000 64
insn 0 10000000 64
"""


def tables(console: str, counts: str) -> list[str]:
    """Return the lines of the tables, with single spaces."""
    phases = list(read_phases(console, KERNEL))
    return [" ".join(line.split())
            for line in profile_tables(phases, read_counts(counts.splitlines()))]


def test_a_table_has_instructions_per_unit_by_group_and_by_function() -> None:
    assert tables(CONSOLE, COUNTS) == [
        "map.all: instructions per TCE", "",
        "in-tree ours",
        "total 200 152", "",
        "program 50.0 -",
        "firmware 50.0 -",
        "driver 100 151",
        "system call entry and exit - 1.0", "",
        "tce2_window_map [vfio_spapr_tce2] - 150",
        "tce_iommu_ioctl [vfio_iommu_spapr_tce] 100 -",
        "[firmware] 50.0 -",
        "[user] 50.0 -",
        "system_call_common - 1.0",
        "tce2_window_unmap [vfio_spapr_tce2] - 1.0",
        "(all smaller functions) - -", ""]


def test_small_functions_are_one_row_of_the_table() -> None:
    counts = COUNTS.replace("c008000000001008 c8", "c008000000001008 fff")
    shown = tables(CONSOLE, counts)
    assert "(all smaller functions) - 2.0" in shown
    assert not [line for line in shown if "tce2_window_unmap" in line]


def test_totals_are_instructions_of_all_processors_per_unit() -> None:
    phases = list(read_phases(CONSOLE, KERNEL))
    counted = read_counts(COUNTS.splitlines())
    assert list(profile_report.totals(phases, counted)) == [
        f'BENCH: {{"figure": "map.all", "backend": "{driver}", '
        f'"unit": "instructions per TCE, with waiting", "value": {value}}}'
        for driver, value in (("ours", "152.00"), ("in-tree", "200.00"))]
    with pytest.raises(LabError, match="has counted nothing in phase 2"):
        list(profile_report.totals(phases, read_counts(COUNTS[:COUNTS.index("phase 2")]
                                                       .splitlines())))


def test_a_phase_without_counts_is_an_error() -> None:
    with pytest.raises(LabError, match="has counted nothing in phase 2"):
        tables(CONSOLE, COUNTS[:COUNTS.index("phase 2")])


@pytest.mark.parametrize(("address", "name"), [
    (0xc000000000001000, "system_call_common"), (0xc000000000001fff, "system_call_common"),
    (0xc000000000002000, "kfree"), (0xc00f000000000000, "kfree"),
    (0xc000000000000fff, "c000000000000fff"), (0x30001000, "[firmware]"),
    (0x10001000, "[user]"), (0x7fff12340000, "[user]"),
])
def test_an_address_belongs_to_the_function_below_it(address: int, name: str) -> None:
    assert Symbols(KERNEL).name(address) == name


@pytest.mark.parametrize(("function", "group"), [
    ("[user]", "program"), ("[firmware]", "firmware"),
    ("tce2_view_set [vfio_spapr_tce2]", "driver"),
    ("tce_iommu_ioctl [vfio_iommu_spapr_tce]", "driver"),
    ("vfio_fops_unl_ioctl [vfio]", "VFIO's core"),
    ("rfscv_flush_fallback", "system call entry and exit"),
    ("do_uaccess_flush", "copy from and to the user"), ("hook_file_ioctl", "file and LSM"),
    ("pnv_tce_xchg", "TCE table and invalidation"), ("follow_page_pte", "memory management"),
    ("_raw_spin_lock", "locks and preemption"), ("kfree", "allocation"), ("memset", "other"),
])
def test_a_function_belongs_to_the_first_group_that_matches(function: str, group: str) -> None:
    assert group_of(function) == group


def test_the_plugin_builds_and_exports_what_qemu_looks_up(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "PLUGIN", tmp_path / "plugin.so")
    plugin = profile.build()
    built = plugin.stat().st_mtime_ns
    for name in (b"qemu_plugin_install\0", b"qemu_plugin_version\0"):
        assert name in plugin.read_bytes()
    assert profile.build().stat().st_mtime_ns == built


def test_a_console_without_a_phase_is_an_error(tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_report, "kernel_functions", lambda _: KERNEL)
    (tmp_path / "console").write_text("TCE2-EXIT 0\n")
    with pytest.raises(LabError, match="names no phase"):
        main(["functions", "6.12-64k", str(tmp_path / "console"), "/dev/null"])
    with pytest.raises(LabError, match="usage: scripts/bench-profile"):
        main(["everything", "6.12-64k", "console", "counts"])
