"""Which tests may kill a mutant: those that run the changed statement, cheap files first."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from os.path import commonpath
from pathlib import Path
from typing import Any

from ..support.paths import ROOT

WHOLE = {"tests/contract/test_docs.py::test_the_pages_that_are_written_from_the_code_are_current"}
"""Compares what the whole application says of itself, such as its OpenAPI description."""


class Choice:
    """*tests*: the coverage map."""

    def __init__(self, tests: dict[str, dict[str, Any]]) -> None:
        self._tests = {test: one for test, one in tests.items() if not one["failed"]}
        self._all_of: dict[str, set[str]] = defaultdict(set)
        for test in tests:
            self._all_of[file_of(test)].add(test)
        self._lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for test, one in self._tests.items():
            for file, lines in one["lines"].items():
                for line in lines:
                    self._lines[file][line].add(test)
        self._importers = importers_of(ROOT / "app")

    def tests_for(self, file: str, lines: Iterable[int], at_import: bool) -> set[str]:
        """Of what runs at import no test is known to run it: those that run any line of the file, or are of an importer."""
        covered = self._lines.get(file, {})
        if not at_import:
            return set().union(*(covered.get(line, set()) for line in lines))
        found = set().union(*covered.values())
        for mirror in map(mirror_of, (file, *self._importers.get(file, ()))):
            found |= self._all_of.get(mirror, set()) & self._tests.keys()
        return found | self._tests.keys() & WHOLE

    def job_of(self, file: str, tests: set[str], budget: float) -> tuple[list[str], list[str], float]:
        """Test files in order, the tests in them that are left out, and how many seconds the others take.

        The file's own test comes first, then its neighbours and others, as long as these fit into *budget* seconds:
        one that is too slow keeps no other out. Where none fits, the fastest is taken.
        """
        seconds: dict[str, float] = defaultdict(float)
        for test in tests:
            seconds[file_of(test)] += float(self._tests[test]["seconds"])
        mirror = mirror_of(file)
        files = [mirror] if mirror in seconds else []
        left = budget
        for one in sorted(seconds.keys() - {mirror}, key=lambda one: (-len(commonpath([mirror, one])), seconds[one])):
            if seconds[one] <= left:
                files.append(one)
                left -= seconds[one]
        files = files or [min(seconds, key=seconds.__getitem__)]
        left_out = sorted(set().union(*(self._all_of[one] for one in files)) - tests)
        return files, left_out, sum(seconds[one] for one in files)


def service_tests_for(file: str) -> list[str]:
    """Those that compare what the whole service does, and those whose name shares a word with the file's."""
    words = set(re.findall(r"[a-z]{2,}[a-rt-z]", file)) - {"app", "api", "security", "route"}
    paths = sorted((ROOT / "tests/service").glob("test_*.py"))
    found = [path for path in paths if words & {word.rstrip("s") for word in path.stem.split("_")}]
    return ["tests/service/test_behaviour.py", *(str(path.relative_to(ROOT)) for path in found)]


def file_of(test: str) -> str:
    return test.partition("::")[0]


def mirror_of(file: str) -> str:
    path = Path(file).relative_to("app")
    path = path.parent if path.name == "__init__.py" else path.with_suffix("")
    return f"tests/unit/{path.parent}/test_{path.name}.py".replace("/./", "/")


def importers_of(folder: Path) -> dict[str, set[str]]:
    """The files that import names from a file."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                targets = [base.with_suffix(".py"), base / "__init__.py", *(base / f"{one.name}.py" for one in node.names)]
                for target in filter(Path.is_file, targets):
                    found[str(target.relative_to(folder.parent))].add(str(path.relative_to(folder.parent)))
    return found
