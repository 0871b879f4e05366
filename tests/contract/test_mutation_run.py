"""`make mutation`: a living function gets the code of a mutant, and the right tests are chosen for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..mutation.choice import Choice, importers_of, mirror_of, service_tests_for
from ..mutation.collected import Collected, name_of
from ..mutation.jobs import Job
from ..mutation.tree import add_commands
from ..support.paths import ROOT

ORIGINAL = """
def make():
    return lambda: 0

class Number:
    def get(self):
        return 1

    @property
    def next(self):
        return make()() + 2
"""
FILE, STORE = "app/numbers.py", "app/security/clients/store.py"


@pytest.mark.parametrize(
    ("line", "before", "after", "found"),
    [(3, "lambda: 0", "lambda: 5", (1, 7)), (7, "return 1", "return 4", (4, 2)), (11, "+ 2", "- 2", (1, -2))],
)
def test_a_living_function_gets_the_code_of_a_mutant(
    line: int, before: str, after: str, found: tuple[int, int], tmp_path: Path
) -> None:
    module: dict[str, Any] = {"__name__": "numbers"}
    exec(compile(ORIGINAL, str(tmp_path / FILE), "exec"), module)
    collected, number = Collected(tmp_path, lambda run: None), module["Number"]()
    for function in (module["make"], module["Number"].get, module["Number"].next.fget):
        collected._functions[name_of(function.__code__)] = [function]
    assert (number.get(), number.next) == (1, 2)
    job = Job(0, (), (), 1, FILE, ORIGINAL.replace(before, after), ORIGINAL, line)
    collected._swap(job)
    assert (number.get(), number.next) == found


@pytest.mark.slow
def test_a_mutant_meets_the_tests_that_run_its_line_its_own_file_first() -> None:
    own, near, far = f"{mirror_of(STORE)}::a", "tests/unit/security/clients/test_rows.py::b", "tests/contract/test_docs.py::c"
    unused = f"{mirror_of(STORE)}::d"
    lines = {own: [5], near: [5], far: [5], unused: [6]}
    choice = Choice({test: {"seconds": 1.0, "failed": False, "lines": {STORE: found}} for test, found in lines.items()})
    tests = choice.tests_for(STORE, range(5, 6), at_import=False)
    assert tests == {own, near, far}
    assert choice.job_of(STORE, tests, 30) == ([one.partition("::")[0] for one in (own, near, far)], [unused], 3.0)
    assert choice.job_of(STORE, tests, 1)[0] == [one.partition("::")[0] for one in (own, near)]
    slow = Choice({test: {"seconds": 9.0 if test == near else 1.0, "failed": False, "lines": {STORE: [5]}} for test in tests})
    assert slow.job_of(STORE, tests, 5)[0] == [one.partition("::")[0] for one in (own, far)], "a slow one keeps no other out"
    assert slow.job_of(STORE, tests - {own}, 5)[0] == [far.partition("::")[0]], "not even the nearest one"
    assert slow.job_of(STORE, {near}, 5)[0] == [near.partition("::")[0]]
    assert choice.tests_for(STORE, range(9, 10), at_import=True) >= {own, near, far, unused}


def test_service_tests_are_chosen_by_a_word_that_names_share() -> None:
    found = service_tests_for("app/security/tokens/issuer.py")
    assert {"tests/service/test_behaviour.py", "tests/service/test_token_endpoint.py"} <= set(found)
    assert all((ROOT / name).is_file() for name in found)


@pytest.mark.slow
def test_the_importers_of_a_file_are_known() -> None:
    assert "app/api/routes/token.py" in importers_of(ROOT / "app")["app/api/client_auth.py"]


def test_a_command_beside_this_python_runs_the_python_of_the_copy(tmp_path: Path) -> None:
    """Otherwise its `app` would be the unchanged one."""
    ours, copy = tmp_path / "ours", tmp_path / "copy"
    for folder in (ours, copy):
        folder.mkdir()
        (folder / "python").write_text(f"#!/bin/sh\nexec {sys.executable} -c \"print('{folder.name}')\"\n")
        (folder / "python").chmod(0o755)
    (ours / "linter").write_text(f"#!{ours}/python\n")
    (ours / "binary").write_bytes(b"\x7fELF")
    add_commands(ours, copy)
    assert subprocess.run([copy / "linter"], capture_output=True, text=True, check=True).stdout == "copy\n"
    assert ((copy / "binary").read_bytes(), sorted(path.name for path in copy.iterdir())) == (
        b"\x7fELF",
        ["binary", "linter", "python"],
    )
