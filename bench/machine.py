"""Describes the machine: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

IN_MEMORY = frozenset({"tmpfs", "ramfs", "overlay"})


@dataclass(frozen=True)
class Machine:
    measured_at: str
    processor: str
    cores: int
    kernel: str
    python: str
    file_system: str
    load_before: float
    """Runnable processes, averaged over the last minute."""

    @property
    def warnings(self) -> list[str]:
        """Reasons to doubt the figures."""
        doubts = []
        if self.file_system.split()[0] in IN_MEMORY:
            doubts.append(f"The log is on {self.file_system}, where fsync may cost nothing: name a --folder on a disk.")
        if self.load_before > self.cores / 2:
            doubts.append(f"The machine was busy before the run (load {self.load_before:.1f}): absolutes are too low.")
        return doubts


def describe_machine(folder: Path) -> Machine:
    """*folder* is where the log is written."""
    return Machine(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        python=platform.python_version(),
        file_system=_file_system(folder),
        load_before=os.getloadavg()[0],
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """Type, device and mount point of the file system that holds *folder* (proc(5), mountinfo)."""
    found, longest = "unknown", -1
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        point = mount.split()[4].replace("\\040", " ")
        if folder.resolve().is_relative_to(point) and len(point) >= longest:
            found, longest = f"{kind.split()[0]} ({kind.split()[1]} on {point})", len(point)
    return found
