# SPDX-License-Identifier: GPL-2.0-only
"""Test the commands of tce2ctl that print records: tables, JSON, and hostile names."""

from __future__ import annotations

import os
import re

import pytest
from tce2ctl_state import (GIB, HOSTILE, KIB, MODULE, State, big_window, container, mapping, record,
                           refusal, region, window)
from tce2ctl_tool import OK, UNKNOWN, USAGE, tce2ctl

from lab.places import TOP

pytest_plugins = ["tce2ctl_fixtures"]

LISTS = ("containers", "groups", "windows", "regions", "mappings", "refusals")


def lines(state: State, *words: str) -> list[str]:
    """Return the lines of a command's output."""
    said = tce2ctl("--root", state.root, *words)
    assert said.status == OK, said.errors
    return said.text.splitlines()


def test_containers_show_sizes_with_units(host: State) -> None:
    title, row = lines(host, "containers")
    assert title.split()[:4] == ["CONTAINER", "PID", "COMMAND", "STATE"]
    assert row.split()[:4] == ["1", "812", "qemu-system-ppc", "bound"]
    assert " 8 GiB " in row


def test_containers_shows_vectors_and_copies(host: State) -> None:
    title, row = (line.split() for line in lines(host, "containers"))
    assert (title[-3:], row[-3:]) == (["VECTORS", "COPIES", "REFUSED"], ["7", "3", "0"])
    said = tce2ctl("--root", host.root, "containers", "--json").json["containers"][0]
    assert (said["ranges"], said["copy"]) == (7, 3)


def test_a_module_without_vectors_has_unknown_numbers_of_them(host: State) -> None:
    host.debugfs("containers", container().replace(" ranges=7 copy=3", ""))
    said = tce2ctl("--root", host.root, "containers", "--json").json["containers"][0]
    assert (said["ranges"], said["copy"]) == (None, None)
    assert "request=\"map\"" in tce2ctl("--root", host.root, "metrics").text
    assert "request=\"copy\"" not in tce2ctl("--root", host.root, "metrics").text


def test_the_json_of_a_container_has_each_key_of_the_module(host: State) -> None:
    host.debugfs("containers", container(refused=3, rules="memlock:2,no-window:1"), container(2))
    first, second = tce2ctl("--root", host.root, "containers", "--json").json["containers"]
    assert set(first) == {pair.split("=")[0] for pair in container().split()}
    assert [first[key] for key in ("pin", "access", "pinned", "notified")] == [5, 6, 4, 2]
    assert (first["rules"], second["rules"]) == ({"memlock": 2, "no-window": 1}, {})


@pytest.mark.parametrize("command", LISTS)
def test_the_manual_page_has_each_member_of_the_json(command: str, host: State) -> None:
    host.debugfs("refusals", refusal())
    members = tce2ctl("--root", host.root, command, "--json").json[command][0]
    page = (TOP / "tools" / "tce2ctl" / "tce2ctl.8").read_text().split(".Sh JSON OUTPUT")[1]
    section = page.split(f".It Cm {command}\n")[1].split(".It Cm")[0]
    assert not set(members) - set(re.findall(r"[a-z]+", section))


def test_invisible_characters_are_escaped_in_json(host: State) -> None:
    name = "\u061c\u200bx\U000e0041\ufe0f"
    host.debugfs("containers", container(comm=name.encode()))
    said = tce2ctl("--root", host.root, "containers", "--json")
    assert r'"\u061c\u200bx\udb40\udc41\ufe0f"' in said.text
    assert said.json["containers"][0]["comm"] == name


def test_containers_shows_unlimited_for_a_container_without_a_limit(host: State) -> None:
    host.debugfs("containers", container(limit="unlimited"))
    assert "unlimited" in lines(host, "containers")[1]
    said = tce2ctl("--root", host.root, "containers", "--json").json
    assert said["containers"][0]["limit"] == "unlimited"


def test_groups_show_their_devices(host: State) -> None:
    host.debugfs("groups", record(container=1, group=3, devices="0000:01:00.0,a\\040b"))
    assert lines(host, "groups")[1].split() == ["1", "3", "0000:01:00.0,", "a", "b"]
    said = tce2ctl("--root", host.root, "groups", "--json").json
    assert said["groups"] == [{"container": 1, "group": 3, "devices": ["0000:01:00.0", "a b"]}]


def test_windows_show_the_percentage_in_use(host: State) -> None:
    host.debugfs("windows", window(mapped=262144), big_window(mapped=32768),
                 window(slot=2, size=16 * GIB, page=GIB, mapped=4))
    assert [row.split()[9] for row in lines(host, "windows")[1:]] == ["100%", "50%", "25%"]
    said = tce2ctl("--root", host.root, "windows", "--json").json
    assert said["windows"][1]["use"] == 50
    assert said["windows"][1]["start"] == "0x800000000000000"
    assert said["windows"][1]["published"] is True
    assert said["windows"][1]["tracked"] is False


def test_regions_shows_yes_or_no_for_each_property(host: State) -> None:
    host.debugfs("regions", region(readonly=1), region(ua=0x10000, mirrored=1))
    assert [row.split()[-2:] for row in lines(host, "regions")[1:]] == [
        ["yes", "no"], ["no", "yes"]]


def test_mappings_show_addresses_and_access(host: State) -> None:
    host.debugfs("mappings", mapping(perm="r", size=64 * KIB))
    assert lines(host, "mappings")[1].split() == [
        "1", "0", "0x10000", "64", "KiB", "0x7fff00000000", "r"]


def test_refusals_show_the_error_and_the_reason(host: State) -> None:
    host.debugfs("refusals", refusal(age=90500))
    row = lines(host, "refusals")[1]
    assert row.split()[:8] == [
        "1", "812", "qemu-system-ppc", "90.5", "s", "register", "ENOMEM", "memlock"]
    assert row.endswith("would exceed RLIMIT_MEMLOCK: raise the limit")


@pytest.mark.parametrize("name", LISTS)
def test_a_list_without_records_prints_no_and_the_kind_of_records(name: str, host: State) -> None:
    host.debugfs(name)
    assert lines(host, name) == [f"no {name}"]
    said = tce2ctl("--root", host.root, name, "--json").json
    assert (said["format"], said["error"], said[name]) == (1, None, [])


@pytest.mark.parametrize("name", LISTS)
def test_a_list_without_its_debugfs_file_has_status_unknown(name: str, empty: State) -> None:
    said = tce2ctl("--root", empty.root, name, "--json")
    assert said.status == UNKNOWN
    assert said.json["error"] == f"{MODULE} is not loaded: modprobe {MODULE}"
    assert "is not loaded: modprobe" in said.errors


def test_only_the_chosen_container_is_shown(host: State) -> None:
    host.debugfs("containers", container(1), container(2, 900), container(12, 901))
    assert len(lines(host, "containers", "--container=2")) == 2
    said = tce2ctl("--root", host.root, "-c", "2", "containers", "--json").json
    assert [each["pid"] for each in said["containers"]] == [900]


@pytest.mark.parametrize("number", ["x", "-1", "", "99999999999999999999", "1x", "+1"])
def test_a_container_number_that_is_no_number_is_wrong_usage(number: str, host: State) -> None:
    assert tce2ctl("--root", host.root, "containers", f"--container={number}").status == USAGE


def test_an_absent_or_damaged_value_is_null_in_json(host: State) -> None:
    host.debugfs("containers", "container=1 pid=x charged=-5 limit=99999999999999999999")
    said = tce2ctl("--root", host.root, "containers", "--json").json
    assert {said["containers"][0][key] for key in ("pid", "comm", "charged", "limit")} == {None}
    assert lines(host, "containers")


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_command_names_are_escaped_in_lists(name: bytes, host: State) -> None:
    host.debugfs("containers", container(comm=name, state=name, limit=name))
    host.debugfs("groups", record(container=1, group=3, devices=name))
    host.debugfs("refusals", refusal(text=name, rule=name, request=name))
    for command in ("containers", "groups", "refusals"):
        said = lines(host, command)
        assert len(said) == 2
        assert all(line.isprintable() for line in said)
        assert tce2ctl("--root", host.root, command, "--json").json[command]


@pytest.mark.parametrize("contents", [
    b"", b"\n", b"\0", b"\xff" * 100, f"{MODULE} containers 1".encode(),
    f"{MODULE} containers 1\n".encode() + b"=" * 1000 + b"\n" + b"a=" * 500 + b"\n\n = \n",
    f"{MODULE} containers 1\ncontainer=1 comm=\\7 comm=\\777\\400\\00\n".encode(),
    f"{MODULE} containers 18446744073709551616\n".encode(),
], ids=["empty", "newline", "nul", "invalid", "unterminated", "separators", "escapes", "format"])
def test_damaged_debugfs_files_do_not_crash_the_lists(contents: bytes, host: State) -> None:
    host.put(f"sys/kernel/debug/{MODULE}/containers", contents)
    for command in ("containers", "status"):
        tce2ctl("--root", host.root, command)
        assert tce2ctl("--root", host.root, command, "--json").json["format"] == 1


def test_a_list_shows_each_of_thousands_of_records(host: State) -> None:
    host.debugfs("regions", *(region(ua=number << 21) for number in range(8192)))
    host.debugfs("mappings", *(mapping(iova=f"{number << 16:#x}") for number in range(100000)))
    assert len(lines(host, "regions")) == 8193
    assert len(tce2ctl("--root", host.root, "mappings", "--json").json["mappings"]) == 100000


def test_a_fifo_in_a_saved_tree_is_refused_and_does_not_block(host: State) -> None:
    fifo = host.root / "sys/kernel/debug" / MODULE / "containers"
    fifo.unlink()
    os.mkfifo(fifo)
    assert tce2ctl("--root", host.root, "containers").status == UNKNOWN
