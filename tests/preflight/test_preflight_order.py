# SPDX-License-Identifier: GPL-2.0-only
"""tce2-preflight --root: load order of the modules, and depmod's indexes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from preflight_tool import FAIL, OK, TOOL, UNKNOWN, Root, changed_copy, put_fifo, sanitized

pytest_plugins = ["preflight_fixtures"]

# Lines of modprobe.d: load this module after, or before, the in-tree driver
AFTER = "softdep vfio_iommu_spapr_tce post: vfio_spapr_tce2"
BEFORE = "softdep vfio_iommu_spapr_tce pre: vfio_spapr_tce2"
INSTALL = "install vfio_iommu_spapr_tce /bin/true"
TOO_LATE = r'load-order +"modprobe vfio_pci" loads vfio_iommu_spapr_tce after'


def test_a_root_and_a_version_are_enough(root: Root) -> None:
    sanitized(TOOL, "--root", root.path, root.release).expect(OK, r": will work$")


def test_a_root_with_one_kernel_is_enough(root: Root) -> None:
    sanitized(TOOL, root.path).expect(OK, r": will work$")


def test_the_directory_of_a_kernel_is_enough(root: Root) -> None:
    sanitized(TOOL, root.modules).expect(OK, r": will work$")


def test_a_root_with_its_modules_below_usr_is_enough(root: Root) -> None:
    (root.path / "lib").rename(root.path / "usr" / "lib")
    sanitized(TOOL, root.path).expect(OK, r": will work$")


def test_a_root_with_several_kernels_is_refused(root: Root) -> None:
    shutil.copytree(root.modules, root.modules.parent / "other", symlinks=True)
    sanitized(TOOL, root.path).expect(
        UNKNOWN, r"several kernels \(.*other.*\); select one with --root")


def test_the_in_tree_driver_may_be_loaded_first(root: Root) -> None:
    root.check_order(AFTER).expect(OK, r"ok +load-order")


def test_the_in_tree_driver_loaded_last_is_noted(root: Root) -> None:
    """The module registers again when the in-tree driver is loaded."""
    root.check_order(BEFORE).expect(OK, f"note +{TOO_LATE}")


def test_the_in_tree_driver_loaded_last_fails_a_module_that_registers_once(root: Root,
                                                                           work: Path) -> None:
    """Replace the module's import of register_module_notifier() with another symbol."""
    at = root.module.read_bytes().rindex(b"register_module_notifier\0")
    module = changed_copy(root.module, work / "once.ko", at, b"R")
    root.check_order(BEFORE, module).expect(FAIL, f"fail +{TOO_LATE}")


def test_load_order_is_unknown_with_an_install_command(root: Root) -> None:
    root.check_order(INSTALL).expect(UNKNOWN, rf"unknown +load-order .*{INSTALL}")


def test_an_install_command_that_a_soft_dependency_overrides_is_noted(root: Root) -> None:
    root.check_order(f"{AFTER}\n{INSTALL}").expect(
        OK, rf'note +load-order .*ignores "{INSTALL}')


def test_load_order_of_an_uninstalled_module_is_ok_once_installed(root: Root) -> None:
    root.uninstall()
    root.check_order(AFTER).expect(OK, r"ok +load-order .*once it is installed")


def test_an_uninstalled_module_that_nothing_would_load_is_noted(root: Root) -> None:
    root.uninstall()
    root.check_order("").expect(
        OK, r"note +load-order +nothing loads the module, which is not installed")


def test_without_an_installed_or_named_module_the_result_is_unknown(root: Root) -> None:
    root.uninstall()
    sanitized(TOOL, root.path).expect(UNKNOWN, r"vfio_spapr_tce2 is not installed for")


def test_load_order_is_unknown_without_the_indexes(root: Root) -> None:
    root.uninstall()
    for name in ("modules.dep.bin", "modules.softdep"):
        (root.modules / name).unlink()
    sanitized(TOOL, "--root", root.path, "-m", root.module, root.release).expect(
        UNKNOWN, r"unknown +load-order .*run depmod")


def test_load_order_is_unknown_if_an_index_names_a_missing_module(root: Root) -> None:
    (root.vfio_dir / "vfio.ko").unlink()
    root.check().expect(
        UNKNOWN, r"unknown +load-order .*vfio.ko, which does not exist: run depmod")


@pytest.mark.parametrize("index", ["dep", "alias", "builtin"])
def test_load_order_is_unknown_if_an_index_is_damaged(index: str, root: Root) -> None:
    """libkmod crashes on such an index, or does not return."""
    file = root.modules / f"modules.{index}.bin"
    changed_copy(file, file, 8, b"\xff" * (file.stat().st_size - 8))
    sanitized(TOOL, "--root", root.path, "-m", root.module, root.release).expect(
        UNKNOWN, r"unknown +load-order .*cannot read the module indexes")


def test_load_order_is_unknown_with_a_fifo_in_modprobe_d(root: Root) -> None:
    put_fifo(root.path / "etc" / "modprobe.d" / "fifo.conf")
    root.check().expect(
        UNKNOWN, r"unknown +load-order .*/modprobe.d/fifo.conf is not a regular file")


def test_a_fifo_among_the_udev_rules_is_ignored(root: Root) -> None:
    put_fifo(root.path / "etc" / "udev" / "rules.d" / "fifo.rules")
    root.check().expect(OK, r": will work$")


def test_load_order_is_unknown_if_an_index_is_a_fifo(root: Root) -> None:
    put_fifo(root.modules / "modules.dep.bin")
    root.check().expect(UNKNOWN, r"unknown +load-order .*cannot read the module indexes")
