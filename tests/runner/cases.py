# SPDX-License-Identifier: GPL-2.0-only
"""Find the test cases that the C sources define.

The macros TEST(name, .member = value...) and TEST_F(fixture, name, .member = value...) define
a test and register it. So the sources list all cases, even before the first build.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TEST = re.compile(
    r'^TEST(?:_F\(\s*\w+,|\()\s*(\w+)((?:"(?:[^"\\]|\\.)*"|[^()"])*)\)\s*\{', re.MULTILINE)
INTREE = re.compile(r'\.intree = (?:"((?:[^"\\]|\\.)*)"|(\w+))')


@dataclass(frozen=True)
class Case:
    """A case: its name, its line in the source, and a flag for races.

    intree is the reason why the in-tree driver fails the case, or the name of a macro that
    expands to the reason. intree is empty if the in-tree driver passes.
    """

    name: str
    line: int
    is_race: bool
    intree: str = ""


def cases_of(source: Path) -> list[Case]:
    """Return the cases of a C source, in the order in which they run."""
    text = source.read_text()
    return [_case(found, text.count("\n", 0, found.start()) + 1)
            for found in TEST.finditer(text)]


def _case(found: re.Match[str], line: int) -> Case:
    intree = INTREE.search(found[2])
    why = intree[1] or intree[2] if intree else ""
    return Case(found[1], line, ".race" in found[2], why)
