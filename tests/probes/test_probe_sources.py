# SPDX-License-Identifier: GPL-2.0-only
"""Test that the list of kernel APIs, the probes and the supported range fit the sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.labels import all_labels
from lab.places import TOP
from probed import LIST, supported_range
from runner.command import run

# Files that state the range in full
STATING = ("README", "Documentation/kernels.rst", "Documentation/testing.rst",
           "include/tce2_vfio.h", "debian/control")
# Files that may state a range
PLACES = ("README", "Makefile", "Kbuild", "dkms.conf", "Documentation/*.rst", "debian/**/*",
          "include/**/*", "packaging/**/*", "scripts/**/*", "src/**/*", "tools/**/*")
SERIES = r"[0-9]+\.[0-9]+"
FIRST, LAST = supported_range()


def found(pattern: str, *files: Path) -> set[str]:
    """Return the first group of each match of a pattern in files."""
    return {name for file in files
            for name in re.findall(pattern, file.read_text(), re.MULTILINE)}


def test_every_header_included_by_the_sources_is_probed() -> None:
    include = r"^#include <(.*)>$"
    sources = [*TOP.glob("src/*.c"), *TOP.glob("include/*.h")]
    difference = found(include, *sources) ^ found(include, TOP / "src" / "probes" / "headers.c")
    assert not difference


def test_each_part_of_the_list_has_its_probe() -> None:
    parts = found(r".*defined\((TCE2_API_[A-Z_]*)\) \|\| .*", TOP / LIST)
    assert parts, f"{LIST} has no parts"
    difference = parts ^ found(r"^#define (TCE2_API_[A-Z_]*)$", *TOP.glob("src/probes/*.c"))
    assert not difference


@pytest.mark.parametrize("file", STATING)
def test_the_supported_range_is_stated_in(file: str) -> None:
    is_stated = f" {FIRST} to {LAST}" in (TOP / file).read_text()
    assert is_stated, f"{file} does not state the range {FIRST} to {LAST}"


def test_the_supported_range_is_that_of_the_labels() -> None:
    series = [tuple(map(int, label.series.split("."))) for label in all_labels().values()
              if not label.is_added]
    ends = [".".join(map(str, end)) for end in (min(series), max(series))]
    assert ends == [FIRST, LAST]


def texts() -> Iterator[tuple[Path, str]]:
    """Yield each file that may state a range, and the text of the file."""
    for place in PLACES:
        for file in sorted(TOP.glob(place)):
            if file.is_file() and not file.is_symlink():
                yield file, file.read_text(errors="replace")


def test_no_file_states_the_supported_range_with_another_bound() -> None:
    first, last = re.escape(FIRST), re.escape(LAST)
    statements = [(file, match[0]) for file, text in texts()
                  for match in re.finditer(
                      rf"\b(?:{first} (?:to|-) {SERIES}|{SERIES} (?:to|-) {last})\b", text)]
    assert statements, "no file states the range"
    wrong = [f"{file.relative_to(TOP)}: {statement}" for file, statement in statements
             if not re.fullmatch(rf"{first} (to|-) {last}", statement)]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


# Remove the following cases with the dkms 3.0 workaround in dkms.conf

def dkms_3_0(release: str, status: int) -> None:
    """Fail unless dkms 3.0 builds for a release (status 0), or does not (status 1)."""
    run("bash", "-c", '. "$1" || exit 2; [[ $2 =~ $BUILD_EXCLUSIVE_KERNEL ]]', "-",
        TOP / "dkms.conf", release).expect(status)


@pytest.mark.parametrize("release", [FIRST, f"{FIRST}.0-50-powerpc64le",
                                     f"{LAST}~rc4-powerpc64le",
                                     f"{LAST}.12+deb14-powerpc64le-64k"])
def test_dkms_3_0_builds_for_the_supported_range(release: str) -> None:
    dkms_3_0(release, 0)


@pytest.mark.parametrize("release", ["5.10.0-99-powerpc64le", f"{LAST}0.1",
                                     f"{int(LAST.split('.')[0]) + 1}.0.0-1"])
def test_dkms_3_0_builds_for_no_other_kernel(release: str) -> None:
    dkms_3_0(release, 1)
