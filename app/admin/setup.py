"""`init`: make what is missing in the current folder. If it is killed, run it again.

The log is made before the database, and the log key gets its final name after the log exists. So a
database or a key without a log means that a log was lost.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..audit.evidence.log_key import load_signer
from ..audit.format.record import Receipt
from ..audit.storage.file_system import verify_locks_hold
from ..audit.storage.running import is_running
from ..errors import ConfigError
from ..kit.postgres_url import PostgresUrl
from ..security.clients.migrations import create_or_upgrade_database
from ..security.clients.rows import has_active_client
from ..settings import Settings, load_settings, read_environment
from ..wiring.audit import is_served
from ..wiring.start_checks import has_file, server_warnings, verify_nothing_lost
from .env_file import ENV_FILE, SECRET, add_log_name, fill_in_secret, lacks_secret, new_log_name, new_secret, write_env_file
from .log_setup import set_up_log

IN_ENVIRONMENT = (
    f"{SECRET} is empty or still the placeholder in the environment, which wins over the .env of this folder. Remove it there "
    "(with Docker: from the .env beside compose.yaml), then run this again."
)


@dataclass(frozen=True, slots=True)
class SetupResult:
    """What was made just now; None: it was there before."""

    env_file: Path | None = None
    secret_filled_into: Path | None = None
    """A `.env` that was there without a secret, such as a copy of .env.example."""
    database: Path | PostgresUrl | None = None
    """Also one of an older version, brought up to this one."""
    audit_log: Path | None = None
    log_key: Path | None = None
    first_record: Receipt | None = None
    """Of the new audit log."""
    has_clients: bool = False
    """Whether anybody can get a token; not only since just now."""


def set_up(*, new_log: bool = False) -> SetupResult:
    """Make what is missing; safe to repeat. *new_log*: retire the present log and begin another.

    Raises ConfigError, and AuditCorrupt if a log was lost and *new_log* is False.
    """
    # (1) settings that hold, with a secret and a name for the log
    env_file, filled = _secret_made()
    settings = load_settings()
    verify_locks_hold(settings.audit_log_path)
    settings = _named(settings)
    # (2) no service and no other init uses the log
    server_warnings(settings)
    if new_log and (is_running(settings.audit_log_path) or is_served(settings)):
        raise ConfigError("A service is running on this log. Stop it first: it would sign the new log with the old key.")
    with _locked(settings.audit_log_path.parent):
        database = settings.database
        # (3) a log that was lost is replaced only on request
        if not new_log and (has_file(settings.database_path) or settings.audit_key_path.exists()):
            verify_nothing_lost(settings)
        # (4) the log, its key and its first checkpoint
        log = set_up_log(settings, new_log=new_log)
        # (5) the database
        is_changed = create_or_upgrade_database(database)
    return SetupResult(
        env_file=env_file,
        secret_filled_into=filled,
        database=database if is_changed else None,
        audit_log=settings.audit_log_path if log.first_record else None,
        log_key=log.key,
        first_record=log.first_record,
        has_clients=has_active_client(database),
    )


def _secret_made() -> tuple[Path | None, Path | None]:
    """The `.env` that was written, and the one that got a secret. Nothing where there is a secret.

    Raises ConfigError, also for all other settings that are refused: then nothing was written.
    """
    if SECRET in os.environ:
        if lacks_secret(os.environ[SECRET]):
            raise ConfigError(IN_ENVIRONMENT)
        return None, None
    secret = new_secret()
    if not ENV_FILE.exists():
        return write_env_file(secret), None
    load_settings(secret_key=secret)
    is_there = not lacks_secret(read_environment().get(SECRET))
    return None, None if is_there else fill_in_secret(secret)


def _named(settings: Settings) -> Settings:
    """The settings with a name for the log, which a `.env` written by hand may lack."""
    if settings.audit_origin or not ENV_FILE.exists():
        return settings
    add_log_name(_name_of_key(settings.audit_key_path) or new_log_name())
    return load_settings()


def _name_of_key(path: Path) -> str | None:
    try:
        return load_signer(path).name
    except (FileNotFoundError, ConfigError):
        return None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One `init` at a time. The lock is on the folder itself: no lock file is left behind."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"AUDIT_LOG_PATH is in {folder}, which cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
