# SPDX-License-Identifier: GPL-2.0-only
"""A short run of the benchmark, compared with the committed results, and a profile.

The emulated machine boots twice. tests/lab/test_bench_compare.py tests the comparison itself.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lab.command import without_settings
from lab.labels import DEFAULT_LABEL, all_labels, chosen_names
from lab.places import BUILD, SCRIPTS, TOP
from runner.command import run

RESULTS = BUILD / "bench"
COMMITTED = TOP / "Documentation" / "bench"
# Rows of each kind of call: a slower call of any kind must be noticed
MEASURED = (r"cache\.register\.fresh", r"cache\.unregister-total\.fresh",
            r"cache\.register\.one-page\.1-regions", r"map\.one-tce\.1-regions\.first",
            r"unmap\.one-tce\.1-regions\.first",
            *(rf"{call}\.\d+k-1-level\.1g\.{kind}"
              for call in ("first-map", "map", "replace", "unmap")
              for kind in ("hugetlb-1g", "scattered")))


def measured_label() -> str:
    """Return the default kernel if it is chosen, else the first one with committed results."""
    chosen = [name for name in chosen_names() if (COMMITTED / f"{name}.json").exists()
              and all_labels()[name].use == "run"]
    if not chosen:
        pytest.skip("no chosen kernel has committed results of the benchmark")
    return DEFAULT_LABEL if DEFAULT_LABEL in chosen else chosen[0]


def short_figures(label: str) -> dict[str, Any]:
    """Return the rows of the last short run that have values of both drivers."""
    found = json.loads((RESULTS / f"{label}-short.json").read_text())["figures"]
    return {figure["figure"]: figure for figure in found if figure["ours"] and figure["in-tree"]}


def profiled(label: str, figure: str) -> dict[str, float]:
    """Return the total of each driver in a table of the last profile."""
    text = (RESULTS / f"{label}-profile.txt").read_text()
    found = re.search(rf"^{re.escape(figure)}: .*\n\n.*\n    total +([0-9.]+) +([0-9.]+)$", text,
                      re.MULTILINE)
    assert found, f"the profile has no table {figure}"
    return {"in-tree": float(found[1]), "ours": float(found[2])}


def test_no_row_of_a_short_benchmark_is_slower_than_the_committed_row() -> None:
    label = measured_label()
    run(SCRIPTS / "bench", "--short", env=without_settings(KERNELS=label)).expect(
        0, rf"^compared with Documentation/bench/{re.escape(label)}\.json: ")
    figures = short_figures(label)
    missing = [row for row in MEASURED
               if not any(re.fullmatch(row, figure) for figure in figures)]
    assert not missing


def test_the_profile_has_as_many_instructions_as_the_clock_counts() -> None:
    label = measured_label()
    setting = without_settings(KERNELS=label)
    if not (RESULTS / f"{label}-short.json").exists():
        run(SCRIPTS / "bench", "--short", env=setting)
    run(SCRIPTS / "bench", "--profile", env=setting).expect(0, "-profile.txt$")
    page = label.rpartition("-")[2]
    for name in (f"map.{page}-1-level.1g.scattered", f"map.{page}-1-level.1-tce.scattered"):
        of_clock = short_figures(label)[name]
        for driver, total in profiled(label, name).items():
            assert abs(total / of_clock[driver]["median"] - 1) < 0.02
