# SPDX-License-Identifier: GPL-2.0-only
"""Tests of runner.coverage, with made-up consoles and gcov output."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lab.command import CROSS
from lab.places import SCRIPTS, TOP, LabError

from .command import run
from .coverage import Coverage, Line, Source, extract_counts, lines_of
from .suites import TESTS

SOURCE = """\
int first(int a);

static int first(int a)
{
    if (!a)
        goto out;
    a = 2;
    a = 2;
out:
    return a;
}

static struct page *
second(void)
{
    a = 2;
    return 0;
}
""".replace("    ", "\t")
# Execution counts of SOURCE in a guest that ran all of its lines
ALL_RAN = {3: 9, 5: 9, 6: 2, 7: 7, 8: 7, 10: 9, 14: 1, 16: 1, 17: 1}
# Fakes: a .gcda file has the output of gcov for its object, and gcov-tool copies all files
GCOV = 'cat "${3%.gcno}.gcda" 2>/dev/null || true\n'
GCOV_TOOL = 'mkdir "$3" && cp "$4"/* "$5"/* "$3"\n'


def document(file: str, counts: Mapping[int, int]) -> str:
    """Return gcov's JSON output for an object."""
    lines = [{"line_number": number, "count": count} for number, count in counts.items()]
    return json.dumps({"files": [{"file": f"/build/6.12-debug/{file}", "lines": lines}]})


class Tree:
    """A made-up source tree with a build, and fakes of gcov and gcov-tool on the PATH."""

    def __init__(self, top: Path) -> None:
        self.top = top
        # The captured output
        self.said = ""
        self.consoles: list[Path] = []
        for directory in ("src", "tests/debug", "build/6.12-debug/src", "bin"):
            (top / directory).mkdir(parents=True)
        self.write("src/a.c", SOURCE)
        self.argue()
        for name, text in (("gcov-12", GCOV), ("gcov-tool-12", GCOV_TOOL)):
            self.fake(name, text)

    def write(self, path: str, text: str) -> Path:
        """Write a file."""
        (self.top / path).write_text(text)
        return self.top / path

    def fake(self, name: str, text: str) -> None:
        """Write a fake program of the cross toolchain."""
        self.write(f"bin/{CROSS}{name}", f"#!/bin/sh\n{text}").chmod(0o755)

    def argue(self, *reasons: tuple[str, str]) -> None:
        """Write tests/debug/uncovered: reasons for lines of src/a.c, by function and text."""
        lines = [f"src/a.c\t{function}\t{text}\tbecause" for function, text in reasons]
        self.write("tests/debug/uncovered", "\n".join(["# reasons", "", *lines, ""]))

    def boot(self, name: str, **documents: str) -> None:
        """Write the console of a guest, with the counts of objects."""
        lines = ["the guest boots"]
        for number, (each, text) in enumerate(documents.items()):
            counts = base64.encodebytes(gzip.compress(text.encode())).decode()
            lines += [f"TCE2-COUNTS {each}.gcda", counts.rstrip("\n"), "TCE2-COUNTS-END"]
            self.write(f"build/6.12-debug/src/{each}.gcno", str(number))
        self.consoles.append(self.write(f"{name}.log", "\n".join([*lines, "TCE2-EXIT 0", ""])))

    def judge(self) -> list[str]:
        """Read the consoles of all guests and judge the coverage."""
        coverage = Coverage("6.12-debug", self.top, self.top / "build")
        coverage.count(self.consoles)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            failed = coverage.judge()
        self.said = output.getvalue()
        return failed

    def judge_lines(self, changes: Mapping[int, int]) -> list[str]:
        """Judge the coverage of one guest; changes maps lines of src/a.c to other counts."""
        self.boot("guest", a=document("src/a.c", {**ALL_RAN, **changes}))
        return self.judge()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Return the made-up tree, with the fakes first on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ.get('PATH', os.defpath)}")
    return Tree(tmp_path)


def test_a_line_belongs_to_the_last_function_defined_above_it(tree: Tree) -> None:
    source = Source(tree.top / "src" / "a.c")
    assert [source.function(number) for number in (1, 3, 10, 13, 14, 17)] == [
        "", "first", "first", "first", "second", "second"]


@pytest.mark.parametrize(("counts", "count"), [
    ({9: 5, 10: 3, 7: 1}, 5), ({10: 3, 7: 1}, 3), ({6: 2, 5: 9}, 2), ({5: 9}, 9),
    ({4: 9}, 0), ({}, 0),
], ids=["its_own_count", "the_first_count_below", "a_goto", "the_branch_before_a_goto",
        "nothing_before_that_branch", "nothing"])
def test_the_count_of_a_label_is(counts: dict[int, int], count: int, tree: Tree) -> None:
    assert list(Source(tree.top / "src" / "a.c").labels(counts)) == [(9, "out", count)]


def test_a_goto_without_count_uses_the_line_before_it(tree: Tree) -> None:
    file = tree.write("src/a.c", "int f(void)\n{\n\tret = -1;\n\tgoto out;\nout:\n\tg();\n}\n")
    assert list(Source(file).labels({3: 4})) == [(5, "out", 4)]


def test_gotos_of_another_function_are_not_counted(tree: Tree) -> None:
    file = tree.write("src/a.c", "int f(void)\n{\n\tgoto out;\nout:\n\tg();\n}\n\n"
                                 "int h(void)\n{\nout:\n\tg();\n}\n")
    assert list(Source(file).labels({3: 4})) == [(4, "out", 4), (10, "out", 0)]


def test_counts_below_the_next_label_are_not_used(tree: Tree) -> None:
    file = tree.write("src/a.c", "int f(void)\n{\none:\n\tg();\ntwo:\n\th();\n}\n")
    assert list(Source(file).labels({6: 4})) == [(3, "one", 0), (5, "two", 4)]


def test_only_lines_of_the_module_are_counted() -> None:
    files = [{"file": f"/{path}", "lines": [{"line_number": 1, "count": 2}]}
             for path in ("x/6.12-debug/src/a.c", "x/6.12-debug/include/a.h",
                          "x/6.12-debug/tests/selftest/main.c", "usr/include/linux/list.h")]
    assert dict(lines_of(json.dumps({"files": files}), "6.12-debug")) == {
        Line("src/a.c", 1): 2, Line("include/a.h", 1): 2}
    assert not list(lines_of("\n", "6.12-debug"))


COUNTS = base64.b64encode(gzip.compress(b"counts")).decode()


def test_counts_of_several_objects_are_read_from_one_console(tmp_path: Path) -> None:
    console = tmp_path / "console"
    half = len(COUNTS) // 8 * 4
    console.write_text(f"TCE2-COUNTS a.gcda\n{COUNTS}\nTCE2-COUNTS-END\nnoise\n"
                       f"TCE2-COUNTS b.gcda\n{COUNTS[:half]}\n{COUNTS[half:]}\nTCE2-COUNTS-END\n")
    extract_counts(console, tmp_path / "counts")
    assert {file.name: file.read_bytes() for file in (tmp_path / "counts").iterdir()} == {
        "a.gcda": b"counts", "b.gcda": b"counts"}


@pytest.mark.parametrize(("lines", "complaint"), [
    (["TCE2-COUNTS a.gcda", COUNTS[:-12], "TCE2-COUNTS-END"],
     "a.gcda came out of the guest damaged"),
    (["TCE2-COUNTS a.gcda", "[ 1.0] a message", COUNTS, "TCE2-COUNTS-END"], "damaged"),
    (["TCE2-COUNTS a.gcda", COUNTS[:8]], "damaged"),
    (["nothing"], "has no counts: was the module built with COVERAGE=1"),
], ids=["too_short", "a_message_between", "no_end", "no_counts"])
def test_a_damaged_console_is_refused(lines: Sequence[str], complaint: str, tmp_path: Path) -> None:
    console = tmp_path / "console"
    console.write_text("\n".join([*lines, ""]))
    with pytest.raises(LabError, match=complaint):
        extract_counts(console, tmp_path / "counts")


def test_a_module_whose_lines_all_ran_passes(tree: Tree) -> None:
    assert tree.judge_lines({}) == []
    assert "    src/a.c                            9 of     9 lines  100.0%\n" in tree.said
    assert "    total                              9 of     9 lines  100.0%\n" in tree.said
    assert "labels: 1 of 1 reached\n" in tree.said
    assert (tree.top / "build/coverage/lines").read_text().startswith("src/a.c 3 9\nsrc/a.c 5 9\n")
    assert (tree.top / "build/coverage/labels").read_text() == "src/a.c 9 out 9\n"


def test_the_counts_of_all_guests_and_objects_are_added(tree: Tree) -> None:
    none = dict.fromkeys(ALL_RAN, 0)
    tree.boot("one", a=document("src/a.c", {**none, 3: 1}))
    tree.boot("two", b=document("src/a.c", {**none, 3: 2, 5: 4}))
    tree.judge()
    assert (tree.top / "build/coverage/lines").read_text().startswith(
        "src/a.c 3 3\nsrc/a.c 5 4\nsrc/a.c 6 0\n")


def test_the_results_of_an_earlier_run_are_removed(tree: Tree) -> None:
    (tree.top / "build/coverage/of/old").mkdir(parents=True)
    tree.judge_lines({})
    assert [file.name for file in (tree.top / "build/coverage/of").iterdir()] == ["guest"]


def test_lines_are_in_the_order_of_the_sources(tree: Tree) -> None:
    tree.boot("guest", b=document("src/b.c", {2: 1}),
              a=document("src/a.c", dict(reversed(ALL_RAN.items()))))
    tree.judge()
    lines = (tree.top / "build/coverage/lines").read_text().splitlines()
    assert [line.rpartition(" ")[0] for line in lines] == [
        *(f"src/a.c {number}" for number in ALL_RAN), "src/b.c 2"]


def test_an_object_that_never_ran_is_skipped(tree: Tree) -> None:
    tree.write("build/6.12-debug/src/empty.gcno", "")
    assert tree.judge_lines({}) == []


def test_a_line_without_reason_fails(tree: Tree) -> None:
    assert "lines" in tree.judge_lines({6: 0})
    assert "    no guest ran: src/a.c:6: first(): goto out;\n" in tree.said


def test_a_label_without_reason_fails(tree: Tree) -> None:
    assert tree.judge_lines({10: 0})[0] == "labels"
    assert "    no guest reached the label: src/a.c:9: first(): out:\n" in tree.said


@pytest.mark.parametrize(("reasons", "there_are_enough"), [
    ([("first", "a = 2;")] * 2, True), ([("first", "a = 2;")], False),
    ([("first", "a = 2;"), ("second", "a = 2;")], False),
], ids=["for_each_line", "for_one_of_two_lines", "for_another_function"])
def test_a_reason_covers_one_line_of_a_function(reasons: Sequence[tuple[str, str]],
                                                there_are_enough: bool, tree: Tree) -> None:
    tree.argue(*reasons)
    assert ("lines" in tree.judge_lines({7: 0, 8: 0})) != there_are_enough
    argued = (tree.top / "build/coverage/argued").read_text()
    assert argued.count("src/a.c\tfirst\ta = 2;\n") == (2 if there_are_enough else 1)


def test_a_reason_for_a_missing_line_fails(tree: Tree) -> None:
    tree.argue(("first", "a = 3;"), ("second", "goto out;"), ("first", "goto out;"))
    assert tree.judge_lines({6: 0}) == ["reasons", "below-95%"]
    assert "    no such line any more: src/a.c: first(): a = 3;\n" in tree.said
    assert "    no such line any more: src/a.c: second(): goto out;\n" in tree.said
    assert "any more: src/a.c: first(): goto out;" not in tree.said


def test_a_reason_for_a_line_that_has_run_is_shown(tree: Tree) -> None:
    tree.argue(("first", "goto out;"))
    assert tree.judge_lines({}) == []
    assert "    has run: src/a.c: first(): goto out;\n" in tree.said


@pytest.mark.parametrize(("ran", "failed"), [(19, []), (18, ["below-95%"])],
                         ids=["19_of_20_are_enough", "18_of_20_fail"])
def test_95_percent_of_the_lines_must_have_run(ran: int, failed: list[str], tree: Tree) -> None:
    tree.write("src/a.c", "int f(void)\n{\n" + "\ta = 2;\n" * 19 + "out:\n\treturn a;\n}\n")
    tree.argue(*[("f", "a = 2;")] * (20 - ran))
    lines = [*range(3, 22), 23]
    tree.boot("guest", a=document("src/a.c", {
        line: int(index >= 20 - ran) for index, line in enumerate(lines)}))
    assert tree.judge() == failed


def test_sources_without_labels_or_lines_fail(tree: Tree) -> None:
    tree.write("src/a.c", SOURCE.replace("out:\n", ""))
    assert tree.judge_lines({}) == ["no-labels"]
    tree.consoles.clear()
    tree.boot("guest", a="")
    assert tree.judge() == ["no-labels", "below-95%"]


def test_a_failing_gcov_program_is_named(tree: Tree) -> None:
    tree.fake("gcov-12", "exit 5\n")
    with pytest.raises(LabError, match="gcov-12 ended with status 5"):
        tree.judge_lines({})


@pytest.mark.parametrize("arguments", [[], ["6.12-debug"]], ids=["nothing", "a_label_only"])
def test_a_command_without_consoles_prints_the_usage(arguments: Sequence[str]) -> None:
    python_path = os.pathsep.join([str(SCRIPTS), str(TESTS)])
    run(sys.executable, "-B", "-m", "runner.coverage", *arguments, cwd=TOP,
        env={**os.environ, "PYTHONPATH": python_path}).expect(
            1, r"error: usage: python3 -m runner\.coverage LABEL CONSOLE\.\.\.$")


def test_a_command_in_the_directory_tests_reads_the_consoles(tmp_path: Path) -> None:
    console = tmp_path / "console"
    console.write_text("no counts\n")
    run("python3", "-B", "-m", "runner.coverage", "6.12-debug", console, cwd=TESTS,
        env={**os.environ, "PYTHONPATH": "../scripts"}).expect(
            1, "error: .*/console has no counts: was the module built with COVERAGE=1")
