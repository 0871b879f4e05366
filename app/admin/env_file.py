"""The `.env` file that `init` writes: a fresh secret and the name of the log."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from .. import settings
from ..errors import ConfigError
from ..kit.durable_files import write_file

ENV_FILE = Path(settings.ENV_FILE)


def new_log_name() -> str:
    """A name that no other log has: it stands in every signed checkpoint."""
    return f"secure-ai-assistant/{secrets.token_hex(4)}"


def write_env_file() -> Path:
    """Write `.env`, readable by this user only. One that another init has just written is kept.

    Raises ConfigError.
    """
    text = (
        "# Written by python -m app init. Every setting is explained in .env.example.\n"
        f"SECRET_KEY={secrets.token_urlsafe(32)}\n"
        f"AUDIT_ORIGIN={new_log_name()}\n"
    )
    try:
        with suppress(FileExistsError):
            write_file(ENV_FILE, [text.encode()])
    except OSError as error:
        raise ConfigError(
            f".env cannot be written here ({error.strerror}). Set SECRET_KEY in the environment, or use another folder."
        ) from error
    return ENV_FILE


def add_log_name(name: str) -> None:
    """Add AUDIT_ORIGIN to a `.env` that was written by hand, if it can be written."""
    with suppress(OSError), ENV_FILE.open("r+b") as file:
        text = file.read()
        file.write(b"" if not text or text.endswith(b"\n") else b"\n")
        file.write(f"AUDIT_ORIGIN={name}\n".encode())
