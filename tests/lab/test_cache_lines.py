# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.cache_lines: the cache lines that two processors share."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.cache_lines import shared_lines
from lab.places import LabError
from lab.profile import Phase, Symbols, read_counts

REQUESTS = 100
SYMBOLS = Symbols([(0xc000000000001000, "down_read"), (0xc000000000002000, "up_read"),
                   (0xc008000000001000, "tce2_window_map [vfio_spapr_tce2]")])
DOWN, UP, MAP = "c000000000001010", "c000000000002010", "c008000000001010"


def access(kind: str, cpu: int, place: str, line: int, count: int) -> str:
    """Return a line of the plugin's output."""
    return f"{kind} {cpu:x} {place} {line:x} {count:x}"


def found(accesses: Sequence[str]) -> list[str]:
    """Return the report of a phase with these accesses."""
    phase = Phase(1, "lines.map.leaves", "ours", "request", REQUESTS, SYMBOLS)
    return list(shared_lines([phase], read_counts(["phase 1", *accesses])))


@pytest.mark.parametrize(("accesses", "shared", "written"), [
    ((("store", 0, 100), ("store", 1, 100)), 1, 1),
    ((("store", 0, 100), ("load", 1, 100)), 1, 0),
    ((("load", 0, 100), ("store", 1, 100)), 1, 0),
    ((("load", 0, 100), ("load", 1, 100)), 0, 0),
    ((("load", 0, 100), ("store", 0, 100)), 0, 0),
    ((("store", 0, 100), ("store", 1, 49)), 0, 0),
    ((("store", 0, 49), ("load", 1, 100)), 0, 0),
    ((("store", 0, 50), ("store", 1, 50)), 1, 1),
    ((("store", 0, 100), ("load", 1, 30), ("store", 1, 30)), 0, 0),
], ids=["both_store", "first_stores", "second_stores", "both_load", "one_processor",
        "second_seldom", "first_seldom", "every_second_request", "two_instructions_seldom"])
def test_a_line_is_shared_if_one_processor_stores_and_the_other_uses_it(
        accesses: Sequence[tuple[str, int, int]], shared: int, written: int) -> None:
    report = found([access("store", 0, MAP, 9, 1),
                    *(access(kind, cpu, DOWN, 7, count) for kind, cpu, count in accesses)])
    assert report[0] == ('BENCH: {"figure": "lines.map.leaves", "backend": "ours", '
                         f'"unit": "shared cache lines", "value": {shared}}}')
    assert report[1] == (f"lines.map.leaves, ours: {shared} shared cache lines, "
                         f"{written} of these written by both processors")


def test_the_functions_of_a_shared_line_are_listed_with_accesses_per_request() -> None:
    report = found([access(kind, cpu, place, 7, 100)
                    for cpu in (0, 1)
                    for kind, place in (("store", DOWN), ("store", UP), ("load", MAP))])
    assert report[2:] == ["    stores down_read 1.0, up_read 1.0",
                          "    loads  tce2_window_map [vfio_spapr_tce2] 1.0", ""]


def test_lines_of_the_clock_are_not_shared() -> None:
    symbols = Symbols([(0xc000000000001000, "ktime_get"), (0xc000000000002000, "memcpy")])
    phase = Phase(1, "lines.map.leaves", "ours", "request", REQUESTS, symbols)
    counts = read_counts(["phase 1", access("load", 0, DOWN, 7, 100),
                          access("store", 1, UP, 7, 100)])
    assert list(shared_lines([phase], counts))[1].startswith("lines.map.leaves, ours: 0 ")


def test_accesses_of_different_lines_are_not_shared() -> None:
    report = found([access("store", 0, MAP, 7, 100), access("store", 1, MAP, 8, 100)])
    assert report[1].startswith("lines.map.leaves, ours: 0 shared cache lines")


def test_a_phase_without_stores_is_an_error() -> None:
    with pytest.raises(LabError, match="has counted nothing in phase 1"):
        found([access("load", 0, MAP, 7, 100)])
