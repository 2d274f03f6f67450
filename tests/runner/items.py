# SPDX-License-Identifier: GPL-2.0-only
"""The classes of pytest's items: a case, the end of a row, a build, a short boot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .guest import GuestKey, ModuleBuild, boot_shortly
from .row import NotBuilt, Row
from .tap import Result


class Failure(Exception):
    """The failure of an item; the text is the reason."""


class RowItem(pytest.Item):
    """An item that belongs to a row.

    place is the sort key of the items: the position of the row, then the position in the row.
    """

    def __init__(self, *, row: Row, place: tuple[int, int], line: int = 0,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.row = row
        self.place = place
        self.line = line

    def start_row(self) -> None:
        """Build and start the row, unless an earlier item has done so."""
        try:
            self.row.start()
        except NotBuilt as error:
            text = str(error) if self.row.explain() else f"{self.row.name} was not built"
            pytest.fail(text, pytrace=False)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException],
                     style: Any = None) -> Any:
        """Return the text of a failure, without a traceback of the runner."""
        if isinstance(excinfo.value, (Failure, NotBuilt)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the file, the line and the name of the case."""
        return self.path, self.line, self.name


class CaseItem(RowItem):
    """A case. tap is its name in the TAP output, case is its name in the source."""

    def __init__(self, *, case: str, tap: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case
        self.tap = tap
        # True for the last item of a row if no EndItem of the row is selected
        self.ends_row = False

    def setup(self) -> None:
        """Build and start the row, unless an earlier item has done so."""
        self.start_row()

    def runtest(self) -> None:
        """Wait for the case's result."""
        result = self.row.result(self.tap)
        if result is None:
            raise Failure(f"{self.row.name} ended before this case" + self.row.explain())
        if result.outcome == "failed":
            raise Failure("\n".join(result.comments) or "no comment")
        if self.ends_row:
            self._judge_row()
        if result.outcome == "skipped":
            pytest.skip(result.reason or "no reason given")

    def _judge_row(self) -> None:
        """Wait for the end of the row; fail if it is bad, or if a case not selected has failed."""
        failed = [result for result in self.row.others() if result.outcome == "failed"]
        complaints = [f"{result.name} failed, although it was not selected" for result in failed]
        if complaint := self.row.complaint():
            complaints.append(complaint)
        if complaints:
            raise Failure("\n".join(complaints))


class EndItem(RowItem):
    """An item for the end of a row. It also reports the cases that no source defines."""

    def setup(self) -> None:
        """Build and start the row, unless a selected case has done so."""
        self.start_row()

    def runtest(self) -> None:
        """Wait for the end of the row, report its other cases, and fail if the end is bad."""
        seen: Counter[str] = Counter()
        for result in self.row.others():
            seen[result.name] += 1
            number = f" #{seen[result.name]}" if seen[result.name] > 1 else ""
            self.ihook.pytest_runtest_logreport(report=self._report(result, number))
        if complaint := self.row.complaint():
            raise Failure(complaint)

    def _report(self, result: Result, number: str) -> pytest.TestReport:
        path, line, _ = self.reportinfo()
        details: Any = None
        if result.outcome == "failed":
            details = "\n".join(result.comments) or "no comment"
        elif result.outcome == "skipped":
            details = (str(path), line, f"Skipped: {result.reason or 'no reason given'}")
        outcome: Any = result.outcome
        report = pytest.TestReport(
            nodeid=f"{self.nodeid}::{result.name}{number}", location=(str(path), line, result.name),
            keywords={}, outcome=outcome, longrepr=details, when="call")
        report.row = self.row.name  # type: ignore[attr-defined]
        return report


class BuildItem(RowItem):
    """A build of the module for a kernel, as a test."""

    def __init__(self, *, modules: ModuleBuild, label: str, counted: bool,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._build = (modules, label, counted)

    def runtest(self) -> None:
        """Build the module for the kernel, unless an earlier item has built it."""
        modules, label, counted = self._build
        modules.ensure(label, counted)


class ShortBootItem(RowItem):
    """A case that needs a separate boot."""

    def __init__(self, *, modules: ModuleBuild, key: GuestKey, program: str,
                 append: list[str], judge: Callable[[int, str], str],
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._modules = modules
        self._label = key.label
        self._boot = (key, program, append, self.name.split("[")[0])
        self._judge = judge

    def setup(self) -> None:
        """Build the module."""
        try:
            self._modules.ensure(self._label, counted=False)
        except NotBuilt as error:
            pytest.fail(str(error), pytrace=False)

    def runtest(self) -> None:
        """Wait for the end of the row, then boot and check the console."""
        if self.row.is_started:
            self.row.others()
        status, console = boot_shortly(*self._boot)
        if complaint := self._judge(status, console):
            raise Failure("\n".join([complaint, *console.splitlines()[-20:]]))
