"""The `.env` file of the current folder: `init` writes it, or fills in what one lacks."""

from __future__ import annotations

import fcntl
import io
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from .. import settings
from ..catalogue.values import PLACEHOLDERS
from ..errors import ConfigError
from ..kit.command import command
from ..kit.durable_files import write_at, write_file

ENV_FILE = Path(settings.ENV_FILE)
SECRET, LOG_NAME = "SECRET_KEY", "AUDIT_ORIGIN"
PIECES = re.compile(
    r"""(?P<before>\s*(?:export[^\S\r\n]+)?[^=\s]+[^\S\r\n]*)=?[^\S\r\n]*"""
    r"""(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\r\n]*?)"""
    r"""(?P<after>(?:[^\S\r\n]+\#[^\r\n]*)?[^\S\r\n]*[\r\n]*)""",
    re.DOTALL,
)
"""One setting, as python-dotenv reads it: its name, its value, and a comment behind it."""


def new_log_name() -> str:
    """A name that no other log has: it stands in every signed checkpoint."""
    return f"secure-ai-assistant/{secrets.token_hex(4)}"


def new_secret() -> str:
    """43 characters of 256 random bits."""
    return secrets.token_urlsafe(32)


def lacks_secret(value: str | None) -> bool:
    """Whether SECRET_KEY is not set, empty or the placeholder, so that a new one harms nothing."""
    return not (value or "").strip() or value in PLACEHOLDERS


def write_env_file(secret: str) -> Path:
    """Write `.env`, readable by this user only. One that another init has just written is kept.

    Raises ConfigError.
    """
    text = (
        f"# Written by {command('init')}. Every setting is explained in .env.example.\n"
        f"{SECRET}={secret}\n"
        f"{LOG_NAME}={new_log_name()}\n"
    )
    try:
        with suppress(FileExistsError):
            write_file(ENV_FILE, [text.encode()])
    except OSError as error:
        raise _not_writable(error) from error
    return ENV_FILE


def fill_in_secret(secret: str) -> Path | None:
    """Set SECRET_KEY in a `.env` that has none; None if another init was first.

    All other bytes of the file stay. It is readable by this user only afterwards. Raises
    ConfigError.
    """
    try:
        return ENV_FILE if _set(SECRET, secret, lacks_secret, mode=0o600) else None
    except OSError as error:
        raise _not_writable(error) from error


def add_log_name(name: str) -> None:
    """Set AUDIT_ORIGIN in a `.env` that names no log, if the file can be written."""
    with suppress(OSError):
        _set(LOG_NAME, name, lambda value: not value)


def _set(name: str, value: str, may_replace: Callable[[str | None], bool], mode: int | None = None) -> bool:
    """Written in place, so that owner, links and mounts of the file stay as they are."""
    with ENV_FILE.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read().decode()
        bindings = list(parse_stream(io.StringIO(text, newline="")))
        places = [number for number, one in enumerate(bindings) if one.key is not None and one.key.upper() == name]
        if places and not may_replace(bindings[places[-1]].value):
            return False
        lines = [one.original.string for one in bindings]
        if places:  # the last one counts
            lines[places[-1]] = _with_value(bindings[places[-1]], value)
        else:
            lines.append(("" if not text or text.endswith(("\n", "\r")) else "\n") + f"{name}={value}\n")
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        data = "".join(lines).encode()
        write_at(file.fileno(), data, 0)
        os.ftruncate(file.fileno(), len(data))
        os.fsync(file.fileno())
        return True


def _with_value(binding: Binding, value: str) -> str:
    match = PIECES.fullmatch(binding.original.string)
    assert match is not None, "python-dotenv has read it"
    return f"{match['before']}={value}{match['after']}"


def _not_writable(error: OSError) -> ConfigError:
    return ConfigError(f".env cannot be written here ({error.strerror}). Set {SECRET} in the environment, or use another folder.")
