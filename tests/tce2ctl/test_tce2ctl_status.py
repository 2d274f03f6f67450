# SPDX-License-Identifier: GPL-2.0-only
"""Test `tce2ctl status`: modules, versions, backends and exit statuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tce2ctl_state import (CONTAINER, GIB, HOSTILE, IN_TREE, MODULE, State, big_window, container,
                           record, refusal, window)
from tce2ctl_tool import OK, PROBLEM, UNKNOWN, USAGE, Said, on_terminal, tce2ctl

from runner.command import run

pytest_plugins = ["tce2ctl_fixtures"]


def status(state: State, *options: str) -> Said:
    """Run `tce2ctl status` on a saved state."""
    return tce2ctl("--root", state.root, "status", *options)


def finding(state: State, topic: str) -> str:
    """Return the status of the finding on a topic, or "none"."""
    found = [each["status"] for each in status(state, "--json").json["findings"]
             if each["topic"] == topic]
    return str(found[0]) if found else "none"


def test_status_of_a_host_without_a_problem_has_only_ok_findings(host: State) -> None:
    said = status(host)
    assert said.status == OK
    assert said.text.startswith(f"{MODULE} 0.1.0 on 6.12.9-powerpc64le-64k: "
                                "handles 1 of 1 containers\n")
    assert "fail" not in said.text


def test_json_has_format_1_and_the_backend_of_each_container(host: State) -> None:
    said = status(host, "--json").json
    assert (said["format"], said["command"], said["result"]) == (1, "status", "ok")
    assert said["containers"] == [{"container": 1, "pid": 812, "comm": "qemu-system-ppc",
                                   "backend": MODULE, "reason": None}]
    assert said["module"]["parameters"]["kvm"] == "on"
    assert said["platform"] == "powernv"


def test_parameters_are_listed(host: State) -> None:
    assert "kvm_declined  0\n" in status(host).text


@pytest.mark.parametrize(("version", "srcversion", "word"), [
    ("0.2.0", "BBBB", "version 0.1.0 is loaded, but 0.2.0 is installed"),
    ("0.1.0", "BBBB", "version 0.1.0 is loaded, but another build of 0.1.0 is installed"),
])
def test_a_module_upgraded_on_disk_but_not_loaded_is_a_problem(
        version: str, srcversion: str, word: str, host: State) -> None:
    host.install(version, srcversion)
    said = status(host)
    assert said.status == PROBLEM
    assert word in said.text
    assert status(host, "--json").json["module"]["upgrade_pending"] is True


def test_a_loaded_module_that_is_not_installed_is_a_note(host: State) -> None:
    (host.root / "lib/modules/6.12.9-powerpc64le-64k/updates" / f"{MODULE}.ko").unlink()
    host.put("lib/modules/6.12.9-powerpc64le-64k/modules.dep.bin", b"")
    assert status(host).status in (OK, UNKNOWN)
    assert finding(host, "installed") in ("note", "unknown")


def test_an_installed_module_that_is_not_loaded_is_a_problem(empty: State) -> None:
    empty.install("0.3.0")
    said = status(empty)
    assert said.status == PROBLEM
    assert "version 0.3.0 is installed but not loaded: modprobe" in said.text


def test_a_power_host_without_the_module_says_how_to_install_it(empty: State) -> None:
    empty.install()
    (empty.root / "lib/modules/6.12.9-powerpc64le-64k/updates" / f"{MODULE}.ko").unlink()
    empty.put("lib/modules/6.12.9-powerpc64le-64k/modules.order", "")
    run("depmod", "-b", empty.root, "6.12.9-powerpc64le-64k").expect(0)
    said = status(empty)
    assert said.status == PROBLEM
    assert "install vfio-spapr-tce2-dkms" in said.text


def test_a_host_without_a_power_processor_has_status_unknown(empty: State) -> None:
    empty.put("proc/cpuinfo", "vendor_id : GenuineIntel\n")
    said = status(empty)
    assert said.status == UNKNOWN
    assert "no POWER processor" in said.text


def test_an_empty_tree_has_status_unknown(empty: State) -> None:
    (empty.root / "proc/sys/kernel/osrelease").unlink()
    (empty.root / "proc/cpuinfo").unlink()
    assert status(empty).status == UNKNOWN


def test_a_container_of_the_in_tree_driver_is_a_problem(host: State) -> None:
    host.load_in_tree(users=1)
    host.process(900, b"dpdk-testpmd", [CONTAINER, "/dev/vfio/4"])
    said = status(host)
    assert said.status == PROBLEM
    assert "handles 1 of 2 containers" in said.text
    assert f"dpdk-testpmd (900): backend {IN_TREE} for 1 of 1 containers" in said.text
    other = status(host, "--json").json["containers"][1]
    assert (other["pid"], other["backend"], other["container"]) == (900, IN_TREE, None)


def test_status_names_a_second_container_that_the_in_tree_driver_handles(host: State) -> None:
    host.load_in_tree(users=1)
    host.process(900, files=[CONTAINER, CONTAINER, "/dev/vfio/4", "/dev/vfio/5"])
    host.debugfs("containers", container(), container(2, 900))
    assert f"backend {IN_TREE} for 1 of 2 containers" in status(host).text


def test_status_shows_the_rule_that_refused_a_group(host: State) -> None:
    host.load_in_tree(users=1)
    host.process(900, files=[CONTAINER, "/dev/vfio/4"])
    host.debugfs("refusals", refusal(7, request="attach", rule="group-page-size", pid=900,
                                     text=b"the group lacks the page size of a window"),
                 refusal(8, request="attach", pid=901, text=b"of another process"))
    assert "the module refused a group: the group lacks the page size" in status(host).text


def test_a_container_of_the_in_tree_driver_is_a_note_if_enabled_is_0(host: State) -> None:
    host.load(enabled="N")
    host.process(900, files=[CONTAINER, "/dev/vfio/4"])
    said = status(host)
    assert said.status == OK
    assert "the parameter enabled is 0" in said.text
    assert finding(host, "enabled") == "note"


def test_a_container_without_a_group_has_no_backend(host: State) -> None:
    host.process(900, files=[CONTAINER])
    said = status(host)
    assert said.status == OK
    assert "no group is open, so no backend is chosen yet" in said.text


def test_each_of_many_processes_with_a_container_is_listed(host: State) -> None:
    pids = range(1000, 1300)
    for pid in pids:
        host.process(pid, files=["/dev/null", CONTAINER, "/dev/vfio/4"])
    listed = status(host, "--json").json["containers"]
    assert [row["pid"] for row in listed] == [812, *pids]


@pytest.mark.parametrize(("uses", "is_read"), [("2", False), ("3", True), ("?", True)])
def test_no_process_is_read_while_no_file_of_vfio_is_open(uses: str, is_read: bool,
                                                          empty: State) -> None:
    empty.process(900, b"testpmd", [CONTAINER, "/dev/vfio/4"])
    empty.use_vfio(0)
    empty.put("sys/module/vfio/refcnt", f"{uses}\n")
    assert ("testpmd" in status(empty).text) == is_read


@pytest.mark.parametrize(("files", "uses"), [
    ([CONTAINER, "/dev/null"], 1),
    ([CONTAINER, "/dev/vfio/3"], 3),
    ([CONTAINER, "anon_inode:[vfio-device]", "/dev/vfio/3"], 4),
    ([CONTAINER, "/dev/vfio/3", "/dev/vfio/11"], 5),
])
def test_only_the_owners_are_read_if_their_files_explain_the_use_count(
        files: list[str], uses: int, host: State) -> None:
    host.process(812, files=files)
    host.process(900, b"child", [CONTAINER])
    host.use_vfio(uses)
    assert "child" not in status(host).text
    for other in (uses - 1, uses + 1):
        host.use_vfio(other)
        assert ("child" in status(host).text) == bool(other)


def test_processes_with_locked_memory_are_read_before_the_others(host: State) -> None:
    host.load_in_tree(users=1)
    host.process(900, b"testpmd", [CONTAINER, "/dev/vfio/4"],
                 {"status": "Name:\ttestpmd\nVmLck:\t     128 kB\n"})
    host.process(899, b"child", [CONTAINER], {"status": "Name:\tchild\nVmLck:\t       0 kB\n"})
    host.use_vfio(6)
    assert "testpmd" in status(host).text
    assert "child" not in status(host).text
    host.use_vfio(7)
    assert "child" in status(host).text


def test_a_process_outside_of_the_pid_namespace_gets_no_command_with_its_number(
        host: State) -> None:
    host.debugfs("containers", container(pid=0, refused=2, locked=8 * GIB))
    host.debugfs("refusals", refusal(7, pid=0, released=1))
    said = status(host).text
    assert "explain 0" not in said and " ended " not in said
    assert said.count("run tce2ctl in the pid namespace of the host") == 2


def test_absent_files_in_debugfs_have_the_command_that_helps(host: State) -> None:
    debugfs = host.root / "sys" / "kernel" / "debug"
    shutil.rmtree(debugfs / MODULE)
    said = status(host)
    assert said.status == UNKNOWN
    assert "debugfs is not mounted: mount -t debugfs debugfs /sys/kernel/debug" in said.text
    host.put("sys/kernel/debug/other", "")
    assert "containers does not exist: load version " in status(host).text


def status_file(locked: int | None, files: int) -> dict[str, str]:
    """Return the status of a process with locked memory and a table of files."""
    memory = "" if locked is None else f"VmLck:\t{locked:8d} kB\n"
    return {"status": f"Name:\tx\nFDSize:\t{files}\n{memory}"}


def test_processes_with_few_open_files_are_read_before_the_others(host: State) -> None:
    host.load_in_tree(users=1)
    host.process(900, b"child", ["/dev/vfio/5", CONTAINER], status_file(0, 4096))
    host.process(901, b"testpmd", [CONTAINER, "/dev/vfio/4"], status_file(0, 64))
    host.process(902, b"kernel", [CONTAINER, "/dev/vfio/6"], status_file(None, 64))
    host.use_vfio(6)
    said = status(host).text
    assert "testpmd" in said and "child" not in said
    host.use_vfio(9)
    said = status(host).text
    assert "testpmd" in said and "child" in said
    host.use_vfio(12)
    assert "kernel" not in status(host).text


def test_all_processes_are_read_if_a_container_without_a_group_may_be_shared(host: State) -> None:
    for pid in (900, 901):
        host.process(pid, b"child", [CONTAINER], status_file(0, 64))
    host.process(902, b"other", [CONTAINER], status_file(0, 128))
    host.use_vfio(5)
    assert "other" in status(host).text


@pytest.mark.parametrize("group", ["3", "70000"])
def test_all_processes_are_read_if_a_group_may_be_open_twice(group: str, host: State) -> None:
    host.process(812, files=[CONTAINER, f"/dev/vfio/{group}", "/dev/vfio/3"])
    host.process(900, b"child", [CONTAINER])
    host.use_vfio(5)
    assert "child" in status(host).text


@pytest.mark.parametrize(("device", "function", "mounts"), [
    ("vfio0", b"\0vfio_fs_init_fs_context\0", 1),
    ("vfio0", b"\0vfio_fs_init_fs_context_of_another\0", 0),
    (None, b"\0vfio_fs_init_fs_context\0", 0),
])
def test_a_bound_device_uses_vfio_once_if_vfio_has_a_file_system(
        device: str | None, function: bytes, mounts: int, host: State) -> None:
    host.process(900, b"child", [CONTAINER])
    host.put("sys/kernel/btf/vfio", b"\x9f\xeb\x01\0" + function)
    (host.root / "sys/class/vfio-dev").mkdir(parents=True)
    if device:
        host.put(f"sys/class/vfio-dev/{device}/dev", "")
    host.use_vfio(3, mounts)
    assert "child" not in status(host).text
    host.use_vfio(3, 1 - mounts)
    assert "child" in status(host).text
    host.use_vfio(0, mounts)
    assert "child" not in status(host).text


def test_a_report_has_a_process_that_shares_the_files_of_an_owner(host: State) -> None:
    host.process(812, extra={"status": "Name:\tqemu\nVmLck:\t 128 kB\n"})
    host.process(900, b"child", [CONTAINER])
    host.use_vfio(3)
    assert "link proc/900/fd/20\n" in tce2ctl("--root", host.root, "report").text


def test_without_the_module_the_in_tree_driver_handles_all_containers(empty: State) -> None:
    empty.load_in_tree(users=1)
    empty.process(812, files=[CONTAINER, "/dev/vfio/3"])
    assert "vfio_spapr_tce2 is not loaded" in status(empty).text


def test_debugfs_files_of_another_format_version_have_status_unknown(host: State) -> None:
    host.debugfs("containers", container(), first=f"{MODULE} containers 2")
    said = status(host)
    assert said.status == UNKNOWN
    assert "has format 2, but this tce2ctl knows format 1" in said.text


def test_a_debugfs_file_with_a_damaged_first_line_has_status_unknown(host: State) -> None:
    host.debugfs("containers", container(), first="nonsense")
    said = status(host)
    assert said.status == UNKNOWN
    assert "the first line is wrong" in said.text


def test_unknown_keys_and_damaged_lines_are_ignored(host: State) -> None:
    host.debugfs("containers", container(future="1"), "", "nonsense", "=", record(pid=813))
    assert status(host).status == OK


def test_a_limit_that_is_nearly_reached_is_a_note(host: State) -> None:
    host.debugfs("containers", container(locked=95 * GIB, limit=100 * GIB))
    said = status(host)
    assert said.status == OK
    assert "95 GiB of its limit of 100 GiB are charged: tce2ctl explain 812" in said.text


def test_a_nearly_full_window_is_a_note(host: State) -> None:
    host.debugfs("windows", window(mapped=250000))
    assert "window at 0x0: 250000 of 262144 TCEs are in use" in status(host).text


def test_a_full_64_bit_window_of_a_guest_is_normal(host: State) -> None:
    host.debugfs("windows", big_window(mapped=65536))
    assert finding(host, "window") == "none"
    host.debugfs("windows", big_window(mapped=65536, kvm=0))
    assert finding(host, "window") == "note"


def test_refused_requests_are_a_note(host: State) -> None:
    host.debugfs("containers", container(refused=2))
    assert "refused requests: 2: tce2ctl explain 812" in status(host).text


def test_the_last_refusal_of_an_ended_program_is_a_note(host: State) -> None:
    host.debugfs("refusals", refusal(7, pid=900, released=1, comm=b"qemu", text=b"first"),
                 refusal(7, pid=900, released=1, comm=b"qemu", text=b"second"))
    said = status(host)
    assert said.status == OK
    assert "qemu (900) ended after a refused request: second: tce2ctl explain 900" in said.text
    assert "first" not in said.text


@pytest.mark.parametrize("cleanup", ["unregister", "unmap", "remove"])
def test_a_refused_cleanup_is_not_the_cause_of_an_end(cleanup: str, host: State) -> None:
    host.debugfs("refusals", refusal(7, pid=900, released=1, text=b"too much memory"),
                 refusal(7, pid=900, released=1, request=cleanup, text=b"not registered"),
                 refusal(8, pid=901, released=1, request=cleanup, text=b"nothing else"))
    said = status(host)
    assert "(900) ended after a refused request: too much memory: tce2ctl explain" in said.text
    assert "not registered" not in said.text
    assert "(901) ended after a refused request: nothing else: tce2ctl explain" in said.text


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_command_names_are_escaped_by_status(name: bytes, host: State) -> None:
    host.load_in_tree(users=1)
    host.debugfs("containers", container(comm=name, refused=1, locked=8 * GIB))
    host.process(900, name, [CONTAINER, "/dev/vfio/4"])
    host.put(f"sys/module/{MODULE}/version", name + b"\n")
    host.put(f"sys/module/{MODULE}/parameters/kvm", name + b"\n")
    said = status(host)
    assert all(char == "\n" or char.isprintable() for char in said.text)
    assert said.text.count("\n") == status(host).text.count("\n")
    assert status(host, "--json").json["containers"][1]["pid"] == 900


def test_lines_on_a_terminal_are_folded_at_its_width(host: State) -> None:
    host.install("0.2.0", "BBBB")
    words = ("--root", host.root, "status")
    lines = on_terminal(*words, columns=80).splitlines()
    assert max(len(line) for line in lines) <= 80
    joined = " ".join(line.strip() for line in lines)
    assert "version 0.1.0 is loaded, but 0.2.0 is installed on disk: end the programs" in joined
    assert on_terminal(*words, columns=40) == tce2ctl(*words).text


def test_the_output_for_a_terminal_without_utf_8_is_ascii(host: State) -> None:
    host.debugfs("containers", container(comm="ü€".encode()))
    assert tce2ctl("--root", host.root, "status", LC_ALL="C").raw.isascii()


def test_a_file_that_is_no_report_has_status_unknown(host: State) -> None:
    said = tce2ctl("--root", host.root / "proc/sys/kernel/osrelease", "status")
    assert said.status == UNKNOWN
    assert "neither a directory nor a report of tce2ctl" in said.errors


@pytest.mark.parametrize("words", [(), ("nonsense",), ("status", "extra"), ("--nonsense",),
                                   ("status", "--nonsense"), ("\x1b[2J",)])
def test_wrong_usage_has_status_3(words: tuple[str, ...], host: State) -> None:
    del host
    said = tce2ctl(*words)
    assert said.status == USAGE
    assert "\x1b" not in said.errors


def report(directory: Path, *entries: str) -> Path:
    """Write a report with entries; return the file."""
    file = directory / "report"
    file.write_text("".join(f"{line}\n" for line in ("tce2ctl report 1", *entries)))
    return file


def test_unreadable_files_give_unknown_and_the_advice_to_run_as_root(host: State) -> None:
    saved = report(host.root, f"file sys/module/{MODULE}/version", " 0.1.0",
                   f"error sys/kernel/debug/{MODULE}/containers", " 13",
                   "file proc/1/comm", " init", "error proc/1/fd", " 13")
    said = tce2ctl("--from", saved, "status")
    assert said.status == UNKNOWN
    assert f"/sys/kernel/debug/{MODULE} cannot be read: run tce2ctl as root" in said.text
    assert "the files of 1 processes cannot be read: run tce2ctl as root" in said.text


def test_a_damaged_report_is_refused(host: State) -> None:
    said = tce2ctl("--from", report(host.root, "nonsense"), "status")
    assert said.status == UNKNOWN
    assert "damaged report" in said.errors


def test_help_lists_the_commands(host: State) -> None:
    del host
    assert "\n  status " in tce2ctl("--help").text
