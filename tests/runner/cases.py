# SPDX-License-Identifier: GPL-2.0-only
"""The cases that the C sources define.

TEST(name, .member = value...) is both a test and its registration, so the sources say
which cases there are before anything is built.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TEST = re.compile(r'^TEST\(\s*(\w+)((?:"(?:[^"\\]|\\.)*"|[^()"])*)\)\s*\{', re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """A case: its name, its line in the source, and whether it is a race."""

    name: str
    line: int
    is_race: bool


def cases_of(source: Path) -> list[Case]:
    """Return the cases of a C source, in the order in which they run."""
    text = source.read_text()
    return [Case(found[1], text.count("\n", 0, found.start()) + 1, ".race" in found[2])
            for found in TEST.finditer(text)]
