# SPDX-License-Identifier: GPL-2.0-only
"""Compare the differences in Documentation/client.rst with Documentation/differences.rst."""

from __future__ import annotations

import re

from lab.places import TOP

CLIENT = (TOP / "Documentation/client.rst").read_text()
DIFFERENCES = (TOP / "Documentation/differences.rst").read_text()


def ids_of_rows(page: str) -> list[str]:
    """Return the ids of differences at the start of table rows, in the order of the page."""
    return re.findall(r"^([MRWGK][0-9]+) +\S", page, re.MULTILINE)


def test_client_rst_lists_the_differences_of_differences_rst_in_order() -> None:
    assert len(ids_of_rows(DIFFERENCES)) > 50
    assert ids_of_rows(CLIENT) == ids_of_rows(DIFFERENCES)


def test_each_difference_named_in_client_rst_exists() -> None:
    named = set(re.findall(r"\b[MRWGK][0-9]+\b", CLIENT))
    assert not named - set(ids_of_rows(DIFFERENCES))
