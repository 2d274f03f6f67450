# SPDX-License-Identifier: GPL-2.0-only
"""Make tables of instructions by function.

Owns build/profile. QEMU's plugin (tests/profile/plugin.c) counts instructions by address. The
guest's console names the phases and the functions of modules (tests/guest/bench_profile.c).
Functions of the kernel are the symbols of its vmlinux. Calls command and places.
"""

from __future__ import annotations

import bisect
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .command import CROSS, call, locked, output_of
from .places import BUILD, LOGS, TOP, LabError

SOURCES = TOP / "tests" / "profile"
PLUGIN = BUILD / "profile" / "plugin.so"
COMPILER = ("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
            "-fvisibility=hidden", "-pthread")
# Addresses of the firmware (skiboot), and the first address of the kernel
FIRMWARE = range(0x30000000, 0x40000000)
KERNEL = 0xc000000000000000
# Functions with a smaller part of a phase's instructions, or with fewer instructions per unit,
# are one row of a table
SMALL = 0.005
FEW = 0.1
BACKENDS = ("in-tree", "ours")
# The groups of the first table of a phase: regular expressions of names "function [module]"
GROUPS = (
    ("program", r"\[user\]"),
    ("firmware", r"\[firmware\]"),
    ("driver", r"\[vfio_(spapr_tce2|iommu_spapr_tce)\]"),
    ("VFIO's core", r"\[vfio"),
    ("system call entry and exit", r"^(system_call|syscall|interrupt_exit|exc_|sys_ioctl)|"
                                   r"scv_(entry_)?flush|entry_flush"),
    ("copy from and to the user", r"copy_(from|to|tofrom)_user|copypage|copyuser|"
                                  r"do_uaccess_flush|check_object|__check_heap"),
    ("file and LSM", r"security_|tomoyo|apparmor|landlock|fdget|fget|fput|vfs_|ioctl|"
                     r"bpf_lsm|file_"),
    ("TCE table and invalidation", r"iommu|tce|pnv_|opal|pseries|plpar|pSeries"),
    ("memory management", r"page|folio|gup|pmd|pud|pte|mm_|vma|follow_|(?<!s)pin_|radix|lru|"
                          r"account|mas_|mt_|memcg|mmap"),
    ("locks and preemption", r"lock|mutex|rwsem|down_|up_|preempt|rcu|refcount|sched|atomic"),
    ("allocation", r"alloc|kfree|slab|kmem"),
    ("other", r""),
)


@dataclass(frozen=True)
class Phase:
    """A phase of the guest: the number of calls, TCEs or pages, and the functions."""

    number: int
    figure: str
    backend: str
    unit: str
    units: float
    symbols: Symbols


class Symbols:
    """The functions of the kernel and of modules, by address."""

    def __init__(self, functions: Iterable[tuple[int, str]]) -> None:
        ordered = sorted(functions)
        self._addresses = [address for address, _ in ordered]
        self._names = [name for _, name in ordered]

    def name(self, address: int) -> str:
        """Return the name of the function at an address."""
        if address in FIRMWARE:
            return "[firmware]"
        if address < KERNEL:
            return "[user]"
        index = bisect.bisect_right(self._addresses, address) - 1
        return self._names[index] if index >= 0 else f"{address:x}"


@dataclass
class Counts:
    """The counts of a phase: instructions by vCPU and address; accesses also by cache line."""

    insns: Counter[tuple[int, int]] = field(default_factory=Counter)
    loads: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    stores: Counter[tuple[int, int, int]] = field(default_factory=Counter)


def build() -> Path:
    """Build the plugin unless it is up to date; return its file."""
    with locked(LOGS / "profile.lock", "building QEMU's plugin"):
        sources = sorted(SOURCES.glob("*.[ch]"))
        newest = max(source.stat().st_mtime_ns for source in sources)
        if not PLUGIN.exists() or PLUGIN.stat().st_mtime_ns < newest:
            PLUGIN.parent.mkdir(parents=True, exist_ok=True)
            new = PLUGIN.with_suffix(".new")
            if call(*COMPILER, "-o", new, SOURCES / "plugin.c"):
                raise LabError("tests/profile/plugin.c does not build")
            new.replace(PLUGIN)
    return PLUGIN


def kernel_functions(vmlinux: Path) -> list[tuple[int, str]]:
    """Return the functions of a kernel image."""
    lines = output_of(f"{CROSS}nm", str(vmlinux)).splitlines()
    return [(int(words[0], 16), words[2]) for words in map(str.split, lines)
            if len(words) == 3 and words[1] in "tTwW"]


def read_phases(console: str, kernel: Sequence[tuple[int, str]]) -> Iterator[Phase]:
    """Yield the phases that a guest's console names."""
    modules: list[tuple[int, str]] = []
    symbols: Symbols | None = None
    for line in console.splitlines():
        if line == "SYMBOLS: new":
            modules, symbols = [], None
        elif found := re.fullmatch(r"SYMBOL: ([0-9a-f]+) (\S+) (\S+)", line):
            modules.append((int(found[1], 16), f"{found[2]} [{found[3]}]"))
        elif line.startswith("PROFILE: "):
            symbols = symbols or Symbols([*kernel, *modules])
            of = json.loads(line.removeprefix("PROFILE: "))
            yield Phase(of["phase"], of["figure"], of["backend"], of["unit"], of["units"],
                        symbols)


def read_counts(lines: Iterable[str]) -> dict[int, Counts]:
    """Return the counts of each phase in the output of the plugin."""
    phases: dict[int, Counts] = {}
    counts = Counts()
    for line in lines:
        kind, *words = line.split()
        number = [int(word, 16) for word in words]
        if kind == "phase":
            counts = phases.setdefault(number[0], Counts())
        elif kind == "insn":
            counts.insns[number[0], number[1]] += number[2]
        else:
            of_kind = counts.stores if kind == "store" else counts.loads
            of_kind[number[0], number[1], number[2]] += number[3]
    return phases


def by_function(phase: Phase, counts: Counts) -> Counter[str]:
    """Return the instructions of a phase by function."""
    functions: Counter[str] = Counter()
    for (_, address), count in counts.insns.items():
        functions[phase.symbols.name(address)] += count
    return functions


def group_of(function: str) -> str:
    """Return the group of a function."""
    return next(group for group, pattern in GROUPS if re.search(pattern, function))


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 0.05 else "-"


def _rows(each: Mapping[str, Mapping[str, float]], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        cells = (_number(each[backend].get(name, 0)) if backend in each else ""
                 for backend in BACKENDS)
        yield f"    {name:<50} {' '.join(f'{cell:>10}' for cell in cells)}".rstrip()


def phase_table(figure: str, unit: str, each: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield a table of instructions per unit: by group, then by function.

    each has the instructions of each function for each backend.
    """
    total = {backend: sum(functions.values()) for backend, functions in each.items()}
    groups: dict[str, dict[str, float]] = {}
    large: list[str] = []
    for backend, functions in each.items():
        groups[backend] = {"total": total[backend]}
        for name, value in functions.items():
            group = group_of(name)
            groups[backend][group] = groups[backend].get(group, 0) + value
            if value >= max(FEW, SMALL * total[backend]) and name not in large:
                large.append(name)
    rest = {backend: {**functions, "(all smaller functions)":
                      total[backend] - sum(functions.get(name, 0) for name in large)}
            for backend, functions in each.items()}
    large.sort(key=lambda name: (-max(functions.get(name, 0) for functions in each.values()),
                                 name))
    yield f"{figure}: instructions per {unit}"
    yield ""
    yield f"    {'':<50} {' '.join(f'{backend:>10}' for backend in BACKENDS)}"
    yield from _rows(groups, ["total"])
    yield ""
    yield from _rows(groups, [group for group, _ in GROUPS
                              if any(groups[backend].get(group) for backend in groups)])
    yield ""
    yield from _rows(rest, [*large, "(all smaller functions)"])
    yield ""


def profile_tables(phases: Sequence[Phase], counts: Mapping[int, Counts]) -> Iterator[str]:
    """Yield a table for each figure."""
    figures = list(dict.fromkeys((phase.figure, phase.unit) for phase in phases))
    for figure, unit in figures:
        each = {}
        for phase in phases:
            if phase.figure == figure:
                if not (found := counts.get(phase.number)) or not found.insns:
                    raise LabError(f"the plugin has counted nothing in phase {phase.number}")
                each[phase.backend] = {name: count / phase.units for name, count
                                       in by_function(phase, found).items()}
        yield from phase_table(figure, unit, each)
