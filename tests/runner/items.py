# SPDX-License-Identifier: GPL-2.0-only
"""Items of pytest: a case, the end of a row, a build, a short boot."""

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
    """An item has failed; the text says why."""


class RowItem(pytest.Item):
    """An item that belongs to a row.

    Items run in the order of place: that of the row, then that inside the row.
    """

    def __init__(self, *, row: Row, place: tuple[int, int], line: int = 0,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.row = row
        self.place = place
        self.line = line

    def start_row(self) -> None:
        """Build and start the row, unless an item before this one has done so."""
        try:
            self.row.start()
        except NotBuilt as error:
            text = str(error) if self.row.explain() else f"{self.row.name} was not built"
            pytest.fail(text, pytrace=False)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException],
                     style: Any = None) -> Any:
        """Show the text of a failure, without the frames of this program."""
        if isinstance(excinfo.value, (Failure, NotBuilt)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Say where the case stands."""
        return self.path, self.line, self.name


class CaseItem(RowItem):
    """A case. tap is its name in the row's TAP, case that in the source."""

    def __init__(self, *, case: str, tap: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case
        self.tap = tap
        # Set for the last item of a row whose end is no item of this session
        self.ends_row = False

    def setup(self) -> None:
        """Build and start the row if this is its first item."""
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
        """Wait for the row's end if nothing else does, and judge the row."""
        failed = [result for result in self.row.others() if result.outcome == "failed"]
        complaints = [f"{result.name} failed beside the cases selected" for result in failed]
        if complaint := self.row.complaint():
            complaints.append(complaint)
        if complaints:
            raise Failure("\n".join(complaints))


class EndItem(RowItem):
    """The end of a row, and the cases that no source defines."""

    def setup(self) -> None:
        """Build and start the row if none of its cases was selected."""
        self.start_row()

    def runtest(self) -> None:
        """Wait for the end of the row, report its other cases, and judge the row."""
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
    """The module is built for a kernel."""

    def __init__(self, *, modules: ModuleBuild, label: str, counted: bool,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._build = (modules, label, counted)

    def runtest(self) -> None:
        """Build it."""
        modules, label, counted = self._build
        modules.ensure(label, counted)


class ShortBootItem(RowItem):
    """Something that only a boot of its own can show."""

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
        """Boot when the row's own boot is over, and judge the console."""
        if self.row.is_started:
            self.row.others()
        status, console = boot_shortly(*self._boot)
        if complaint := self._judge(status, console):
            raise Failure("\n".join([complaint, *console.splitlines()[-20:]]))
