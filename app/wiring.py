"""From settings to services: the only file that names concrete backends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .assistant.models import Endpoint
from .errors import AuditCorrupt, AuditUnavailable, ConfigError
from .security.audit.jsonl import NEW_LOG, JsonlStore
from .security.audit.log import AuditLog
from .security.events import SecurityLog
from .security.keys import SigningKey
from .settings import Settings

if TYPE_CHECKING:
    from .assistant.assistant import SecureAIAssistant
    from .assistant.llm import LanguageModel
    from .security.clients import ClientStore
    from .security.manager import SecurityManager

EMBEDDED_NOTE = "embedded: for trying the service out, not for its answers"


@dataclass(frozen=True, slots=True)
class Services:
    """What the doors use. All of it is open between the two ends of open_services."""

    settings: Settings
    security: SecurityManager
    assistant: SecureAIAssistant
    audit: AuditLog
    events: SecurityLog
    model_note: str


def open_audit(settings: Settings, events: SecurityLog | None = None) -> AuditLog:
    """The audit log at its path; opens no file yet."""

    def on_change(event: str, detail: str) -> None:
        if events is not None:
            events.event(event, level="ERROR" if event == "audit_closed" else "INFO", detail=detail)

    return AuditLog(JsonlStore(settings.audit_log_path), on_change=on_change)


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


def database_path(settings: Settings) -> Path:
    """The file behind DATABASE_URL. Raises ConfigError for what is not a file."""
    from .security.database import database_path as path_of

    return path_of(settings.database_url)


def open_client_store(settings: Settings) -> ClientStore:
    """Raises ConfigError where init has not run, or another version has."""
    from .security.clients import open_clients

    return open_clients(settings.database_url)


def signing_key(settings: Settings) -> SigningKey:
    return SigningKey(settings.jwt_algorithm, settings.secret_key.get_secret_value().encode())


def open_model(settings: Settings, embedded: Endpoint | None) -> LanguageModel:
    """LangChain is imported here, once a model is needed. Raises ConfigError where there is none."""
    from .assistant.llm import LanguageModel

    if settings.is_embedded and embedded is None:
        raise ConfigError("The embedded model is started by python -m app serve; or set OPENAI_API_KEY or OPENAI_BASE_URL.")
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    return LanguageModel(
        model=embedded.model if embedded else settings.llm_model,
        api_key=embedded.api_key if embedded else key,
        base_url=embedded.base_url if embedded else settings.openai_base_url,
        temperature=settings.llm_temperature,
        max_tokens=settings.llm_max_tokens,
        system_prompt=settings.system_prompt,
    )


@asynccontextmanager
async def open_services(settings: Settings, embedded: Endpoint | None = None) -> AsyncIterator[Services]:
    """Everything that one process needs to answer questions. Raises ConfigError or AuditCorrupt before anything is open."""
    from .assistant.assistant import SecureAIAssistant
    from .security.manager import SecurityManager
    from .security.tokens import TokenIssuer, TokenVerifier

    verify_birth(settings)
    clients = open_client_store(settings)
    model = open_model(settings, embedded)
    events = SecurityLog(settings.security_log_path)
    audit = open_audit(settings, events)
    lifetime = round(settings.token_expiry_hours * 3600)
    names: dict[str, Any] = {"issuer": settings.jwt_issuer, "audience": settings.jwt_audience}
    key = signing_key(settings)
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
        timeout_seconds=settings.llm_timeout_seconds,
        max_waiting=embedded.max_waiting if embedded else None,
        clock=time.monotonic,
    )
    try:
        try:
            audit.settle()
        except AuditUnavailable as error:  # a worker that is started again while the disk is full must not end the service
            audit.close_until_writable(error.detail)
        await security.load_denials()
        async with audit:
            note = f"{model.name} ({EMBEDDED_NOTE})" if embedded else model.name
            yield Services(settings, security, assistant, audit, events, note)
    finally:
        await model.aclose()
        await clients.aclose()
        audit.close()
        events.close()
