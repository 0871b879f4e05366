"""Where the audit log stands, and how it is kept."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from ..audit.storage.postgres.place import LedgerPlace
from ..catalogue.values import LogName, NodeName


class AuditSettings(BaseModel):
    """The log, its key and the security log."""

    node_name: NodeName = ""
    audit_log_path: Path = Path("./logs/audit_log.jsonl")
    audit_url: SecretStr | None = None
    audit_password_file: Path | None = None
    audit_admin_url: SecretStr | None = None
    audit_single_primary: bool = False
    audit_key_path: Path = Path("./logs/audit_log.key")
    audit_origin: LogName = ""
    audit_refusals_per_minute: int = Field(300, ge=1, le=100_000)
    audit_recheck_bytes_per_second: int = Field(10_000_000, ge=1_000, le=10_000_000_000)
    audit_long_texts: Literal["digest", "keep"] = "digest"
    audit_stream: Literal["live", "buffer"] = "live"
    security_log_path: Path = Path("./logs/security.log")

    @field_validator("audit_url", "audit_admin_url")
    @classmethod
    def _verify_audit_url(cls, value: SecretStr | None) -> SecretStr | None:
        url = "" if value is None else value.get_secret_value()
        if url and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("takes postgresql://user@host/database, or nothing: then the log is the file AUDIT_LOG_PATH")
        if url and find_spec("psycopg") is None:
            raise ValueError("needs the extra postgres: pip install 'secure-ai-assistant[postgres]'")
        return value if url else None

    @model_validator(mode="after")
    def _verify_needs_audit_url(self) -> AuditSettings:
        if self.audit_url is None and self.audit_password_file is not None:
            raise ValueError("AUDIT_PASSWORD_FILE is set, but AUDIT_URL is not: set both, or neither")
        return self

    @property
    def node(self) -> str:
        """NODE_NAME, or the name of this machine."""
        return self.node_name or os.uname().nodename

    @property
    def ledger(self) -> LedgerPlace | None:
        """Where the log is, if it is in PostgreSQL."""
        if self.audit_url is None:
            return None
        admin = None if self.audit_admin_url is None else self.audit_admin_url.get_secret_value()
        return LedgerPlace(
            self.audit_url.get_secret_value(),
            self.audit_password_file,
            self.node,
            admin_url=admin,
            is_single_primary=self.audit_single_primary,
        )
