# SPDX-License-Identifier: GPL-2.0-only
"""Check that the guests of a kernel ran enough lines and labels of src/.

The module in build/LABEL was built with COVERAGE=1, so it counts how often each line is
executed. Each guest wrote its counts (gcov) to its console. 95% of the lines must have run.
tests/debug/uncovered must give a reason for each line and each label of a goto that did not
run. All results are in build/coverage.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
import shutil
import subprocess
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.command import CROSS, run_main, say
from lab.places import BUILD, TOP, LabError

# Minimum line coverage, in percent
WANTED = 95

LABEL = re.compile(r"([a-z0-9_]+):")
END_OF_LABEL = re.compile(r"[a-z0-9_]+:|\}")
BRANCH = re.compile(r"\t+(if|for|while|\} else)")
# The first line of a function definition, with or without the return type before it
FUNCTION = re.compile(r"([a-z][^;]*[ *])?([a-z0-9_]+)\(")


@dataclass(frozen=True, order=True)
class Line:
    """A line of a file, whose path is relative to the sources."""

    file: str
    number: int


Counts = dict[Line, int]


@dataclass(frozen=True)
class Text:
    """The text of a line, without indentation, and the function that contains the line."""

    file: str
    function: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.function}(): {self.text}"


class Source:
    """A source file: the text of each line, and the function that contains the line."""

    def __init__(self, file: Path) -> None:
        self.lines = file.read_text().splitlines() if file.exists() else []
        self._functions: list[str] = []
        function = ""
        for line in self.lines:
            if not line.endswith(";") and (found := FUNCTION.match(line)):
                function = found[2]
            self._functions.append(function)

    def text(self, number: int) -> str:
        """Return a line, or an empty text if the file has no such line."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def function(self, number: int) -> str:
        """Return the function that contains a line: the last function that begins above it."""
        return self._functions[number - 1] if 0 < number <= len(self.lines) else ""

    def labels(self, counts: dict[int, int]) -> Iterator[tuple[int, str, int]]:
        """Yield the line, the name and the execution count of each label.

        The count of a label is the count of its line, or of the first counted line before the
        next label. Inline code after a label has no counted line, because it is counted in
        the inline function. In this case the count is the sum of the counts of the gotos to
        the label. The count of a goto is the count of the last counted line before it, or 0
        without such a line.
        """
        for number, line in enumerate(self.lines, 1):
            if found := LABEL.match(line):
                count = self._count_below(number, counts)
                if count is None:
                    count = self._count_of_gotos(found[1], number, counts)
                yield number, found[1], count

    def _count_below(self, number: int, counts: dict[int, int]) -> int | None:
        for below in range(number, len(self.lines) + 1):
            if below > number and END_OF_LABEL.match(self.text(below)):
                return None
            if below in counts:
                return counts[below]
        return None

    def _count_of_gotos(self, label: str, number: int, counts: dict[int, int]) -> int:
        total = 0
        for line in range(number, 0, -1):
            if self.text(line).startswith("{"):
                break
            if f"goto {label};" in self.text(line):
                total += self._count_near(line, counts)
        return total

    def _count_near(self, line: int, counts: dict[int, int]) -> int:
        for near in range(line, line - 3, -1):
            if near in counts:
                return counts[near]
            if BRANCH.match(self.text(near)):
                break
        return 0


def show(lines: Iterable[str]) -> bool:
    """Print lines; return True if there were any."""
    there_were = False
    for line in lines:
        print(line, flush=True)
        there_were = True
    return there_were


def run_tool(tool: str, *words: str | Path, cwd: Path) -> str:
    """Run gcov or gcov-tool and return its output; raise LabError if it fails."""
    done = subprocess.run([CROSS + tool, *words], cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise LabError(f"{tool} ended with status {done.returncode}")
    return done.stdout


def extract_counts(console: Path, directory: Path) -> None:
    """Write the .gcda files that a guest printed on its console to a directory."""
    directory.mkdir(parents=True)
    lines = iter(console.read_text(errors="replace").splitlines())
    for line in lines:
        if line.startswith("TCE2-COUNTS "):
            name = line.split(" ", 1)[1]
            text = "".join(itertools.takewhile(lambda each: each != "TCE2-COUNTS-END", lines))
            try:
                counts = gzip.decompress(base64.b64decode(text, validate=True))
            except (ValueError, OSError, EOFError, zlib.error) as error:
                raise LabError(f"{name} came out of the guest damaged") from error
            (directory / name).write_bytes(counts)
    if not any(directory.iterdir()):
        raise LabError(f"{console} has no counts: was the module built with COVERAGE=1?")


def lines_of(document: str, label: str) -> Iterator[tuple[Line, int]]:
    """Yield this project's lines and their counts from gcov's JSON output."""
    for file in json.loads(document)["files"] if document.strip() else []:
        _, found, path = file["file"].rpartition(f"/{label}/")
        if found and not path.startswith("tests/"):
            for line in file["lines"]:
                yield Line(path, line["line_number"]), line["count"]


class Coverage:
    """The line and label counts of all guests of a kernel.

    top is the source directory, build the build directory. lines and labels map each line and
    each label to its count, which is 0 if no guest counted it.
    """

    def __init__(self, label: str, top: Path = TOP, build: Path = BUILD) -> None:
        self.label = label
        self.top = top
        self.objects = build / label / "src"
        self.out = build / "coverage"
        self.lines: Counts = {}
        self.labels: Counts = {}
        self.reasons = self._read_reasons()
        self._sources: dict[str, Source] = {}
        # Lines that did not run, and that have a reason
        self._argued: list[Text] = []

    def _read_reasons(self) -> list[Text]:
        """Return the lines for which tests/debug/uncovered gives a reason."""
        lines = (self.top / "tests" / "debug" / "uncovered").read_text().splitlines()
        fields = [line.split("\t") for line in lines if line and not line.startswith("#")]
        return [Text(file, function, text) for file, function, text, *_ in fields]

    def _source(self, file: str) -> Source:
        if file not in self._sources:
            self._sources[file] = Source(self.top / file)
        return self._sources[file]

    def count(self, consoles: Sequence[Path]) -> None:
        """Add up the counts of all guests."""
        shutil.rmtree(self.out, ignore_errors=True)
        directories = [self.out / "of" / console.name.removesuffix(".log")
                       for console in consoles]
        for console, directory in zip(consoles, directories):
            extract_counts(console, directory)
        self._merge(directories)
        self._count_lines()
        self._count_labels()

    def _merge(self, directories: Sequence[Path]) -> None:
        counts, merged = self.out / "counts", self.out / "merged"
        shutil.copytree(directories[0], counts)
        for directory in directories[1:]:
            run_tool("gcov-tool-12", "merge", "-o", merged, counts, directory, cwd=self.out)
            shutil.rmtree(counts)
            merged.rename(counts)

    def _count_lines(self) -> None:
        """Add up the line counts of all objects; inline functions occur in several objects."""
        for notes in sorted(self.objects.glob("*.gcno")):
            shutil.copy(notes, self.out / "counts")
            document = run_tool("gcov-12", "--json-format", "--stdout", notes.name,
                                cwd=self.out / "counts")
            for line, count in lines_of(document, self.label):
                self.lines[line] = self.lines.get(line, 0) + count
        self.lines = dict(sorted(self.lines.items()))
        (self.out / "lines").write_text("".join(
            f"{line.file} {line.number} {count}\n" for line, count in self.lines.items()))

    def _count_labels(self) -> None:
        with (self.out / "labels").open("w") as output:
            for path in sorted((self.top / "src").glob("*.c")):
                file = f"src/{path.name}"
                counts = {line.number: count for line, count in self.lines.items()
                          if line.file == file}
                for number, name, count in self._source(file).labels(counts):
                    self.labels[Line(file, number)] = count
                    output.write(f"{file} {number} {name} {count}\n")

    def table(self) -> Iterator[str]:
        """Return the table of files, and the total."""
        files = Counter(line.file for line in self.lines)
        run = Counter(line.file for line, count in self.lines.items() if count)
        rows = [*((file, run[file], files[file]) for file in sorted(files)),
                ("total", run.total(), files.total())]
        for name, covered, total in rows:
            percent = 100 * covered / total if total else 0
            yield f"    {name:<30} {covered:5d} of {total:5d} lines  {percent:5.1f}%"

    def argue(self, what: str, lines: Iterable[Line]) -> Iterator[str]:
        """Yield a complaint for each line without a reason. No line in lines has run.

        A reason is for one line. A function with two equal lines needs two reasons.
        """
        reasons = Counter(self.reasons)
        for line in lines:
            source = self._source(line.file)
            text = Text(line.file, source.function(line.number),
                        source.text(line.number).lstrip())
            reasons[text] -= 1
            if reasons[text] >= 0:
                self._argued.append(text)
            else:
                yield (f"    no {what}: {line.file}:{line.number}: "
                       f"{text.function}(): {text.text}")

    def reasons_without_line(self) -> Iterator[str]:
        """Yield the reasons whose line no longer exists in the source."""
        for reason in self.reasons:
            source = self._source(reason.file)
            if not any(line.lstrip() == reason.text and source.function(number) == reason.function
                       for number, line in enumerate(source.lines, 1)):
                yield f"    no such line any more: {reason}"

    def needless_reasons(self) -> Iterator[str]:
        """Yield the reasons whose line ran: a race reached it, or the reason is obsolete."""
        needed = Counter(self._argued)
        for reason in self.reasons:
            needed[reason] -= 1
            if needed[reason] < 0:
                yield f"    has run: {reason}"

    def judge(self) -> list[str]:
        """Print the table and the lines that did not run; return the failures."""
        show(self.table())
        reached = sum(1 for count in self.labels.values() if count)
        say(f"labels: {reached} of {len(self.labels)} reached")
        failed = [] if self.labels else ["no-labels"]
        for word, what, counts in (("labels", "guest reached the label", self.labels),
                                   ("lines", "guest ran", self.lines)):
            if show(self.argue(what, [line for line, count in counts.items() if not count])):
                failed.append(word)
        (self.out / "argued").write_text("".join(
            f"{text.file}\t{text.function}\t{text.text}\n" for text in self._argued))
        if show(self.reasons_without_line()):
            failed.append("reasons")
        show(self.needless_reasons())
        run = sum(1 for count in self.lines.values() if count)
        if not self.lines or run * 100 < WANTED * len(self.lines):
            failed.append(f"below-{WANTED}%")
        return failed


def judge(label: str, consoles: Sequence[Path]) -> None:
    """Check coverage from the consoles of a kernel's guests; raise LabError on a failure."""
    coverage = Coverage(label)
    coverage.count(consoles)
    say(f"coverage by {len(consoles)} guests:")
    if failed := coverage.judge():
        raise LabError(f"coverage: {' '.join(failed)}")
    say("coverage: each line that did not run has its reason")


def main(arguments: Sequence[str]) -> None:
    """Repeat the check at the end of `make coverage` on existing consoles."""
    if len(arguments) < 2:
        raise LabError("usage: python3 -m runner.coverage LABEL CONSOLE...")
    label, *consoles = arguments
    judge(label, [Path(console) for console in consoles])


if __name__ == "__main__":
    run_main(main)
