# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.archive: choice of suites, sources.list, and the calls of apt."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from lab import archive
from lab.archive import Apt
from lab.places import LabError
from lab_fixtures import FakeApt, fake_apt, progress  # noqa: F401, fixtures


def sources(suites: str) -> list[str]:
    """Return the lines of sources.list for suites, without the keyring."""
    text = (Apt(suites).directory / "sources.list").read_text()
    return text.replace(f"signed-by={archive.KEYS}", "KEYS").splitlines()


def test_the_first_choice_that_verifies_and_has_the_package_is_used(debian: FakeApt) -> None:
    debian.has("a", "linux-1")
    debian.has("b", "linux-1")
    assert Apt.first_with("linux-[0-9]", ["a", "b"]).suites == "a"
    assert len(debian.calls("update")) == 1


def test_the_next_choice_is_used_if_apt_refuses_the_first(debian: FakeApt,
                                                          said: io.StringIO) -> None:
    debian.refuses("a+b", "E: stale\nE: Mirror sync\nE: Some index files failed\n")
    debian.has("c")
    assert Apt.first_with("", ["a+b", "c"]).suites == "c"
    assert "    E: Mirror sync\n" in said.getvalue()
    assert "apt cannot verify a and b on this mirror now" in said.getvalue()


def test_the_next_choice_is_used_if_the_first_lacks_the_package(debian: FakeApt,
                                                                said: io.StringIO) -> None:
    debian.has("a", "linux-10 my-linux-1")
    debian.has("b", "linux-1")
    assert Apt.first_with("linux-[0-9]", ["a", "b"]).suites == "b"
    assert "a has no linux-[0-9]" in said.getvalue()


def test_all_suites_are_tried_three_times(debian: FakeApt, said: io.StringIO) -> None:
    debian.refuses("a")
    debian.has("b")
    with pytest.raises(LabError, match=r"any of: a b \(for a linux\); see build/logs/apt.log"):
        Apt.first_with("linux", ["a", "b"])
    assert len(debian.calls("update")) == 6
    assert said.getvalue().count("trying again in 0 s") == 2


def test_a_package_that_no_suite_has_is_looked_for_once(debian: FakeApt) -> None:
    debian.has("a")
    debian.has("b")
    with pytest.raises(LabError, match="there is no linux in any of: a b$"):
        Apt.first_with("linux", ["a", "b"])
    assert len(debian.calls("update")) == 2


def test_an_error_of_an_earlier_run_is_not_shown_again(debian: FakeApt, said: io.StringIO) -> None:
    debian.refuses("a", "E: once\n")
    assert not Apt("a").update()
    debian.refuses("a", "out of memory\n")
    assert not Apt("a").update()
    assert said.getvalue().count("E: once") == 1


def test_an_unconfigured_suite_uses_the_mirror_of_the_machines_release(debian: FakeApt) -> None:
    assert sources("trixie") == ["deb [KEYS] http://deb/debian trixie main"]


def test_a_security_suite_is_left_out_unless_it_is_configured(debian: FakeApt) -> None:
    assert sources("bookworm+bookworm-security") == ["deb [KEYS] http://deb/debian bookworm main"]
    debian.configure("Debian|bookworm|main|Packages|http://deb/debian",
                     "Debian|bookworm-security|main|Packages|http://sec/debian")
    assert sources("bookworm+bookworm-security") == [
        "deb [KEYS] http://deb/debian bookworm main",
        "deb [KEYS] http://sec/debian bookworm-security main"]


@pytest.mark.parametrize("suite", ["forky", "sid", "experimental"])
def test_expired_lists_of_a_suite_that_changes_daily_are_accepted(suite: str,
                                                                  debian: FakeApt) -> None:
    assert sources(suite) == [f"deb [KEYS check-valid-until=no] http://deb/debian {suite} main"]


@pytest.mark.parametrize("suite", ["bookworm", "bookworm-backports", "trixie"])
def test_expired_lists_of_other_suites_are_refused(suite: str, debian: FakeApt) -> None:
    assert sources(suite) == [f"deb [KEYS] http://deb/debian {suite} main"]


def test_targets_of_another_origin_or_component_are_ignored(debian: FakeApt) -> None:
    debian.configure("Other|bookworm|main|Packages|http://other",
                     "Debian|bookworm|contrib|Packages|http://contrib",
                     "Debian|bookworm|main|Packages|http://main")
    assert sources("bookworm") == ["deb [KEYS] http://main bookworm main"]


def test_without_package_lists_the_first_uri_of_the_suite_is_used(debian: FakeApt) -> None:
    debian.configure()
    debian.configure("|bookworm|main|Sources|http://src",
                     "|bookworm|main|Packages|http://first",
                     "|bookworm|main|Packages|http://second", bare=True)
    assert sources("bookworm") == ["deb [KEYS] http://first bookworm main"]


def test_a_machine_without_debians_archive_is_refused(debian: FakeApt) -> None:
    debian.configure()
    with pytest.raises(LabError, match=r"shows none for bookworm/main"):
        Apt("bookworm")


def test_a_machine_without_debians_keys_is_refused(debian: FakeApt) -> None:
    archive.KEYS.unlink()
    with pytest.raises(LabError, match="install the package debian-archive-keyring"):
        Apt("bookworm")


def test_package_lists_of_each_architecture_have_their_own_directory(debian: FakeApt) -> None:
    worlds = [Apt("a"), Apt("a", foreign=""), Apt("a", native="ppc64el", foreign="")]
    assert len({apt.directory for apt in worlds}) == 3


def test_dependencies_are_resolved_for_the_native_architecture(debian: FakeApt) -> None:
    Apt("a", native="ppc64el", foreign="").update()
    call, = debian.calls("update")
    assert "APT::Architecture=ppc64el" in call and "APT::Architectures::=ppc64el" in call
    assert "amd64" not in call


def test_apt_writes_only_below_the_cache(debian: FakeApt) -> None:
    apt = Apt("a")
    apt.update()
    words = debian.calls("update")[0].split()
    for option in ("Dir::State", "Dir::State::lists", "Dir::State::status", "Dir::Cache"):
        value, = (word.partition("=")[2] for word in words if word.startswith(f"{option}="))
        assert Path(value).is_relative_to(apt.directory)


@pytest.mark.parametrize(("names", "newest"), [
    ("linux-6.12.9 linux-6.12.10", "linux-6.12.10"),
    ("linux-6.12.10 linux-6.12~rc1", "linux-6.12.10"),
    ("linux-6.12~rc1 linux-6.12", "linux-6.12"),
    ("linux-6.1.0-50 linux-6.1.0-9", "linux-6.1.0-50"),
    ("linux-6.12.95+deb12 linux-6.12.95", "linux-6.12.95+deb12"),
    ("linux-6.12.95+deb13 linux-6.12.95+deb12", "linux-6.12.95+deb13"),
    ("other-7", ""),
])
def test_the_newest_package_has_the_highest_version(names: str, newest: str,
                                                    debian: FakeApt) -> None:
    debian.has("a", names)
    assert Apt("a").newest_package("linux-.*") == newest


def test_a_field_is_found_by_its_whole_name(debian: FakeApt) -> None:
    debian.has("a", fields={"linux": {"Pre-Depends": "dpkg", "Depends": "kmod, init: x"}})
    assert Apt("a").package_field("linux:ppc64el=1", "Depends") == "kmod, init: x"
    assert Apt("a").package_field("linux", "Size") == ""


def test_a_package_that_does_not_exist_has_no_fields(debian: FakeApt) -> None:
    with pytest.raises(LabError, match="there is no linux in a and b"):
        Apt("a+b").package_field("linux", "Size")


def test_a_package_is_fetched_into_the_directory(debian: FakeApt, tmp_path: Path,
                                                 said: io.StringIO) -> None:
    debian.has("a", fields={"linux": {"Size": "81234567"}})
    debian.add_deb("linux", {})
    Apt("a").fetch(tmp_path, "linux:ppc64el=6.12-1")
    assert (tmp_path / "linux.deb").exists()
    assert "fetching linux 6.12-1 (82MB)" in said.getvalue()


def test_a_failed_download_names_the_package(debian: FakeApt, tmp_path: Path) -> None:
    debian.has("a", fields={"linux": {"Size": "1"}})
    debian.breaks("a")
    with pytest.raises(LabError, match="^linux:ppc64el could not be fetched:"):
        Apt("a").fetch(tmp_path, "linux:ppc64el=6.12-1")
    with pytest.raises(LabError, match="^no luck:"):
        Apt("a").fetch_all(tmp_path / "all", ["linux"], what="fetching", failure="no luck")
