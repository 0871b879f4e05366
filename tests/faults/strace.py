"""strace as a tool of these tests: what a program asked of the kernel for some files, and calls that fail as told."""

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
    """One system call. *number*: the how many-th of its name, from 1, which is what `when=` counts."""

    name: str
    number: int
    text: str

    @property
    def file(self) -> str:
        """The path behind its first descriptor; "" where it has none."""
        found = re.match(r"\d+<([^>]*)>", self.text)
        return found[1] if found else ""

    @property
    def result(self) -> int | None:
        """None: it never returned."""
        found = RESULT.findall(self.text)
        return int(found[-1]) if found else None

    @property
    def is_injected(self) -> bool:
        return "(INJECTED" in self.text

    @property
    def numbers(self) -> list[int]:
        """Its plain numbers: (count, offset) of a pwrite64, (length,) of an ftruncate."""
        return [int(one) for one in re.findall(r", (\d+)(?=[,)])", RESULT.split(self.text)[0] + ")")]


@dataclass(frozen=True, slots=True)
class Traced:
    calls: list[Call]
    said: list[str]
    status: int
    """As subprocess has it: -9 where it was killed."""
    errors: str


def trace(
    command: Sequence[str], folder: Path, *, paths: Iterable[str] = (), inject: Iterable[str] = (), seconds: float = 60
) -> Traced:
    """Run *command* under strace; its calls on *paths*, or, without any, on whatever stands in *folder*."""
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
    """Every path in *folder*, and the folder, that these calls name: strace counts `when=` over the calls on them."""
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
