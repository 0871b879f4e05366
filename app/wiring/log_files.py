"""Where the log and the files that belong to it are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from ..audit.storage.postgres.place import LedgerPlace


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

    @property
    def ledger(self) -> LedgerPlace | None:
        """Where the log is, if not at `audit_log_path`; there, this node keeps its own files."""


def imported_name(log: Path) -> Path:
    """What the log of one machine is called once it was moved to a database."""
    return log.with_name(f"{log.stem}.imported{log.suffix}")


@dataclass(frozen=True, slots=True)
class LogFiles:
    """A LogPlace for a process that should not hold the other settings."""

    audit_log_path: Path
    audit_key_path: Path
    security_log_path: Path
    audit_recheck_bytes_per_second: int
    ledger: LedgerPlace | None = None

    @classmethod
    def of(cls, place: LogPlace) -> LogFiles:
        rate = place.audit_recheck_bytes_per_second
        return cls(place.audit_log_path, place.audit_key_path, place.security_log_path, rate, place.ledger)

    def encode(self) -> str:
        """For another process of this machine: it may hold a password."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def decode(cls, text: str) -> LogFiles:
        found = json.loads(text)
        ledger = found.pop("ledger")
        if ledger is not None:
            ledger["password_file"] = ledger["password_file"] and Path(ledger["password_file"])
            ledger = LedgerPlace(**ledger)
        paths: dict[str, Any] = {name: Path(one) if isinstance(one, str) else one for name, one in found.items()}
        return cls(**paths, ledger=ledger)
