# SPDX-License-Identifier: GPL-2.0-only
"""Test `tce2ctl top` and `tce2ctl trace`."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Callable

import pytest
from tce2ctl_state import GIB, HOSTILE, MODULE, State, container
from tce2ctl_tool import (CRASHED, ENVIRONMENT, OK, TOOL, UNKNOWN, USAGE, tce2ctl)

from lab.command import without_settings

pytest_plugins = ["tce2ctl_fixtures"]

FAST = ("--delay=0.05", "--count=1")
# "%16s-%-7d [%03d] ..." of the kernel
LINE = "{:>16}-{:<7} [001] d..1.  123.456789: {}: {}"


def test_a_container_without_requests_has_rate_0(host: State) -> None:
    said = tce2ctl("--root", host.root, "top", *FAST)
    assert said.status == OK
    title, row = said.text.splitlines()
    assert title.split()[:5] == ["CONTAINER", "PID", "COMMAND", "MAP/s", "UNMAP/s"]
    assert row.split() == ["1", "812", "qemu-system-ppc", *["0.0"] * 6, "33768", "4", "GiB", "50%"]


def busy_top(state: State, records: Callable[[int], list[str]], *words: str) -> str:
    """Run `tce2ctl top` once, while the records of the containers change; return its output.

    records returns the records at a step. The file is replaced at each step, so that the tool
    reads it completely.
    """
    new = state.root / "new"
    state.debugfs("containers", *records(0))
    command = [str(TOOL), "--root", str(state.root), "top", "--delay=1", "--count=1", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE,
                          env=without_settings(**ENVIRONMENT)) as process:
        step = 0
        while process.poll() is None:
            step += 1
            new.write_text("\n".join((f"{MODULE} containers 1", *records(step), "")))
            new.replace(state.root / "sys/kernel/debug" / MODULE / "containers")
            time.sleep(0.02)
        assert process.stdout
        return process.stdout.read().decode()


def test_rates_are_requests_in_a_second(host: State) -> None:
    said = json.loads(busy_top(host, lambda step: [
        container(map=100 * step, refused=10 * step)], "--json"))
    first, = said["containers"]
    assert first["map"] > 0 and first["unmap"] == 0
    assert first["refused"] == pytest.approx(first["map"] / 10, abs=0.1)


def test_a_container_without_an_earlier_sample_has_no_rate(host: State) -> None:
    number = itertools.count()
    said = json.loads(busy_top(host, lambda step: [container(next(number))], "--json"))
    assert [each["map"] for each in said["containers"]] == [None]


def test_top_sorts_containers_by_their_rate(host: State) -> None:
    said = busy_top(host, lambda step: [
        container(1, 801), container(2, 802, map=10 * step), container(3, 803, unmap=100 * step)])
    assert [line.split()[0] for line in said.splitlines()[1:]] == ["3", "2", "1"]


def test_each_picture_is_one_line_of_json(host: State) -> None:
    said = tce2ctl("--root", host.root, "top", "--json", "-d", "0.05", "-n", "3")
    assert [json.loads(line)["format"] for line in said.text.splitlines()] == [1, 1, 1]


def test_top_ends_when_its_output_cannot_be_written(host: State) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([TOOL, "--root", host.root, "top", "--batch", "--delay=0.05"],
                              stdout=full, stderr=subprocess.PIPE, timeout=30, check=False,
                              env=without_settings(**ENVIRONMENT))
    assert done.returncode == UNKNOWN
    assert b"cannot write the result" in done.stderr


def test_top_without_debugfs_has_status_unknown(empty: State) -> None:
    said = tce2ctl("--root", empty.root, "top", *FAST)
    assert said.status == UNKNOWN
    assert "is not loaded" in said.errors


@pytest.mark.parametrize("command", ["top", "trace"])
def test_an_error_is_one_line_of_json_as_well(command: str, empty: State) -> None:
    said = tce2ctl("--root", empty.root, command, "--json", *FAST)
    assert said.status == UNKNOWN
    line, = said.text.splitlines()
    assert json.loads(line)["error"]


@pytest.mark.parametrize("words", [("--delay=x",), ("--delay=0",), ("--delay=-1",),
                                   ("--delay=nan",), ("--delay=1e9",), ("--count=x",)])
def test_a_delay_or_count_out_of_range_is_wrong_usage(words: tuple[str, ...], host: State) -> None:
    assert tce2ctl("--root", host.root, "top", *words).status == USAGE


def on_terminal(state: State, keys: Callable[[int, bytes], None], *words: str, columns: int = 80,
                **environment: str) -> tuple[int, bytes]:
    """Run `tce2ctl top` on a terminal of a width; return its status and output."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    # ncurses keeps memory until the program ends
    settings = {"TERM": "xterm", "LC_ALL": "C.UTF-8", **environment,
                "ASAN_OPTIONS": f"exitcode={CRASHED}:detect_leaks=0"}
    text = b""
    # A new size of the terminal is a signal for the processes of its session
    with subprocess.Popen([TOOL, "--root", state.root, "top", *words], stdin=slave, stdout=slave,
                          stderr=slave, env=without_settings(**settings), start_new_session=True,
                          preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) as process:
        os.close(slave)
        try:
            while more := os.read(master, 65536):
                text += more
                if b"q: quit" in text:
                    keys(master, text)
        except OSError:
            pass
    os.close(master)
    return process.returncode, text


def press_q(terminal: int, text: bytes) -> None:
    """Press q."""
    del text
    os.write(terminal, b"q")


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_terminal_shows_a_picture_until_q_is_pressed(name: bytes, host: State) -> None:
    host.debugfs("containers", container(comm=name))
    status, text = on_terminal(host, press_q, "--delay=9")
    assert status == OK
    assert b"812" in text and b"\x1b[2J\x1b]0" not in text and b"\x9b31m" not in text


def test_a_narrow_terminal_shows_the_beginning_of_each_line(host: State) -> None:
    host.debugfs("containers", container(), container(2, 813))
    _, wide = on_terminal(host, press_q, "--delay=9", columns=120)
    _, narrow = on_terminal(host, press_q, "--delay=9", columns=40)
    for text in (b"812", b"813", b"MAP/s"):
        assert text in wide and text in narrow
    for text in (b"50%", b"LIMIT"):
        assert text in wide and text not in narrow


def test_a_terminal_may_change_its_size(host: State) -> None:
    def grow_and_quit(terminal: int, text: bytes) -> None:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        if b"50%" in text:
            press_q(terminal, text)

    status, text = on_terminal(host, grow_and_quit, "--delay=3", "--count=4", columns=40)
    assert status == OK and b"50%" in text


def test_top_on_an_unknown_terminal_prints_an_error(host: State) -> None:
    status, text = on_terminal(host, press_q, TERM="no-such-terminal")
    assert status == UNKNOWN
    assert b"set TERM, or use --batch" in text


def trace(state: State, *lines: str) -> None:
    """Save a trace."""
    state.put("sys/kernel/tracing/trace", "".join(f"{line}\n" for line in (
        "# tracer: nop", "#", *lines)))


def test_a_saved_trace_is_printed_without_comments(host: State) -> None:
    lines = [LINE.format("qemu", 812, "tce2_map", f"container={number}") for number in (1, 12)]
    trace(host, *lines)
    assert tce2ctl("--root", host.root, "trace").text.splitlines() == lines
    assert tce2ctl("--root", host.root, "trace", "-c", "1").text.splitlines() == lines[:1]
    assert tce2ctl("--root", host.root, "trace", "--count=1").text.splitlines() == lines[:1]


def test_an_event_in_json_has_its_parts(host: State) -> None:
    trace(host, LINE.format("a] 1: [x-1", 812, "tce2_map", "container=1 iova=0x0: ok"), "odd")
    first, second = (json.loads(line) for line in tce2ctl(
        "--root", host.root, "trace", "--json").text.splitlines())
    assert (first["comm"], first["pid"], first["time"], first["event"], first["text"]) == (
        "a] 1: [x-1", "812", "123.456789", "tce2_map", "container=1 iova=0x0: ok")
    assert (second["comm"], second["text"]) == (None, "odd")


def test_trace_without_a_saved_trace_has_status_unknown(host: State) -> None:
    said = tce2ctl("--root", host.root, "trace")
    assert said.status == UNKNOWN
    assert "sys/kernel/tracing/trace: No such file" in said.errors


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_command_names_are_escaped_by_trace(name: bytes, host: State) -> None:
    host.put("sys/kernel/tracing/trace", name.rjust(16) + b"-1 [0] d 1.2: tce2_map: " + name
             + b"\n" + name + b"\n")
    said = tce2ctl("--root", host.root, "trace")
    assert all(line.isprintable() for line in said.text.splitlines())
    for line in tce2ctl("--root", host.root, "trace", "--json").text.splitlines():
        assert json.loads(line)["format"] == 1


def test_trace_prints_a_saved_trace_without_the_module(empty: State) -> None:
    trace(empty, LINE.format("qemu", 812, "tce2_map", f"{MODULE} {GIB}"))
    assert tce2ctl("--root", empty.root, "trace").status == OK
