# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.places and lab.labels: directories, and the table of kernels."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from lab.labels import DEFAULT_LABEL, all_labels, chosen_names, label
from lab.places import LabError, cache_dir, check_paths, home_dir


def forget_the_user(number: int) -> pwd.struct_passwd:
    """Fail like pwd.getpwuid() for an unknown user."""
    raise KeyError(number)


def user_lives_in(home: str) -> pwd.struct_passwd:
    """Return the passwd entry of a user with a home directory."""
    return pwd.struct_passwd(("u", "x", 1000, 1000, "", home, "/bin/sh"))


def test_without_home_the_cache_is_where_the_user_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user_lives_in("/home/u"))
    assert cache_dir() == Path("/home/u/.cache/vfio-spapr-tce2")
    monkeypatch.setenv("HOME", "/elsewhere")
    assert cache_dir() == Path("/elsewhere/.cache/vfio-spapr-tce2")


def test_without_home_or_passwd_entry_the_error_says_what_to_set(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", forget_the_user)
    for home in ("", "relative"):
        monkeypatch.setenv("HOME", home)
        with pytest.raises(LabError, match="set HOME or XDG_CACHE_HOME to an absolute path"):
            home_dir()


def test_a_relative_xdg_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_dir() == Path("/home/u/.cache/vfio-spapr-tce2")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache_dir() == Path("/var/cache/vfio-spapr-tce2")


def test_a_cache_path_with_a_blank_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/a b")
    with pytest.raises(LabError, match="a blank in the path of the cache"):
        check_paths()


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Add a label to an empty cache; return its name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "vfio-spapr-tce2" / "kernels" / "mine-debug" / "label"
    file.parent.mkdir(parents=True)
    file.write_text("mine-debug|-|-|-|load|asked\n")
    return "mine-debug"


def test_labels_have_series_flavour_and_suites() -> None:
    row = label(DEFAULT_LABEL)
    assert (row.series, row.flavour) == ("6.12", "powerpc64le-64k")
    assert label("6.1-64k").suites == ("bookworm+bookworm-security", "bookworm")
    for row in all_labels().values():
        if not row.is_added:
            assert row.name.startswith(f"{row.series}-") and row.use in ("run", "load")


def test_an_added_label_is_in_the_table(added: str) -> None:
    assert label(added).is_added and label(added).use == "load"
    assert not label(DEFAULT_LABEL).is_added


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(LabError, match=r"no kernel is called '6.12-65k'; "
                       r"did you mean 6.12-64k\? 'make kernels' lists"):
        label("6.12-65k")


@pytest.mark.parametrize(("kernels", "kernel", "chosen"), [
    ("a b", "c", ["a", "b"]), ("", "c", ["c"]), ("", "", ["6.12-64k", "6.12-4k", "6.1-64k"])])
def test_kernels_are_chosen_by_name(kernels: str, kernel: str, chosen: list[str],
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELS", kernels)
    monkeypatch.setenv("KERNEL", kernel)
    assert chosen_names() == chosen


def test_all_excludes_the_debug_kernels(added: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELS", "all")
    assert chosen_names() == [name for name in all_labels() if name != added]
