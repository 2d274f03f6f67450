# SPDX-License-Identifier: GPL-2.0-only
"""Tests of scripts/check-evidence, which run it on copies of the documents and of the tests.

check-evidence must accept the unchanged copy, and refuse each copy with one inserted error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.places import SCRIPTS, TOP
from runner.command import Done, run

DIFFERENCES = "Documentation/differences.rst"
SECURITY = "Documentation/security.rst"
EVIDENCE = "Documentation/evidence.rst"
COPIED = ("Documentation", "tests/guest", "tests/unit", "tests/clients")


@dataclass(frozen=True)
class Error:
    """An error inserted into a file, and the complaint it must cause: PATH:LINE:kind: text."""

    path: str
    pattern: str
    replacement: str
    kind: str
    text: str


def check(*arguments: str | Path) -> Done:
    """Run scripts/check-evidence."""
    return run(SCRIPTS / "check-evidence", *arguments)


def change(sources: Path, path: str, pattern: str, replacement: str) -> None:
    """Replace the first match of a pattern in a file; fail the test if nothing matches."""
    __tracebackhide__ = True
    file = own(sources, path)
    before = file.read_text()
    after = re.sub(pattern, replacement, before, count=1, flags=re.MULTILINE)
    if after == before:
        pytest.fail(f"{pattern} changes nothing in {path}", pytrace=False)
    file.write_text(after)


def own(sources: Path, path: str) -> Path:
    """Replace the links to a file and its directory with copies; return the copied file."""
    file = sources / path
    if file.parent.is_symlink():
        target = file.parent.resolve()
        file.parent.unlink()
        file.parent.mkdir()
        for each in target.iterdir():
            (file.parent / each.name).symlink_to(each)
    if file.is_symlink():
        text = file.read_text()
        file.unlink()
        file.write_text(text)
    return file


@pytest.fixture
def sources(work: Path) -> Path:
    """Return a directory with links to the directories that the checker reads."""
    (work / "tests").mkdir()
    for directory in COPIED:
        (work / directory).symlink_to(TOP / directory)
    return work


ERRORS = {
    # Errors in Documentation/differences.rst
    "a row without id": Error(
        DIFFERENCES, r"^M4  ", "    ", "row", '"Misaligned iova: returns 1" has no id'),
    "a row that begins in lower case": Error(
        DIFFERENCES, r"^(M4 +)Misaligned", r"\1misaligned", "row",
        '"misaligned iova: returns 1" should begin with a capital'),
    "a row with a bad id": Error(DIFFERENCES, r"^M4  ", "four", "row", '"four" is no id'),
    "an id of two rows": Error(DIFFERENCES, r"^M5", "M4", "twice", "a second row M4"),
    "a defect without number": Error(
        DIFFERENCES, r"^10 ", "   ", "row",
        '"TCE_REMOVE with an address inside a window removes it" has no id'),
    "a row without entry": Error(
        DIFFERENCES, r"^M15 .*", r"M16  A new row\n\g<0>", "entry",
        f"M16 has no entry in {EVIDENCE}"),
    "a defect without entry": Error(
        DIFFERENCES, r"^24\*", r"25  A new defect\n\g<0>", "entry",
        f"D25 has no entry in {EVIDENCE}"),
    "a row that exists only in tce2-differ's list": Error(
        "tests/guest/differ_intended.c", r'(\.row = ")Size 0', r"\1Size 1", "differ",
        'no row begins with "Size 1: returns 0"'),
    # Errors in Documentation/security.rst
    "a promise without number": Error(
        SECURITY, r"^7\. ", "", "row",
        '"A client gets the same answers as from the in-tree driver, except'),
    "a promise without entry": Error(
        SECURITY, r"^9\. ", r"99. A new promise.\n\g<0>", "entry",
        f"S99 has no entry in {EVIDENCE}"),
    # Errors in Documentation/evidence.rst
    "an entry without row": Error(
        EVIDENCE, r"^M15$", "M99", "entry", "M99 is no row and no promise"),
    "an id of two entries": Error(
        EVIDENCE, r"^M15$", "M14", "twice", "a second entry of M14"),
    "an entry without test and reason": Error(
        EVIDENCE, r"(^G9$(?s:.)*?:none:) .*", r"\1", "reason",
        "G9 has neither a test nor a reason"),
    "an entry with test and reason": Error(
        EVIDENCE, r"^G9$", r"\g<0>\n\t:guest: ``unregister_in_another_container_returns_enoent``",
        "reason", "G9 has both tests and a reason"),
    "a test of another directory": Error(
        EVIDENCE, r"(^M10$(?s:.)*?):unit:", r"\1:guest:", "test",
        'tests/guest has no test "unmap_before_any_map_makes_no_default_window"'),
    # Errors in the tests
    "a renamed test of the guest": Error(
        "tests/guest/conformance_container.c", r"^TEST\(v2_is_the_only_", r"\g<0>real_", "test",
        'tests/guest has no test "v2_is_the_only_iommu_type_of_the_container"'),
    "a renamed test of the host": Error(
        "tests/unit/test_window.c", r"^TEST\(refused_map_", r"\g<0>really_", "test",
        'tests/unit has no test "refused_map_makes_no_default_window"'),
    "a renamed single-test program": Error(
        "tests/unit/test_kvm_threads.c", r'^\t"two_virtual_', r"\g<0>real_", "test",
        'tests/unit has no test "two_virtual_cpus_and_requests_at_once_keep_table_view_'),
    "a renamed TAP line of a guest program": Error(
        "tests/guest/job_differ.c", r'"both backends answer', '"all backends answer', "test",
        'tests/guest has no test "both backends answer alike'),
    "an in-tree failure without entry": Error(
        "tests/guest/conformance_container.c",
        r"^TEST\(two_groups_share_windows_and_mappings, ", r'\g<0>.intree = "fails", ',
        "intree", "no entry names two_groups_share_windows_and_mappings"),
    "an in-tree failure by macro without entry": Error(
        "tests/guest/conformance_container.c",
        r"^TEST\(two_groups_share_windows_and_mappings, ", r"\g<0>.intree = FAILS, ",
        "intree", "no entry names two_groups_share_windows_and_mappings"),
    "a test of a defect that is not in its entry": Error(
        "tests/guest/conformance_window.c",
        r"(does_not_remove_it.*(?:\n.*)?defect )10", r"\g<1>9", "intree",
        "the entry of D9 does not name an_address_inside_a_window"),
    # Here the entry's list of tests continues on a second line
    "a test of two defects named in only one entry": Error(
        "tests/guest/conformance_ddw.c", r'"defects 6, 13"\)\n\{', r'"defects 6, 14")\n{',
        "intree", "the entry of D14 does not name a_window_is_created_exactly"),
    "a test of a defect that does not exist": Error(
        "tests/guest/conformance_window.c",
        r"(does_not_remove_it.*(?:\n.*)?defect )10", r"\g<1>99", "intree",
        "an_address_inside_a_window_does_not_remove_it names defect 99"),
}


def test_documents_and_tests_agree() -> None:
    assert check().expect(0).output == ""


def test_an_unchanged_copy_of_the_sources_passes_check_evidence(sources: Path) -> None:
    assert check(sources).expect(0).output == ""


@pytest.mark.parametrize("error", ERRORS.values(), ids=[name.replace(" ", "_") for name in ERRORS])
def test_check_evidence_reports_each_error(error: Error, sources: Path) -> None:
    change(sources, error.path, error.pattern, error.replacement)
    check(sources).expect(1, f"^[^:]+:[0-9]+:{error.kind}: {re.escape(error.text)}")


def test_a_complaint_names_file_and_line(sources: Path) -> None:
    change(sources, EVIDENCE, r"^M15$", "M99")
    line = (sources / EVIDENCE).read_text().splitlines().index("M99") + 1
    check(sources).expect(1, f"^{EVIDENCE}:{line}:entry: M99 is no row and no promise$")


def test_complaints_are_sorted_by_file_and_line(sources: Path) -> None:
    change(sources, DIFFERENCES, r"^M5", "M4")
    change(sources, SECURITY, r"^7\. ", "")
    change(sources, EVIDENCE, r"^M15$", "M99")
    places = [line.split(":")[:2] for line in check(sources).expect(1).output.splitlines()]
    assert len(places) >= 5
    assert places == sorted(places, key=lambda place: (place[0], int(place[1])))


@pytest.mark.parametrize("name", [
    "an_unchanged_copy_of_the_sources_passes_check_evidence", "a_copy_is_refused"])
def test_an_entry_may_name_a_test_in_python(name: str, sources: Path) -> None:
    (sources / "tests" / "evidence").symlink_to(Path(__file__).parent)
    change(sources, EVIDENCE, r"^M15$", rf"\g<0>\n\t:evidence: ``{name}``")
    there_is = name == "an_unchanged_copy_of_the_sources_passes_check_evidence"
    done = check(sources).expect(0 if there_is else 1)
    assert done.says(f'tests/evidence has no test "{name}"') != there_is


def test_a_directory_without_the_documents_is_refused(work: Path) -> None:
    check(work).expect(1, r"error: cannot read Documentation/differences\.rst: No such file")


def test_two_directories_are_refused(work: Path) -> None:
    check(work, work).expect(1, r"error: usage: scripts/check-evidence \[DIR\]$")
