"""What a round of torture found, for the printed table."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Figures:
    """A round raises AssertionError where a promise was broken; so these are never figures of a broken one."""

    answers: int
    records: int
    seconds: float
    broken: int = 0
    left_open: int = 0
    recovered: int = 0
    ready: list[float] = field(default_factory=list)
    """Seconds from each fault's end until /readyz was 200 again."""
    remarks: list[str] = field(default_factory=list)
    """What else is to be printed."""
