# SPDX-License-Identifier: GPL-2.0-only
"""Result lines of the Test Anything Protocol, as a row prints them."""

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

    reason says why it was skipped; comments are the lines printed before it.
    """

    name: str
    outcome: str
    reason: str = ""
    comments: tuple[str, ...] = ()


@dataclass
class Parser:
    """Takes the lines of a row one by one, and returns the results among them.

    Several programs may write one after the other, each with a plan of its own.
    """

    planned: int = 0
    seen: int = 0
    _comments: list[str] = field(default_factory=list)

    def feed(self, line: str) -> Result | None:
        """Take a line; return the result if it is one."""
        if line.startswith("# ") and len(self._comments) < MAX_COMMENTS:
            self._comments.append(line)
        if plan := PLAN.match(line):
            self.planned += int(plan[1])
        if line.startswith("Bail out!"):
            return self._result(Result(line, "failed"))
        if not (found := RESULT.match(line)):
            return None
        name, reason, outcome = found[2], "", "passed"
        # A case that fails is a failure, whatever it says
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
        """Check whether there were as many results as the plans announced."""
        return 0 < self.planned == self.seen
