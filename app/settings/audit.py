"""Where the audit log stands, and how it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from ..catalogue.values import LogName


class AuditSettings(BaseModel):
    """The log, its key and the security log."""

    audit_log_path: Path = Path("./logs/audit_log.jsonl")
    audit_key_path: Path = Path("./logs/audit_log.key")
    audit_origin: LogName = ""
    audit_refusals_per_minute: int = Field(300, ge=1, le=100_000)
    audit_recheck_bytes_per_second: int = Field(10_000_000, ge=1_000, le=10_000_000_000)
    audit_long_texts: Literal["digest", "keep"] = "digest"
    audit_stream: Literal["live", "buffer"] = "live"
    security_log_path: Path = Path("./logs/security.log")
