# SPDX-License-Identifier: GPL-2.0-only
"""Test `tce2ctl report`, and that --from shows the same state as the host."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tce2ctl_state import (CONTAINER, GIB, HOSTILE, MIB, MODULE, State, container, mapping, refusal,
                           region)
from tce2ctl_tool import OK, UNKNOWN, tce2ctl

pytest_plugins = ["tce2ctl_fixtures"]

LISTS = ("containers", "groups", "windows", "regions", "mappings", "refusals")
ADDRESS = "0x7fff"


def report(state: State, work: Path) -> Path:
    """Write a report of a host; return the file."""
    file = work / "report"
    assert tce2ctl("--root", state.root, "report", "--output", file).status == OK
    return file


def without_addresses(value: Any) -> Any:
    """Replace the user addresses in JSON by null."""
    if isinstance(value, dict):
        return {key: None if key == "ua" else without_addresses(each)
                for key, each in value.items()}
    return [without_addresses(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(name="busy")
def make_busy(host: State) -> State:
    """Return a host with problems: an upgrade, another backend, and refusals."""
    host.install("0.2.0", "BBBB")
    host.load_in_tree(1)
    host.process(812, extra={
        "cmdline": "/usr/bin/qemu-system-ppc64\0-name\0secret\0-m\0" "64G\0-device\0"
                   "vfio-pci,host=1\0-drive\0file=secret\0",
        "limits": f"Max locked memory         {8 * GIB} {8 * GIB} bytes\n"
                  "Max cpu time unlimited\n",
        "status": "Name: qemu\nVmLck:\t    1024 kB\nCapEff:\t0000000000000000\n",
        "smaps_rollup": "7fff00000000-7fff00001000 ---p [rollup]\nLocked: 5 kB\n",
        "cgroup": "0::/system.slice/guest.service\n"})
    host.process(900, b"dpdk", [CONTAINER, "/dev/vfio/4"])
    host.process(901, b"secret", ["/etc/secret"])
    host.debugfs("containers", container(refused=1))
    host.debugfs("refusals", refusal())
    return host


@pytest.mark.parametrize("command", [*LISTS, "status", "map", "explain"])
def test_a_report_shows_the_same_as_the_host(command: str, busy: State, work: Path) -> None:
    words = (command, "812") if command == "explain" else (command,)
    live = tce2ctl("--root", busy.root, "--json", *words)
    saved = tce2ctl("--from", report(busy, work), "--json", *words)
    assert saved.status == live.status
    expected, found = without_addresses(live.json), saved.json
    if command == "status":
        path = expected["module"].pop("installed_path")
        assert path.endswith(found["module"].pop("installed_path"))
    assert found == expected


def test_a_report_has_the_metrics_of_the_host(busy: State, work: Path) -> None:
    saved = tce2ctl("--from", report(busy, work), "metrics").text
    assert saved == tce2ctl("--root", busy.root, "metrics").text


def test_a_report_of_a_report_is_the_same(busy: State, work: Path) -> None:
    file = report(busy, work)
    assert tce2ctl("--from", file, "report").text == file.read_text()


def test_a_report_has_no_user_addresses(busy: State, work: Path) -> None:
    busy.debugfs("mappings", mapping(), mapping(iova="0x7fe0000"))
    text = report(busy, work).read_text()
    assert ADDRESS not in text and "7fff00000000" not in text
    assert re.search(r"^ container=1 ua=- size=", text, re.MULTILINE)
    assert "iova=0x7fe0000" in text


def test_a_report_has_only_vfio_processes_and_memory_arguments(busy: State, work: Path) -> None:
    text = report(busy, work).read_text()
    assert "secret" not in text and "/proc/901" not in text
    assert "Max cpu time" not in text and "Name: qemu" not in text


def test_a_report_keeps_a_command_name_that_looks_like_an_address(host: State, work: Path) -> None:
    """Only the value of the key ua is an address."""
    host.debugfs("containers", container(comm=b"xua=0x1"))
    said = tce2ctl("--from", report(host, work), "containers", "--json").json
    assert said["containers"][0]["comm"] == "xua=0x1"


def test_a_report_has_the_errors_of_unreadable_files(host: State, work: Path) -> None:
    file = work / "first"
    file.write_text(f"tce2ctl report 1\nfile sys/module/{MODULE}/version\n 0.1.0\n"
                    f"error sys/kernel/debug/{MODULE}/containers\n 13\n"
                    "error proc/5/fd\n 13\n")
    del host
    again = work / "again"
    said = tce2ctl("--from", file, "report", "-o", again)
    assert said.status == UNKNOWN
    assert "the report is incomplete: run tce2ctl as root" in said.errors
    assert f"error sys/kernel/debug/{MODULE}/containers\n 13\n" in again.read_text()
    said = tce2ctl("--from", again, "status")
    assert said.status == UNKNOWN
    assert said.text.count("run tce2ctl as root") == 2


@pytest.mark.parametrize("is_mounted", [False, True])
def test_a_report_tells_whether_debugfs_is_mounted(is_mounted: bool, host: State,
                                                   work: Path) -> None:
    shutil.rmtree(host.root / "sys" / "kernel" / "debug")
    if is_mounted:
        host.put("sys/kernel/debug/other", "")
    file = report(host, work)
    assert tce2ctl("--from", file, "report").text == file.read_text()
    said = tce2ctl("--from", file, "status").text
    assert said == tce2ctl("--root", host.root, "status").text
    assert ("debugfs is not mounted" in said) != is_mounted


LIBVIRT = (
    "/usr/bin/qemu-system-ppc64", "-name", "guest=secret", "-machine",
    "pseries,memory-backend=secret,kvm-type=HV", "-m", "size=4194304k,slots=16,maxmem=8388608k",
    "-object", '{"qom-type":"memory-backend-memfd","id":"memdimm0","hugetlb":true,"size":%d}' % GIB,
    "-object", "id=b,mem-path=/secret,qom-type=memory-backend-file,size=1G",
    "-object", '{"qom-type":"secret","id":"key","file":"/secret"}',
    "-device", '{"driver":"pc-dimm","memdev":"memdimm0","id":"secret"}',
    "-device", "memdev=b,driver=nvdimm",
    "-device", '{"driver":"vfio-pci","host":"0000:01:00.0","id":"secret","bus":"pci.0"}',
    "-device", '{"driver":"vfio-pci","host":"0000:02:00.0","bus":"pci.1.0"}',
    "-device", "virtio-net-pci,mac=secret")


@pytest.mark.parametrize("words", [
    LIBVIRT, ("qemu-kvm", "-M", "pseries,memory-backend=a", "-object",
              "memory-backend-memfd,id=a,size=3G", "--device", "vfio-pci,host=1"),
    ("/usr/bin/dpdk-testpmd", "-m1024", "-l", "0", "--", "-m", "5"),
    ("/x/qemu/app", "-m", "1024", "--file-prefix=secret", "--", "-m", "5"),
    ("app", "--legacy-mem", "--socket-mem", "1024,1024"), ("app", "--socket-mem=512"),
    ("app", "-m", "1024"), ("app", "--", "--socket-mem=512"), ("app", "-m"), ("", ""),
])
def test_explain_of_a_process_shows_the_same_for_a_report(words: tuple[str, ...], host: State,
                                                          work: Path) -> None:
    host.process(812, extra={
        "cmdline": "\0".join((*words, "")),
        "limits": f"Max locked memory         {8 * MIB} {8 * MIB} bytes\n",
        "status": "VmLck:\t    1024 kB\nCapEff:\t0000000000000000\n"})
    file = report(host, work)
    assert "secret" not in file.read_text().replace("memory-backend=secret", "")
    live = tce2ctl("--root", host.root, "explain", "812")
    saved = tce2ctl("--from", file, "explain", "812")
    assert (saved.text, saved.status) == (live.text, live.status)
    if words == LIBVIRT:
        assert "6 GiB  guest's RAM" in saved.text and "host bridges: 2" in saved.text


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_report_keeps_hostile_command_names(name: bytes, host: State, work: Path) -> None:
    host.load_in_tree(1)
    host.debugfs("containers", container(comm=name))
    host.process(900, name, [CONTAINER, "/dev/vfio/4"], {"cmdline": name + b"\0-m\0" + name})
    file = report(host, work)
    assert all(line.isprintable() for line in file.read_text("ascii").splitlines())
    for words in (("status",), ("containers",)):
        live = tce2ctl("--root", host.root, *words)
        assert tce2ctl("--from", file, *words).text == live.text


@pytest.mark.parametrize("text", [
    "", "tce2ctl report 2\n", "tce2ctl report 1", "tce2ctl report 1\n", "tce2ctl report 1\n x\n",
    "tce2ctl report 1\nfile \n", "tce2ctl report 1\nnonsense x\n", "\0\0\0",
])
def test_a_damaged_report_has_status_unknown(text: str, host: State, work: Path) -> None:
    del host
    (work / "file").write_text(text)
    said = tce2ctl("--from", work / "file", "status")
    assert said.status == UNKNOWN
    assert "report" in said.errors


@pytest.mark.parametrize("text", [
    "file a", "file a\n", "file a\n \\", "file a\n \\1\n \\777\n", "link proc/1/fd/3\n",
    "file proc/1\nfile proc/1/fd\nlink proc\n x\n", "error x\n y\n", "file a\\000b\n c\n",
    "file proc/1/comm\n \\000\n" * 3, f"link proc/1/fd/3\n {'/dev/vfio/vfio' * 999}\n",
    f"file sys/kernel/debug/{MODULE}/regions\n {MODULE} regions 1\n ua=1\n ua=\n ua",
], ids=range(11))
def test_reports_with_unusual_entries_do_not_crash(text: str, host: State, work: Path) -> None:
    del host
    (work / "file").write_text(f"tce2ctl report 1\n{text}")
    for words in (("status",), ("status", "--json"), ("containers",), ("regions",), ("map",),
                  ("metrics",), ("report",), ("explain", "1")):
        tce2ctl("--from", work / "file", *words)


def test_a_report_of_many_regions_is_read_again(host: State, work: Path) -> None:
    host.debugfs("regions", *(region(ua=number * MIB) for number in range(8192)))
    said = tce2ctl("--from", report(host, work), "regions", "--json").json
    assert len(said["regions"]) == 8192
