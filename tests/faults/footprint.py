"""What a process holds: memory, descriptors, threads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Footprint:
    """The footprint of one process, or the largest value of each kind among several."""

    rss_mb: float
    pss_mb: float
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        descriptors, threads = os.listdir(f"/proc/{pid}/fd"), os.listdir(f"/proc/{pid}/task")
        return cls(kib["Rss"] / 1024, kib["Pss"] / 1024, len(descriptors), len(threads))

    @classmethod
    def largest(cls, pids: Iterable[int]) -> Footprint:
        each = [cls.of(pid) for pid in pids]
        return cls(
            max(one.rss_mb for one in each),
            max(one.pss_mb for one in each),
            max(one.descriptors for one in each),
            max(one.threads for one in each),
        )

    def grown_since(self, before: Footprint) -> float:
        """MB."""
        return max(self.rss_mb - before.rss_mb, self.pss_mb - before.pss_mb)

    def __str__(self) -> str:
        return f"{self.rss_mb:.1f} MB RSS, {self.pss_mb:.1f} MB PSS, {self.descriptors} descriptors, {self.threads} threads"
