# SPDX-License-Identifier: GPL-2.0-only
"""Test paths that make cannot handle, users without HOME, and commands without arguments."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from install_host import FAILED, Host, script_settings, write_program

from lab.places import TOP
from runner.command import run

pytest_plugins = ["install_fixtures"]

CHARACTERS = {
    "blank": " ", "colon": ":", "hash": "#", "dollar": "$", "percent": "%", "comma": ",",
    "equals": "=", "apostrophe": "'", "quotation_mark": '"', "backslash": "\\",
    "semicolon": ";", "ampersand": "&", "pipe": "|", "less": "<", "parenthesis": "(",
    "asterisk": "*", "question_mark": "?", "bracket": "["}

# The scripts that need an argument
PROGRAMS = [
    *(f"scripts/{name}" for name in ("initramfs", "install", "kernel", "kernel-add", "module",
                                     "package", "rootfs", "vm", "check-rooms")),
    "src/realmode-check"]


def all_targets() -> list[str]:
    """Return the targets of the Makefile."""
    found = re.search(r"^\.PHONY:((?:.*\\\n)*.*)", (TOP / "Makefile").read_text(), re.MULTILINE)
    targets = found[1].replace("\\", "").split() if found else []
    assert len(targets) > 20, targets
    return targets


def odd_sources(work: Path, clean_sources: Path, character: str) -> Path:
    """Return a copy of the files that start a build, in a directory with an unusual character."""
    directory = work / f"a{character}b"
    shutil.copytree(clean_sources / "scripts", directory / "scripts", symlinks=True)
    for name in ("Makefile", ".gitignore"):
        shutil.copy(clean_sources / name, directory)
    return directory


def refuses_in_one_line(sources: Path, word: str) -> None:
    """Fail unless make refuses a target or variable with one message and no other output."""
    __tracebackhide__ = True
    done = run("make", "-n", "-C", sources, word, "--no-print-directory")
    done.expect(FAILED, "cannot work with")
    assert len(done.output.splitlines()) == 1, done.explain()


@pytest.mark.parametrize("name", CHARACTERS)
def test_make_refuses_a_path_of_the_sources_with(name: str, work: Path,
                                                 clean_sources: Path) -> None:
    refuses_in_one_line(odd_sources(work, clean_sources, CHARACTERS[name]), "all")


@pytest.mark.parametrize("target", all_targets())
def test_a_blank_in_the_path_of_the_sources_is_refused_by_make(
        target: str, work: Path, clean_sources: Path) -> None:
    refuses_in_one_line(odd_sources(work, clean_sources, " "), target)


@pytest.mark.parametrize("word", ["KDIR=/a b", "DESTDIR=/a:b", "DESTDIR=it's", "prefix=/a,b",
                                  "INSTALL_MOD_DIR=a b"])
def test_make_refuses_an_unusable_path_in(word: str, clean_sources: Path) -> None:
    refuses_in_one_line(clean_sources, word)


def test_scripts_refuse_a_blank_in_the_path_of_the_sources(work: Path,
                                                           clean_sources: Path) -> None:
    program = odd_sources(work, clean_sources, " ") / "scripts" / "kernel"
    run(program, "--list", env=script_settings()).expect(
        1, "cannot work with a blank in the path of the sources")


def test_scripts_refuse_a_blank_in_the_path_of_the_cache(work: Path, host: Host) -> None:
    run(host.sources / "scripts" / "kernel", "--list",
        env=without_home(XDG_CACHE_HOME=f"{work}/x y")).expect(
            1, "cannot work with a blank in the path of the cache")


def without_home(**variables: str) -> dict[str, str]:
    """Return an environment with a PATH and variables, and nothing else."""
    return {"PATH": os.environ["PATH"], **variables}


def user_database(directory: Path, home: Path | None) -> dict[str, str]:
    """Return an environment without HOME, with a fake passwd entry.

    home is the home directory in the user's passwd entry; if None, the user has no entry. Shell
    scripts read the entry with getent, Python scripts with the module pwd.
    """
    answer = f"echo u:x:0:0::{home}:/bin/sh" if home else "exit 2"
    write_program(directory / "getent", answer)
    (directory / "sitecustomize.py").write_text(
        "import pwd, types\n"
        "def getpwuid(uid):\n"
        f"    if not {bool(home)}:\n"
        "        raise KeyError(uid)\n"
        f"    return types.SimpleNamespace(pw_dir={str(home)!r})\n"
        "pwd.getpwuid = getpwuid\n")
    return without_home(PATH=f"{directory}:{os.environ['PATH']}", PYTHONPATH=str(directory))


# Commands that print the cache directory, by language; $1 is the directory of the scripts
CACHE = {
    "bash": ["bash", "-c", '. "$1/lib.sh"; echo "$CACHE"', "-"],
    "python": [sys.executable, "-c", "import sys; sys.path.append(sys.argv[1]); "
               "from lab.places import cache_dir; print(cache_dir())"]}


@pytest.mark.parametrize("language", CACHE)
def test_without_home_the_cache_is_where_the_user_lives(language: str, work: Path,
                                                        host: Host) -> None:
    home = work / "home"
    run(*CACHE[language], host.sources / "scripts",
        env=user_database(work / "bin", home)).expect(
            0, f"^{home}/.cache/vfio-spapr-tce2$")


def test_a_user_without_a_home_directory_is_told_what_to_set(work: Path, host: Host) -> None:
    done = run(host.sources / "scripts" / "kernel", "--list",
               env=user_database(work / "bin", None))
    done.expect(1, "set HOME or XDG_CACHE_HOME")
    assert not re.search("unbound variable|Traceback", done.output), done.explain()


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_arguments_the_usage_is_printed_by(program: str, host: Host) -> None:
    done = run(host.sources / program, env=script_settings())
    assert done.status, done.explain()
    assert re.search("usage: |needs --", done.output), done.explain()
    assert not re.search("unbound variable|not set|Traceback", done.output), done.explain()
