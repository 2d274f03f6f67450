# SPDX-License-Identifier: GPL-2.0-only
"""Test a command of the documents in the way that its row of commands.txt names."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.command import without_settings
from lab.labels import DEFAULT_LABEL
from lab.places import BUILD, TOP
from runner.command import copy_sources, run

from docs_commands import Row, documented

WORK = BUILD / "tests" / "docs" / "fakes"
# Examples for the names that the reader replaces
PLACEHOLDERS = {"<label>": DEFAULT_LABEL, "LABEL": DEFAULT_LABEL, "<machine>": "powernv9",
                "<case>": "a_third_window_returns_enospc", "<suite>": "install"}
# Labels that the documents' reader has added
ADDED = ("mine", "6.12-debug", "7.2-debug")
# The scripts that fakes replace in the copy; each notes its name and its arguments
FAKED = (*(f"scripts/{name}" for name in (
    "hosttools", "kernel", "kernel-source", "module", "vm", "programs", "initramfs", "package",
    "debug-kernel", "clients", "rootfs", "bench", "release")), "tests/unit/fuzz")
FAKE = """#!/bin/sh
echo "${0##*/} $*" >>"$RECORD"
"""


def filled(command: str) -> str:
    """Return a command with its placeholders replaced."""
    for name, value in PLACEHOLDERS.items():
        command = re.sub(rf"(?<![\w<]){re.escape(name)}(?![\w>])", value, command)
    return command


def as_it_is(command: str, row: Row) -> None:
    """Run a command; its output must have a line that matches."""
    run("bash", "-c", filled(command)).expect(0, row.detail)


def only_listed(command: str, row: Row) -> None:
    """Run a command that starts tests, but let tests/run list the cases."""
    words = filled(command)
    if re.match(r"([A-Z_]+=\S* )*make\b", words):
        shown = run("bash", "-c", re.sub(r"(^| )make\b", r"\1make -s -n", words, 1)).expect(0)
        starts = [line for line in shown.output.splitlines() if "tests/run" in line]
    else:
        starts = [words]
    if not starts:
        pytest.fail(f"{command} starts no tests", pytrace=False)
    variables = re.findall(r"""\b[A-Z_]+=(?:"[^"]*"|'[^']*'|\S*)""", words)
    for each in starts:
        run("env", f"XDG_CACHE_HOME={WORK / 'list'}", "bash", "-c",
            f"export LC_ALL {' '.join(variables)}; {each} --collect-only").expect(
                0, row.detail or r"^[1-9][0-9]*(/[0-9]+)? tests? collected")


def with_fakes(command: str, row: Row) -> None:
    """Run a command in a copy, where fakes replace the programs that take minutes."""
    if not (WORK / "sources").exists():
        copy_sources(WORK / "sources")
        for name in FAKED:
            (WORK / "sources" / name).write_text(FAKE)
        kernel = WORK / "cache" / "vfio-spapr-tce2" / "kernels" / DEFAULT_LABEL
        kernel.mkdir(parents=True)
        (kernel / "release").write_text("6.12.0\n")
    record = WORK / "record"
    record.write_text("")
    run("bash", "-c", filled(command), cwd=WORK / "sources",
        env=without_settings(RECORD=str(record), KERNEL=DEFAULT_LABEL,
                             XDG_CACHE_HOME=str(WORK / "cache"))).expect(0)
    if not re.search(row.detail, record.read_text(), re.MULTILINE):
        pytest.fail(f"{command} does not start {row.detail}, but:\n{record.read_text()}",
                    pytrace=False)


def reached(file: Path, name: str) -> str | None:
    """Return the source of a function, and of each function of its file that it uses.

    A fixture is used by its name as an argument. Without this function, return None.
    """
    text = file.read_text()
    functions = {node.name: node for node in ast.walk(ast.parse(text))
                 if isinstance(node, ast.FunctionDef)}
    if name not in functions:
        return None
    found, left = {name}, [name]
    while left:
        for node in ast.walk(functions[left.pop()]):
            used = (node.id if isinstance(node, ast.Name) else
                    node.attr if isinstance(node, ast.Attribute) else
                    node.arg if isinstance(node, ast.arg) else "")
            if used in functions and used not in found:
                found.add(used)
                left.append(used)
    return "\n".join(ast.get_source_segment(text, functions[each]) or "" for each in found)


def by_a_test(command: str, row: Row) -> None:
    """Check that a test with this id exists, and that it or its helpers contain the text."""
    test, _, text = row.detail.partition(" ")
    path, _, name = test.partition("::")
    source = reached(TOP / path, name) if (TOP / path).exists() else None
    if source is None:
        pytest.fail(f"{command}: there is no test {test}", pytrace=False)
    elif not text or text not in source:
        pytest.fail(f"{command}: {test} does not contain {text}", pytrace=False)


def by_no_test(command: str, row: Row) -> None:
    """Check that each document with such a command contains the sentence of the row."""
    if len(row.detail.split()) < 3:
        pytest.fail(f"{command}: no reason why it is not tested", pytrace=False)
    for each in documented():
        if each.text == command and row.detail not in " ".join(each.file.read_text().split()):
            pytest.fail(f"{each}: the document does not contain: {row.detail}", pytrace=False)


WAYS: dict[str, Callable[[str, Row], None]] = {
    "run": as_it_is, "list": only_listed, "fake": with_fakes, "test": by_a_test,
    "none": by_no_test,
}


def prepare() -> None:
    """Remove the copy of an earlier run, and add the labels of the documents' reader.

    Threads list cases at the same time, so the labels are written before.
    """
    shutil.rmtree(WORK, ignore_errors=True)
    for name in ADDED:
        kernel = WORK / "list" / "vfio-spapr-tce2" / "kernels" / name
        kernel.mkdir(parents=True)
        (kernel / "label").write_text(f"{name}|-|-|-|run|asked\n")
