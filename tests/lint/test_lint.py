# SPDX-License-Identifier: GPL-2.0-only
"""Run each checker of scripts/lint as a test. Checkers that build the module run per kernel."""

from __future__ import annotations

import re

import pytest

from lab.command import without_settings
from lab.labels import chosen_names
from lab.places import SCRIPTS

from runner.command import run

# Time-out of a checker in seconds
PATIENCE = 3600


def checkers(variable: str) -> list[str]:
    """Return the checkers that a variable of scripts/lint lists."""
    found = re.search(rf"^{variable}='(.*)'$", (SCRIPTS / "lint").read_text(), re.MULTILINE)
    assert found, f"scripts/lint has no {variable}"
    return found[1].split()


@pytest.mark.parametrize("checker", checkers("ONCE"))
def test_no_checker_complains(checker: str) -> None:
    run(SCRIPTS / "lint", checker, patience=PATIENCE).expect(0, "lint: no complaint$")


@pytest.mark.parametrize("checker", checkers("EACH"))
@pytest.mark.parametrize("label", chosen_names())
def test_no_checker_complains_for(checker: str, label: str) -> None:
    run(SCRIPTS / "lint", checker, env=without_settings(KERNELS=label),
        patience=PATIENCE).expect(0, "lint: no complaint$")
