"""Where the log and the files that belong to it are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class LogPlace(Protocol):
    """Settings have these paths, and LogFiles have nothing else."""

    @property
    def audit_log_path(self) -> Path: ...

    @property
    def audit_key_path(self) -> Path: ...

    @property
    def security_log_path(self) -> Path: ...

    @property
    def audit_recheck_bytes_per_second(self) -> int: ...


@dataclass(frozen=True, slots=True)
class LogFiles:
    """A LogPlace for a process that should not hold the other settings."""

    audit_log_path: Path
    audit_key_path: Path
    security_log_path: Path
    audit_recheck_bytes_per_second: int

    @classmethod
    def of(cls, place: LogPlace) -> LogFiles:
        return cls(place.audit_log_path, place.audit_key_path, place.security_log_path, place.audit_recheck_bytes_per_second)
