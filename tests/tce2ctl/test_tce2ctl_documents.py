# SPDX-License-Identifier: GPL-2.0-only
"""Test that the documents show the real output of tce2ctl."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tce2ctl_documents import PAGES, STATES, Example, examples, examples_of
from tce2ctl_tool import tce2ctl

pytest_plugins = ["tce2ctl_fixtures"]

# Stands for text or lines that an example leaves out
OMITTED = "[...]"


def matches(shown: str, real: str) -> bool:
    """Check that an example is the real output; OMITTED stands for any text."""
    pattern = re.escape(shown).replace(re.escape(OMITTED), ".*")
    return re.fullmatch(pattern, real, re.DOTALL) is not None


@pytest.mark.parametrize("example", examples(), ids=str)
def test_the_output_in_the_documents_is_real(example: Example, programs: None, work: Path) -> None:
    del programs
    state = STATES[example.label](work / "root")
    words = [str(work / word) if word.endswith((".svg", ".prom", ".txt")) else word
             for word in example.words]
    said = tce2ctl("--from", state, *words)
    shown, real = "\n".join(example.output), said.text.rstrip("\n")
    assert matches(shown, real), f"the real output is\n{real}"


def test_each_page_has_examples() -> None:
    for page in PAGES:
        assert list(examples_of(page)), page


@pytest.mark.parametrize(("shown", "real", "is_equal"), [
    ("a\nb", "a\nb", True), ("a [...]\nc", "a b\nc", True), ("a\n[...]\nd", "a\nb\nc\nd", True),
    ("a", "a\nb", False), ("a.", "ab", False), ("a\nb", "a", False),
])
def test_only_the_real_output_matches(shown: str, real: str, is_equal: bool) -> None:
    assert matches(shown, real) == is_equal
