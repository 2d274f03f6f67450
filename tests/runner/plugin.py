# SPDX-License-Identifier: GPL-2.0-only
"""The hooks of pytest: make items from files, select them, and report their results."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.command import ENDING, heartbeat, say
from lab.places import BUILD, TOP, LabError

from .cases import cases_of
from .clients import SHORT, clients_rows, table
from .coverage import judge as judge_coverage
from .guest import GuestKey, ModuleBuild, guest_row, is_counted
from .host import PAGE_SIZES, host_rows
from .items import BuildItem, CaseItem, EndItem, RowItem, ShortBootItem
from .row import Row, start_ahead
from .settings import MODES, SettingError, Settings
from .suites import SUITES, TESTS, suite_of

HASH_CASE = "real_mode_translates_base_pages"
OUTCOMES = ("passed", "failed", "skipped")
# The parts of a session, in their order: quick suites, rows of this machine, other suites, rows
# of emulated machines
QUICK, HOST, OTHER, ROWS = range(4)


class Plan:
    """All rows of a session, in the order in which they run."""

    def __init__(self, settings: Settings, is_selection: bool) -> None:
        self.settings = settings
        self.modules = ModuleBuild(fresh=not is_selection)
        self.host = host_rows(settings)
        self.guest: dict[GuestKey, Row] = {}
        if settings.mode in ("check", "guests", "debug"):
            keys = [GuestKey(label, machine, job) for label in settings.labels
                    for job in settings.jobs_for(label) for machine in settings.machines]
            self.guest = {key: guest_row(settings, key, self.modules) for key in keys}
        for job in settings.jobs:
            if job not in (key.job for key in self.guest):
                raise SettingError(f"no row does the job {job} in the mode {settings.mode} "
                                   f"on {' '.join(settings.labels)}")
        self.clients = clients_rows(settings)
        self.order = [*self.host.values(), *self.clients.values(), *self.guest.values()]

    def first_key(self, label: str, counted: bool) -> GuestKey:
        """Return the first row of a kernel, with or without a module that counts its lines."""
        return next(key for key in self.guest
                    if key.label == label and is_counted(self.settings, key) == counted)

    def index(self, row: Row) -> int:
        """Return the position of a row in the session."""
        return self.order.index(row)


class TapFile(pytest.File):
    """A file whose test cases become items."""

    plan: Plan

    def _item(self, kind: type[RowItem], name: str, row: Row, place: int,
              **kwargs: Any) -> Any:
        return kind.from_parent(self, name=name, row=row,
                                place=(self.plan.index(row), place), **kwargs)


class UnitFile(TapFile):
    """A source of the host-side tests."""

    def collect(self) -> Iterator[pytest.Item]:
        """Return each case for each page size."""
        if not (row := self.plan.host.get("unit/run")):
            return
        for case in cases_of(self.path):
            for size in PAGE_SIZES:
                yield self._item(CaseItem, f"{case.name}[{size}]", row, 0, line=case.line,
                                 case=case.name, tap=f"{case.name} ({size} pages)")


class ConformanceFile(TapFile):
    """A source of tce2-conformance."""

    def collect(self) -> Iterator[pytest.Item]:
        """Return each case for each row that runs it."""
        for key, row in self.plan.guest.items():
            for case in cases_of(self.path) if key.program == "job_conformance" else []:
                if case.is_race or key.job != "races":
                    yield self._item(CaseItem, f"{case.name}[{key}]", row, 0,
                                     line=case.line, case=case.name, tap=case.name)


class HostScript(TapFile):
    """A script that runs on this machine and prints TAP."""

    def collect(self) -> Iterator[pytest.Item]:
        """Return the end of the row, which reports the cases."""
        if row := self.plan.host.get(self.path.relative_to(TESTS).as_posix()):
            yield self._item(EndItem, f"{row.name}_runs_to_its_end", row, 1)


class ClientsSource(TapFile):
    """The source of tce2-scenarios, which runs clients in the emulated machine."""

    def collect(self) -> Iterator[pytest.Item]:
        """Return the end of each row, which reports the cases."""
        for row in self.plan.clients.values():
            yield self._item(EndItem, f"{row.name}_runs_to_its_end", row, 1)


class JobFile(TapFile):
    """A guest program that does a job, or that runs in one short boot."""

    def collect(self) -> Iterator[pytest.Item]:
        """Return the items of the program for each row."""
        for key, row in self.plan.guest.items():
            counted = is_counted(self.plan.settings, key)
            if key.program == self.path.stem and key == self.plan.first_key(key.label, counted):
                yield self._item(BuildItem, f"module_builds_without_a_warning[{key}]",
                                 row, -1, modules=self.plan.modules, label=key.label,
                                 counted=counted)
            if key.program == self.path.stem:
                yield self._item(EndItem, f"guest_runs_to_its_end[{key}]", row, 1)
            yield from self._short_boots(key, row)

    def _short_boots(self, key: GuestKey, row: Row) -> Iterator[pytest.Item]:
        if key.job != "conformance" or self.plan.settings.mode == "debug":
            return
        if self.path.stem == "job_realmode_vmalloc":
            yield self._item(
                ShortBootItem, f"a_vmalloc_access_in_real_mode_is_noticed[{key}]", row, 2,
                modules=self.plan.modules, key=key, program="job_realmode_vmalloc", append=[],
                judge=judge_vmalloc)
        # Only on bare metal: in a hypervisor's guest, real mode can do little with the hash MMU
        if self.path.stem == "job_conformance" and key.machine == "powernv9":
            yield self._item(
                ShortBootItem, f"real_mode_translates_under_the_hash_mmu[{key}]", row, 3,
                modules=self.plan.modules, key=key, program="job_conformance",
                append=["disable_radix", f"tce2.args=--only,{HASH_CASE}"], judge=judge_hash)


def judge_vmalloc(status: int, console: str) -> str:
    """Check the console of a machine that accesses vmalloc memory in real mode.

    Return a complaint, or "". The machine must not survive the access: the kernel reports a
    machine check, or its watchdog reports that a processor hangs. So the status of the boot is
    ignored.
    """
    del status
    if not re.search(r"with the MMU on: ok 1 ", console):
        return "the access with the MMU on did not work"
    if "with the MMU off" in console:
        return "the machine survived the access with the MMU off"
    if not re.search(r"MCE: .*machine check|Hard LOCKUP", console):
        return "the kernel reported neither a machine check nor a lockup"
    return ""


def judge_hash(status: int, console: str) -> str:
    """Check status and console of a boot with the hash MMU; return a complaint, or ""."""
    if status:
        return f"the boot ended with status {status}"
    if not re.search(r"^# MMU: Hash", console, re.MULTILINE):
        return "the MMU was not the hash MMU"
    if not re.search(rf"^ok [0-9]* - {HASH_CASE}\r?$", console, re.MULTILINE):
        return f"{HASH_CASE} did not pass"
    return ""


def row_name(item: pytest.Item) -> str:
    """Return the name of an item's row. In reports, all tests of a suite are one row."""
    if isinstance(item, RowItem):
        return item.row.name
    suite = suite_of(item.path)
    return suite.name if suite else "other"


def case_name(item: pytest.Item) -> str:
    """Return the name of an item's case in its source, by which ONLY selects the case."""
    if isinstance(item, CaseItem):
        return item.case
    return item.originalname if isinstance(item, pytest.Function) else ""


def hint_for(name: str, names: set[str]) -> str:
    """Return a hint for an unknown name: the source with this case, or the most similar name."""
    for source in [*TESTS.glob("unit/test_*.c"), *TESTS.glob("guest/conformance_*.c")]:
        if name in (case.name for case in cases_of(source)):
            return f" in this mode; it is in {source.relative_to(TOP)}"
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def tools_for(items: Iterable[pytest.Item]) -> list[str]:
    """Return the sets of tools that items need. "check" includes "quick", which includes "unit"."""
    wanted: set[str] = set()
    for item in items:
        if not isinstance(item, RowItem) and (suite := suite_of(item.path)):
            wanted.update(suite.tools)
        else:
            wanted.add("unit" if row_name(item) == "host" else "check")
    for larger, included in (("check", {"quick", "unit"}), ("quick", {"unit"})):
        if larger in wanted:
            wanted -= included
    return sorted(wanted)


FILES = (
    ("unit/test_*.c", UnitFile),
    ("guest/conformance_*.c", ConformanceFile),
    ("guest/job_*.c", JobFile),
    ("clients/scenarios.c", ClientsSource),
    ("unit/run", HostScript),
)


class Reporter:
    """Counts results by row; prints each failed or skipped case immediately."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.counts: dict[str, Counter[str]] = {}
        self.total: Counter[str] = Counter()

    def note(self, name_of_row: str, report: pytest.TestReport) -> None:
        """Count a report, and print it unless it passed."""
        if report.when != "call" and report.passed:
            return
        counts = self.counts.setdefault(name_of_row, Counter())
        counts[report.outcome] += 1
        self.total[report.outcome] += 1
        name = report.location[2]
        if report.outcome == "skipped":
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            print(f"    skipped  {name}: {reason.removeprefix('Skipped: ')}", flush=True)
        elif report.outcome == "failed":
            print(f"    FAILED   {name}", flush=True)
            for line in str(report.longrepr).splitlines():
                print(f"             {line}", flush=True)
        elif os.environ.get("V"):
            print(f"    ok       {name}", flush=True)

    def summary(self, name: str) -> str:
        """Return a row's counts as text, or "-" if nothing was run."""
        counts = self.counts.get(name)
        if not counts:
            return "-"
        text = f"{counts['passed']} passed"
        if counts["skipped"]:
            text += f", {counts['skipped']} skipped"
        return f"FAILED {counts['failed']}, {text}" if counts["failed"] else text

    def end_of_row(self, name: str, row: Row | None, seconds: float) -> None:
        """Print the result of a row, and the figures that its tests have printed."""
        counts = self.counts.get(name, Counter())
        text = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
        say(f"{name}: {text}, {seconds:.0f} s")
        if not row:
            return
        console = row.console.read_text(errors="replace") if row.console.exists() else ""
        for line in re.findall(r"^# ((?:fail-nth|races|differ): .*?)\r?$", console, re.MULTILINE):
            print(f"    {line}", flush=True)

    def table(self) -> Iterator[str]:
        """Yield the table of results: a line for each kernel and job, a column for each machine."""
        rows = [*self.plan.host.values(), *self.plan.clients.values()]
        for name in (*SUITES, *(row.name for row in rows)):
            if name in self.counts:
                yield f"{name:<12} {self.summary(name)}"
        clients = {key: row for key, row in self.plan.clients.items()
                   if row.name in self.counts and key.run != SHORT}
        if clients:
            yield ""
            yield from table(clients)
        machines = self.plan.settings.machines
        lines = {(key.label, key.job): None for key, row in self.plan.guest.items()
                 if row.name in self.counts}
        if lines:
            yield ""
            head = [f"{'KERNEL':<12} {'JOB':<12}", *(f"{machine:<28}" for machine in machines)]
            yield " ".join(head).rstrip()
        for label, job in lines:
            cells = [self.summary(str(GuestKey(label, machine, job))) for machine in machines]
            yield " ".join([f"{label:<12} {job:<12}", *(f"{c:<28}" for c in cells)]).rstrip()


class Hooks:
    """The hooks of a session."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.reporter = Reporter(plan)
        self._began = time.monotonic()
        # Rows that have items, in the order in which they run
        self._rows: list[Row] = []

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Skip the suites that are not part of the mode."""
        settings = self.plan.settings
        suite = suite_of(collection_path)
        if not suite:
            return None
        return None if suite.is_part_of(settings.mode) and not settings.jobs else True

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> Any:
        """Return a collector for a file that defines cases."""
        for pattern, kind in FILES:
            if file_path.is_relative_to(TESTS) and file_path.relative_to(TESTS).match(pattern):
                collector = kind.from_parent(parent, path=file_path)
                collector.plan = self.plan
                return collector
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config,
                                      items: list[pytest.Item]) -> None:
        """Keep only the case in ONLY, and sort the items so that each row is contiguous."""
        if only := self.plan.settings.only:
            named = [item for item in items if case_name(item) == only]
            if not named:
                names = {case_name(item) for item in items}
                raise pytest.UsageError(f"no case is called {only}{hint_for(only, names)}")
            config.hook.pytest_deselected(items=[item for item in items if item not in named])
            items[:] = named
        if config.option.keyword and not items:
            print(f"ERROR: no case matches -k {config.option.keyword}", flush=True)
        items.sort(key=self._place)
        self._choose(items, bool(only or config.option.keyword or config.option.markexpr))

    def _place(self, item: pytest.Item) -> tuple[int, int, int]:
        """Return the sort key of an item. The first number is the part of the session."""
        if isinstance(item, RowItem):
            return HOST if item.row in self.plan.host.values() else ROWS, *item.place
        names = list(SUITES)
        suite = suite_of(item.path)
        if not suite:
            return OTHER, len(names), 0
        return QUICK if suite.is_quick else OTHER, names.index(suite.name), 0

    def _choose(self, items: list[pytest.Item], is_selection: bool) -> None:
        for row in self.plan.order:
            mine = [item for item in items if isinstance(item, RowItem) and item.row is row]
            has_end = any(isinstance(item, EndItem) for item in mine)
            cases = [item for item in mine if isinstance(item, CaseItem)]
            if cases:
                cases[-1].ends_row = not has_end
            is_complete = not cases or (has_end and not is_selection)
            row.chosen = None if is_complete else [item.case for item in cases]
        if any(isinstance(item, BuildItem) for item in items):
            self.plan.modules.fresh = True

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Install missing host tools before the first item runs."""
        if session.config.option.collectonly or not session.items:
            return
        self._rows = list(dict.fromkeys(item.row for item in session.items
                                        if isinstance(item, RowItem)))
        for row in self.plan.order:
            row.forget()
        for tools in tools_for(session.items):
            command = [str(TOP / "scripts" / "hosttools"), tools]
            if subprocess.run(command, check=False).returncode:
                raise pytest.UsageError("tools are missing on this machine")

    def _start_ahead(self, item: pytest.Item) -> None:
        """Start rows before their first item runs.

        Start the host-side tests during the quick suites. Afterwards let as many emulated machines
        run as may run at once, also beside the other suites: a suite rarely needs two
        processors, and an emulated machine often waits for its devices.
        """
        place = self._place(item)[0]
        if place == QUICK:
            start_ahead([row for row in self._rows if row is self.plan.host.get("unit/run")], 1)
        elif place != HOST:
            guests = [row for row in self._rows if row in self.plan.guest.values()]
            start_ahead(guests, self.plan.settings.guests)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item,
                                nextitem: pytest.Item | None) -> Iterator[None]:
        """Print the result of a row after its last item."""
        name = row_name(item)
        self._start_ahead(item)
        with contextlib.ExitStack() as stack:
            if not isinstance(item, RowItem):
                stack.enter_context(heartbeat(f"{name}: {item.name}"))
            yield
        if nextitem and row_name(nextitem) == name:
            return
        row = item.row if isinstance(item, RowItem) else None
        self.reporter.end_of_row(name, row, time.monotonic() - self._began)
        self._began = time.monotonic()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        """Add the name of the row to a report."""
        outcome: Any = yield
        outcome.get_result().row = row_name(item)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Print the reason why a file could not be read."""
        if report.failed:
            print(f"{report.nodeid}: {report.longrepr}", flush=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the result of an item, or of a case that an EndItem reports."""
        self.reporter.note(getattr(report, "row", "other"), report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport,
                                 config: pytest.Config) -> tuple[str, str, str] | None:
        """Suppress pytest's letter for each case, unless -v is given."""
        if config.option.verbose > 0:
            return None
        if report.when != "call" and report.passed:
            return "", "", ""
        return report.outcome, "", ""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail if no case passed; check the coverage that the modules have counted."""
        if session.config.option.collectonly or session.exitstatus not in (0, 1):
            return
        if not self.reporter.total["passed"]:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        for label in self.plan.settings.labels:
            consoles = [row.console for key, row in self.plan.guest.items()
                        if key.label == label and is_counted(self.plan.settings, key)
                        and row.name in self.reporter.counts]
            if not consoles:
                continue
            if len(consoles) != 4:
                say(f"coverage on {label}: not judged, because {len(consoles)} of 4 rows have run")
                continue
            try:
                judge_coverage(label, consoles)
            except LabError as error:
                say(f"error: {error}")
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Stop the rows that still run; print the table, and the totals as the last line."""
        for row in self.plan.order:
            row.stop()
        if config.option.collectonly:
            return
        print()
        for line in self.reporter.table():
            print(line)
        total = self.reporter.total
        print("\n" + ", ".join(f"{total[outcome]} {outcome}" for outcome in OUTCOMES), flush=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option --mode to pytest."""
    parser.addoption("--mode", default="check",
                     help="the mode, which selects the rows: " + ", ".join(MODES))


def end_by_signal(number: int, _: object) -> None:
    """Handle a signal: end the session, which stops the running rows."""
    # timeout(1) sends its signal twice; the second signal must not interrupt the cleanup
    for each in ENDING:
        signal.signal(each, lambda *_: None)
    pytest.exit("terminated", 128 + number)


def pytest_configure(config: pytest.Config) -> None:
    """Read the mode and the variables, and refuse unknown names."""
    try:
        settings = Settings.from_environment(config.option.mode)
        is_selection = bool(settings.only or config.option.keyword
                            or config.option.file_or_dir not in ([], ["tests"]))
        plan = Plan(settings, is_selection)
    except SettingError as error:
        raise pytest.UsageError(str(error)) from None
    BUILD.mkdir(exist_ok=True)
    for number in ENDING:
        # Keep SIGHUP ignored if nohup(1) has started the session
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end_by_signal)
    config.pluginmanager.register(Hooks(plan), "tce2-rows")
