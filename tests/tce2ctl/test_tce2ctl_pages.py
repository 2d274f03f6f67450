# SPDX-License-Identifier: GPL-2.0-only
"""Test that the manual page and the completion of tce2ctl have each command and option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tce2ctl_tool import TOOL, tce2ctl

from lab.places import TOP
from runner.command import run

pytest_plugins = ["tce2ctl_fixtures"]

PAGE = TOP / "tools" / "tce2ctl" / "tce2ctl.8"
COMPLETION = TOP / "tools" / "tce2ctl" / "tce2ctl.bash"


@pytest.fixture(name="usage")
def read_usage(programs: None) -> str:
    """Return the usage of the tool."""
    del programs
    return tce2ctl("--help").text


def commands(usage: str) -> list[str]:
    """Return the commands in the usage."""
    return list(dict.fromkeys(re.findall(r"^  ([a-z]+) ", usage, re.MULTILINE)))


def options(usage: str) -> set[str]:
    """Return the long options in the usage."""
    return set(re.findall(r"--[a-z-]+", usage))


def test_the_manual_page_has_each_command_and_no_other(usage: str) -> None:
    section = PAGE.read_text().split(".Ss Commands")[1].split(".Sh JSON")[0]
    found = re.findall(r"^\.It Cm ([a-z]+)", section, re.MULTILINE)
    assert list(dict.fromkeys(found)) == commands(usage)


def test_the_manual_page_has_each_option(usage: str) -> None:
    page = PAGE.read_text().replace("\\-", "-")
    missing = [option for option in options(usage) if f"Fl {option[1:]}" not in page]
    assert not missing


def completed(*words: str) -> list[str]:
    """Return the completions of the last word of a command line."""
    line = " ".join(["COMP_WORDS=(", str(TOOL), *(f"'{word}'" for word in words), ")"])
    script = f'. {COMPLETION}\n{line}\nCOMP_CWORD={len(words)}\n_tce2ctl\n' \
        'printf "%s\\n" "${COMPREPLY[@]}"'
    return run("bash", "-c", script).expect(0).output.split()


def test_the_completion_offers_each_command(usage: str) -> None:
    assert list(dict.fromkeys(completed(""))) == commands(usage)
    assert completed("sta") == ["status"]


@pytest.mark.parametrize("option", ["--root", "-r", "--from", "-f", "--output", "-o", "--svg"])
def test_the_completion_offers_files_after_an_option_for_a_file(option: str, programs: None,
                                                                work: Path) -> None:
    del programs
    (work / "a file").touch()
    start = f"{work}/a"
    assert completed("map", option, start) == [f"{work}/a", "file"]
    if option.startswith("--"):
        assert completed("map", option, "=", start) == [f"{work}/a", "file"]


def test_the_completion_offers_words_and_processes(programs: None) -> None:
    del programs
    assert completed("map", "--color", "") == ["auto", "always", "never"]
    assert completed("map", "--color", "=") == ["auto", "always", "never"]
    assert completed("explain", "1")[0].startswith("1")
    assert "--guest" in completed("explain", "--")


def test_the_completion_offers_each_option(usage: str) -> None:
    assert set(completed("--")) == options(usage)


def test_the_page_about_tracepoints_has_each_event_with_its_fields() -> None:
    header = (TOP / "include" / "tce2_trace.h").read_text()
    page = (TOP / "Documentation" / "tracepoints.rst").read_text()
    table = re.split(r"^=+  =+$", page, flags=re.MULTILINE)[2]
    rows = re.split(r"^``", table, flags=re.MULTILINE)
    found = {row.split("``")[0]: row for row in rows}
    for event, body in re.findall(r"^TRACE_EVENT_FN\((\w+),(.*?)^\);", header, re.S | re.M):
        fields = re.findall(r"__(?:field|string|array)\([^,]+, (\w+)", body)
        assert fields, event
        assert not [field for field in fields if f"``{field}``" not in found[event]], event
    assert re.findall(r"DEFINE_EVENT_FN\(\w+, (\w+)", header) == [
        "tce2_register", "tce2_unregister"]
