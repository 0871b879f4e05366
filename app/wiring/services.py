"""From settings to services: the only file that names concrete backends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..audit.evidence.reader import EvidenceReader
from ..audit.evidence.stored_tree import StoredTree
from ..audit.log import AuditLog
from ..audit.storage.file_system import verify_locks_hold
from ..audit.storage.jsonl import JsonlStore
from ..catalogue.models import Catalogue, ModelEntry, Server
from ..errors import AuditUnavailable, ConfigError, EvidenceUnavailable
from ..security.security_log import SecurityLog
from .audit import checkpoint_signer_of, open_audit, verify_setup

if TYPE_CHECKING:  # what the notary's process, which is small, does not need
    from ..assistant.assistant import SecureAIAssistant
    from ..assistant.v1_requests import V1Requests
    from ..security.audit_access import AuditAccess
    from ..security.clients.store import ClientStore
    from ..security.manager import SecurityManager
    from ..settings import Settings
    from ..upstream.client import Upstream
    from ..upstream.embedded import EmbeddedAddress
    from ..upstream.langchain import LanguageModel

EMBEDDED_NOTE = "embedded: for trying the service out, not for its answers"


@dataclass(frozen=True, slots=True)
class Services:
    """What the doors use. All of it is open between the two ends of open_services."""

    settings: Settings
    security: SecurityManager
    assistant: SecureAIAssistant
    audit: AuditLog
    evidence: EvidenceReader
    audit_access: AuditAccess
    events: SecurityLog
    model_note: str


def open_client_store(settings: Settings) -> ClientStore:
    """Raises ConfigError where init has not run, or another version has."""
    from ..security.clients.store import open_clients

    return open_clients(settings.database_url)


def catalogue_of(settings: Settings, catalogue: Catalogue, embedded: EmbeddedAddress | None) -> Catalogue:
    """The operator's *catalogue*, or the embedded model alone. Raises ConfigError where there is none."""
    if embedded is None:
        if settings.is_embedded:
            raise ConfigError(
                "The embedded model is started by python -m app serve; or set OPENAI_API_KEY, OPENAI_BASE_URL or MODELS_FILE."
            )
        return catalogue
    from ..upstream.embedded import PARAMS

    server = Server("embedded", embedded.base_url, embedded.api_key, params=PARAMS)
    entry = ModelEntry(embedded.model, embedded.model, server, endpoints=frozenset({"chat", "responses"}))
    return replace(catalogue, models={entry.alias: entry})


def open_model(
    settings: Settings, catalogue: Catalogue, embedded: EmbeddedAddress | None
) -> tuple[LanguageModel, V1Requests, list[Upstream]]:
    """The model of /ask, what prepares the calls of /v1, and the servers of both, to be closed.

    LangChain is imported here, once a model is needed. Raises ConfigError.
    """
    from ..assistant.v1_requests import V1Requests
    from ..upstream.client import Upstream
    from ..upstream.langchain import LanguageModel

    catalogue = catalogue_of(settings, catalogue, embedded)
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
    return model, V1Requests(catalogue, upstreams), list(upstreams.values())


@asynccontextmanager
async def open_services(
    settings: Settings,
    catalogue: Catalogue,
    embedded: EmbeddedAddress | None = None,
    on_closed: Callable[[bool], None] = lambda is_closed: None,
) -> AsyncIterator[Services]:
    """Everything that one process needs to answer questions. *on_closed* is told when the log can be written no more, or again.

    Raises ConfigError or AuditCorrupt before anything is open.
    """
    from ..assistant.assistant import SecureAIAssistant
    from ..assistant.streaming import StreamTimeouts
    from ..security.audit_access import AuditAccess
    from ..security.manager import SecurityManager
    from ..security.tokens.issuer import TokenIssuer
    from ..security.tokens.keys import SigningKey
    from ..security.tokens.verifier import TokenVerifier

    verify_locks_hold(settings.audit_log_path)
    verify_setup(settings)
    clients = open_client_store(settings)
    model, calls, upstreams = open_model(settings, catalogue, embedded)
    events = SecurityLog(settings.security_log_path)
    audit = open_audit(settings, events, on_closed, keeps_texts=settings.audit_long_texts == "keep")
    checkpoint_signer = checkpoint_signer_of(settings)
    evidence = EvidenceReader(JsonlStore(settings.audit_log_path), StoredTree.beside(settings.audit_log_path), checkpoint_signer)
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
        timeouts=StreamTimeouts(
            silence_seconds=settings.llm_timeout_seconds,
            whole_seconds=settings.llm_stream_timeout_seconds,
            keepalive_seconds=settings.stream_keepalive_seconds,
            is_buffered=settings.audit_stream == "buffer",
        ),
        max_waiting=embedded.max_waiting if embedded else None,
        clock=time.monotonic,
    )
    audit_access = AuditAccess(evidence, audit)
    try:
        try:
            audit.recover()
            checkpoint_signer.verify_start()
        except AuditUnavailable as error:  # a worker that is started again while the disk is full must not end the service
            audit.close_until_writable(error.detail)
        except EvidenceUnavailable:
            pass  # likewise: the keeper says so, and receipts are refused until it can sign
        await security.load_revocations()
        async with audit:
            note = f"{model.name} ({EMBEDDED_NOTE})" if embedded else model.name
            yield Services(settings, security, assistant, audit, evidence, audit_access, events, note)
    finally:
        audit_access.close()
        for upstream in upstreams:
            await upstream.aclose()
        await clients.aclose()
        audit.close()
        events.close()
