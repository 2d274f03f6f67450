# SPDX-License-Identifier: GPL-2.0-only
"""Compare Documentation/evidence.rst with the documented claims and with the tests.

Each row of Documentation/differences.rst and each promise of Documentation/security.rst
has an id. Each id must have an entry in evidence.rst. The entry names the tests of the row or
promise, or gives the reason why it has no test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.places import TOP, LabError

from .cases import Case, cases_of

DIFFERENCES = "Documentation/differences.rst"
SECURITY = "Documentation/security.rst"
EVIDENCE = "Documentation/evidence.rst"
INTENDED = "tests/guest/differ_intended.c"

BORDER = re.compile(r"=+ +=")
HEADING = re.compile(r"=+$")
# Names of TAP cases: the argument of tap() or judge() in guest programs
TAP = re.compile(r'\b(?:tap|judge)\("([^"\n]+)"')
# The name of a test, in a program that has only one test
PROGRAM = re.compile(r'^\t"([a-z0-9]+_[a-z0-9_]+)";$', re.MULTILINE)
FUNCTION = re.compile(r"^def test_(\w+)\(", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file; path is relative to the sources."""

    path: str
    line: int


@dataclass(frozen=True, order=True)
class Complaint:
    """An error and its place. The header of scripts/check-evidence lists the kinds."""

    place: Place
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.place.path}:{self.place.line}:{self.kind}: {self.text}"


@dataclass
class Row:
    """A row of differences.rst or a promise of security.rst. text is the cell after the id."""

    place: Place
    id: str
    text: str = ""


@dataclass
class Entry:
    """An entry of evidence.rst. Each test is a directory of tests/, a name, and a place."""

    place: Place
    id: str
    tests: list[tuple[str, str, Place]] = field(default_factory=list)
    reason: str = ""

    def names(self, directory: str) -> set[str]:
        """Return the tests of a directory that the entry names."""
        return {name for where, name, _ in self.tests if where == directory}


@dataclass(frozen=True)
class Line:
    """A line of a table: its number, its first cell without "*", and its second cell."""

    number: int
    id: str
    cell: str


def bodies(text: str) -> Iterator[list[Line]]:
    """Yield the lines of each heading and of each body of every table, as a list.

    A heading and a body each lie between two borders. A table begins with a border after an
    empty line. A table with three borders has a heading, whose first cell is "id".
    """
    body: list[Line] | None = None
    last = ""
    column = width = 0
    for number, line in enumerate(text.splitlines(), 1):
        if BORDER.match(line):
            if body:
                yield body
            was_heading = any(each.id == "id" for each in body or [])
            body = [] if not last or was_heading else None
            column = line.index(" ")
            width = len(line.split()[1])
        elif body is not None:
            name = re.sub(r"[ *]", "", line[:column])
            body.append(Line(number, name, line[column + 1:column + 1 + width].rstrip()))
        last = line


def rows_of_body(body: Sequence[Line]) -> Iterator[Row | Complaint]:
    """Yield the rows of a table body. The id of defect N is DN."""
    row: Row | None = None
    for line in body:
        place = Place(DIFFERENCES, line.number)
        begins_row = bool(re.match("[A-Z]", line.cell))
        if line.id:
            row = Row(place, re.sub(r"^(?=\d)", "D", line.id), line.cell)
            yield row
            if not re.fullmatch(r"[A-Z]?\d+", line.id):
                yield Complaint(place, "row", f'"{line.id}" is no id')
            if not begins_row:
                yield Complaint(place, "row", f'"{line.cell}" should begin with a capital letter')
            continue
        if begins_row:
            yield Complaint(place, "row", f'"{line.cell}" has no id; if no row begins here, '
                                          "it should not begin with a capital letter")
        if row:
            row.text += f" {line.cell}"


def rows(text: str) -> Iterator[Row | Complaint]:
    """Yield the rows of differences.rst, and complaints about them."""
    for body in bodies(text):
        yield from rows_of_body([line for line in body if line.id != "id"])


def promises(text: str) -> Iterator[Row | Complaint]:
    """Yield the promises of security.rst, and complaints about them."""
    lines = text.splitlines()
    if "Promises" not in lines:
        return
    first = lines.index("Promises") + 2
    for number, line in enumerate(lines[first:], first + 1):
        place = Place(SECURITY, number)
        if found := re.match(r"(\d+)\. ", line):
            yield Row(place, f"S{found[1]}")
        elif re.match(r"(?!\.\. _)[^ ]", line):
            if number < len(lines) and HEADING.match(lines[number]):
                return
            yield Complaint(place, "row", f'"{line}" is no numbered promise')


def entries(text: str) -> Iterator[Entry]:
    """Yield the entries of evidence.rst. After the id, the lines of an entry begin with a tab."""
    entry: Entry | None = None
    directory = ""
    for number, line in enumerate(text.splitlines(), 1):
        place = Place(EVIDENCE, number)
        if re.fullmatch(r"[A-Z]\d+", line):
            if entry:
                yield entry
            entry, directory = Entry(place, line), ""
        elif entry and line.startswith("\t"):
            if found := re.match(r"\t:([a-z]+):", line):
                directory, line = found[1], line[found.end():]
            if directory == "none":
                entry.reason += line.strip()
            else:
                entry.tests += [(directory, name, place)
                                for name in re.findall("``(.*?)``", line)]
        elif line and entry:
            yield entry
            entry = None
    if entry:
        yield entry


def names_of(directory: Path) -> set[str]:
    """Return the names of all tests, in any language, in a directory of tests/."""
    names: set[str] = set()
    for source in directory.glob("*.c"):
        names.update(case.name for case in cases_of(source))
        names.update(PROGRAM.findall(source.read_text()))
        names.update(TAP.findall(source.read_text()))
    for suite in directory.glob("test_*.py"):
        names.update(FUNCTION.findall(suite.read_text()))
    return names


class Evidence:
    """The documents and the tests of one source tree."""

    def __init__(self, sources: Path) -> None:
        self.sources = sources
        self.complaints: list[Complaint] = []
        self.rows: dict[str, Row] = {}
        self.entries: dict[str, Entry] = {}
        for row in (*rows(self._text(DIFFERENCES)), *promises(self._text(SECURITY))):
            if isinstance(row, Complaint):
                self.complaints.append(row)
                continue
            if row.id in self.rows:
                self.complain(row.place, "twice", f"a second row {row.id}")
            self.rows[row.id] = row
        for entry in entries(self._text(EVIDENCE)):
            first = self.entries.setdefault(entry.id, entry)
            if first is not entry:
                self.complain(entry.place, "twice", f"a second entry of {entry.id}")
                first.tests += entry.tests
                first.reason += entry.reason

    def _text(self, path: str) -> str:
        try:
            return (self.sources / path).read_text()
        except OSError as error:
            raise LabError(f"cannot read {path}: {error.strerror}") from error

    def complain(self, place: Place, kind: str, text: str) -> None:
        """Record a complaint."""
        self.complaints.append(Complaint(place, kind, text))

    def compare_ids(self) -> None:
        """Complain of rows without entry, and of entries without row."""
        for row in self.rows.values():
            if row.id not in self.entries:
                self.complain(row.place, "entry", f"{row.id} has no entry in {EVIDENCE}")
        for entry in self.entries.values():
            if entry.id not in self.rows:
                self.complain(entry.place, "entry", f"{entry.id} is no row and no promise")

    def check_reasons(self) -> None:
        """Complain of entries that have neither tests nor a reason, or both."""
        for entry in self.entries.values():
            if entry.tests and entry.reason:
                self.complain(entry.place, "reason",
                              f"{entry.id} has both tests and a reason for having no test")
            elif not entry.tests and not entry.reason:
                self.complain(entry.place, "reason",
                              f"{entry.id} has neither a test nor a reason for having no test")

    def check_tests(self) -> None:
        """Complain of tests that do not exist."""
        tests = [test for entry in self.entries.values() for test in entry.tests]
        names = {directory: names_of(self.sources / "tests" / directory)
                 for directory in {directory for directory, _, _ in tests}}
        for directory, name, place in tests:
            if name not in names[directory]:
                self.complain(place, "test", f'tests/{directory} has no test "{name}"')

    def check_failures_of_the_in_tree_driver(self) -> None:
        """Complain of each test that the in-tree driver fails, if no entry names the test."""
        for source in sorted((self.sources / "tests" / "guest").glob("*.c")):
            for case in cases_of(source):
                if case.intree:
                    path = source.relative_to(self.sources).as_posix()
                    self._check_failure(case, Place(path, case.line))

    def _check_failure(self, case: Case, place: Place) -> None:
        numbers = re.match(r"defects? ([0-9, ]+)", case.intree)
        for number in re.findall(r"\d+", numbers[1]) if numbers else []:
            if f"D{number}" not in self.rows:
                self.complain(place, "intree",
                              f"{case.name} names defect {number}, which does not exist")
            elif (f"D{number}" not in self.entries
                  or case.name not in self.entries[f"D{number}"].names("guest")):
                self.complain(place, "intree",
                              f"the entry of D{number} does not name {case.name}")
        if not any(case.name in entry.names("guest") for entry in self.entries.values()):
            self.complain(place, "intree", f"no entry names {case.name}")

    def check_intended(self) -> None:
        """Complain if no row begins with a text in tce2-differ's list of intended differences."""
        for number, line in enumerate(self._text(INTENDED).splitlines(), 1):
            found = re.match(r'\t\t\.row = "([^"]*)', line)
            if found and not any(row.text.startswith(found[1]) for row in self.rows.values()):
                self.complain(Place(INTENDED, number), "differ",
                              f'no row begins with "{found[1]}"')


def complaints(sources: Path) -> list[Complaint]:
    """Return all complaints about a source tree, sorted by file and line."""
    evidence = Evidence(sources)
    evidence.compare_ids()
    evidence.check_reasons()
    evidence.check_tests()
    evidence.check_failures_of_the_in_tree_driver()
    evidence.check_intended()
    return sorted(evidence.complaints)


def main(arguments: Sequence[str]) -> int:
    """Print the complaints; return 1 if there are any."""
    if len(arguments) > 1:
        raise LabError("usage: scripts/check-evidence [DIR]")
    found = complaints(Path(arguments[0]) if arguments else TOP)
    for complaint in found:
        print(complaint)
    return 1 if found else 0
