# SPDX-License-Identifier: GPL-2.0-only
"""Test `tce2ctl metrics` with a parser for the common part of OpenMetrics and Prometheus."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tce2ctl_state import CONTAINER, GIB, HOSTILE, MODULE, State, container, window
from tce2ctl_tool import OK, TOOL, UNKNOWN, USAGE, tce2ctl

from runner.command import run

pytest_plugins = ["tce2ctl_fixtures"]

NAME = r"[a-z_][a-z0-9_]*"
LABELS = rf'(?:{NAME}="(?:[^"\\\n]|\\["\\n])*"(?:,(?!}})|(?=}})))*'
SAMPLE = re.compile(rf"({NAME})(?:{{({LABELS})}})? (\d+|\+Inf)")
Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Metrics:
    """Parse OpenMetrics: each family has a type first, then its samples; "# EOF" ends it."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    families: dict[str, str] = {}
    found: Metrics = {}
    family = ""
    for line in lines[:-2]:
        if meta := re.fullmatch(rf"# (TYPE|UNIT|HELP) ({NAME}) (.+)", line):
            kind, name, value = meta.groups()
            if kind == "TYPE":
                assert name not in families and value in ("gauge", "counter"), line
                families[name] = value
                family = name
            assert name == family, line
            assert kind != "UNIT" or name.endswith(f"_{value}"), line
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        suffix = "_total" if families[family] == "counter" else ""
        assert sample[1] == family + suffix, line
        labels = re.findall(rf'({NAME})="((?:[^"\\]|\\.)*)"', sample[2] or "")
        assert len(dict(labels)) == len(labels), line
        key = sample[1].removeprefix(f"{MODULE}_"), frozenset(
            (name, re.sub(r"\\(.)", r"\1", value)) for name, value in labels)
        assert key not in found, line
        found[key] = float(sample[3])
    return found


def metrics(state: State) -> Metrics:
    """Return the metrics of a host."""
    said = tce2ctl("--root", state.root, "metrics")
    assert said.status == OK, said.errors
    return parse(said.text)


def value(found: Metrics, name: str, **labels: str) -> float | None:
    """Return the value of a metric that has these labels, and perhaps others."""
    values = [number for (each, have), number in found.items()
              if each == name and set(labels.items()) <= have]
    return values[0] if values else None


def test_metrics_of_a_host_without_a_problem_have_their_values(host: State) -> None:
    found = metrics(host)
    assert value(found, "module", version="0.1.0", installed_version="0.1.0") == 1
    assert [value(found, name) for name in (
        "loaded", "enabled", "upgrade_pending", "state_readable", "containers",
        "other_containers", "kvm_declined_total")] == [1, 1, 0, 1, 1, 0, 0]
    owner = {"container": "1", "pid": "812", "comm": "qemu-system-ppc"}
    assert value(found, "container_limit_bytes", **owner) == 8 * GIB
    assert value(found, "container_requests_total", request="map", **owner) == 4096
    assert value(found, "container_requests_total", request="ranges", **owner) == 7
    assert value(found, "container_requests_total", request="copy", **owner) == 3
    assert value(found, "container_requests_total", request="access", **owner) == 6
    assert value(found, "window_mapped_tces", container="1", slot="1") == 32768


def test_metrics_count_pending_upgrades_and_containers_of_the_in_tree_driver(host: State) -> None:
    host.install("0.2.0", "BBBB")
    host.load_in_tree(1)
    host.process(900, files=[CONTAINER, "/dev/vfio/4"])
    found = metrics(host)
    assert value(found, "upgrade_pending") == 1
    assert value(found, "other_containers") == 1


def test_a_container_without_a_limit_has_the_limit_inf(host: State) -> None:
    host.debugfs("containers", container(limit="unlimited"))
    assert value(metrics(host), "container_limit_bytes") == float("inf")


def test_each_rule_has_a_count_of_refused_requests(host: State) -> None:
    host.debugfs("containers", container(refused=3, rules="memlock:2,no-window:1,x,y:z,"))
    found = metrics(host)
    assert value(found, "container_refusals_total", rule="memlock", pid="812") == 2
    assert value(found, "container_refusals_total", rule="no-window") == 1
    assert len([name for name, _ in found if name == "container_refusals_total"]) == 2


def test_an_unknown_value_has_no_sample(host: State) -> None:
    host.debugfs("containers", container(limit="-", charged="x"))
    found = metrics(host)
    assert value(found, "container_limit_bytes") is None
    assert value(found, "container_charged_bytes") is None
    assert value(found, "container_locked_bytes") is not None


def test_a_host_without_the_module_has_metrics(empty: State) -> None:
    found = metrics(empty)
    assert (value(found, "loaded"), value(found, "state_readable")) == (0, 0)


def test_debugfs_files_of_another_format_give_metrics_and_status_2(host: State) -> None:
    host.debugfs("containers", first=f"{MODULE} containers 2")
    said = tce2ctl("--root", host.root, "metrics")
    assert said.status == UNKNOWN
    assert value(parse(said.text), "state_readable") == 0


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_command_names_are_escaped_in_metrics(name: bytes, host: State) -> None:
    host.debugfs("containers", container(comm=name), container(2, comm=name))
    host.debugfs("windows", window(start=name))
    host.put(f"sys/module/{MODULE}/version", name + b"\n")
    assert value(metrics(host), "container_limit_bytes", container="2") == 8 * GIB


def test_the_metrics_file_is_replaced_only_when_it_is_complete(host: State, work: Path) -> None:
    file = work / "tce2.prom"
    file.write_text("old")
    assert tce2ctl("--root", host.root, "metrics", "--output", file).status == OK
    assert value(parse(file.read_text()), "loaded") == 1
    assert sorted(path.name for path in work.iterdir()) == ["root", "tce2.prom"]


def test_a_metrics_file_that_cannot_be_written_has_status_unknown(host: State, work: Path) -> None:
    said = tce2ctl("--root", host.root, "metrics", "-o", work / "none" / "file")
    assert said.status == UNKNOWN
    assert "No such file" in said.errors
    assert tce2ctl("--root", host.root, "metrics", "-o", "/dev/full").status == UNKNOWN


def test_metrics_are_written_to_a_file_while_standard_output_is_closed(host: State,
                                                                       work: Path) -> None:
    file = work / "tce2.prom"
    run("sh", "-c", 'exec "$@" >&-', "sh", TOOL, "--root", host.root, "metrics", "--output",
        file).expect(OK)
    assert value(parse(file.read_text()), "loaded") == 1


def test_metrics_have_no_json(host: State) -> None:
    assert tce2ctl("--root", host.root, "metrics", "--json").status == USAGE


@pytest.mark.parametrize("text", [
    "", "# EOF", "a 1\n# EOF\n", "# TYPE a gauge\nb 1\n# EOF\n", "# TYPE a gauge\na x\n# EOF\n",
    "# TYPE a counter\na 1\n# EOF\n", '# TYPE a gauge\na{b="\\x"} 1\n# EOF\n',
    '# TYPE a gauge\na{b="c",} 1\n# EOF\n', "# TYPE a gauge\na 1\na 1\n# EOF\n",
    "# TYPE a gauge\n# UNIT a bytes\na 1\n# EOF\n",
])
def test_the_parser_refuses_other_texts(text: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        parse(text)
