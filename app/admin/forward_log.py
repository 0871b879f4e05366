"""From settings to a process that forwards records."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from ..errors import ConfigError
from ..settings import Settings, load_settings
from ..telemetry.forwarding.cursor import CursorFile
from ..telemetry.forwarding.forwarder import Forwarder
from ..telemetry.forwarding.target import Trust, open_sender, read_headers
from ..telemetry.siem.ocsf import Chain
from ..wiring.audit import open_audit
from ..wiring.start_checks import verify_setup
from .export_records import chain_of, line_of

NAME_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What the command line says."""

    to: str
    form: Literal["ocsf", "jsonl"] = "ocsf"
    name: str | None = None
    """Of the cursor; None: made from *to*."""
    has_texts: bool = True
    trust: Trust = Trust()
    header_file: Path | None = None
    confirms: bool = True
    until_end: bool = False


def forward_log(wanted: Forwarding, stop: threading.Event) -> int:
    """How many were delivered until *stop*, or until the end. Raises ConfigError, OSError."""
    settings = load_settings()
    verify_setup(settings)
    chain = Chain(chain_of(settings).origin)  # a checkpoint would be an older one for most records
    sender = open_sender(wanted.to, chain.origin, wanted.trust, read_headers(wanted.header_file), confirms=wanted.confirms)
    log = open_audit(settings)
    try:
        with CursorFile(cursor_path(settings, wanted)) as cursor:
            body = partial(line_of, wanted.form, chain=chain)
            forwarder = Forwarder(log, sender, cursor, body, has_texts=wanted.has_texts)
            forwarder.run(stop, until_end=wanted.until_end)
            return forwarder.delivered
    finally:
        log.close()
        sender.close()


def cursor_path(settings: Settings, wanted: Forwarding) -> Path:
    """Beside the log. Raises ConfigError."""
    name = wanted.name or hashlib.sha256(wanted.to.encode()).hexdigest()[:NAME_DIGITS]
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise ConfigError("--name takes letters, digits, - and _.")
    return settings.audit_log_path.with_name(f"{settings.audit_log_path.name}.forward.{name}")
