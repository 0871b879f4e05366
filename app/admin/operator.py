"""What every change by an operator needs: the store, and a log that the change is recorded in.

Works beside a running service, which applies a change within a second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ..audit.log import AuditLog
from ..audit.storage.file_system import verify_locks_hold
from ..security.clients.database import faults_named
from ..security.clients.store import ClientStore, open_clients
from ..security.clients.transactions import Record
from ..security.models import Client
from ..security.security_log import SecurityLog
from ..settings import load_settings
from ..wiring.audit import open_audit
from ..wiring.start_checks import verify_setup
from .known_roles import verify_known


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, as the records of the changes say."""

    user_id: str | None
    members: Mapping[str, Any]
    """What `details` says of them: `by`, and how they proved who they are."""
    request_id: str | None = None


AT_THE_TERMINAL = Author(None, {"by": "operator"})
"""Who may use the service's own files: there is no other proof of who it is."""


@dataclass(frozen=True, slots=True)
class Operator:
    store: ClientStore
    audit: AuditLog
    events: SecurityLog
    author: Author = AT_THE_TERMINAL

    async def record(self, action: str, **details: Any) -> None:
        """Durable on return. Raises AuditUnavailable: then nothing may be changed."""
        author = self.author
        members = {**details, **author.members}
        await self.audit.record(action, user_id=author.user_id, details=members, request_id=author.request_id)
        named = {name: details[name] for name in ("client_id", "jti", "key_id", "server") if name in details}
        by = {} if author.user_id is None else {"user_id": author.user_id}
        self.events.event(action.replace(".", "_"), **by, **named)

    def verify_left(self, client_id: str, several: Sequence[Client]) -> None:
        """Called before *client_id*, of *several*, is no admin any more: always allowed here."""

    def recording(self, action: str, **details: Any) -> Record:
        """For a change that is recorded as soon as it is known to be possible."""
        return partial(self.record, action, **details)


class Operating(Protocol):
    """How a change gets its Operator: at a terminal, or within a service that runs."""

    def __call__(self, known_roles: Sequence[str] | None = None) -> AbstractAsyncContextManager[Operator]:
        """Raises InvalidRequest if one of *known_roles* is unknown."""


@asynccontextmanager
async def operating(known_roles: Sequence[str] | None = None) -> AsyncIterator[Operator]:
    """Raises InvalidRequest if one of *known_roles* is unknown."""
    settings = load_settings()
    verify_locks_hold(settings.audit_log_path)
    verify_setup(settings)
    if known_roles is not None:
        verify_known(known_roles, settings.policy_path)
    store, events = open_clients(settings.database), SecurityLog(settings.security_log_path)
    audit = open_audit(settings, events)
    try:
        audit.recover()
        async with audit:
            with faults_named(settings.database):
                yield Operator(store, audit, events)
    finally:
        await store.aclose()
        audit.close()
        events.close()


@asynccontextmanager
async def reading_clients() -> AsyncIterator[ClientStore]:
    """To list what there is. Nothing is recorded."""
    where = load_settings().database
    store = open_clients(where)
    try:
        with faults_named(where):
            yield store
    finally:
        await store.aclose()
