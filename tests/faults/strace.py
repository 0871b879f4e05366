"""strace for these tests: lists the system calls of a program on some files, and makes chosen ones fail."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..support.optional import leave_out
from ..support.paths import ROOT

CALL = re.compile(r"(?:\[pid +\d+\] |\d+ +)?(\w+)\((.*)")
RESULT = re.compile(r"\) += (-?\d+)")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call. *number* counts calls of the same name from 1, as strace's `when=` does."""

    name: str
    number: int
    text: str

    @property
    def file(self) -> str:
        """The path of its first descriptor; "" if it has none."""
        found = re.match(r"\d+<([^>]*)>", self.text)
        return found[1] if found else ""

    @property
    def result(self) -> int | None:
        """None if it never returned."""
        found = RESULT.findall(self.text)
        return int(found[-1]) if found else None

    @property
    def is_injected(self) -> bool:
        return "(INJECTED" in self.text

    @property
    def numbers(self) -> list[int]:
        """The numeric arguments: (count, offset) of a pwrite64, (length,) of an ftruncate."""
        return [int(one) for one in re.findall(r", (\d+)(?=[,)])", RESULT.split(self.text)[0] + ")")]


@dataclass(frozen=True, slots=True)
class Traced:
    calls: list[Call]
    said: list[str]
    status: int
    """As in `subprocess`: -9 if the process was killed."""
    errors: str


def trace(
    command: Sequence[str], folder: Path, *, paths: Iterable[str] = (), inject: Iterable[str] = (), seconds: float = 60
) -> Traced:
    """Run *command* under strace. Returns its calls on *paths*, or on anything in *folder* if there are none."""
    require_strace()
    out = folder.with_name(folder.name + ".strace")
    options = ["-qq", "-y", "-s", "8", "-o", str(out)]
    options += [word for path in paths for word in ("-P", path)] + [word for one in inject for word in ("-e", f"inject={one}")]
    done = subprocess.run(["strace", *options, *command], cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    if "ptrace" in done.stderr.lower():
        leave_out(f"strace may not trace here: {done.stderr.strip()[:200]}")
    lines = out.read_text(errors="replace").splitlines()
    out.unlink()
    return Traced(_calls(lines if paths else _about(lines, folder)), done.stdout.split(), done.returncode, done.stderr)


def python(source: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", source, *arguments]


def require_strace() -> None:
    if not shutil.which("strace"):
        leave_out("strace is missing, real system calls were not made to fail (Debian: apt-get install strace)")


def paths_of(calls: Iterable[Call], folder: Path) -> list[str]:
    """The paths in *folder*, and the folder itself, that *calls* name: strace counts `when=` over calls on them."""
    named = re.compile(re.escape(str(folder)) + r'[^">]*')
    return sorted({path for call in calls for path in named.findall(call.text)} | {str(folder)})


def _about(lines: Iterable[str], folder: Path) -> list[str]:
    start = (f'"{folder}', f"<{folder}")
    return [line for line in lines if any(one in line for one in start) and not line.startswith("execve(")]


def _calls(lines: Iterable[str]) -> list[Call]:
    calls, counted = [], Counter[str]()
    for line in lines:
        found = CALL.match(line)
        if found:
            counted[found[1]] += 1
            calls.append(Call(found[1], counted[found[1]], found[2]))
    return calls
