# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.debug_kernel: options that kconfig omitted, and when to rebuild."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import debug_kernel
from lab.debug_kernel import (MENDED_FILE, NEW_CONDITION, OLD_CONDITION, mend_source,
                              need_debug_kernel, options_lost)
from lab.labels import Label
from lab.places import LabError, cache_dir
from lab_fixtures import progress  # noqa: F401, a fixture

ROW = Label("6.12-64k", "6.12", "powerpc64le-64k", ("bookworm",), "run", "always")
FRAGMENT = """# A comment about CONFIG_KASAN=n
# May be lost: RARE (7.x) ODD
CONFIG_KASAN=y
CONFIG_SIZE=20
CONFIG_RARE=y
# CONFIG_MODVERSIONS is not set
"""
KEPT = "CONFIG_KASAN=y\nCONFIG_SIZE=20\nCONFIG_RARE=y\n"


@pytest.mark.parametrize(("config", "lost"), [
    (KEPT, []),
    (f"{KEPT}# CONFIG_MODVERSIONS is not set\n", []),
    (f"{KEPT}CONFIG_MODVERSIONS=y\n", ["CONFIG_MODVERSIONS"]),
    (KEPT.replace("CONFIG_RARE=y", ""), []),
    (KEPT.replace("CONFIG_KASAN=y", ""), ["CONFIG_KASAN"]),
    (KEPT.replace("CONFIG_KASAN=y", "# CONFIG_KASAN is not set"), ["CONFIG_KASAN"]),
    (KEPT.replace("KASAN=y", "KASAN_INLINE=y"), ["CONFIG_KASAN"]),
    (KEPT.replace("20", "200"), ["CONFIG_SIZE"]),
    ("", ["CONFIG_KASAN", "CONFIG_SIZE"]),
], ids=["none", "off_as_requested", "on_but_requested_off", "may_be_lost", "missing", "off",
        "longer_name", "longer_value", "all"])
def test_options_with_another_value_in_the_configuration_are_lost(config: str,
                                                                  lost: list[str]) -> None:
    assert options_lost(FRAGMENT, config) == lost


def source_with(tmp_path: Path, text: str) -> Path:
    """Write the source file that the build patches; return it."""
    file = tmp_path / MENDED_FILE
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_patching_the_debug_kernel_source_twice_changes_it_once(tmp_path: Path) -> None:
    file = source_with(tmp_path, f"a\n\t{OLD_CONDITION}\nb\n")
    mend_source(tmp_path)
    assert file.read_text() == f"a\n\t{NEW_CONDITION}\nb\n"
    mend_source(tmp_path)
    assert file.read_text() == f"a\n\t{NEW_CONDITION}\nb\n"


def test_a_debug_kernel_source_without_the_file_is_not_patched(tmp_path: Path) -> None:
    mend_source(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_debug_kernel_source_without_the_line_to_patch_is_refused(tmp_path: Path) -> None:
    source_with(tmp_path, "if (!regs_irqs_disabled(regs) && !paused) {\n")
    with pytest.raises(LabError, match="lacks the condition to patch"):
        mend_source(tmp_path)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that records each build, with an empty cache."""
    calls: list[str] = []

    def add(name: str, directory: str) -> None:
        kernel = cache_dir() / "kernels" / name
        kernel.mkdir(parents=True, exist_ok=True)
        (kernel / "label").write_text(f"{name}|-|-|-|run|asked\n")
        (kernel / "release").write_text(f"{Path(directory).name}-tce2-debug\n")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("REFRESH", raising=False)
    monkeypatch.setattr(debug_kernel, "CONFIG", tmp_path / "config")
    (tmp_path / "config").write_text(FRAGMENT)
    for name in ("need_tools", "need_kernel", "need_source"):
        monkeypatch.setattr(debug_kernel, name, lambda _: None)
    monkeypatch.setattr(debug_kernel.Build, "build", lambda _: calls.append("built"))
    monkeypatch.setattr(debug_kernel, "add_kernel", add)
    return calls


pytestmark = pytest.mark.usefixtures("said")


def test_a_debug_kernel_of_the_same_recipe_is_built_once(built: list[str]) -> None:
    need_debug_kernel(ROW)
    need_debug_kernel(ROW)
    assert built == ["built"]


def test_a_changed_configuration_builds_the_debug_kernel_again(built: list[str],
                                                               tmp_path: Path) -> None:
    need_debug_kernel(ROW)
    (tmp_path / "config").write_text(FRAGMENT + "CONFIG_MORE=y\n")
    need_debug_kernel(ROW)
    assert built == ["built", "built"]


def test_a_changed_patch_builds_the_debug_kernel_again(built: list[str],
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    need_debug_kernel(ROW)
    monkeypatch.setattr(debug_kernel, "NEW_CONDITION", "if (0) {")
    need_debug_kernel(ROW)
    assert built == ["built", "built"]


def test_a_removed_debug_kernel_is_built_again(built: list[str]) -> None:
    need_debug_kernel(ROW)
    (cache_dir() / "kernels/6.12-debug/label").unlink()
    need_debug_kernel(ROW)
    assert built == ["built", "built"]


def test_refresh_builds_the_debug_kernel_from_nothing(built: list[str],
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    need_debug_kernel(ROW)
    rest = cache_dir() / "debug-kernels/6.12/rest"
    rest.touch()
    monkeypatch.setenv("REFRESH", "1")
    need_debug_kernel(ROW)
    assert built == ["built", "built"] and not rest.exists()


def test_a_failed_build_is_repeated(built: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise LabError("it does not build")

    with monkeypatch.context() as broken, pytest.raises(LabError):
        broken.setattr(debug_kernel.Build, "build", fail)
        need_debug_kernel(ROW)
    need_debug_kernel(ROW)
    assert built == ["built"]
