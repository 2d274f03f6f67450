# SPDX-License-Identifier: GPL-2.0-only
"""Tests of scripts/bench-compare: which rows are slower, and the exit status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.bench_compare import IS_SLOWER, committed_file, main, read
from lab.places import SCRIPTS, TOP, LabError
from runner.command import run

KERNEL = "6.12.95+deb12-powerpc64le-64k"
NEWER_KERNEL = "6.12.99+deb12-powerpc64le-64k"
QEMU = "10.0.2"


def value(*samples: float) -> dict[str, float]:
    """Return the value of a backend with these samples."""
    ordered = sorted(samples)
    return {"median": ordered[len(ordered) // 2], "min": ordered[0], "max": ordered[-1]}


def row(ours: Any, in_tree: Any, unit: str = "instructions per call") -> dict[str, Any]:
    """Return a row of results; a number stands for a value with one sample."""
    both = {"ours": ours, "in-tree": in_tree}
    return {"unit": unit, **{name: value(of) if isinstance(of, (int, float)) else of
                             for name, of in both.items()}}


def write(file: Path, rows: Mapping[str, Any], kernel: str = KERNEL, qemu: str = QEMU) -> Path:
    """Write a file of results."""
    figures = [{"figure": name, **each} for name, each in rows.items()]
    file.write_text(json.dumps({"kernel": kernel, "qemu": qemu, "figures": figures}))
    return file


def compare(tmp_path: Path, old: Any, new: Any, **setting: str) -> int:
    """Compare two results of one row."""
    return main([str(write(tmp_path / "new.json", {"map": new}, **setting)),
                 str(write(tmp_path / "old.json", {"map": old}))])


@pytest.mark.parametrize(("old", "new", "kind"), [
    (row(1000, 800), row(1021, 800), "slower"),
    (row(1000, 800), row(1019, 800), ""),
    (row(1000, 800), row(979, 800), "faster"),
    (row(1000, 800), row(981, 800), ""),
    (row(1000, None), row(1021, None), "slower"),
    (row(1000, None), row(979, None), "faster"),
    (row(1000, {"refused": "EINVAL"}), row(1021, {"refused": "EINVAL"}), "slower"),
    (row(1000, 800), row({"refused": "EINVAL"}, 800), "refused"),
    (row(1000, 800), row(None, 800), "refused"),
    (row({"refused": "EINVAL"}, 800), row(1000, 800), ""),
    (row(value(980, 1000, 1030), 800), row(1025, 800), ""),
    (row(value(980, 1000, 1030), 800), row(1031, 800), "slower"),
    (row(1000, 800), row(value(990, 1030, 1040), 800), ""),
    (row(0, 800), row(0, 800), ""),
    (row(0, 800), row(1, 800), "slower"),
], ids=["over_2_percent_more", "under_2_percent_more", "over_2_percent_less",
        "under_2_percent_less", "more_without_in_tree", "less_without_in_tree",
        "more_and_refused_in_tree", "refused", "missing", "was_refused",
        "more_within_the_committed_range", "more_beyond_the_committed_range",
        "a_range_around_the_committed_value", "zero", "more_than_zero"])
def test_a_row_is_slower_or_faster_by_over_2_percent(
        old: Any, new: Any, kind: str, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    status = compare(tmp_path, old, new)
    printed = capsys.readouterr().out
    assert status == (IS_SLOWER if kind in ("slower", "refused") else 0)
    for each in ("slower", "faster", "refused"):
        assert (f"    {each:<8} map: " in printed) == (each == kind)


@pytest.mark.parametrize(("old", "new", "status"), [
    # A system call costs 100 more
    (row(4400, 3500), row(4500, 3600), 0),
    (row(1000, 3500), row(1100, 3600), IS_SLOWER),
    # Pinning a page costs 3 more
    (row(28.8, 52.3), row(31.8, 55.3), 0),
    # Only the in-tree driver has become faster or slower
    (row(1000, 800), row(1000, 700), 0),
    (row(1000, 800), row(1000, 900), 0),
    (row(1000, 800), row(1021, 800), IS_SLOWER),
    (row(1000, None), row(2000, None), 0),
], ids=["the_system_call_costs_more", "this_module_costs_more_than_the_system_call",
        "pinning_costs_more", "in_tree_is_faster", "in_tree_is_slower", "ours_is_slower",
        "without_in_tree"])
@pytest.mark.parametrize("setting", [{"kernel": NEWER_KERNEL}, {"qemu": "11.0.0"}],
                         ids=["newer_kernel", "newer_qemu"])
def test_with_another_kernel_or_qemu_the_ratio_to_in_tree_counts(
        old: Any, new: Any, status: int, setting: dict[str, str], tmp_path: Path) -> None:
    assert compare(tmp_path, old, new, **setting) == status


@pytest.mark.parametrize("unit", ["ns of wall time per TCE",
                                  "instructions per TCE, with waiting"])
def test_rows_of_one_file_and_rows_that_depend_on_this_machine_are_not_compared(
        unit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = {"map": row(10, 10), "gone": row(10, 10), "threads": row(10, 10, unit)}
    new = {"map": row(10, 10), "added": row(99, 10), "threads": row(99, 10, unit)}
    assert main([str(write(tmp_path / "new.json", new)),
                 str(write(tmp_path / "old.json", old))]) == 0
    assert ": 1 row, tolerance 2%" in capsys.readouterr().out


def test_only_the_sum_of_the_hypercalls_is_compared(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = "hypercalls per TCE"
    for total, status in ((1, 0), (2, IS_SLOWER)):
        old = {"hcalls.map.all": row(1, 2, unit), "hcalls.map.put": row(0, 2, unit)}
        new = {"hcalls.map.all": row(total, 2, unit), "hcalls.map.put": row(1, 2, unit)}
        assert main([str(write(tmp_path / "new.json", new)),
                     str(write(tmp_path / "old.json", old))]) == status
        assert "hcalls.map.put" not in capsys.readouterr().out


def test_results_without_a_common_row_are_an_error(tmp_path: Path) -> None:
    old = write(tmp_path / "old.json", {"map": row(1, 1)})
    new = write(tmp_path / "new.json", {"unmap": row(1, 1)})
    with pytest.raises(LabError, match="no row of the results is in"):
        main([str(new), str(old)])


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"kernel": 1, "qemu": 1, "figures": [1]}'])
def test_a_file_without_results_is_an_error(text: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(LabError, match="has no results of scripts/bench"):
        read(file)


def test_short_results_belong_to_the_committed_results_of_the_same_name() -> None:
    for name in ("6.12-64k", "6.12-64k-short"):
        assert committed_file(Path("build") / f"{name}.json") == (
            TOP / "Documentation" / "bench" / "6.12-64k.json")


def test_the_command_exits_with_2_if_a_row_is_slower(tmp_path: Path) -> None:
    committed = TOP / "Documentation" / "bench" / "6.12-64k.json"
    run(SCRIPTS / "bench-compare", committed).expect(0, "0 slower or refused, 0 faster")
    found = json.loads(committed.read_text())
    for figure in found["figures"]:
        if figure["figure"] == "map.one-tce.1-regions.first":
            figure["ours"] = value(figure["ours"]["median"] * 1.03)
    file = tmp_path / "6.12-64k-short.json"
    file.write_text(json.dumps(found))
    run(SCRIPTS / "bench-compare", file).expect(
        2, r"^    slower   map\.one-tce\.1-regions\.first: \+3\.0%")
    run(SCRIPTS / "bench-compare", tmp_path / "none.json").expect(1, "none.json")
    run(SCRIPTS / "bench-compare").expect(1, "usage: scripts/bench-compare")
