# SPDX-License-Identifier: GPL-2.0-only
"""Run the code of tce2-preflight on damaged files, in one process with ASan and UBSan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from preflight_tool import SANITIZED, Kernel, sanitized

from runner.command import Done

pytest_plugins = ["preflight_fixtures"]

Damage = Callable[[str, Path], Done]
# Number of damaged copies of each kind of file, as a multiple of PREFLIGHT_DAMAGE
SHARES = {"module": 20, "layout": 0.25, "symvers": 1, "config": 1, "btf": 0.5, "vfio": 0.5}


@pytest.fixture(scope="session")
def damage(programs: None, kernel_64k: Kernel, module: Path, btf: Path, damage_seed: int,
           damage_count: int) -> Damage:
    """Return a function that runs the program damage for a kind of file, in a directory."""
    del programs
    # Time-out in seconds
    patience = 300 + 6 * damage_count

    def run_damage(kind: str, directory: Path) -> Done:
        modules = directory / kernel_64k.release
        (modules / "kernel" / "drivers" / "vfio").mkdir(parents=True)
        return sanitized(
            SANITIZED / "damage", kind, module, modules, kernel_64k.build, btf,
            kernel_64k.vfio_dir / "vfio.ko", str(damage_seed), str(damage_count),
            patience=patience)

    return run_damage


@pytest.fixture(scope="session")
def cuts(damage: Damage, module: Path, shared: Path) -> Done:
    """Return the output for the module truncated at every byte."""
    return damage("cut", shared).expect(0, rf"^{module.stat().st_size} lengths$")


def test_a_module_truncated_at_any_byte_is_refused(cuts: Done) -> None:
    cuts.expect(0, r"^0 accepted$")


def test_a_module_truncated_at_any_byte_is_refused_with_a_reason(cuts: Done) -> None:
    cuts.expect(0, r"^0 without a reason$")


@pytest.mark.parametrize("kind", SHARES)
def test_flipped_bits_cause_no_crash(kind: str, damage: Damage, damage_count: int,
                                     work: Path) -> None:
    copies = int(SHARES[kind] * damage_count)
    damage(kind, work).expect(0, rf"^{copies} copies$")
