# SPDX-License-Identifier: GPL-2.0-only
"""Test tce2-preflight --root: the udev rule or configuration that loads the module."""

from __future__ import annotations

import pytest
from preflight_tool import FAIL, OK, UNKNOWN, Root

pytest_plugins = ["preflight_fixtures"]

SOFTDEP = "softdep vfio_iommu_spapr_tce post: vfio_spapr_tce2"
BLACKLIST = "blacklist vfio_spapr_tce2"
NOTHING = r"fail +load-order +nothing loads the module: "


def test_a_module_that_nothing_loads_is_refused(root: Root) -> None:
    root.check_order("").expect(FAIL, NOTHING)


def test_a_udev_rule_that_loads_the_module_is_named(root: Root) -> None:
    root.add_udev_rule()
    root.check_order("").expect(
        OK, r"ok +load-order .*rule .*/70-vfio-spapr-tce2.rules loads the module")


def test_a_udev_rule_that_the_administrator_hides_loads_nothing(root: Root) -> None:
    root.add_udev_rule()
    hidden = root.path / "etc" / "udev" / "rules.d" / "70-vfio-spapr-tce2.rules"
    hidden.parent.mkdir(parents=True)
    hidden.symlink_to("/dev/null")
    root.check_order("").expect(FAIL, NOTHING)


def test_a_file_of_modules_load_d_that_loads_the_module_is_named(root: Root) -> None:
    root.put("etc/modules-load.d/test.conf", "vfio-spapr-tce2\n")
    root.check_order("").expect(
        OK, r"ok +load-order .*/modules-load.d/test.conf loads the module")


def test_a_file_of_modules_load_d_with_another_name_loads_nothing(root: Root) -> None:
    root.put("etc/modules-load.d/test.conf", "vfio-spapr-tce22\n")
    root.check_order("").expect(FAIL, NOTHING)


def test_a_blacklist_does_not_apply_to_soft_dependencies(root: Root) -> None:
    root.check_order(f"{SOFTDEP}\n{BLACKLIST}").expect(
        OK, r"note +load-order .*is blacklisted: udev and modules-load")


def test_a_blacklist_applies_to_a_udev_rule(root: Root) -> None:
    root.add_udev_rule()
    root.check_order(BLACKLIST).expect(FAIL, NOTHING)


def test_a_module_with_enabled_0_is_noted(root: Root) -> None:
    root.check_order(f"{SOFTDEP}\noptions vfio_spapr_tce2 enabled=0").expect(
        OK, r"note +load-order .*switched off \(enabled=0")


@pytest.fixture
def without_backend(root: Root) -> Root:
    """Return a root whose kernel has no in-tree driver."""
    (root.vfio_dir / "vfio_iommu_spapr_tce.ko").unlink()
    root.depmod()
    return root


def test_without_the_in_tree_driver_its_soft_dependency_loads_nothing(
        without_backend: Root) -> None:
    without_backend.check_order(SOFTDEP).expect(FAIL, NOTHING)


def test_without_the_in_tree_driver_its_udev_rule_loads_nothing(without_backend: Root) -> None:
    without_backend.add_udev_rule()
    without_backend.check_order("").expect(FAIL, NOTHING)


@pytest.fixture
def with_vfio_built_in(root: Root) -> Root:
    """Return a root whose kernel has VFIO and the in-tree driver built in."""
    with (root.modules / "modules.builtin").open("a") as builtin:
        for name in ("vfio", "vfio_iommu_spapr_tce"):
            (root.vfio_dir / f"{name}.ko").unlink()
            builtin.write(f"kernel/drivers/vfio/{name}.ko\n")
    root.depmod()
    return root


def test_with_vfio_built_in_a_udev_rule_is_unknown(with_vfio_built_in: Root) -> None:
    with_vfio_built_in.add_udev_rule()
    with_vfio_built_in.check_order("").expect(
        UNKNOWN, r"unknown +load-order .*spapr_tce is built in")


def test_with_vfio_built_in_a_soft_dependency_loads_nothing(with_vfio_built_in: Root) -> None:
    with_vfio_built_in.check_order(SOFTDEP).expect(FAIL, NOTHING)
