"""What the parent needs to know of the settings: so little that it can stay small."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..wiring.log_files import LogFiles


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Read once, so that a `.env` edited later does not give two workers different settings."""

    is_embedded: bool
    """Whether the embedded model answers."""
    grace_seconds: float
    log_files: LogFiles
    has_models_file: bool
    first_step: str | None
    """The command that makes a client, where there is none."""
    settings: bytes
    """Pickled. Only workers read them: importing their class costs the parent 30 MB."""
    catalogue: bytes
    """Pickled, for the same reason."""

    def encode(self) -> bytes:
        """One line of JSON, then the settings, then the catalogue."""
        files = self.log_files
        facts = {
            "is_embedded": self.is_embedded,
            "grace_seconds": self.grace_seconds,
            "has_models_file": self.has_models_file,
            "first_step": self.first_step,
            "settings_bytes": len(self.settings),
            "log_files": [str(path) for path in (files.audit_log_path, files.audit_key_path, files.security_log_path)],
            "recheck_rate": files.audit_recheck_bytes_per_second,
        }
        return json.dumps(facts).encode() + b"\n" + self.settings + self.catalogue

    @classmethod
    def decode(cls, message: bytes) -> ServicePlan:
        line, _, rest = message.partition(b"\n")
        facts = json.loads(line)
        log, key, security_log = map(Path, facts["log_files"])
        return cls(
            is_embedded=facts["is_embedded"],
            grace_seconds=facts["grace_seconds"],
            log_files=LogFiles(log, key, security_log, facts["recheck_rate"]),
            has_models_file=facts["has_models_file"],
            first_step=facts["first_step"],
            settings=rest[: facts["settings_bytes"]],
            catalogue=rest[facts["settings_bytes"] :],
        )
