"""What a round of a fault test measured, for the printed table."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Figures:
    """The figures of a round that kept every promise: a broken one raises AssertionError instead."""

    answers: int
    records: int
    seconds: float
    broken: int = 0
    left_open: int = 0
    recovered: int = 0
    ready: list[float] = field(default_factory=list)
    """Seconds from the end of each fault until /readyz answered 200 again."""
    remarks: list[str] = field(default_factory=list)
    """More to print."""
