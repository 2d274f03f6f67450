# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.docs: the output of kernel-doc becomes one manual page a function."""

from __future__ import annotations

from lab.docs import man_pages

PRINTED = """\
.TH "tce2_a" 9 "tce2_a" "January 2030" "Kernel Hacker's Manual" LINUX
.SH NAME
tce2_a \\- do a
.SH SYNOPSIS
.B "noinstr int" tce2_a
.TH "tce2_b" 9 "tce2_b" "January 2030" "Kernel Hacker's Manual" LINUX
.SH NAME
tce2_b \\- do b
"""
TITLE = '.TH "{}" 9 "" "vfio_spapr_tce2" "Kernel API"\n.SH NAME\n'


def test_each_function_becomes_a_page() -> None:
    pages = man_pages(PRINTED)
    assert list(pages) == ["tce2_a", "tce2_b"]
    assert pages["tce2_b"] == TITLE.format("tce2_b") + "tce2_b \\- do b\n"


def synopsis(name: str) -> str:
    """Return the line after the heading SYNOPSIS in the page of a function."""
    return man_pages(PRINTED)[name].partition(".SH SYNOPSIS\n")[2].splitlines()[0]


def test_a_page_shows_no_attribute_of_the_compiler() -> None:
    assert synopsis("tce2_a") == '.B "int" tce2_a'


def test_no_output_makes_no_page() -> None:
    assert not man_pages("")
