# SPDX-License-Identifier: GPL-2.0-only
"""Build the example programs of tools/examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.command import CROSS
from lab.places import TOP

from runner.command import run

EXAMPLES = sorted((TOP / "tools/examples").glob("*.c"))
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


def test_there_is_an_example_for_each_kind_of_client() -> None:
    assert [path.stem for path in EXAMPLES] == ["segments", "viommu"]


@pytest.mark.parametrize("compiler", ["gcc", f"{CROSS}gcc-12"])
@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_each_example_builds(compiler: str, name: str, work: Path) -> None:
    run(compiler, *FLAGS, "-o", work / name, TOP / f"tools/examples/{name}.c").expect(0)
