# SPDX-License-Identifier: GPL-2.0-only
"""Tests of the runner itself."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.command import without_settings
from lab.places import TOP, LabError

from . import plugin
from .cases import cases_of
from .guest import GuestKey, arguments, processors, timeout
from .plugin import Plan, hint_for, judge_hash, judge_vmalloc
from .row import NotBuilt, Row, read_on, start_ahead
from .settings import SettingError, Settings
from .suites import TESTS, Suite
from .tap import Parser, Result


def results_of(text: str) -> tuple[list[Result], Parser]:
    """Return the results in a text, and the parser that found them."""
    parser = Parser()
    results = [result for line in text.splitlines() if (result := parser.feed(line))]
    return results, parser


def test_tap_results_have_an_outcome_and_the_comments_before_them() -> None:
    results, parser = results_of("1..3\n# one\nok 1 - a\n# two\nnot ok 2 - b\nok 3 - c # SKIP d\n")
    assert results == [Result("a", "passed", "", ("# one",)),
                       Result("b", "failed", "", ("# two",)), Result("c", "skipped", "d")]
    assert parser.kept_to_plan()


def test_a_failure_with_a_skip_directive_is_a_failure() -> None:
    assert results_of("not ok 1 - a # SKIP b")[0][0].outcome == "failed"


def test_a_bail_out_is_a_failure() -> None:
    assert results_of("Bail out! no module\n")[0][0].outcome == "failed"


@pytest.mark.parametrize("text", ["", "1..2\nok 1 - a\n", "1..0\n", "ok 1 - a\n",
                                  "1..1\nok 1 - a\nok 2 - b\n"])
def test_results_that_no_plan_announced_are_found_out(text: str) -> None:
    assert not results_of(text)[1].kept_to_plan()


def test_plans_of_several_programs_add_up() -> None:
    assert results_of("1..1\nok 1 - a\nok 1 - b\n1..1\n")[1].kept_to_plan()


def test_every_test_of_the_c_sources_is_found() -> None:
    for source in [*TESTS.glob("unit/test_*.c"), *TESTS.glob("guest/conformance_*.c")]:
        written = re.findall(r"^TEST(?:_F\(\w+, |\()(\w+)", source.read_text(), re.MULTILINE)
        assert [case.name for case in cases_of(source)] == written, source


def test_a_case_has_the_reason_why_the_in_tree_driver_fails(tmp_path: Path) -> None:
    source = tmp_path / "test.c"
    source.write_text('TEST(a,\n     .setup = BARE, .intree = "defects 6, 13")\n{\n}\n'
                      'TEST(b, .intree = LEAKS, .crashes = true)\n{\n}\n'
                      'TEST(c, .race = "d")\n{\n}\n')
    assert [case.intree for case in cases_of(source)] == ["defects 6, 13", "LEAKS", ""]


def test_a_case_is_a_race_if_its_options_say_so(tmp_path: Path) -> None:
    source = tmp_path / "test.c"
    source.write_text('TEST(a)\n{\n}\n\nTEST(b,\n     .intree = "x) (\\"", .race = "c")\n{\n}\n\n'
                      'TEST_F(fixture, d)\n{\n}\n\nTEST_F(fixture, e, .race = "f")\n{\n}\n')
    assert [(case.name, case.line, case.is_race) for case in cases_of(source)] == [
        ("a", 1, False), ("b", 5, True), ("d", 10, False), ("e", 14, True)]


@pytest.mark.parametrize(("name", "value"), [("KERNELS", "6.12-65k"), ("MACHINES", "powernv"),
                                             ("JOBS", "race"), ("RACE_SECONDS", "1m"),
                                             ("DIFFER_SEED", "abc")])
def test_a_name_that_does_not_exist_is_refused(name: str, value: str,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=value):
        Settings.from_environment("check")


def settings(**changes: object) -> Settings:
    """Return the settings of `make check`, with changes."""
    plain = Settings(
        mode="check", labels=("6.12-64k",), uses={"6.12-64k": "run", "6.1-64k": "load"},
        machines=("powernv9", "pseries"), jobs=(), only="", processors=0, guests=1,
        guest_timeout=0, race_seconds=60, differ_calls=100000, differ_seed="", failures=300)
    return replace(plain, **changes)


def test_jobs_depend_on_the_mode_the_kernel_and_the_variables() -> None:
    assert settings().jobs_for("6.12-64k") == ["conformance", "reload", "differ"]
    assert settings().jobs_for("6.1-64k") == ["load"]
    assert settings(jobs=("races",)).jobs_for("6.12-64k") == ["races"]
    assert settings(mode="debug").jobs_for("6.12-64k") == ["differ"]
    assert settings(only="a").jobs_for("6.12-64k") == ["conformance"]


def test_a_job_that_no_kernel_does_in_the_mode_is_refused() -> None:
    with pytest.raises(SettingError, match="no row does the job failnth in the mode check"):
        Plan(settings(jobs=("failnth",)), is_selection=False)


def test_a_case_of_another_mode_is_found_for_the_message() -> None:
    assert hint_for("a_third_window_returns_enospc", set()).endswith("guest/conformance_window.c")
    assert hint_for("a_thrid", {"a_third"}) == "; did you mean a_third?"


def test_only_a_hypervisors_guest_of_make_check_has_one_processor() -> None:
    pseries = GuestKey("6.12-64k", "pseries", "conformance")
    assert processors(settings(), pseries) == 1
    assert processors(settings(jobs=("conformance",)), pseries) == 2
    assert processors(settings(), replace(pseries, machine="powernv9")) == 2
    assert processors(settings(processors=4), pseries) == 4


def test_job_arguments_and_timeout_depend_on_job_mode_and_kernel() -> None:
    debug = GuestKey("6.12-debug", "powernv9", "races")
    assert arguments(settings(), debug, []) == [
        "--stress", "--seconds", "60", "--patience", "4"]
    assert arguments(settings(), replace(debug, job="conformance"), ["a"]) == [
        "--only", "a", "--patience", "4"]
    assert arguments(settings(mode="debug"), replace(debug, job="differ"), []) == [
        "--seed", "1", "--calls", "5000"]
    assert timeout(settings(), debug) == 9000


def row_of(script: str, tmp_path: Path) -> Row:
    """Return a row that runs a script in Python."""

    def prepare(row: Row) -> Sequence[str]:
        del row
        return [sys.executable, "-c", script]

    row = Row("runner-test", prepare)
    row.console = tmp_path / "console"
    return row


def test_results_are_returned_as_they_come(tmp_path: Path) -> None:
    row = row_of("import time; print('1..2\\nok 1 - a', flush=True); time.sleep(2); "
                 "print('ok 2 - b')", tmp_path)
    row.start()
    assert row.result("a") == Result("a", "passed")
    assert row.status is None
    assert row.result("nothing") is None
    assert row.others() == [Result("b", "passed")]
    assert row.complaint() == ""


@pytest.mark.parametrize(("script", "complaint"), [
    ("print('1..1\\nok 1 - a'); exit(1)", "status 1"),
    ("print('1..1\\nok 1 - a'); exit(124)", "status 124"),
    ("print('1..2\\nok 1 - a')", "1 cases, but the plan says 2"),
    ("print('1..1\\nnot ok 1 - a'); exit(1)", ""),
])
def test_a_wrong_exit_status_or_plan_is_reported(script: str, complaint: str,
                                                 tmp_path: Path) -> None:
    row = row_of(script, tmp_path)
    row.start()
    row.others()
    assert (complaint in row.complaint()) if complaint else not row.complaint()


@pytest.mark.parametrize("error", [NotBuilt, FileNotFoundError])
def test_a_failed_build_fails_each_case_of_its_row(error: type[Exception]) -> None:

    def prepare(row: Row) -> Sequence[str]:
        raise error(f"{row.name} is broken")

    row = Row("runner-test", prepare)
    for _ in range(2):
        with pytest.raises(NotBuilt, match="is broken"):
            row.start()
    assert not row.is_started


@pytest.mark.parametrize(("arguments_", "status"), [
    (["unti"], 4), (["unit", "-k", "nothing_is_called_so"], 5),
    (["tests/unit/test_map.c::nothing"], 4), (["tests/nothing.c"], 4)])
def test_a_wrong_name_ends_the_run_before_the_first_build(arguments_: list[str],
                                                          status: int) -> None:
    done = subprocess.run([str(TESTS / "run"), *arguments_], check=False, env=without_settings(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == status, done.stdout
    assert "building" not in done.stdout


def test_a_separate_suite_runs_only_in_its_own_modes() -> None:
    modes = ("check", "host", "unit", "dkms")
    assert [Suite("a", ("unit",)).is_part_of(mode) for mode in modes] == [
        True, True, True, False]
    assert [Suite("a", ("dkms",), is_separate=True).is_part_of(mode) for mode in modes] == [
        False, False, False, True]


def test_a_file_that_became_shorter_is_read_from_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "console"
    file.write_bytes(b"firmware: half a li")
    with file.open("rb") as console:
        assert read_on(console, b"") == b"firmware: half a li"
        file.write_bytes(b"ok 1 - a\n")
        assert read_on(console, b"half a li") == b"ok 1 - a\n"


def test_as_many_rows_as_asked_for_run_at_once() -> None:
    def broken(row: Row) -> list[str]:
        raise NotBuilt(row.name)

    names = [f"runner-test-{number}" for number in range(4)]
    rows = [Row(name, lambda row: ["sleep", "60"]) for name in names]
    rows.insert(1, Row("runner-test-broken", broken))
    start_ahead(rows, 2)
    assert [row.is_running for row in rows] == [True, False, True, False, False]
    rows[0].stop()
    rows[0].others()
    start_ahead(rows[1:], 2)
    assert [row.is_running for row in rows] == [False, False, True, True, False]
    for row in rows:
        row.stop()
        row.forget()


def test_machines_run_beside_all_suites_but_the_quick_ones(
        monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], int]] = []

    def start(rows: Sequence[Row], at_once: int) -> None:
        started.append(([row.name for row in rows], at_once))

    monkeypatch.setattr(plugin, "start_ahead", start)
    hooks = plugin.Hooks(Plan(settings(guests=3), is_selection=False))
    monkeypatch.setattr(hooks, "_rows", hooks.plan.order)
    for name in ("lab", "docs"):
        item: Any = SimpleNamespace(path=TESTS / name / "test_a.py", name="a")
        with contextlib.closing(hooks.pytest_runtest_protocol(item, item)) as protocol:
            next(protocol)
    assert started == [(["host"], 1), ([str(key) for key in hooks.plan.guest], 3)]


def test_a_failure_before_the_first_item_of_the_row_is_named_at_once(
        capsys: pytest.CaptureFixture[str]) -> None:
    row = Row("runner-test-fails", lambda row: [
        "sh", "-c", "echo not ok 1 - early; for i in $(seq 150); do "
        "test -e $0 && break; sleep 0.1; done; echo not ok 2 - late; echo 1..2; rm -f $0",
        f"{row.console}.go"])
    row.start()
    said = ""
    for _ in range(100):
        time.sleep(0.1)
        said += capsys.readouterr().out
        if "early" in said:
            break
    assert re.search(r"\] runner-test-fails: FAILED early; ", said)
    assert row.result("early")
    Path(f"{row.console}.go").touch()
    assert [result.name for result in row.others()] == ["late"]
    assert "late" not in capsys.readouterr().out
    row.forget()


def test_the_result_of_a_short_boot_comes_from_its_console() -> None:
    survived = "with the MMU on: ok 1 \nMCE: machine check\nwith the MMU off: ok 1"
    assert judge_vmalloc(1, survived)
    assert judge_vmalloc(1, "with the MMU on: ok 1 \n")
    assert not judge_vmalloc(1, "with the MMU on: ok 1 \nMCE: CPU0: machine check")
    passed = "# MMU: Hash\nok 1 - real_mode_translates_base_pages\n"
    assert not judge_hash(0, passed)
    assert judge_hash(1, passed)
    assert judge_hash(0, passed.replace("Hash", "Radix"))
    assert judge_hash(0, passed.replace("ok 1", "not ok 1"))


@pytest.mark.parametrize(("error", "status"), [
    ("", pytest.ExitCode.OK), ("coverage: lines", pytest.ExitCode.TESTS_FAILED),
], ids=["enough", "too_little"])
def test_the_exit_status_reflects_the_coverage_check(error: str, status: int,
                                                     monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    judged: list[tuple[str, int]] = []

    def judge(label: str, consoles: Sequence[Path]) -> None:
        judged.append((label, len(consoles)))
        if error:
            raise LabError(error)

    monkeypatch.setattr(plugin, "judge_coverage", judge)
    hooks = plugin.Hooks(plugin.Plan(settings(
        mode="debug", labels=("6.12-debug",), uses={"6.12-debug": "run"}), False))
    hooks.reporter.total["passed"] = 1
    for row in hooks.plan.guest.values():
        hooks.reporter.counts[row.name] = Counter(passed=1)
    session: Any = SimpleNamespace(
        exitstatus=pytest.ExitCode.OK,
        config=SimpleNamespace(option=SimpleNamespace(collectonly=False)))
    hooks.pytest_sessionfinish(session)
    assert (session.exitstatus, judged) == (status, [("6.12-debug", 4)])
    assert f"error: {error}" in capsys.readouterr().out or not error


def session(command: Sequence[str | Path], *options: str) -> list[str | Path]:
    """Return a command that runs pytest, where command replaces the host-side tests."""
    return [sys.executable, "-B", "-c", SESSION, str(len(command)), *command, *options]


def session_with_tap(tap: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the cases of tests/unit/test_peek.c with a program that prints TAP for them."""
    return subprocess.run(
        session(["printf", "%b", tap], *options),
        cwd=TOP, env=without_settings(), check=False, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)


# A program that runs pytest. A command from its arguments replaces the programs of the host-side
# tests, and no tools are installed.
SESSION = f"""
import sys, pytest
sys.path[:0] = [{str(TESTS)!r}, {str(TOP / "scripts")!r}]
from runner import host, plugin
number = int(sys.argv[1])
host.prepare_unit = lambda row, mode: sys.argv[2:2 + number]
host.Row = lambda name, prepare, Row=host.Row: Row("test-of-" + name, prepare)
plugin.tools_for = lambda items: []
sys.exit(pytest.main(["-c", "tests/pytest.ini", "--rootdir", ".", "--mode", "unit",
                      *sys.argv[2 + number:]]))
"""
PEEK = [case.name for case in cases_of(TESTS / "unit" / "test_peek.c")]


def tap_of(sizes: Sequence[str], word: str = "ok") -> str:
    """Return TAP in which each case of test_peek.c has the result word for each page size."""
    results = [f"{word} 1 - {name} ({size} pages)" for name in PEEK for size in sizes]
    return "\\n".join([*results, f"1..{len(results)}", ""])


@pytest.mark.parametrize(("tap", "status", "last"), [
    (tap_of(("4K", "64K")), 0, f"{2 * len(PEEK)} passed, 0 failed, 0 skipped"),
    (tap_of(("4K", "64K"), "not ok"), 1, f"0 passed, {2 * len(PEEK)} failed, 0 skipped"),
    (tap_of(("4K",)), 1, f"{len(PEEK)} passed, {len(PEEK)} failed, 0 skipped"),
    ("1..0\\n", 1, f"0 passed, {2 * len(PEEK)} failed, 0 skipped"),
], ids=["all pass", "all fail", "one size is missing", "none"])
def test_the_last_line_and_the_status_tell_how_the_cases_ended(tap: str, status: int,
                                                               last: str) -> None:
    done = session_with_tap(tap, "tests/unit/test_peek.c")
    assert (done.stdout.splitlines()[-1], done.returncode) == (last, status), done.stdout


def test_a_result_that_no_source_defines_is_reported_with_the_rows_end() -> None:
    done = session_with_tap("ok 1 - a\\nnot ok 2 - a\\nok 3 - b # SKIP c\\n1..3\\n",
                            "-k", "host_runs_to_its_end")
    assert done.stdout.splitlines()[-1] == "2 passed, 1 failed, 1 skipped", done.stdout
    assert done.returncode == 1


def test_a_failure_of_a_case_that_was_not_selected_fails_the_run() -> None:
    tap = tap_of(("4K", "64K")).replace("1..", "not ok 9 - module unloads\\n1..")
    done = session_with_tap(tap, "tests/unit/test_peek.c::" + PEEK[0] + "[4K]")
    assert done.returncode == 1, done.stdout
    assert "module unloads failed, although it was not selected" in done.stdout


# The command of a row that makes the file "begun" at its start, and "ended" at SIGTERM
ROW = ("cd $0; trap 'sleep 0.2; touch ended; exit' TERM; touch begun; "
       "for i in $(seq 300); do sleep 0.1; done")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_rows_that_run(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(session(["sh", "-c", ROW, tmp_path]), cwd=TOP,
                          env=without_settings(), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            time.sleep(0.05)
        for _ in range(2):
            process.send_signal(number)
            time.sleep(0.1)
        assert process.wait() == 128 + number
    assert (tmp_path / "ended").exists()
