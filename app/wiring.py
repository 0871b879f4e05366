"""From settings to services: the only file that names concrete backends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .catalogue import Catalogue, ModelEntry, Server
from .errors import AuditCorrupt, AuditUnavailable, ConfigError, EvidenceUnavailable
from .security.audit.file_system import verify_locks_hold
from .security.audit.jsonl import JsonlStore
from .security.audit.keeper import Keeper
from .security.audit.log import AuditLog
from .security.audit.log_key import load_signer
from .security.audit.notary import Notary
from .security.audit.reading import EvidenceReader
from .security.audit.recovery import NEW_LOG
from .security.audit.texts import LongTexts
from .security.audit.tree import StoredTree
from .security.events import SecurityLog

if TYPE_CHECKING:  # what the notary's process, which is small, does not need
    from .assistant.assistant import SecureAIAssistant
    from .assistant.calls import Calls
    from .assistant.llm import LanguageModel
    from .assistant.models import Endpoint
    from .assistant.upstream import Upstream
    from .security.clients import ClientStore
    from .security.disclosure import Disclosure
    from .security.manager import SecurityManager
    from .settings import Settings

TROUBLE = frozenset({"audit_closed", "long_texts_not_kept"})
EMBEDDED_NOTE = "embedded: for trying the service out, not for its answers"


@dataclass(frozen=True, slots=True)
class Services:
    """What the doors use. All of it is open between the two ends of open_services."""

    settings: Settings
    security: SecurityManager
    assistant: SecureAIAssistant
    audit: AuditLog
    evidence: EvidenceReader
    disclosure: Disclosure
    events: SecurityLog
    model_note: str


class LogPlace(Protocol):
    """Where the log and what belongs to it are. Settings say it."""

    @property
    def audit_log_path(self) -> Path: ...

    @property
    def audit_key_path(self) -> Path: ...

    @property
    def security_log_path(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class LogFiles:
    """A LogPlace without the other settings, for a process that should not hold them."""

    audit_log_path: Path
    audit_key_path: Path
    security_log_path: Path


def open_audit(
    settings: LogPlace,
    events: SecurityLog | None = None,
    on_closed: Callable[[bool], None] = lambda is_closed: None,
    *,
    keeps_texts: bool = False,
) -> AuditLog:
    """The audit log at its path; opens no file yet. *on_closed* is told when it refuses records, and when no more.

    *keeps_texts*: what is too long for a record is kept whole beside it.
    """

    def on_change(event: str, detail: str) -> None:
        is_closed = event == "audit_closed"
        if is_closed or event == "audit_resumed":
            on_closed(is_closed)
        if events is not None:
            events.event(event, level="ERROR" if event in TROUBLE else "INFO", detail=detail)

    texts = LongTexts.beside(settings.audit_log_path) if keeps_texts else None
    return AuditLog(JsonlStore(settings.audit_log_path), on_change=on_change, long_texts=texts)


def open_notary(place: LogPlace) -> Notary:
    """Raises ConfigError where there is no log key, or one that cannot be used."""
    return Notary(JsonlStore(place.audit_log_path), StoredTree.beside(place.audit_log_path), load_signer(place.audit_key_path))


def open_keeper(place: LogPlace, events: SecurityLog) -> Keeper:
    """What signs the log's head while the service runs. Raises ConfigError."""

    def tell(event: str, level: str, detail: str) -> None:
        events.event(event, level=level, detail=detail)

    return Keeper(JsonlStore(place.audit_log_path), open_notary(place), tell)


def verify_birth(settings: Settings) -> None:
    """The log must be there, unless nothing is. Raises ConfigError before init, AuditCorrupt where the log went missing."""
    there = settings.audit_log_path.exists()
    if there and settings.audit_log_path.stat().st_size:
        return
    witnesses = [path for path in (database_path(settings), settings.audit_key_path) if path.exists()]
    if witnesses:
        log = f"{settings.audit_log_path} is {'empty' if there else 'missing'}"
        raise AuditCorrupt(f"The audit log {log}, but {witnesses[0]} is there. Restore it; {NEW_LOG}.")
    raise ConfigError("Nothing is set up here yet: run python -m app init.")


def missing_key(settings: Settings, audit: AuditLog) -> AuditCorrupt | None:
    """What to say of a log key that is not there: nothing if the log never had one."""
    if "vkey" not in audit.first_details() and StoredTree.beside(settings.audit_log_path).checkpoint() is None:
        return None
    return AuditCorrupt(
        f"The log key {settings.audit_key_path} is missing, and this log is signed with it. Restore it; {NEW_LOG}."
    )


def notary_of(settings: Settings) -> Notary:
    """The notary of a log that has its key. Raises ConfigError or AuditCorrupt where it has not, or another name."""
    try:
        notary = open_notary(settings)
    except FileNotFoundError:
        problem = missing_key(settings, open_audit(settings))
        raise problem or ConfigError("This log has no key yet that signs it: run python -m app init.") from None
    name, origin = notary.key.name, settings.audit_origin
    if origin and name != origin and not name.startswith(f"{origin}/"):
        raise ConfigError(f"AUDIT_ORIGIN is {origin}, but this log is called {name}. Set that, or leave AUDIT_ORIGIN out.")
    return notary


def database_path(settings: Settings) -> Path:
    """The file behind DATABASE_URL. Raises ConfigError for what is not a file."""
    from .security.database import database_path as path_of

    return path_of(settings.database_url)


def open_client_store(settings: Settings) -> ClientStore:
    """Raises ConfigError where init has not run, or another version has."""
    from .security.clients import open_clients

    return open_clients(settings.database_url)


def catalogue_of(settings: Settings, embedded: Endpoint | None) -> Catalogue:
    """The operator's, or the embedded model alone. Raises ConfigError where there is none."""
    if embedded is None:
        if settings.is_embedded:
            raise ConfigError(
                "The embedded model is started by python -m app serve; or set OPENAI_API_KEY, OPENAI_BASE_URL or MODELS_FILE."
            )
        return settings.catalogue
    from .assistant.local import PARAMS

    server = Server("embedded", embedded.base_url, embedded.api_key, params=PARAMS)
    entry = ModelEntry(embedded.model, embedded.model, server, endpoints=frozenset({"chat", "responses"}))
    return replace(settings.catalogue, models={entry.alias: entry})


def open_model(settings: Settings, embedded: Endpoint | None) -> tuple[LanguageModel, Calls, list[Upstream]]:
    """The model of /ask, what prepares the calls of /v1, and the servers of both, to be closed.

    LangChain is imported here, once a model is needed. Raises ConfigError.
    """
    from .assistant.calls import Calls
    from .assistant.llm import LanguageModel
    from .assistant.upstream import Upstream

    catalogue = catalogue_of(settings, embedded)
    servers = {entry.server.name: entry.server for entry in catalogue.models.values()}
    upstreams = {
        name: Upstream(api_key=server.api_key, base_url=server.base_url, stream_usage=server.stream_usage)
        for name, server in servers.items()
    }
    entry = catalogue.models[embedded.model if embedded else settings.llm_model]
    model = LanguageModel(
        upstreams[entry.server.name],
        model=entry.model,
        alias=entry.alias,
        base_url=entry.server.base_url,
        temperature=settings.llm_temperature,
        max_tokens=settings.llm_max_tokens,
        system_prompt=settings.system_prompt,
    )
    return model, Calls(catalogue, upstreams), list(upstreams.values())


@asynccontextmanager
async def open_services(
    settings: Settings, embedded: Endpoint | None = None, on_closed: Callable[[bool], None] = lambda is_closed: None
) -> AsyncIterator[Services]:
    """Everything that one process needs to answer questions. *on_closed* is told when the log can be written no more, or again.

    Raises ConfigError or AuditCorrupt before anything is open.
    """
    from .assistant.assistant import SecureAIAssistant
    from .assistant.streaming import Pace
    from .security.disclosure import Disclosure
    from .security.keys import SigningKey
    from .security.manager import SecurityManager
    from .security.tokens import TokenIssuer, TokenVerifier

    verify_locks_hold(settings.audit_log_path)
    verify_birth(settings)
    clients = open_client_store(settings)
    model, calls, upstreams = open_model(settings, embedded)
    events = SecurityLog(settings.security_log_path)
    audit = open_audit(settings, events, on_closed, keeps_texts=settings.audit_long_texts == "keep")
    notary = notary_of(settings)
    evidence = EvidenceReader(JsonlStore(settings.audit_log_path), StoredTree.beside(settings.audit_log_path), notary)
    lifetime = round(settings.token_expiry_hours * 3600)
    names: dict[str, Any] = {"issuer": settings.jwt_issuer, "audience": settings.jwt_audience}
    key = SigningKey(settings.jwt_algorithm, settings.secret_key.get_secret_value().encode())
    security = SecurityManager(
        issuer=TokenIssuer(key, **names, lifetime_seconds=lifetime),
        verifier=TokenVerifier(key, **names, lifetime_seconds=lifetime),
        clients=clients,
        audit=audit,
        events=events,
    )
    assistant = SecureAIAssistant(
        security,
        model,
        calls,
        timeout_seconds=settings.llm_timeout_seconds,
        pace=Pace(
            silence_seconds=settings.llm_timeout_seconds,
            whole_seconds=settings.llm_stream_timeout_seconds,
            keepalive_seconds=settings.stream_keepalive_seconds,
            is_buffered=settings.audit_stream == "buffer",
        ),
        max_waiting=embedded.max_waiting if embedded else None,
        clock=time.monotonic,
    )
    disclosure = Disclosure(evidence, audit)
    try:
        try:
            audit.settle()
            notary.verify_start()
        except AuditUnavailable as error:  # a worker that is started again while the disk is full must not end the service
            audit.close_until_writable(error.detail)
        except EvidenceUnavailable:
            pass  # likewise: the keeper says so, and receipts are refused until it can sign
        await security.load_denials()
        async with audit:
            note = f"{model.name} ({EMBEDDED_NOTE})" if embedded else model.name
            yield Services(settings, security, assistant, audit, evidence, disclosure, events, note)
    finally:
        disclosure.close()
        for upstream in upstreams:
            await upstream.aclose()
        await clients.aclose()
        audit.close()
        events.close()
