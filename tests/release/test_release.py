# SPDX-License-Identifier: GPL-2.0-only
"""Tests of scripts/release: refusals and results.

Each test has a separate repository with a copy of the sources. `make release` takes minutes, so
fakes replace dpkg-buildpackage, lintian, rpmbuild and the build of the module.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.command import without_settings
from lab.places import BUILD, TOP
from runner.command import Done, copy_sources, run

NAME = "vfio-spapr-tce2"
SPEC = f"packaging/{NAME}-kmod.spec"
INSTALL = "Documentation/install.rst"
OTHER = "9.9.9"

# The fake module is an object that has only a version; MODULE_SAYS replaces that version.
MODULE = r"""
cd "$(dirname "$0")/.." && mkdir -p "build/$1" || exit
version=${MODULE_SAYS:-$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)}
printf 'version=%s\0' "$version" >"build/$1/version"
echo "asm(\".section .modinfo, \\\"a\\\"; .incbin \\\"build/$1/version\\\"\");" |
powerpc64le-linux-gnu-gcc-12 -x c -c -o "build/$1/vfio_spapr_tce2.ko" -
"""
# The fakes of the packaging programs make empty files with the packages' names.
DPKG_BUILDPACKAGE = r"""
version=$(sed -nE '1s/.*\((.*)\).*/\1/p' debian/changelog)
touch "../vfio-spapr-tce2-dkms_${version}_all.deb" "../vfio-spapr-tce2_$version.dsc"
"""
RPMBUILD = """
for argument; do
    case $argument in
    "_topdir "*)
        mkdir -p "${argument#* }/RPMS" "${argument#* }/SRPMS"
        touch "${argument#* }/RPMS/a.rpm" "${argument#* }/SRPMS/a.src.rpm" ;;
    esac
done
"""


def version_of(sources: Path) -> str:
    """Return the version in dkms.conf."""
    text = (sources / "dkms.conf").read_text()
    found = re.search(r'^PACKAGE_VERSION="(.*)"$', text, re.MULTILINE)
    assert found
    return found[1]


VERSION = version_of(TOP)
# The version as a regular expression
V = re.escape(VERSION)


def program(file: Path, text: str) -> None:
    """Write a program for sh."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(0o755)


class Repository:
    """A repository of the sources, and a directory of fakes for the PATH."""

    def __init__(self, sources: Path, programs: Path) -> None:
        self.sources = sources
        self.programs = programs
        self.made = sources / "build" / "release"

    def git(self, *words: str | Path) -> Done:
        """Run git in the repository; fail unless it succeeds."""
        return run("git", "-C", self.sources, "-c", "user.name=test", "-c", "user.email=test",
                   *words).expect(0)

    def commit(self) -> None:
        """Commit all changes."""
        self.git("add", "-A")
        self.git("commit", "-q", "--date=@1700000000", "-m", "test")

    def change(self, path: str, pattern: str, replacement: str) -> None:
        """Replace all matches of a pattern in a file, and commit the change."""
        file = self.sources / path
        before = file.read_text()
        after = re.sub(pattern, replacement, before, flags=re.MULTILINE)
        assert after != before, f"{pattern} changes nothing in {path}"
        file.write_text(after)
        self.commit()

    def append_line(self, path: str) -> None:
        """Add an empty line to a file."""
        with (self.sources / path).open("a") as file:
            file.write("\n")

    def release(self, *words: str, **variables: str) -> Done:
        """Run scripts/release."""
        path = f"{self.programs}:{os.environ.get('PATH', os.defpath)}"
        return run(self.sources / "scripts" / "release", *words, cwd=self.sources,
                   env=without_settings(PATH=path, **variables))

    def is_refused(self, sentence: str, **variables: str) -> Done:
        """Fail unless a release is refused with this message and makes nothing."""
        __tracebackhide__ = True
        done = self.release(**variables).expect(1, re.escape(sentence))
        assert not self.made.exists()
        return done

    def make_release(self) -> dict[str, str]:
        """Make a release; return the lines of SHA256SUMS, by file."""
        self.release().expect(0)
        lines = (self.made / "SHA256SUMS").read_text().splitlines()
        return {name: digest for digest, name in (line.split("  ") for line in lines)}


@pytest.fixture(scope="module")
def clean() -> Repository:
    """Return a repository of the sources, with fakes. No test changes it."""
    work = BUILD / "tests" / "release"
    shutil.rmtree(work, ignore_errors=True)
    sources = work / "clean"
    copy_sources(sources)
    run("make", "-s", "-C", sources, "clean").expect(0)
    program(sources / "scripts" / "module", MODULE)
    programs = work / "bin"
    for name, text in (("lintian", ""), ("dpkg-buildpackage", DPKG_BUILDPACKAGE),
                       ("rpmbuild", RPMBUILD)):
        program(programs / name, text)
    repository = Repository(sources, programs)
    repository.git("init", "-q")
    repository.commit()
    return repository


@pytest.fixture
def repository(work: Path, clean: Repository) -> Iterator[Repository]:
    """Return a repository for a test. Remove it after the test, because it is large."""
    clean.git("clone", "-q", "--shared", clean.sources, work / "sources")
    yield Repository(work / "sources", clean.programs)
    shutil.rmtree(work / "sources")


def test_a_release_has_archive_packages_and_checksums(repository: Repository) -> None:
    sums = repository.make_release()
    files = {file.name for file in repository.made.iterdir()}
    assert files == {f"{NAME}-{VERSION}.tar.gz", f"{NAME}-dkms_{VERSION}_all.deb",
                     f"{NAME}_{VERSION}.dsc", "a.rpm", "a.src.rpm", "SHA256SUMS"}
    assert sums.keys() == files - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((repository.made / name).read_bytes()).hexdigest() == digest, name


def test_the_archive_has_exactly_the_files_of_the_commit(repository: Repository) -> None:
    repository.make_release()
    with tarfile.open(repository.made / f"{NAME}-{VERSION}.tar.gz") as archive:
        names = sorted(member.name for member in archive if not member.isdir())
    committed = repository.git("ls-files").output.splitlines()
    assert names == sorted(f"{NAME}-{VERSION}/{name}" for name in committed)


def test_other_time_stamps_and_permissions_give_the_same_archive(repository: Repository) -> None:
    name = f"{NAME}-{VERSION}.tar.gz"
    first = repository.make_release()[name]
    for file in repository.sources.rglob("*"):
        if file.is_file() and ".git" not in file.relative_to(repository.sources).parts:
            file.touch()
    for file in (repository.sources / "src").rglob("*"):
        file.chmod(file.stat().st_mode | 0o020)
    assert repository.make_release()[name] == first


PLACES = {
    "debian_changelog": (
        "debian/changelog", rf"\A(.*){V}", rf"\g<1>{OTHER}", "debian/changelog"),
    "the_spec": (SPEC, rf"^(Version:.*){V}", rf"\g<1>{OTHER}", SPEC),
    "the_changelog_of_the_spec": (
        SPEC, rf"- {V}-1$", f"- {OTHER}-1", f"the newest entry of %changelog in {SPEC}"),
    "NEWS": ("NEWS", rf"^{V} \(", f"{OTHER} (", "the newest section of NEWS"),
    "the_name_of_the_package_in_README": (
        "README", f"-dkms_{V}", f"-dkms_{OTHER}", f"README ({NAME}-dkms_...)"),
    "the_name_of_the_package_in_install_rst": (
        INSTALL, f"-dkms_{V}", f"-dkms_{OTHER}", f"{INSTALL} ({NAME}-dkms_...)"),
    "the_directory_of_dkms_in_install_rst": (
        INSTALL, f"/{NAME}-{V}", f"/{NAME}-{OTHER}", f"{INSTALL} (/{NAME}-...)"),
    "the_argument_of_dkms_in_install_rst": (
        INSTALL, f"{NAME}/{V}", f"{NAME}/{OTHER}", f"{INSTALL} ({NAME}/...)"),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_version_that_differs_from_dkms_conf_is_refused(
        place: tuple[str, str, str, str], repository: Repository) -> None:
    path, pattern, replacement, name = place
    repository.change(path, pattern, replacement)
    repository.is_refused(f"{name} has version {OTHER}, dkms.conf has {VERSION}")


def test_news_without_a_section_is_refused(repository: Repository) -> None:
    repository.change("NEWS", rf"^{V} \(.*\n", "")
    repository.is_refused(
        f"the newest section of NEWS has version (none), dkms.conf has {VERSION}")


def test_a_new_version_in_dkms_conf_alone_is_refused_by_each_place(repository: Repository) -> None:
    repository.change("dkms.conf", r"^PACKAGE_VERSION=.*", f'PACKAGE_VERSION="{OTHER}"')
    done = repository.is_refused(
        f"debian/changelog has version {VERSION}, dkms.conf has {OTHER}")
    complaint = f"has version {VERSION}, dkms.conf has {OTHER}"
    assert done.output.count(complaint) == len(PLACES), done.explain()


def test_a_module_of_another_version_is_refused(repository: Repository) -> None:
    repository.is_refused(f"the module has version {OTHER}, dkms.conf has {VERSION}",
                          MODULE_SAYS=OTHER)


def test_an_unreleased_changelog_is_refused(repository: Repository) -> None:
    repository.change("debian/changelog", r"\A(.*)\) [a-z]*;", r"\1) UNRELEASED;")
    repository.is_refused("debian/changelog says UNRELEASED")


def test_a_modified_file_is_refused(repository: Repository) -> None:
    repository.append_line("README")
    repository.is_refused(" M README")


def test_an_uncommitted_file_is_refused(repository: Repository) -> None:
    (repository.sources / "src" / "new.c").touch()
    repository.is_refused("?? src/new.c")


def test_a_tree_without_git_is_refused(repository: Repository) -> None:
    shutil.rmtree(repository.sources / ".git")
    repository.is_refused("a release is made of a git repository")


def test_a_tag_on_another_commit_is_refused(repository: Repository) -> None:
    repository.git("tag", f"v{VERSION}")
    repository.append_line("README")
    repository.commit()
    repository.is_refused(f"the tag v{VERSION} is on another commit")


def test_a_tag_on_this_commit_is_accepted(repository: Repository) -> None:
    repository.git("tag", f"v{VERSION}")
    repository.make_release()


def test_versions_prints_only_the_places_that_differ(repository: Repository) -> None:
    assert repository.release("--versions").expect(0).output == ""
    repository.change("NEWS", rf"^{V} \(", f"{OTHER} (")
    assert repository.release("--versions").expect(0).output == (
        f"the newest section of NEWS has version {OTHER}, dkms.conf has {VERSION}\n")
