"""What the parent needs to know of the settings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ..wiring.log_files import LogFiles


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Read once, so that a `.env` edited later does not give two workers different settings."""

    is_embedded: bool
    """Whether the embedded model answers."""
    notice_seconds: float
    grace_seconds: float
    log_files: LogFiles
    has_policy_file: bool
    metrics_host: str
    metrics_port: int | None
    """Where the metrics are served; None: nowhere."""
    node: str
    """NODE_NAME."""
    otel: dict[str, str]
    """OpenTelemetry's variables, of `.env` too."""
    has_console: bool
    first_step: str | None
    """The command that makes a client, where there is none."""
    modules: tuple[str, ...]
    """What workers import for the servers of the policy."""
    settings: bytes
    """Pickled. Only workers read them."""
    catalogue: bytes
    """Pickled, too."""

    def encode(self) -> bytes:
        """One line of JSON, with the lengths of the settings and the catalogue, which follow it."""
        facts = {**asdict(self), "log_files": self.log_files.encode()}
        facts |= {"settings": len(self.settings), "catalogue": len(self.catalogue)}
        return json.dumps(facts).encode() + b"\n" + self.settings + self.catalogue

    @classmethod
    def decode(cls, message: bytes) -> ServicePlan:
        line, _, rest = message.partition(b"\n")
        facts: dict[str, Any] = json.loads(line)
        end = facts["settings"]
        facts |= {"log_files": LogFiles.decode(facts["log_files"]), "modules": tuple(facts["modules"])}
        return cls(**{**facts, "settings": rest[:end], "catalogue": rest[end:]})
