"""What `init` makes, each part only if it is missing: `.env`, the database, the audit log."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import __version__
from .errors import AuditCorrupt, ConfigError
from .security.audit.entry import Receipt
from .settings import Settings, load_settings
from .wiring import database_path, open_audit, verify_birth

ENV_FILE = Path(".env")


@dataclass(frozen=True, slots=True)
class Born:
    """What was made just now. *opened* is the first record of a new log."""

    env_file: Path | None
    database: Path | None
    opened: Receipt | None


def initialise(*, new_log: bool = False) -> tuple[Settings, Born]:
    """Make what is missing in the current folder; safe to repeat. *new_log*: set the present log aside, begin another.

    Raises ConfigError, and AuditCorrupt where a log went missing and *new_log* is not asked for.
    """
    env_file = _write_env() if not ENV_FILE.exists() and not os.environ.get("SECRET_KEY") else None
    settings = load_settings()
    if not settings.audit_origin and ENV_FILE.exists():
        _append_origin()
        settings = load_settings()
    if not new_log and (database_path(settings).exists() or settings.audit_key_path.exists()):
        verify_birth(settings)
    audit = open_audit(settings)
    details = {"origin": settings.audit_origin or _new_origin(), "software": f"secure-ai-assistant {__version__}"}
    opened = None
    try:
        # The log comes first: a database without a log is what a vanished log looks like.
        if new_log and (audit.exists() or database_path(settings).exists()):
            opened = audit.begin_another(details)
        elif audit.is_empty():
            try:
                opened = audit.create(details)
            except AuditCorrupt:  # another init was faster; or there was a log, and this says what is wrong with it
                audit.settle()
        else:
            audit.settle()
    finally:
        audit.close()
    from .security.clients import create_or_upgrade_database

    created = create_or_upgrade_database(settings.database_url)
    return settings, Born(env_file, database_path(settings) if created else None, opened)


def _new_origin() -> str:
    return f"secure-ai-assistant/{secrets.token_hex(4)}"


def _append_origin() -> None:
    """Name the log in a `.env` that somebody wrote by hand. A file that cannot be written is left alone."""
    with suppress(OSError), ENV_FILE.open("r+b") as file:
        text = file.read()
        file.write(b"" if not text or text.endswith(b"\n") else b"\n")
        file.write(f"AUDIT_ORIGIN={_new_origin()}\n".encode())


def _write_env() -> Path:
    text = (
        "# Written by python -m app init. Every setting is explained in .env.example.\n"
        f"SECRET_KEY={secrets.token_urlsafe(32)}\n"
        f"AUDIT_ORIGIN={_new_origin()}\n"
    )
    try:
        fd = os.open(ENV_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass  # another init was faster: its secret counts
    except OSError as error:
        raise ConfigError(
            f".env cannot be written here ({error.strerror}): set SECRET_KEY in the environment, or change the folder."
        ) from error
    return ENV_FILE
