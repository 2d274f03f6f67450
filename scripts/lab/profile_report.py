# SPDX-License-Identifier: GPL-2.0-only
"""Print the tables of a profile.

Calls profile, cache_lines, labels and places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from . import labels
from .cache_lines import shared_lines
from .places import LabError
from .profile import (Counts, Phase, build, kernel_functions, profile_tables, read_counts,
                      read_phases)

USAGE = "usage: scripts/bench-profile [functions|totals|lines LABEL CONSOLE COUNTS]"


def totals(phases: Sequence[Phase], counts: Mapping[int, Counts]) -> Iterator[str]:
    """Yield the instructions of each phase in the format of tce2-bench."""
    for phase in phases:
        if not (found := counts.get(phase.number)) or not found.insns:
            raise LabError(f"the plugin has counted nothing in phase {phase.number}")
        yield (f'BENCH: {{"figure": "{phase.figure}", "backend": "{phase.backend}", '
               f'"unit": "instructions per {phase.unit}, with waiting", '
               f'"value": {found.insns.total() / phase.units:.2f}}}')


REPORTS: dict[str, Callable[[Sequence[Phase], Mapping[int, Counts]], Iterator[str]]] = {
    "functions": profile_tables,
    "totals": totals,
    "lines": shared_lines,
}


def main(arguments: Sequence[str]) -> None:
    """Run scripts/bench-profile."""
    if not arguments:
        print(build())
        return
    if len(arguments) != 4 or arguments[0] not in REPORTS:
        raise LabError(USAGE)
    report, name, console, counts = arguments
    phases = list(read_phases(Path(console).read_text(errors="replace"),
                              kernel_functions(labels.vmlinux(name))))
    if not phases:
        raise LabError(f"{console} names no phase")
    with open(counts, encoding="ascii") as lines:
        found = read_counts(lines)
    print("\n".join(REPORTS[report](phases, found)))
