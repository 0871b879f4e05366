"""At SIGHUP, in a process of its own: read MODELS_FILE again, record the change, publish it."""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from ..catalogue.models import Catalogue
from ..errors import AppError, ConfigError
from ..security.security_log import SecurityLog
from ..settings import Settings
from ..wiring.audit import open_audit
from ..wiring.catalogue import read_catalogue
from .shared_parts import SharedPolicy

LOG = logging.getLogger("app.serving")
CHANGED, UNCHANGED = 0, 1  # exit statuses
READ_SECONDS = 10
"""The file may be a pipe that nobody writes to. Until its end, no other SIGHUP is followed."""


def reload_policy(encoded_settings: bytes, policy: SharedPolicy) -> int:
    """CHANGED: the workers should take what is published now.

    A file that cannot be used, or a change that cannot be recorded, changes nothing and is told in
    the service's output and in the security log.
    """
    settings = pickle.loads(encoded_settings)  # noqa: S301 - from our own fork
    present = pickle.loads(policy.read())  # noqa: S301
    assert isinstance(settings, Settings)
    assert isinstance(present, Catalogue)
    events = SecurityLog(settings.security_log_path)
    try:
        with _limited_to(READ_SECONDS):
            found = read_catalogue(settings)
        if replace(found, created=present.created) == present:
            events.event("policy_unchanged", sha256=found.sha256)
            return UNCHANGED
        asyncio.run(_record(settings, events, present, found))
    except AppError as error:
        LOG.error("MODELS_FILE was read again and nothing is changed: %s", error.detail)
        events.event("policy_not_changed", level="ERROR", reason=error.detail)
        return UNCHANGED
    else:
        policy.publish(pickle.dumps(found))
        LOG.info("MODELS_FILE was read again: %d model(s), SHA-256 %s.", len(found.models), found.sha256)
        events.event("policy_changed", sha256=found.sha256)
        return CHANGED
    finally:
        events.close()


@contextmanager
def _limited_to(seconds: int) -> Iterator[None]:
    """Raises ConfigError if the block takes longer. For the main thread."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise ConfigError(f"MODELS_FILE could not be read within {seconds} s: name a file, no pipe.")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


async def _record(settings: Settings, events: SecurityLog, present: Catalogue, found: Catalogue) -> None:
    """Durable on return. Raises AuditUnavailable."""
    details = {"file": str(settings.models_file), "sha256": found.sha256, "previous": present.sha256, "by": "operator"}
    audit = open_audit(settings, events)
    try:
        async with audit:
            await audit.record("policy.changed", user_id=None, details=details)
    finally:
        audit.close()
