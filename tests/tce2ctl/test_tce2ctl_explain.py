# SPDX-License-Identifier: GPL-2.0-only
"""Test `tce2ctl explain`: the need of guests and DPDK programs, limits and settings."""

from __future__ import annotations

import pytest
from tce2ctl_state import (CONTAINER, GIB, HOSTILE, KIB, MIB, State, container, refusal)
from tce2ctl_tool import OK, PROBLEM, UNKNOWN, USAGE, Said, tce2ctl

pytest_plugins = ["tce2ctl_fixtures"]

DEVICE = ("-device", "vfio-pci,host=0000:01:00.0")
# The example of Documentation/memlock.rst: the sum, and the rule of thumb
EXAMPLE_TABLES = (4 + 16 + 10) * MIB
EXAMPLE_RULE = 64 * GIB + GIB + 128 * MIB


def explain(state: State, *words: str) -> Said:
    """Run `tce2ctl explain` on a saved state."""
    return tce2ctl("--root", state.root, "explain", *words)


def guest_need(state: State, *words: str) -> int:
    """Return the need of a guest in bytes."""
    said = tce2ctl("--root", state.root, "--json", "explain", "--guest", *words)
    assert said.status == OK
    return int(said.json["need"]["bytes"])


def limits(soft: object) -> str:
    """Return /proc/PID/limits with a soft limit."""
    return ("Limit                     Soft Limit           Hard Limit           Units     \n"
            "Max cpu time              unlimited            unlimited            seconds   \n"
            f"Max locked memory         {soft!s:20} {soft!s:20} bytes     \n")


def qemu(state: State, *words: str, soft: object = 8 * MIB, locked: int = 0,
         capabilities: int = 0, **files: str) -> None:
    """Start a guest with a limit and memory that is charged."""
    state.process(812, files=[CONTAINER, "/dev/vfio/3"], extra={
        "cmdline": "\0".join(("/usr/bin/qemu-system-ppc64", *words, "")),
        "limits": limits(soft),
        "status": f"Name:\tqemu\nVmLck:\t{locked // KIB:8d} kB\nCapEff:\t{capabilities:016x}\n",
        **files})


@pytest.fixture(name="guest")
def make_guest(empty: State) -> State:
    """Return a host with the module and a container, but no process."""
    empty.load()
    empty.show(containers=[container(charged=4 * GIB)])
    return empty


def test_the_need_of_a_guest_with_64_gib_is_the_need_in_the_documentation(guest: State) -> None:
    said = tce2ctl("--root", guest.root, "-j", "explain", "--guest", "-m", "64G", *DEVICE)
    sizes = [item["bytes"] for item in said.json["need"]["items"]]
    assert sizes[0] == 64 * GIB
    assert sum(sizes[1:4]) == EXAMPLE_TABLES
    assert said.json["need"]["bytes"] == EXAMPLE_RULE
    assert said.json["raise_to"] == EXAMPLE_RULE


@pytest.mark.parametrize(("words", "ram"), [
    ((), 512 * MIB), (("-m", "4096"), 4 * GIB), (("-m", "1.5G"), 1536 * MIB),
    (("-m", "size=2g"), 2 * GIB), (("--m", "3G,slots=2"), 3 * GIB), (("-m", "1048576K"), GIB),
    (("-m", "1G", "-object", "memory-backend-ram,id=a,size=2G", "-device", "pc-dimm,memdev=a"),
     3 * GIB),
    (("-m", "1G", "-object", '{"qom-type":"memory-backend-ram","id":"a","size":1073741824}',
      "-device", '{"driver":"pc-dimm","memdev":"a"}'), 2 * GIB),
    (("-m", "1G", "-object", "memory-backend-ram,id=a,size=1G", "-numa", "node,memdev=a"), GIB),
    (("-m", "maxmem=8G,slots=2,size=3G"), 3 * GIB), (("-m", "maxmem=8G"), 512 * MIB),
    (("-m", "1G", "-object", "id=a,size=2G,qom-type=memory-backend-memfd", "-device",
      "memdev=a,driver=nvdimm"), 3 * GIB),
    (("-M", "pseries,memory-backend=a", "-object", "memory-backend-memfd,id=a,size=4G"), 4 * GIB),
    (("-m", "4G", "-machine", "pseries,memory-backend=a", "-object",
      '{"qom-type":"memory-backend-memfd","id":"a","size":4294967296}'), 4 * GIB),
])
def test_the_memory_of_a_guest_is_read_as_qemu_does(words: tuple[str, ...], ram: int,
                                                    guest: State) -> None:
    said = tce2ctl("--root", guest.root, "-j", "explain", "--guest", *words)
    assert said.json["need"]["items"][0]["bytes"] == ram


@pytest.mark.parametrize("size", ["x", "", "4X", "4GG", "-1", "1e300", "size=,maxmem=1G"])
def test_a_memory_size_that_qemu_refuses_gives_an_unknown_need(size: str, guest: State) -> None:
    said = explain(guest, "--guest", "-m", size)
    assert said.status == UNKNOWN
    assert "is no size of QEMU" in said.errors


def test_each_host_bridge_with_a_device_has_windows(guest: State) -> None:
    one = guest_need(guest, "-m", "64G", *DEVICE, *DEVICE)
    two = guest_need(guest, "-m", "64G", "-device", "vfio-pci,bus=a.0", "-device",
                     '{"driver":"vfio-pci","bus":"b.0"}')
    assert (one, two) == (EXAMPLE_RULE, EXAMPLE_RULE + GIB)


def test_host_bridges_have_the_names_that_libvirt_chooses(guest: State) -> None:
    buses = [f'{{"driver":"vfio-pci","bus":"{bus}"}}'
             for bus in ("pci.0", "pci.1.0", "pci.1.0", "pci.2.0")]
    words = [word for bus in buses for word in ("-device", bus)]
    assert guest_need(guest, "-m", "size=67108864k", *words) == EXAMPLE_RULE + 2 * GIB


def test_explain_notes_the_memory_that_can_be_plugged_later(guest: State) -> None:
    words = ("--guest", "-m", "4G,slots=4,maxmem=64G", *DEVICE)
    assert "add 61440 MiB to be able to plug in all memory" in explain(guest, *words).text
    assert guest_need(guest, *words[1:]) == 4 * GIB + GIB + 128 * MIB


@pytest.mark.parametrize("device", [
    "vfio-pci", "vfio-pci-nohotplug,host=1", "id=hostdev0,driver=vfio-pci,host=1",
    "host=1,driver=vfio-pci", '{"host":"1","driver":"vfio-pci"}'])
def test_explain_notes_that_a_guest_has_no_vfio_device(device: str, guest: State) -> None:
    assert "have no device vfio-pci" in explain(guest, "--guest", "-m", "4G").text
    assert "have no device" not in explain(guest, "--guest", "-m", "4G", "-device", device).text


def test_a_pseries_host_charges_half_of_each_table(guest: State) -> None:
    guest.put("proc/cpuinfo", "machine\t\t: CHRP\nplatform\t: pSeries\n")
    said = tce2ctl("--root", guest.root, "-j", "explain", "--guest", "-m", "64G")
    assert sum(item["bytes"] for item in said.json["need"]["items"][1:4]) == (2 + 8 + 10) * MIB


def test_all_settings_set_the_same_limit(guest: State) -> None:
    said = tce2ctl("--root", guest.root, "-j", "explain", "--guest", "-m", "64G")
    mib = EXAMPLE_RULE // MIB
    assert said.json["settings"] == {
        "systemd": f"LimitMEMLOCK={mib}M",
        "libvirt": f"<memtune><hard_limit unit='MiB'>{mib}</hard_limit></memtune>",
        "shell": f"ulimit -l {mib * KIB}", "limits": f"USER - memlock {mib * KIB}",
        "prlimit": f"prlimit --pid PID --memlock={EXAMPLE_RULE}"}


@pytest.mark.parametrize(("words", "need"), [
    (("-m", "8192"), (8192 + 8 + 64) * MIB), (("-m8192",), (8192 + 8 + 64) * MIB),
    (("--socket-mem=1024,1024", "--", "-m", "9"), (2048 + 8 + 64) * MIB),
    (("--socket-mem", "1024", "-l", "0-1"), (1024 + 8 + 64) * MIB),
    ((), (512 * 2 + 8 + 64) * MIB),
])
def test_the_need_of_dpdk_is_hugepages_and_a_table(words: tuple[str, ...], need: int,
                                                   guest: State) -> None:
    guest.put("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n")
    guest.put("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0\n")
    said = tce2ctl("--root", guest.root, "-j", "explain", "--dpdk", *words)
    assert said.json["need"]["bytes"] == need


@pytest.mark.parametrize(("words", "may_grow"), [
    (("-m", "256"), True), (("-m", "1024"), False), ((), False),
    (("-m", "256", "--legacy-mem"), False), (("-m", "256", "--socket-limit=256"), False),
    (("-m", "256", "--", "--legacy-mem"), True),
])
def test_explain_notes_the_hugepages_that_dpdk_may_allocate_later(
        words: tuple[str, ...], may_grow: bool, guest: State) -> None:
    guest.put("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n")
    said = explain(guest, "--dpdk", *words).text
    assert ("add 768 MiB if the program may use all hugepages" in said) == may_grow


@pytest.mark.parametrize("size", ["1099511627776", "99999999999999999999999",
                                  ",".join(["1099511627775"] * 17)], ids=range(3))
def test_a_size_of_dpdk_that_is_too_large_gives_an_unknown_need(size: str, guest: State) -> None:
    assert explain(guest, "--dpdk", f"--socket-mem={size}").status == UNKNOWN


def test_dpdk_with_hugepages_of_1_gib_needs_two_pages_for_the_table(guest: State) -> None:
    guest.put("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "8\n")
    said = tce2ctl("--root", guest.root, "-j", "explain", "--dpdk").json
    assert [item["bytes"] for item in said["need"]["items"]] == [8 * GIB, 128 * KIB, 64 * MIB]


def test_dpdk_without_hugepages_gives_an_unknown_need(guest: State) -> None:
    assert explain(guest, "--dpdk").status == UNKNOWN
    assert explain(guest, "--dpdk", "-m", "x").status == UNKNOWN


def test_a_limit_that_is_too_low_for_a_guest_is_a_problem(guest: State) -> None:
    qemu(guest, "-m", "64G", *DEVICE)
    said = explain(guest, "812")
    assert said.status == PROBLEM
    assert "the limit is 8 MiB: raise memlock to at least 66688 MiB" in said.text
    assert f"prlimit --pid 812 --memlock={EXAMPLE_RULE}" in said.text


def test_a_limit_above_the_need_of_a_guest_is_ok(guest: State) -> None:
    qemu(guest, "-m", "64G", *DEVICE, soft=EXAMPLE_RULE)
    said = explain(guest, "812")
    assert said.status == OK
    assert "LimitMEMLOCK" not in said.text
    qemu(guest, "-m", "64G", *DEVICE, soft=EXAMPLE_RULE - 1)
    assert explain(guest, "812").status == PROBLEM


def test_mlocked_memory_is_added_to_the_need(guest: State) -> None:
    qemu(guest, "-m", "64G", *DEVICE, soft=EXAMPLE_RULE, locked=5 * GIB,
         smaps_rollup=f"Rss: 1 kB\nLocked: {GIB // KIB} kB\n")
    said = explain(guest, "812", "--json")
    assert said.json["raise_to"] == EXAMPLE_RULE + GIB
    assert [item["bytes"] for item in said.json["charges"]["items"]] == [4 * GIB, GIB, 0]


def test_the_charge_that_no_container_explains_is_listed_as_others(guest: State) -> None:
    qemu(guest, locked=4 * GIB + 7 * MIB)
    assert explain(guest, "812", "--json").json["charges"]["items"][2]["bytes"] == 7 * MIB


def test_memory_registered_in_several_containers_is_charged_once(guest: State) -> None:
    guest.debugfs("containers", container(1, charged=4 * GIB), container(2, charged=4 * GIB))
    qemu(guest, locked=4 * GIB + MIB)
    items = explain(guest, "812", "--json").json["charges"]["items"]
    assert [item["bytes"] for item in items] == [4 * GIB + MIB, 0, 0]


@pytest.mark.parametrize(("soft", "capabilities", "reason"), [
    ("unlimited", 0, "RLIMIT_MEMLOCK is unlimited"),
    (8 * MIB, 1 << 14, "the process has CAP_IPC_LOCK"),
])
def test_a_process_without_a_limit_is_ok(soft: object, capabilities: int, reason: str,
                                         guest: State) -> None:
    qemu(guest, "-m", "64G", *DEVICE, soft=soft, capabilities=capabilities)
    said = explain(guest, "812")
    assert said.status == OK
    assert f"no limit applies: {reason}" in said.text
    assert explain(guest, "812", "--json").json["limit"] == "unlimited"


def test_the_systemd_setting_names_the_service_of_the_process(guest: State) -> None:
    qemu(guest, "-m", "64G", *DEVICE, cgroup="0::/system.slice/my-guest.service\n")
    assert "systemctl edit my-guest.service, below [Service]" in explain(guest, "812").text


def test_the_last_refusals_are_shown_with_their_rules(guest: State) -> None:
    guest.process(812, b"spdk", extra={"limits": limits(8 * MIB), "status": "VmLck: 1 kB\n"})
    guest.debugfs("containers", container(refused=2), container(2, 900, refused=1))
    guest.debugfs("refusals", refusal(1), refusal(1, 2, errno=22, rule="range-overlaps",
                                                  text=b"the range overlaps a region"),
                  refusal(2, text=b"of another process", pid=900))
    said = explain(guest, "812")
    assert said.status == PROBLEM
    assert "refused because of the limit: the locked memory of the process would" in said.text
    assert "EINVAL  range-overlaps  the range overlaps a region" in said.text
    assert "of another process" not in said.text
    assert len(explain(guest, "812", "--json").json["refusals"]) == 2


@pytest.mark.parametrize(("soft", "status", "text"), [
    (8 * MIB, PROBLEM, "because of the limit: the locked memory of the process would exceed "
                       "RLIMIT_MEMLOCK: raise the limit\n"),
    (EXAMPLE_RULE, PROBLEM, "raise it above 65.1 GiB, unless it was raised since"),
    ("unlimited", OK, "note     refused     a request was refused because of the limit that"),
])
def test_a_refusal_because_of_the_limit_is_compared_with_the_limit_of_now(
        soft: object, status: int, text: str, guest: State) -> None:
    qemu(guest, "-m", "64G", *DEVICE, soft=soft)
    guest.debugfs("refusals", refusal())
    said = explain(guest, "812")
    assert said.status == status
    assert text in said.text


def test_a_process_that_has_ended_is_explained_by_its_refusals(guest: State) -> None:
    guest.debugfs("containers")
    guest.debugfs("refusals", refusal(7, pid=812, released=1), refusal(8, pid=900, released=1))
    said = explain(guest, "812")
    assert said.status == PROBLEM
    assert said.text.startswith("qemu-system-ppc (812): need unknown\n")
    assert "the process has ended; --guest or --dpdk" in said.text
    assert len(explain(guest, "812", "--json").json["refusals"]) == 1


def test_explain_of_a_process_that_does_not_exist_has_status_unknown(guest: State) -> None:
    said = explain(guest, "999")
    assert said.status == UNKNOWN
    assert "process 999: no such process" in said.errors


def test_explain_of_a_process_without_read_permission_has_status_unknown(guest: State) -> None:
    guest.process(812)
    said = explain(guest, "812")
    assert said.status == UNKNOWN
    assert "cannot be read from /proc/812" in said.text


@pytest.mark.parametrize("words", [(), ("x",), ("0",), ("1", "2"), ("-5",), ("99999999999",)])
def test_explain_of_no_number_is_wrong_usage(words: tuple[str, ...], guest: State) -> None:
    assert explain(guest, *words).status == USAGE


def test_guest_is_an_option_of_explain_only(guest: State) -> None:
    for words in (("--guest", "explain"), ("status", "--guest"), ("containers", "--dpdk")):
        assert tce2ctl("--root", guest.root, *words).status == USAGE


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_command_names_are_escaped_by_explain(name: bytes, guest: State) -> None:
    qemu(guest, "-m", "64G", *DEVICE)
    guest.put("proc/812/comm", name + b"\n")
    guest.put("proc/812/cgroup", b"0::/" + name.replace(b"/", b"") + b".service\n")
    guest.debugfs("containers", container(comm=name, refused=1))
    guest.debugfs("refusals", refusal(text=name, request=name))
    said = explain(guest, "812")
    assert all(line.isprintable() for line in said.text.splitlines())
    assert explain(guest, "812", "--json").json["pid"] == 812
    for words in (("--guest", "-m"), ("--guest", "-device"), ("--guest", "-object"),
                  ("--dpdk", "--socket-mem")):
        said = tce2ctl("--root", guest.root, "explain", *words, name.replace(b"\0", b""))
        assert "\x1b" not in said.text + said.errors
