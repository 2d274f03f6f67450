# SPDX-License-Identifier: GPL-2.0-only
"""Compare README and the pages for administrators with their sources.

The chart repeats figures of Documentation/bench, the session repeats output of `make demo`,
and Documentation/troubleshooting.rst quotes messages of the module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from math import log2
from typing import Any, NamedTuple

import pytest

from lab.places import TOP

BENCH = "Documentation/bench/6.12-64k.json"
TROUBLESHOOTING = "Documentation/troubleshooting.rst"
MOST_LINES = 30
# The line that marks omitted lines of the session
GAP = "[...]"

# The rows of the chart: label and figure
CHART = {
    "map 1 GiB of hugepages, per TCE": "map.64k-1-level.1g.hugetlb-1g",
    "unmap 1 GiB of hugepages, per TCE": "unmap.64k-1-level.1g.hugetlb-1g",
    "map 1 GiB of scattered pages, per TCE": "map.64k-1-level.1g.scattered",
    "map one TCE": "map.64k-1-level.1-tce.hugetlb-1g",
    "unmap one TCE": "unmap.64k-1-level.1-tce.hugetlb-1g",
    "map one TCE beside 8192 regions": "map.one-tce.8192-regions.middle",
    "register 1 GiB of hugepages, per page": "cache.register.hugetlb-1g",
    "register 1 GiB, scattered, per page": "cache.register.scattered",
    "unregister 1 GiB, scattered, per page": "cache.unregister-total.scattered",
    "create a window of 256 TiB": "window.create.256t",
    "remove a window of 256 TiB": "window.remove.256t",
    "KVM: H_PUT_TCE that maps": "kvm.put-map.64k",
    "KVM: H_STUFF_TCE that unmaps, per TCE": "kvm.stuff-unmap.64k",
    "look up in real mode, 1 region": "realmode.translate.1-regions",
}


def bar(ratio: float) -> str:
    """Return one mark for each factor of 2 that this module is better by."""
    if ratio < 0.9:
        return "(more)"
    if ratio < 1.1:
        return "(equal)"
    return "#" * max(1, round(log2(ratio)))


def amount(value: float) -> str:
    """Return a number of instructions as the chart prints it."""
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def row(label: str, figure: dict[str, Any]) -> str:
    """Return the row of the chart for a figure."""
    intree, ours = figure["in-tree"]["median"], figure["ours"]["median"]
    ratio = intree / ours
    times = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    return f"\t{label:38} {amount(intree):>11} {amount(ours):>9} {times:>5}  {bar(ratio)}"


def section(heading: str) -> list[str]:
    """Return the lines of a section of README, without its heading."""
    parts = re.split(r"^(.+)\n-+\n", (TOP / "README").read_text(), flags=re.MULTILINE)
    texts: dict[str, str] = dict(zip(parts[1::2], parts[2::2], strict=True))
    return texts[heading].strip("\n").split("\n")


def test_chart_of_readme_has_the_figures_of_the_benchmark() -> None:
    figures = {each["figure"]: each for each in json.loads((TOP / BENCH).read_text())["figures"]}
    expected = [row(label, figures[name]) for label, name in CHART.items()]
    shown = [line for line in section("How fast is it?") if line.startswith("\t")]
    assert shown[1:] == expected


class Line(NamedTuple):
    """A line that `make demo` prints: its text with "*" for each variable part."""

    text: str
    repeats: bool = False


def lines_of_guest() -> Iterator[Line]:
    """Return the lines that the guest prints, in their order."""
    source = (TOP / "tests/guest/demo.c").read_text()
    for name, value in re.findall(r'#define (\w+_MODULE)\s+"(.*)"',
                                  (TOP / "tests/guest/machine.h").read_text()):
        source = re.sub(rf"\b{name}\b", f'"{value}"', source)
    source = re.sub(r'"\s*"', "", source)
    bodies: dict[str, str] = dict(re.findall(r"^\w.*?\b(\w+)\([^()]*\)\n\{\n(.*?)^\}", source,
                                             re.MULTILINE | re.DOTALL))

    def lines(name: str) -> Iterator[Line]:
        for loop, text, callee in re.findall(r'(\bfor \(.*\n\s+)?\bsay\("([^"]*)"|\b(\w+)\(',
                                             bodies[name]):
            if text:
                yield Line(re.sub(r"%[#l]*[a-z]", "*", text), bool(loop))
            elif callee in bodies:
                yield from lines(callee)

    yield from lines("main")


def lines_of_demo() -> Iterator[Line]:
    """Return the lines that a successful `make demo` prints, in their order."""
    yield from map(Line, ("host tools: *", "building the module for *", "built build/*"))
    for command in re.findall(r'^\s*(show_guest .*|say ".*")$', (TOP / "scripts/demo").read_text(),
                              re.MULTILINE):
        if command.startswith("show_guest"):
            yield from lines_of_guest()
            continue
        text, before = command.removeprefix('say "').removesuffix('"'), ""
        while text != before:
            text, before = re.sub(r"\$\([^()]*\)|\$\w+", "*", text), text
        if "FAILED" not in text:
            yield Line(text)


@cache
def agree(one: str, other: str) -> bool:
    """Return true if a text fits both patterns, in which "*" is any text."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return agree(one[1:], other) or agree(one, other[1:])
    if other[0] == "*":
        return agree(other, one)
    return one[0] == other[0] and agree(one[1:], other[1:])


def complaints(session: list[str]) -> Iterator[str]:
    """Compare a session with the lines of the demo: complain of wrong lines and unmarked gaps."""
    expected = list(lines_of_demo())
    position, gap = 0, False
    for shown in session:
        if shown == GAP:
            gap = True
            continue
        found = re.fullmatch(r"\[ *[0-9]+s\] (.*)", shown)
        pattern = re.sub(r" ?\[\.\.\.\]", "*", found[1]) if found else shown
        if (position and not gap and expected[position - 1].repeats
                and agree(pattern, expected[position - 1].text)):
            continue
        at = next((number for number, line in enumerate(expected[position:], position)
                   if agree(pattern, line.text)), None)
        if at is None:
            yield f"no line of the demo at this place: {shown}"
            continue
        if at > position and not gap:
            yield f"omitted without {GAP}: {expected[position].text}"
        if at == position and gap:
            yield f"{GAP} omits no line before: {shown}"
        position, gap = at + 1, False
    if position < len(expected) and not gap:
        yield f"omitted without {GAP}: {expected[position].text}"


def session_of_readme() -> list[str]:
    """Return the output of `make demo` that README shows."""
    shown = "\n".join(section("See it work"))
    found = re.search(r"^\t\$ make demo\n((?:\t.*\n?)+)", shown, re.MULTILINE)
    assert found, "README has no session"
    return found[1].replace("\t", "").splitlines()


def test_session_of_readme_has_the_lines_of_the_demo_in_order() -> None:
    assert not list(complaints(session_of_readme()))


def test_times_in_the_session_of_readme_never_decrease() -> None:
    times = [int(time) for time in re.findall(r"^\[ *([0-9]+)s\]", "\n".join(session_of_readme()),
                                              re.MULTILINE)]
    assert times and times == sorted(times)


# Changes of the session, and the complaint that each must cause
BROKEN: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "a_line_removed": (lambda lines: lines[:-2] + lines[-1:], f"omitted without {GAP}: "),
    "the_last_line_removed": (lambda lines: lines[:-1], f"omitted without {GAP}: "),
    "the_first_mark_removed": (lambda lines: lines[1:], f"omitted without {GAP}: "),
    "a_mark_added": (lambda lines: [*lines[:-1], GAP, lines[-1]], f"{GAP} omits no line"),
    "two_lines_exchanged": (lambda lines: [*lines[:-2], lines[-1], lines[-2]],
                            "no line of the demo"),
    "a_line_twice": (lambda lines: [*lines, lines[-1]], "no line of the demo"),
    "another_word": (lambda lines: [*lines[:-1], lines[-1].replace("proven", "seen")],
                     "no line of the demo"),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_changed_session_of_readme_is_refused(
        change: tuple[Callable[[list[str]], list[str]], str]) -> None:
    make, complaint = change
    assert any(each.startswith(complaint) for each in complaints(make(session_of_readme())))


@pytest.mark.parametrize("heading", re.findall(r"^(.+)\n-+\n", (TOP / "README").read_text(),
                                               re.MULTILINE))
def test_section_of_readme_fits_on_a_screen(heading: str) -> None:
    assert len(section(heading)) <= MOST_LINES


def messages() -> Iterator[str]:
    """Return the messages of the module, except debug messages."""
    for file in sorted((TOP / "src").glob("*.c")):
        source = file.read_text()
        for name in re.findall(r'#define (IN_TREE_BACKEND)\s+"', source):
            source = re.sub(rf"\b{name}\b(?!\s+\")", '"vfio_iommu_spapr_tce"', source)
        source = re.sub(r'"\s*"', "", source)
        yield from re.findall(r'\bpr_(?:err|warn|notice|info)\w*\(\s*"(.*?)\\n"', source)


@pytest.mark.parametrize("message", messages())
def test_message_of_the_module_is_explained(message: str) -> None:
    page = " ".join((TOP / TROUBLESHOOTING).read_text().split())
    for piece in re.split(r"%[#l]*[a-z]", message):
        assert piece.strip() in page, f"{TROUBLESHOOTING} does not quote: {message}"
