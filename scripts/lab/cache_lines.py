# SPDX-License-Identifier: GPL-2.0-only
"""Find the cache lines that two processors share, from the counts of QEMU's plugin.

A line is shared if each request of one processor stores to it, and each request of another
processor loads from it or stores to it. On a real machine such a line moves between the caches
of the processors at each request. A line counts only if one instruction of each processor uses
it in at least half of the processor's requests. The timer's interrupt writes to the kernel's
clock so often, because the counted guest is slow; lines of the clock do not count. Calls profile.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .places import LabError
from .profile import Counts, Phase

# The least accesses of a processor to a line that count, per request
REQUESTS = 0.5
# Two addresses of the kernel are in one cache line of POWER if they agree except for 7 bits
LINE_SHIFT = 7
# The functions that read the clock, or that run in the timer's interrupt
CLOCK = re.compile(r"^(ktime_get|timekeeping|hrtimer|__hrtimer|tick_|update_wall|update_fast)")


@dataclass
class Line:
    """A cache line: the accesses of each processor, and the functions that make them.

    stores and uses have the accesses of the instruction that accesses the line most often.
    """

    address: int
    stores: Counter[int] = field(default_factory=Counter)
    uses: Counter[int] = field(default_factory=Counter)
    loading: Counter[str] = field(default_factory=Counter)
    storing: Counter[str] = field(default_factory=Counter)

    def add(self, cpu: int, function: str, count: int, is_store: bool) -> None:
        """Add the accesses of an instruction."""
        (self.storing if is_store else self.loading)[function] += count
        self.uses[cpu] = max(self.uses[cpu], count)
        if is_store:
            self.stores[cpu] = max(self.stores[cpu], count)

    def is_of_the_clock(self) -> bool:
        """Check that a function of the clock uses the line."""
        return any(CLOCK.match(name) for name in (*self.loading, *self.storing))

    def is_shared(self, least: float) -> bool:
        """Check that a processor stores to the line and that another processor uses it."""
        return not self.is_of_the_clock() and any(
            self.stores[storing] >= least and storing != using and self.uses[using] >= least
            for storing in self.stores for using in self.uses)

    def is_written_by_two(self, least: float) -> bool:
        """Check that two processors store to the line."""
        return sum(stores >= least for stores in self.stores.values()) > 1


def lines_of(phase: Phase, counts: Counts) -> list[Line]:
    """Return the shared lines of a phase."""
    lines: dict[int, Line] = {}
    for accesses, is_store in ((counts.loads, False), (counts.stores, True)):
        for (cpu, pc, number), count in accesses.items():
            line = lines.setdefault(number, Line(number << LINE_SHIFT))
            line.add(cpu, phase.symbols.name(pc), count, is_store)
    least = REQUESTS * phase.units
    return sorted((line for line in lines.values() if line.is_shared(least)),
                  key=lambda line: (-line.storing.total(), line.address))


def _functions(functions: Counter[str], requests: float) -> str:
    return ", ".join(f"{name} {count / requests:.1f}" for name, count in functions.most_common()
                     if count / requests >= REQUESTS / 2)


def line_table(phase: Phase, lines: Sequence[Line]) -> Iterator[str]:
    """Yield the shared lines of a phase, with the accesses of both processors per request."""
    requests = 2 * phase.units
    written = sum(line.is_written_by_two(REQUESTS * phase.units) for line in lines)
    yield (f"{phase.figure}, {phase.backend}: {len(lines)} shared cache lines, "
           f"{written} of these written by both processors")
    for line in lines:
        yield f"    stores {_functions(line.storing, requests)}"
        if loads := _functions(line.loading, requests):
            yield f"    loads  {loads}"
        yield ""
    if not lines:
        yield ""


def value_line(phase: Phase, lines: Sequence[Line]) -> str:
    """Return the number of shared lines in the format of tce2-bench."""
    return (f'BENCH: {{"figure": "{phase.figure}", "backend": "{phase.backend}", '
            f'"unit": "shared cache lines", "value": {len(lines)}}}')


def shared_lines(phases: Sequence[Phase], counts: Mapping[int, Counts]) -> Iterator[str]:
    """Yield the value of each phase, then the tables."""
    found: dict[int, list[Line]] = defaultdict(list)
    for phase in phases:
        if not (of_phase := counts.get(phase.number)) or not of_phase.stores:
            raise LabError(f"the plugin has counted nothing in phase {phase.number}")
        found[phase.number] = lines_of(phase, of_phase)
        yield value_line(phase, found[phase.number])
    for phase in phases:
        yield from line_table(phase, found[phase.number])
