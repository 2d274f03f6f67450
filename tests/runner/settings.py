# SPDX-License-Identifier: GPL-2.0-only
"""Settings of a session: the mode, and the values of environment variables."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lab.labels import all_labels, chosen_names

MODES = ("check", "host", "guests", "quick", "unit", "preflight", "tce2ctl", "install",
         "debug", "dkms", "clients", "lint")
MACHINES = ("powernv9", "pseries")
JOBS = ("conformance", "races", "reload", "differ", "failnth", "load")


class SettingError(Exception):
    """The error for an unknown name, or for a value that is not a number."""


def unknown(kind: str, name: str, there_are: Iterable[str]) -> SettingError:
    """Return an error for an unknown name, with the most similar name as a hint."""
    names = list(there_are)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are: {' '.join(names)}"
    return SettingError(f"no {kind} is called {name}{hint}")


def number(environment: Mapping[str, str], name: str, default: int) -> int:
    """Return a variable of the environment as a number."""
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not text.isascii():
        raise SettingError(f"{name} must be a number, not {text}")
    return int(text)


@dataclass(frozen=True)
class Settings:
    """The settings of one session.

    only is the case in ONLY, or empty. jobs are the jobs in JOBS, in the order in which they
    run, or empty. guests is the number of emulated machines that run at once. By default it is
    half the number of this machine's processors; GUESTS sets another number.
    """

    mode: str
    labels: tuple[str, ...]
    uses: Mapping[str, str]
    machines: tuple[str, ...]
    jobs: tuple[str, ...]
    only: str
    processors: int
    guests: int
    guest_timeout: int
    race_seconds: int
    differ_calls: int
    differ_seed: str
    failures: int

    @classmethod
    def from_environment(cls, mode: str) -> Settings:
        """Read the settings from environment variables, and refuse unknown names."""
        environment = os.environ
        uses = {name: row.use for name, row in all_labels().items()}
        labels = tuple(chosen_names())
        machines = tuple((environment.get("MACHINES") or environment.get("MACHINE")
                          or " ".join(MACHINES)).split())
        jobs = environment.get("JOBS", "").split()
        if not labels or not machines:
            raise SettingError("KERNELS or MACHINES is empty")
        for kind, names, there_are in (("mode", [mode], MODES), ("kernel", labels, uses),
                                       ("machine", machines, MACHINES), ("job", jobs, JOBS)):
            for name in names:
                if name not in there_are:
                    raise unknown(kind, name, there_are)
        return cls(
            mode=mode, labels=labels, uses=uses, machines=machines,
            jobs=tuple(job for job in JOBS if job in jobs),
            only=environment.get("ONLY", ""),
            processors=number(environment, "SMP", 0),
            guests=number(environment, "GUESTS", 0) or max(1, (os.cpu_count() or 1) // 2),
            guest_timeout=number(environment, "GUEST_TIMEOUT", 0),
            race_seconds=number(environment, "RACE_SECONDS", 60),
            differ_calls=number(environment, "DIFFER_CALLS", 100000),
            differ_seed=(str(number(environment, "DIFFER_SEED", 0))
                         if environment.get("DIFFER_SEED") else ""),
            failures=number(environment, "FAILURES", 300))

    @property
    def is_short(self) -> bool:
        """Check for `make check` or a half of it, without JOBS."""
        return self.mode in ("check", "host", "guests") and not self.jobs

    @property
    def is_plain(self) -> bool:
        """Check that neither JOBS nor ONLY is set."""
        return not self.jobs and not self.only

    def jobs_for(self, label: str) -> list[str]:
        """Return the jobs for a kernel."""
        if self.uses[label] == "load":
            return ["load"] if not self.only and (not self.jobs or "load" in self.jobs) else []
        if self.mode != "debug":
            possible = ["conformance", "reload", "differ", "races"]
        elif label.endswith("-debug"):
            possible = ["conformance", "races", "reload", "differ", "failnth"]
        else:
            possible = ["differ"]
        if self.only:
            return [job for job in possible if job == "conformance"]
        if self.jobs:
            return [job for job in possible if job in self.jobs]
        # conformance runs all races, too
        return [job for job in possible if job != "races" or self.mode == "debug"]
