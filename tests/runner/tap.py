# SPDX-License-Identifier: GPL-2.0-only
"""Parse the result lines of the Test Anything Protocol (TAP)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

RESULT = re.compile(r"^(not ok|ok) [0-9]+ *-? *(.*)$")
SKIP = re.compile(r" *# *SKIP *", re.IGNORECASE)
PLAN = re.compile(r"^1\.\.([0-9]+)")
MAX_COMMENTS = 20


@dataclass(frozen=True)
class Result:
    """The result of a case: "passed", "failed" or "skipped".

    reason is the reason for skipping the case. comments are the lines printed before the result.
    """

    name: str
    outcome: str
    reason: str = ""
    comments: tuple[str, ...] = ()


@dataclass
class Parser:
    """A parser of the output of a row. It takes one line at a time and returns results.

    Several programs may write to the output one after the other, each with a separate plan.
    """

    planned: int = 0
    seen: int = 0
    _comments: list[str] = field(default_factory=list)

    def feed(self, line: str) -> Result | None:
        """Parse a line; return its result, or None if it is no result line."""
        if line.startswith("# ") and len(self._comments) < MAX_COMMENTS:
            self._comments.append(line)
        if plan := PLAN.match(line):
            self.planned += int(plan[1])
        if line.startswith("Bail out!"):
            return self._result(Result(line, "failed"))
        if not (found := RESULT.match(line)):
            return None
        name, reason, outcome = found[2], "", "passed"
        # A failed case is a failure, even if its line has a SKIP directive
        if found[1] == "not ok":
            outcome = "failed"
        elif skip := SKIP.search(name):
            name, reason, outcome = name[:skip.start()], name[skip.end():], "skipped"
        return self._result(Result(name, outcome, reason, tuple(self._comments)))

    def _result(self, result: Result) -> Result:
        self.seen += 1
        self._comments.clear()
        return result

    def kept_to_plan(self) -> bool:
        """Check that the number of results equals the sum of the plans."""
        return 0 < self.planned == self.seen
