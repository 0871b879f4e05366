"""The policy file at the start, and at SIGHUP in a process of its own.

At SIGHUP it is read again; a change is recorded, then published.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from types import FrameType

from ..catalogue.models import Catalogue
from ..errors import AppError, ConfigError
from ..security.security_log import SecurityLog
from ..settings import Settings
from ..wiring.audit import open_audit
from ..wiring.catalogue import read_catalogue
from ..wiring.models import open_models
from ..wiring.news import tell_of_policy
from .policy_record import PolicyRecord, details_of_change
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
        open_models(settings, found, None)  # as each worker will: a class of LangChain's may lack something
        # A daemon: this process does not wait for a database that is away, once it has published.
        threading.Thread(target=tell_of_policy, args=[settings], daemon=True).start()
        asyncio.run(_record(settings, events, present.sha256, found))
    except AppError as error:
        LOG.error("The policy file was read again and nothing is changed: %s", error.detail)
        events.event("policy_not_changed", level="ERROR", reason=error.detail)
        return UNCHANGED
    else:
        policy.publish(pickle.dumps(found))
        LOG.info("The policy file was read again: %d model(s), SHA-256 %s.", len(found.models), found.sha256)
        events.event("policy_changed", sha256=found.sha256)
        return CHANGED
    finally:
        events.close()


@contextmanager
def _limited_to(seconds: int) -> Iterator[None]:
    """Raises ConfigError if the block takes longer. For the main thread."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise ConfigError(f"The policy file could not be read within {seconds} s: name a file, no pipe.")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


async def _record(settings: Settings, events: SecurityLog, previous: str, found: Catalogue) -> None:
    """Durable on return. Raises AuditUnavailable."""
    audit = open_audit(settings, events, keeps_texts=settings.audit_long_texts == "keep")
    try:
        async with audit:
            await PolicyRecord(settings.audit_log_path, audit).record(details_of_change(found, settings.policy_path, previous))
    finally:
        audit.close()


def record_at_start(settings: Settings, catalogue: Catalogue) -> None:
    """Record the policy that `serve` begins with, if another one was recorded last.

    Raises AuditUnavailable: then nothing may be started.
    """
    with closing(SecurityLog(settings.security_log_path)) as events:
        with closing(open_audit(settings, events)) as audit:
            previous = PolicyRecord(settings.audit_log_path, audit).last()
        if previous != catalogue.sha256:
            asyncio.run(_record(settings, events, previous, catalogue))
            events.event("policy_changed", sha256=catalogue.sha256)
