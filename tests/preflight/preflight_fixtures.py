# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of the tests of tce2-preflight."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from preflight_tool import Kernel, Preflight, Root, contents

from lab.command import CROSS, say
from lab.places import BUILD, LOGS, TOP
from runner.command import built_module, run
from runner.host import make
from runner.row import build
from runner.settings import number


@pytest.fixture(scope="session")
def programs() -> None:
    """Build tce2-preflight, and the programs of its tests."""
    build(LOGS / "preflight-build.log", "building tce2-preflight",
          make(TOP / "tests" / "preflight"))


@pytest.fixture(scope="session")
def kernel_64k() -> Kernel:
    """Build the module for 6.12-64k; return the kernel."""
    return Kernel("6.12-64k", built_module("6.12-64k"))


@pytest.fixture(scope="session")
def kernel_4k() -> Kernel:
    """Build the module for 6.12-4k; return the kernel."""
    return Kernel("6.12-4k", built_module("6.12-4k"))


@pytest.fixture(scope="session")
def kernel_6_1() -> Kernel:
    """Build the module for 6.1-64k; return the kernel."""
    return Kernel("6.1-64k", built_module("6.1-64k"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return an empty directory for files that no test changes."""
    directory = BUILD / "tests" / "preflight" / "shared"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


@pytest.fixture(scope="session")
def module(kernel_64k: Kernel, shared: Path) -> Path:
    """Return the module for 6.12-64k as packaged, without debug information."""
    file = shared / "vfio_spapr_tce2.ko"
    run(f"{CROSS}strip", "-g", "-o", file, kernel_64k.module).expect(0)
    return file


@pytest.fixture(scope="session")
def btf(kernel_64k: Kernel, shared: Path) -> Path:
    """Return a file that contains only the BTF of 6.12-64k."""
    file = shared / "btf"
    file.write_bytes(contents(kernel_64k.vmlinux, ".BTF"))
    return file


@pytest.fixture(scope="session")
def signed_module(kernel_64k: Kernel, module: Path, shared: Path) -> Path:
    """Return the module with a signature of a new key, called "test key"."""
    key, certificate, signed = (shared / name for name in ("key.pem", "key.der", "signed.ko"))
    run("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=test key", "-keyout", key, "-outform", "DER",
        "-out", certificate).expect(0)
    run(kernel_64k.build / "scripts" / "sign-file", "sha256", key, certificate, module,
        signed).expect(0)
    return signed


@pytest.fixture(scope="session")
def stock_root(kernel_64k: Kernel, module: Path, shared: Path) -> Root:
    """Return a root filesystem that no test changes."""
    root = Root(shared / "root", kernel_64k, module)
    root.fill(kernel_64k)
    return root


@pytest.fixture
def root(programs: None, kernel_64k: Kernel, stock_root: Root, work: Path) -> Root:
    """Return a root filesystem that the test may change."""
    del programs
    shutil.copytree(stock_root.path, work / "root", symlinks=True)
    return Root(work / "root", kernel_64k, stock_root.module)


@pytest.fixture
def preflight(programs: None, kernel_64k: Kernel, module: Path, work: Path) -> Preflight:
    """Return the tool with the files of 6.12-64k; changed copies go to the test's directory."""
    del programs
    return Preflight(kernel_64k, module, work)


@pytest.fixture(scope="session")
def damage_count() -> int:
    """Return the number of damaged copies of a file, from PREFLIGHT_DAMAGE."""
    return number(os.environ, "PREFLIGHT_DAMAGE", 100)


@pytest.fixture(scope="session")
def damage_seed() -> int:
    """Return the seed of the damage, from PREFLIGHT_SEED, and print it."""
    seed = number(os.environ, "PREFLIGHT_SEED", random.randrange(1 << 15))
    say(f"damage to files: PREFLIGHT_SEED={seed}")
    return seed
