# SPDX-License-Identifier: GPL-2.0-only
"""The states of hosts that the examples in the documents show, and the examples."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tce2ctl_state import (CONTAINER, GIB, KIB, MIB, State, big_window, container, good_state,
                           mapping, record, refusal, region, window)

from lab.places import TOP

PAGES = (TOP / "Documentation" / "tce2ctl.rst", TOP / "Documentation" / "troubleshooting.rst")
INDENT = "   "
LABEL = re.compile(r"\.\.  ?_([a-z0-9-]+):$")
PROMPT = re.compile(rf"{INDENT}[$#] ")
COMMAND = re.compile(rf"{INDENT}[$#] tce2ctl (.*)$")
DEVICE = "vfio-pci,host=0000:01:00.0"


def limits(soft: int) -> str:
    """Return /proc/PID/limits with a limit of locked memory."""
    return f"Max locked memory         {soft:<20} {soft:<20} bytes\n"


def ended_guest(root: Path) -> State:
    """Return a host on which a guest has ended after REGISTER_MEMORY failed."""
    state = good_state(root)
    state.show(refusals=[refusal(7, 2, age=12400, pid=2290, released=1)])
    shutil.rmtree(state.root / "proc/812")
    return state


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


def other_backend(root: Path) -> State:
    """Return a host on which DPDK fell through to the in-tree driver."""
    state = good_state(root)
    state.load_in_tree(1)
    state.process(1544, b"dpdk-testpmd", [CONTAINER, "/dev/vfio/4"])
    state.debugfs("refusals", refusal(
        2, request="attach", errno=22, rule="cannot-share", pid=1544, comm=b"dpdk-testpmd",
        text=b"the group cannot share TCE tables with the groups of the container", released=1))
    return state


def upgraded(root: Path) -> State:
    """Return a host on which a module was upgraded on disk, but not loaded."""
    state = good_state(root)
    state.install("0.2.0", "BBBB")
    return state


def nearly_full(root: Path) -> State:
    """Return a host on which a window is nearly full."""
    state = good_state(root)
    state.debugfs("windows", window(mapped=245760), big_window())
    state.debugfs("mappings", mapping(iova="0x0", size=896 * MIB),
                  mapping(iova="0x3c000000", size=64 * MIB),
                  mapping(slot=1, iova="0x800000000000000", size=2 * GIB))
    state.debugfs("regions", region(), region(ua=0x7ffe00000000, size=16 * MIB, extents=256,
                                              page=64 * KIB, mapped=0))
    state.debugfs("groups", record(container=1, group=3, devices="0000:01:00.0"))
    return state


# The state of the examples after each label
STATES: dict[str, Callable[[Path], State]] = {
    "tce2ctl-start": good_state,
    "tce2ctl-memlock": ended_guest,
    "tce2ctl-running": running_guest,
    "tce2ctl-in-tree": other_backend,
    "tce2ctl-full": nearly_full,
    "tce2ctl-upgrade": upgraded,
    "tce2ctl-report": good_state,
    "tce2ctl-metrics": good_state,
    "troubleshooting-start": good_state,
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
