"""What the command and its workers tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TEST_FOLDERS = ("tests/unit", "tests/contract")


@dataclass(frozen=True, slots=True)
class Job:
    """Run the tests of *files*, but for *left_out*, while *file* holds *code*.

    *line* is that of the changed statement in *original*, or 0 if it runs at import.
    *map_to*: run them all on unchanged code, and write to that file which test runs which line.
    """

    key: int
    files: Sequence[str]
    left_out: Sequence[str]
    seconds: float
    file: str = ""
    code: str = ""
    original: str = ""
    line: int = 0
    map_to: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """*status* is pytest's; None at the timeout. *output* is its end."""

    key: int
    status: int | None
    seconds: float
    output: str
