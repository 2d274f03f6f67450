# SPDX-License-Identifier: GPL-2.0-only
"""The states of hosts that the examples in the documents show, and the examples.

The reports in the directory reports are copies of build/clients/*.report. The run observers of
make check-clients has written them in the emulated POWER9.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tce2ctl_state import GIB, KIB, MIB, State, container, good_state, refusal

from lab.places import TOP

REPORTS = TOP / "tests" / "tce2ctl" / "reports"
PAGES = (TOP / "Documentation" / "tce2ctl.rst", TOP / "Documentation" / "troubleshooting.rst")
INDENT = "   "
LABEL = re.compile(r"\.\.  ?_([a-z0-9-]+):$")
PROMPT = re.compile(rf"{INDENT}[$#] ")
COMMAND = re.compile(rf"{INDENT}[$#] tce2ctl (.*)$")
DEVICE = "vfio-pci,host=0000:01:00.0"


def limits(soft: int) -> str:
    """Return /proc/PID/limits with a limit of locked memory."""
    return f"Max locked memory         {soft:<20} {soft:<20} bytes\n"


def running_guest(root: Path) -> State:
    """Return a host on which the limit of a guest is too low for its memory."""
    state = good_state(root)
    state.process(812, extra={
        "cmdline": "\0".join(("/usr/bin/qemu-system-ppc64", "-m", "8G", "-device", DEVICE, "")),
        "limits": limits(8 * GIB), "cgroup": "0::/system.slice/guest-one.service\n",
        "status": f"VmLck: {(8 * GIB - 3 * MIB) // KIB} kB\nCapEff: 0000000000000000\n"})
    state.debugfs("containers", container(
        charged=8 * GIB - 8 * MIB, locked=8 * GIB - 3 * MIB, refused=1))
    state.debugfs("refusals", refusal(age=3100, request="create"))
    return state


def made(make: Callable[[Path], State]) -> Callable[[Path], Path]:
    """Return a function that makes a state and returns its root."""
    return lambda root: make(root).root


def reported(name: str) -> Callable[[Path], Path]:
    """Return a function that returns a report of the emulated POWER9."""
    return lambda root: REPORTS / f"{name}.txt"


# The state of the examples after each label: a tree, or a report
STATES: dict[str, Callable[[Path], Path]] = {
    "tce2ctl-start": made(good_state),
    "tce2ctl-memlock": reported("memlock"),
    "tce2ctl-running": made(running_guest),
    "tce2ctl-in-tree": reported("in-tree"),
    "tce2ctl-full": reported("full"),
    "tce2ctl-upgrade": reported("upgrade"),
    "tce2ctl-report": made(good_state),
    "tce2ctl-metrics": made(good_state),
    "troubleshooting-start": made(good_state),
}


@dataclass(frozen=True)
class Example:
    """A command of a document, its output there, and the label of its section."""

    page: Path
    line: int
    label: str
    words: tuple[str, ...]
    output: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def examples_of(page: Path) -> Iterator[Example]:
    """Yield the commands of tce2ctl in the blocks of a page, with their output."""
    label = ""
    lines = [*page.read_text().splitlines(), ""]
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if found := LABEL.match(line):
            label = found[1]
        found = COMMAND.match(line)
        if not found:
            continue
        first = number
        while lines[number] == "" or lines[number].startswith(INDENT):
            if PROMPT.match(lines[number]) or number + 1 == len(lines):
                break
            number += 1
        output = [text.removeprefix(INDENT) for text in lines[first:number]]
        while output and not output[-1]:
            output.pop()
        yield Example(page, first, label, tuple(shlex.split(found[1])), tuple(output))


def examples() -> list[Example]:
    """Return the commands of tce2ctl in the documents."""
    return [example for page in PAGES for example in examples_of(page)]
