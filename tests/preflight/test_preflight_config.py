# SPDX-License-Identifier: GPL-2.0-only
"""Test tce2-preflight: the configuration of the kernel, vermagic, and signatures."""

from __future__ import annotations

from pathlib import Path

import pytest
from preflight_tool import FAIL, OK, SCRIPT, UNKNOWN, Preflight, changed_copy

pytest_plugins = ["preflight_fixtures"]

OPTIONS = ("SPAPR_TCE_IOMMU", "IOMMU_API", "VFIO", "VFIO_GROUP", "VFIO_CONTAINER")
# Offset of the signature's length, from the end of the file. The length has four bytes,
# and 28 bytes of text follow.
LENGTH_FROM_END = 32


@pytest.mark.parametrize("option", OPTIONS)
def test_a_kernel_without_this_option_is_refused(option: str, preflight: Preflight) -> None:
    config = preflight.config(rf"^CONFIG_{option}=.*", f"# CONFIG_{option} is not set")
    preflight.check("--config", config).expect(
        FAIL, rf"fail +config +CONFIG_{option} is not set")


def test_an_option_is_unknown_if_the_file_has_only_options_that_are_set(
        preflight: Preflight) -> None:
    config = preflight.config(r"^(CONFIG_VFIO_CONTAINER=|# CONFIG_).*\n", "")
    preflight.check("--config", config).expect(
        UNKNOWN, r"unknown +config +CONFIG_VFIO_CONTAINER is off, or")


def test_a_file_with_only_options_that_are_set_is_enough(preflight: Preflight) -> None:
    preflight.check("--config", preflight.config(r"^# CONFIG_.*\n", "")).expect(
        OK, r"ok .*config")


def test_a_file_that_is_no_configuration_is_named(preflight: Preflight) -> None:
    preflight.check("--config", SCRIPT).expect(UNKNOWN, r"unknown +config .*not the configuration")


def test_a_vermagic_that_differs_is_named(preflight: Preflight) -> None:
    module = preflight.changed_module(".modinfo", "mod_unload", 7, b"O")
    preflight.check(module=module).expect(FAIL, r"fail +vermagic .*mod_unlOad")


@pytest.fixture
def enforcing(preflight: Preflight) -> Path:
    """Return the configuration of a kernel that enforces signatures."""
    return preflight.config(r"^# CONFIG_MODULE_SIG_FORCE is not set",
                            "CONFIG_MODULE_SIG_FORCE=y")


def test_an_unsigned_module_is_refused_where_signatures_are_enforced(preflight: Preflight,
                                                                     enforcing: Path) -> None:
    preflight.check("--config", enforcing).expect(
        FAIL, r"fail +signature .*CONFIG_MODULE_SIG_FORCE")


def test_a_signed_module_is_unknown_where_signatures_are_enforced(preflight: Preflight,
                                                                  enforcing: Path,
                                                                  signed_module: Path) -> None:
    """The result is unknown, because the tool cannot find out which keys the kernel trusts."""
    preflight.check("--config", enforcing, module=signed_module).expect(
        UNKNOWN, r"unknown +signature .*signed by test key")


def test_a_signed_module_is_good_where_nothing_is_enforced(preflight: Preflight,
                                                           signed_module: Path) -> None:
    preflight.check("-v", module=signed_module).expect(
        OK, r"ok +signature +the module is signed by test key")


def test_a_damaged_signature_is_refused_where_nothing_is_enforced(preflight: Preflight,
                                                                  signed_module: Path,
                                                                  work: Path) -> None:
    length = signed_module.stat().st_size - LENGTH_FROM_END
    damaged = changed_copy(signed_module, work / "damaged.ko", length, b"\xff")
    preflight.check(module=damaged).expect(FAIL, r"fail +signature .*damaged")


def test_an_unsigned_module_is_refused_by_a_locked_down_kernel(preflight: Preflight) -> None:
    config = preflight.config(r"^# CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY is not set",
                              "CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y")
    preflight.check("--config", config).expect(FAIL, r"fail +signature .*FORCE_INTEGRITY")
