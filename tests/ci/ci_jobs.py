# SPDX-License-Identifier: GPL-2.0-only
"""Convert the jobs of a GitHub workflow or a GitLab pipeline into shell scripts.

The conversion fails for a key that this project does not use, an undefined name, a duplicate
key, a GitHub job without time-out, or a job that keeps no artefacts.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# YAML parses the key "on" as True
GITHUB_TOP = {"name", True, "permissions", "defaults", "env", "jobs"}
GITHUB_JOB = {"needs", "runs-on", "container", "timeout-minutes", "continue-on-error",
              "strategy", "steps"}
GITHUB_STEP = {"run", "uses", "if", "with"}
GITLAB_TOP = {"stages", "default", "variables"}
GITLAB_JOB = {"extends", "stage", "needs", "script", "cache", "artifacts", "variables",
              "allow_failure", "parallel"}
MAY_FAIL = "${{ startsWith(matrix.kernel, '7.') }}"

# A mapping as parsed from the file
Mapped = Mapping[Any, Any]


class Mistake(Exception):
    """An error in a workflow or pipeline file."""


@dataclass(frozen=True)
class Job:
    """A job for one choice of the values of its matrix: a kernel, or a kernel and a machine."""

    name: str
    choice: tuple[str, ...]
    environment: Mapping[str, str]
    commands: tuple[str, ...]
    may_fail: bool

    @property
    def id(self) -> str:
        """The id of the job: JOB, JOB.KERNEL or JOB.KERNEL.MACHINE."""
        return ".".join([self.name, *self.choice])

    @property
    def script(self) -> str:
        """The commands of the job for bash, after commands that set its environment."""
        exports = [f"export {name}={shlex.quote(value)}"
                   for name, value in self.environment.items()]
        return "\n".join([*exports, *self.commands, ""])


def expect(condition: object, message: str) -> None:
    """Raise Mistake unless a condition is true."""
    if not condition:
        raise Mistake(message)


def expect_known(keys: Iterable[object], known: set[Any], where: str) -> None:
    """Raise Mistake for a key that this project does not use."""
    for key in keys:
        expect(key in known, f"{where}: unknown key {key}")


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, any other value as a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def read(text: str) -> dict[Any, Any]:
    """Parse a file."""
    # Import it here: scripts/hosttools may install PyYAML after the tests are collected
    import yaml  # type: ignore[import]

    def expect_unique(node: Any) -> None:
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            for key in keys:
                expect(keys.count(key) == 1, f"{key} is given twice")
            node = yaml.SequenceNode("", [value for _, value in node.value])
        if isinstance(node, yaml.SequenceNode):
            for each in node.value:
                expect_unique(each)

    try:
        expect_unique(yaml.compose(text))
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Mistake(str(error)) from error
    expect(isinstance(document, dict), "no mapping")
    return dict(document)


def combinations(matrix: Mapped) -> Iterator[dict[str, str]]:
    """Yield every choice of one value for each variable of a matrix."""
    for choice in itertools.product(*(as_list(each) for each in matrix.values())):
        yield dict(zip(matrix, choice))


def substitute(text: str, choice: Mapping[str, str], where: str) -> str:
    """Replace GitHub's expressions by their values."""

    def value(match: re.Match[str]) -> str:
        expect(match[1] in choice, f"{where}: no {match[1]} in the matrix")
        return choice[match[1]]

    text = re.sub(r"\$\{\{ matrix\.([a-z]+) \}\}", value, text)
    expect("${{" not in text, f"{where}: unknown expression in {text}")
    return text


def github_commands(job: str, steps: Sequence[Mapped]) -> list[str]:
    """Return the commands of a job.

    Raise Mistake for an action that is not GitHub's own, or if no action keeps artefacts.
    """
    keeps_artefacts = False
    for step in steps:
        expect_known(step, GITHUB_STEP, job)
        expect(("run" in step) != ("uses" in step), f"{job}: a step either runs or uses")
        if "uses" in step:
            expect(re.fullmatch(r"actions/[a-z-]+@v[0-9]+", step["uses"]),
                   f"{job}: {step['uses']} is no action of GitHub's own")
            keeps_artefacts |= ("upload-artifact" in step["uses"]
                                and step.get("if") == "always()")
    expect(keeps_artefacts, f"{job}: keeps no artefacts if it fails")
    return [step["run"] for step in steps if "run" in step]


def github_jobs(workflow: Mapped) -> Iterator[Job]:
    """Yield the jobs of a workflow."""
    expect_known(workflow, GITHUB_TOP, "top")
    for name, job in workflow["jobs"].items():
        expect_known(job, GITHUB_JOB, name)
        expect(job.get("timeout-minutes") and job.get("runs-on"), f"{name}: no time-out")
        expect(job.get("steps"), f"{name}: no steps")
        for need in as_list(job.get("needs")):
            expect(need in workflow["jobs"], f"{name} needs {need}, which is no job")
        may_fail = job.get("continue-on-error")
        expect(may_fail in (None, MAY_FAIL), f"{name}: unknown {may_fail}")
        for choice in combinations(job.get("strategy", {}).get("matrix", {})):
            commands = tuple(substitute(command, choice, name)
                             for command in github_commands(name, job["steps"]))
            yield Job(name, tuple(choice.values()), workflow["env"], commands,
                      bool(may_fail) and choice["kernel"].startswith("7."))


def gitlab_job(name: str, job: Mapped, pipeline: Mapped) -> Iterator[Job]:
    """Yield a job of a pipeline for each choice of its matrix."""
    default = pipeline["default"]
    expect_known(job, GITLAB_JOB, name)
    expect(job.get("stage") in [".pre", *pipeline["stages"]], f"{name}: unknown stage")
    artifacts = job.get("artifacts", default["artifacts"])
    expect(artifacts.get("when") == "always" and "build/logs" in artifacts["paths"],
           f"{name}: keeps no artefacts if it fails")
    expect(job.get("script"), f"{name}: no script")
    commands = (*default["before_script"], *as_list(job.get("script")))
    matrix = job.get("parallel", {}).get("matrix", [{}])
    for choice in itertools.chain(*map(combinations, matrix)):
        environment = {**pipeline["variables"], **job.get("variables", {}), **choice}
        yield Job(name, tuple(choice.values()), environment, commands,
                  bool(job.get("allow_failure")))


def gitlab_jobs(pipeline: Mapped) -> Iterator[Job]:
    """Yield the jobs of a pipeline."""
    templates = {name: job for name, job in pipeline.items() if name.startswith(".")}
    jobs = {name: job for name, job in pipeline.items()
            if name not in GITLAB_TOP and name not in templates}
    for name, own in jobs.items():
        base = own.get("extends")
        expect(base is None or base in templates, f"{name} extends {base}, which is no job")
        for need in as_list(own.get("needs")):
            expect(need in jobs, f"{name} needs {need}, which is no job")
        yield from gitlab_job(name, {**templates.get(base, {}), **own}, pipeline)


def jobs_of(text: str) -> list[Job]:
    """Return the jobs of a file; raise Mistake if the file has an error."""
    document = read(text)
    return list(github_jobs(document) if "jobs" in document else gitlab_jobs(document))
