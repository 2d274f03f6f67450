# SPDX-License-Identifier: GPL-2.0-only
"""Tests of the files for continuous integration.

A forge is GitHub or GitLab. The jobs of both forges run in a copy of the sources with fakes.
The tests check that the commands exist, are quoted correctly, and select the intended rows.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable

import pytest
from ci_jobs import Job, Mistake, jobs_of
from ci_sources import Sources, listed, passed

from lab.labels import all_labels
from lab.places import BUILD, TOP
from runner.command import Done
from runner.settings import MACHINES

FILES = {"github": TOP / ".github" / "workflows" / "ci.yml", "gitlab": TOP / ".gitlab-ci.yml"}
JOBS = {
    "github": ("unit", "lint", "host", "build", "guest"),
    "gitlab": ("versions", "versions-newer", "unit", "lint", "host", "build", "build-newer",
               "guest", "guest-newer"),
}
# Ids of the jobs that start the real tests/run
TESTED = ("unit", "host", *(f"guest.{label}.{machine}" for label in ("6.12-4k", "6.1-64k")
                            for machine in MACHINES))

each_forge = pytest.mark.parametrize("forge", FILES)


class Forge:
    """A forge whose jobs have run. made maps each job to the make targets that it called."""

    def __init__(self, name: str, sources: Sources) -> None:
        self.jobs = jobs_of(FILES[name].read_text())
        self.done: dict[str, Done] = {}
        self.made: dict[str, list[str]] = {}
        sources.record.unlink(missing_ok=True)
        for job in self.jobs:
            before = self.all_made()
            self.done[job.id] = sources.run_job(job)
            record = sources.record.read_text().splitlines() if sources.record.exists() else []
            self.made[job.id] = record[len(before):]

    def all_made(self) -> list[str]:
        """Return all recorded make targets, with label and machine."""
        return [target for made in self.made.values() for target in made]


class Forges:
    """Both forges. The jobs of a forge run when a test first needs their results."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._forges: dict[str, Forge] = {}

    def __getitem__(self, name: str) -> Forge:
        if name not in self._forges:
            self._forges[name] = Forge(name, self.sources)
        return self._forges[name]


@pytest.fixture(scope="module")
def forges() -> Forges:
    """Return the forges, with a separate copy of the sources."""
    work = BUILD / "tests" / "ci"
    shutil.rmtree(work, ignore_errors=True)
    return Forges(Sources(work))


def jobs(forge: str) -> list[Job]:
    """Return the jobs of a forge."""
    return jobs_of(FILES[forge].read_text())


def choices(found: Iterable[Job], name: str) -> list[tuple[str, ...]]:
    """Return the kernels, or kernels and machines, of the jobs NAME and NAME-newer."""
    return sorted(job.choice for job in found if job.name in (name, f"{name}-newer"))


def labels(*when: str) -> list[tuple[str, ...]]:
    """Return the labels with one of these values of "when", or all labels."""
    return sorted((label.name,) for label in all_labels().values()
                  if not label.is_added and (not when or label.when in when))


def guests(*when: str) -> list[tuple[str, ...]]:
    """Return each of these labels with each machine."""
    return sorted((*label, machine) for label in labels(*when) for machine in MACHINES)


@pytest.mark.parametrize(("forge", "pattern", "replacement", "sentence"), [
    ("github", r"^    needs: build$", "    needs: built", "guest needs built"),
    ("github", r"matrix\.machine", "matrix.machines", "no machines in the matrix"),
    ("github", r"timeout-minutes", "timeout", "unknown key timeout"),
    ("github", r"always\(\)", "success()", "keeps no artefacts if it fails"),
    ("github", r"^  guest:$", "  build:", "build is given twice"),
    ("github", r"^    steps:$", "  steps:", "steps is given twice"),
    ("github", r"^    steps:\n(      .*\n)+", "", "unit: no steps"),
    ("gitlab", r"^(stages: .*)\]", r"\1", "expected"),
    ("gitlab", r"^  extends: \.guest", "  extends: .guests", "which is no job"),
    ("gitlab", r"^  stage: guest", "  stage: guests", "unknown stage"),
    ("gitlab", r"when: always", "when: on_success", "keeps no artefacts if it fails"),
], ids=["a_need_that_is_no_job", "a_variable_that_is_not_in_the_matrix", "an_unknown_key",
        "artefacts_kept_on_success_only", "a_job_that_is_given_twice", "steps_outside_a_job",
        "a_job_without_steps",
        "a_bracket_that_is_missing", "a_template_that_does_not_exist", "an_unknown_stage",
        "artefacts_of_a_pipeline_kept_on_success_only"])
def test_a_mistake_in_a_ci_file_is_named(forge: str, pattern: str, replacement: str,
                                         sentence: str) -> None:
    text = FILES[forge].read_text()
    changed = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    assert changed != text
    with pytest.raises(Mistake, match=re.escape(sentence)):
        jobs_of(changed)


@each_forge
def test_there_is_a_build_of_each_label(forge: str) -> None:
    assert choices(jobs(forge), "build") == labels()


@each_forge
def test_there_is_a_guest_of_each_label_and_machine(forge: str) -> None:
    assert choices(jobs(forge), "guest") == guests()


@each_forge
def test_only_jobs_of_labels_that_are_asked_for_may_fail(forge: str) -> None:
    may_fail = [job.choice for job in jobs(forge) if job.may_fail and job.choice]
    assert sorted(may_fail) == sorted(labels("asked") + guests("asked"))


@each_forge
def test_every_job_is_covered_by_these_tests(forge: str) -> None:
    assert {job.name for job in jobs(forge)} == set(JOBS[forge])


@pytest.mark.parametrize(("forge", "name"), [(forge, name) for forge, names in JOBS.items()
                                             for name in names])
def test_each_command_of_a_job_runs(forge: str, name: str, forges: Forges) -> None:
    done = [forges[forge].done[job.id] for job in forges[forge].jobs if job.name == name]
    assert done
    for each in done:
        # make prints this for a declared target without a rule
        assert not each.expect(0).says("Nothing to be done"), each.explain()


@pytest.mark.parametrize("job", TESTED)
@each_forge
def test_a_job_counts_each_case_that_its_command_lists(forge: str, job: str,
                                                       forges: Forges) -> None:
    output = forges[forge].done[job].output
    assert passed(output)
    assert passed(output) == listed(output)


@each_forge
def test_the_unit_job_runs_the_quick_suites_and_the_unit_tests(forge: str, forges: Forges) -> None:
    rows = passed(forges[forge].done["unit"].output)
    assert {"host", "evidence", "runner"} <= set(rows)
    assert not {"ci", "clients"} & set(rows)


@each_forge
def test_the_unit_job_makes_only_check_quick(forge: str, forges: Forges) -> None:
    assert [made.split()[0] for made in forges[forge].made["unit"]] == ["check-quick"]


@each_forge
def test_the_host_job_runs_all_tests_of_this_machine(forge: str, forges: Forges) -> None:
    rows = passed(forges[forge].done["host"].output)
    assert {"host", "evidence", "runner", "ci", "release", "realmode", "probes", "install",
            "preflight", "clients", "bench", "docs"} <= set(rows)


@pytest.mark.parametrize(("label", "tested"), [("6.12-4k", {"conformance", "reload", "differ"}),
                                               ("6.1-64k", {"load"})],
                         ids=["6.12-4k", "6.1-64k"])
@pytest.mark.parametrize("machine", MACHINES)
@each_forge
def test_a_guest_job_runs_its_label_and_machine_only(forge: str, label: str, machine: str,
                                                     tested: set[str], forges: Forges) -> None:
    rows = passed(forges[forge].done[f"guest.{label}.{machine}"].output)
    assert set(rows) == {f"{label}.{machine}+{job}" for job in tested}


def test_a_build_job_shows_which_kernel_the_archive_has(forges: Forges) -> None:
    forges["github"].done["build.7.2-4k"].expect(0, r"^7\.2-4k 7\.2\.5-powerpc64le ")


def test_a_pipeline_passes_kernel_versions_to_later_jobs(forges: Forges) -> None:
    forges["gitlab"].done["versions"].expect(0)
    file = forges.sources.top / "build" / "versions.env"
    assert re.fullmatch(r"KERNEL_VERSIONS=[0-9]+\n", file.read_text())


def test_both_forges_run_the_same_commands(forges: Forges) -> None:
    commands = {name: {made for made in forges[name].all_made()
                       if not made.startswith("kernel-versions ")} for name in FILES}
    assert commands["github"] == commands["gitlab"] != set()


def test_a_new_kernel_in_the_archive_changes_the_cache_key(forges: Forges) -> None:
    before = forges.sources.newest("5")
    assert before == forges.sources.newest("5") != ""
    assert before != forges.sources.newest("6") != ""
