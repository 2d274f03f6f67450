# SPDX-License-Identifier: GPL-2.0-only
"""Test `tce2ctl map`: the picture in the terminal, in SVG and in JSON."""

from __future__ import annotations

import stat
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from tce2ctl_state import GIB, HOSTILE, KIB, MIB, State, container, mapping, window
from tce2ctl_tool import OK, UNKNOWN, USAGE, on_terminal, tce2ctl

pytest_plugins = ["tce2ctl_fixtures"]

SVG = "{http://www.w3.org/2000/svg}"
BAR_WIDTH = 960


@pytest.fixture(name="sparse")
def make_sparse(host: State) -> State:
    """Return a host with a window of 1 GiB: 25% mapped, 25% free, 25% half mapped, 25% free."""
    pairs = [mapping(iova=f"{GIB // 2 + 2 * number * MIB:#x}", size=MIB) for number in range(128)]
    host.debugfs("windows", window(mapped=98304))
    host.debugfs("mappings", mapping(iova="0x0", size=GIB // 4), *pairs)
    return host


def bar(state: State, *words: str) -> str:
    """Return the bar of the first window."""
    said = tce2ctl("--root", state.root, "map", *words)
    assert said.status == OK
    return bar_of(said.text)


def bar_of(text: str) -> str:
    """Return the first bar in a picture."""
    return next(line for line in text.splitlines() if line.startswith("  |"))


def test_the_map_draws_full_half_full_and_free_parts_differently(sparse: State) -> None:
    assert bar(sparse, "--width=44") == "  |" + "█" * 10 + "·" * 10 + "▒" * 10 + "·" * 10 + "|"


def test_ascii_is_used_on_request_or_without_utf_8(sparse: State) -> None:
    wanted = "  |" + "#" * 10 + "." * 10 + "+" * 10 + "." * 10 + "|"
    assert bar(sparse, "--width=44", "--ascii") == wanted
    said = tce2ctl("--root", sparse.root, "map", "--width=44", LC_ALL="C")
    assert said.raw.isascii() and wanted in said.text


def test_one_mapped_tce_is_visible_in_the_map(host: State) -> None:
    host.debugfs("windows", window(mapped=1))
    host.debugfs("mappings", mapping(iova="0x0", size=4 * KIB))
    assert bar(host, "--width=44") == "  |░" + "·" * 39 + "|"


def test_a_cell_with_one_free_tce_is_not_drawn_as_full(host: State) -> None:
    host.debugfs("windows", window())
    host.debugfs("mappings", mapping(iova="0x0", size=GIB - 4 * KIB))
    assert bar(host, "--width=44") == "  |" + "█" * 39 + "▓|"


def test_a_window_has_at_most_one_cell_for_each_tce(host: State) -> None:
    host.debugfs("windows", window(size=4 * GIB, page=GIB))
    host.debugfs("mappings", mapping(iova=f"{GIB:#x}", size=GIB))
    assert bar(host) == "  |·█··|"


def test_title_and_scale_name_owner_pages_and_addresses(sparse: State) -> None:
    said = tce2ctl("--root", sparse.root, "map").text
    assert said.startswith("container 1: qemu-system-ppc (812)\n  window 0: 1 GiB, "
                           "pages of 4 KiB, 98304 of 262144 TCEs in use (37%)\n")
    assert "\n  0x0  " in said and "0x3fffffff\n" in said


def test_the_width_of_the_terminal_is_used(sparse: State) -> None:
    for columns, length in (("60", 60), ("5", 20), ("x", 80), ("99999", 1000)):
        said = tce2ctl("--root", sparse.root, "map", COLUMNS=columns)
        assert len(bar_of(said.text)) == length, columns


def test_the_legend_fits_in_a_narrow_terminal(sparse: State) -> None:
    for width, count in ((40, 5), (51, 5), (52, 1), (80, 1)):
        text = tce2ctl("--root", sparse.root, "map", f"--width={width}").text
        legend = text[text.index("· free"):].splitlines()
        assert len(legend) == count
        assert max(len(line) for line in legend) <= width


def colors_on_terminal(state: State, **environment: str) -> bool:
    """Run the tool on a terminal; return whether it prints colours."""
    return "\x1b[" in on_terminal("--root", state.root, "map", environment=environment)


def test_the_map_has_colours_only_on_a_terminal(sparse: State) -> None:
    assert colors_on_terminal(sparse)
    assert "\x1b" not in tce2ctl("--root", sparse.root, "map").text
    assert "\x1b[32m" not in bar(sparse, "--color=never")
    assert "\x1b[34m" in bar(sparse, "--color=always")


def test_the_map_has_no_colours_with_no_color_or_a_dumb_terminal(sparse: State) -> None:
    assert not colors_on_terminal(sparse, NO_COLOR="1")
    assert not colors_on_terminal(sparse, TERM="dumb")
    assert colors_on_terminal(sparse, NO_COLOR="")


def picture(state: State, work: Path) -> ElementTree.Element:
    """Return the parsed picture."""
    file = work / "map.svg"
    assert tce2ctl("--root", state.root, "map", "--svg", file).status == OK
    return ElementTree.parse(file).getroot()


def test_the_picture_of_a_host_without_windows_says_so(host: State, work: Path) -> None:
    host.debugfs("windows")
    assert "no windows" in [element.text for element in picture(host, work).iter()]


def test_the_picture_has_a_rectangle_for_each_part(sparse: State, work: Path) -> None:
    sparse.debugfs("mappings", mapping(iova="0x0", size=GIB // 4),
                   mapping(iova=f"{GIB // 2:#x}", size=GIB // 4, perm="r"))
    parts = [part for part in picture(sparse, work).iter(f"{SVG}rect")
             if part.find(f"{SVG}title") is not None]
    assert [float(part.get("width", "0")) for part in parts] == [BAR_WIDTH / 4] * 2
    titles = [part.findtext(f"{SVG}title") for part in parts]
    assert titles == ["0x0 to 0xfffffff: 100% mapped",
                      "0x20000000 to 0x2fffffff: 100% mapped, read-only"]


def test_the_picture_is_replaced_only_when_complete(host: State, work: Path) -> None:
    picture(host, work)
    assert sorted(path.name for path in work.iterdir()) == ["map.svg", "root"]
    assert stat.S_IMODE((work / "map.svg").stat().st_mode) & 0o400
    said = tce2ctl("--root", host.root, "map", "--svg", work / "none" / "map.svg")
    assert said.status == UNKNOWN
    assert "No such file or directory" in said.errors


def test_json_has_the_percentage_of_each_cell(sparse: State) -> None:
    said = tce2ctl("--root", sparse.root, "map", "--json", "--width=64").json
    assert said["windows"][0]["cells"] == [100] * 16 + [0] * 16 + [50] * 16 + [0] * 16
    assert said["windows"][0]["start"] == "0x0"


def test_without_windows_the_map_says_so(host: State) -> None:
    host.debugfs("windows")
    assert tce2ctl("--root", host.root, "map").text == "no windows\n"


@pytest.mark.parametrize("words", [("--color=red",), ("--width=x",), ("extra",)])
def test_wrong_usage_has_status_3(words: tuple[str, ...], host: State) -> None:
    assert tce2ctl("--root", host.root, "map", *words).status == USAGE


@pytest.mark.parametrize("record", [
    window(size=0), window(page=0), window(size=2**64 - 1, page=1), window(start="0x" + "f" * 16),
    window(size=1, page=2), "container=1 slot=0", window(size=3, page=1), window(size=2**63),
])
def test_damaged_windows_do_not_crash_the_map(record: str, host: State, work: Path) -> None:
    host.debugfs("windows", record)
    host.debugfs("mappings", mapping(iova="0x0", size=2**64 - 1), mapping(iova="0x1", size=0),
                 mapping(iova="0x" + "f" * 16, size=2**64 - 1), "container=1 slot=0")
    for words in ((), ("--json",)):
        assert tce2ctl("--root", host.root, "map", *words).status == OK
    picture(host, work)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_the_map_escapes_hostile_command_names(name: bytes, host: State, work: Path) -> None:
    host.debugfs("containers", container(comm=name))
    said = tce2ctl("--root", host.root, "map")
    assert all(line.isprintable() for line in said.text.splitlines())
    texts = [text.text or "" for text in picture(host, work).iter(f"{SVG}text")]
    assert texts[0].startswith("container 1: ") and texts[0].endswith(" (812)")
    assert not list(picture(host, work).iter("svg"))
