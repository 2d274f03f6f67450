# SPDX-License-Identifier: GPL-2.0-only
"""Compare the results of scripts/bench with the committed results.

A row is slower if all of these hold:

1. The value of this module is more than 2% higher than the committed value.
2. The smallest measured value is higher than the largest committed value. So rows whose values
   vary from turn to turn don't become slower by chance.
3. The ratio of this module's value to the in-tree driver's value of the same boot is more than
   2% higher than the committed ratio. To these 2% the change of the in-tree driver's value is
   added, in percent.

Fact 3 makes the comparison independent of the kernel and of QEMU. A new kernel may change the
cost of a system call or of pinning a page. Then both drivers' values change, by different
percentages, although no driver has changed. With the kernel and the QEMU of the committed
results the in-tree driver's value does not change, so 2% is the whole tolerance. A row without
a value of the in-tree driver is compared only if kernel and QEMU are the same. Calls places.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .places import TOP, LabError

USAGE = "usage: scripts/bench-compare MEASURED [COMMITTED]"
COMMITTED = TOP / "Documentation" / "bench"
# The tolerance, as a fraction
TOLERANCE = 0.02
# Units of values that depend on the speed of this machine
VARIES = re.compile("wall time|with waiting")
# Columns of the table of hypercalls that are parts of the column "all"
PART = re.compile(r"^hcalls\..*\.(put|get|indirect|stuff)$")
# Exit status if a row is slower
IS_SLOWER = 2
# The suffix of results that have only some rows of the committed results
SHORT = "-short"


@dataclass(frozen=True)
class Value:
    """A value of a backend: the median, smallest and largest value."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Row:
    """A row of results. A value is None if the call was refused or not made."""

    ours: Value | None
    in_tree: Value | None
    refusal: str


@dataclass(frozen=True)
class Results:
    """A file of results. setting is the kernel and the QEMU of the measurement."""

    setting: tuple[str, str]
    rows: dict[str, Row]


@dataclass(frozen=True)
class Change:
    """A row whose value has changed. by is the change as a fraction, or 0 for a refusal."""

    kind: str
    figure: str
    by: float
    text: str


def _value(of: dict[str, Any] | None) -> Value | None:
    if not of or "median" not in of:
        return None
    return Value(of["median"], of["min"], of["max"])


def _row(figure: dict[str, Any]) -> Row:
    ours = figure["ours"] or {}
    return Row(_value(figure["ours"]), _value(figure["in-tree"]), ours.get("refused", ""))


def read(file: Path) -> Results:
    """Read a file of results.

    Rows without a backend are left out, and rows that depend on the speed of this machine.
    So are the counts of one kind of hypercall: one kind may replace another.
    """
    try:
        found = json.loads(file.read_text())
        return Results((found["kernel"], found["qemu"]),
                       {figure["figure"]: _row(figure) for figure in found["figures"]
                        if "ours" in figure and not VARIES.search(figure["unit"])
                        and not PART.match(figure["figure"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{file} has no results of scripts/bench: {error!r}") from None


def _relative(new: Value, old: Value) -> float:
    """Return the change of a median as a fraction."""
    if new.median == old.median:
        return 0.0
    return new.median / old.median - 1 if old.median else math.inf


def _kind(old: Row, new: Row, is_same_setting: bool) -> str:
    """Return "slower", "faster", or "" for a row that has a value in both results."""
    assert old.ours and new.ours
    by = ratio = _relative(new.ours, old.ours)
    tolerance = TOLERANCE
    if old.in_tree and new.in_tree and old.in_tree.median and new.in_tree.median:
        in_tree = _relative(new.in_tree, old.in_tree)
        ratio = (1 + by) / (1 + in_tree) - 1
        tolerance += abs(in_tree)
    elif not is_same_setting:
        return ""
    if by > TOLERANCE and ratio > tolerance and new.ours.least > old.ours.most:
        return "slower"
    if by < -TOLERANCE and ratio < -tolerance and new.ours.most < old.ours.least:
        return "faster"
    return ""


def _number(value: Value | None) -> str:
    if value is None:
        return "-"
    return f"{value.median:.0f}" if value.median >= 1000 else f"{value.median:.3g}"


def changes(old: Results, new: Results) -> Iterator[Change]:
    """Yield the rows of both results that have become slower or faster, or that are refused."""
    for figure, row in new.rows.items():
        before = old.rows.get(figure)
        if not before or not before.ours:
            continue
        if not row.ours:
            yield Change("refused", figure, 0.0, row.refusal or "no value")
        elif kind := _kind(before, row, old.setting == new.setting):
            by = _relative(row.ours, before.ours)
            yield Change(kind, figure, by,
                         f"{by:+.1%}: {_number(before.ours)} -> {_number(row.ours)}; in-tree "
                         f"{_number(before.in_tree)} -> {_number(row.in_tree)}")


def committed_file(measured: Path) -> Path:
    """Return the committed results that belong to a file of results."""
    return COMMITTED / f"{measured.stem.removesuffix(SHORT)}.json"


def report(old: Results, new: Results, name: str) -> int:
    """Print the changed rows; return the exit status."""
    both = [figure for figure in new.rows if figure in old.rows]
    if not both:
        raise LabError(f"no row of the results is in {name}")
    rows = "1 row" if len(both) == 1 else f"{len(both)} rows"
    print(f"compared with {name}: {rows}, tolerance {TOLERANCE:.0%}")
    if old.setting != new.setting:
        print(f"    committed with kernel {old.setting[0]}, QEMU {old.setting[1]}: "
              "comparing ratios to the in-tree driver")
    found = sorted(changes(old, new), key=lambda change: -abs(change.by))
    for kind in ("refused", "slower", "faster"):
        for change in found:
            if change.kind == kind:
                print(f"    {kind:<8} {change.figure}: {change.text}")
    slower = sum(change.kind != "faster" for change in found)
    print(f"    {slower} slower or refused, {len(found) - slower} faster")
    return IS_SLOWER if slower else 0


def main(arguments: Sequence[str]) -> int:
    """Run scripts/bench-compare."""
    if len(arguments) not in (1, 2):
        raise LabError(USAGE)
    measured = Path(arguments[0])
    committed = Path(arguments[1]) if len(arguments) == 2 else committed_file(measured)
    name = committed.relative_to(TOP) if committed.is_relative_to(TOP) else committed
    return report(read(committed), read(measured), str(name))
