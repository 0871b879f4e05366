"""From settings to services: everything that one worker needs to answer questions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from dataclasses import dataclass, replace
from typing import Any

from ..assistant.assistant import SecureAIAssistant
from ..assistant.known_responses import KnownResponses, Responses
from ..assistant.streaming import StreamTimeouts
from ..audit.evidence.health import LogHealth
from ..audit.evidence.reader import EvidenceReader
from ..audit.evidence.signer import CheckpointSigner
from ..audit.evidence.stored_tree import StoredTree
from ..audit.log import AuditLog
from ..audit.storage.running import RunningMark, marked_running
from ..catalogue.caps import Caps
from ..catalogue.models import Catalogue
from ..errors import AuditUnavailable, EvidenceUnavailable
from ..kit.postgres_url import PostgresUrl
from ..limits.budgets.budgets import Budgets
from ..limits.token_rates import TokenRates
from ..security.audit_access import AuditAccess
from ..security.clients.store import ClientStore, open_clients
from ..security.manager import SecurityManager
from ..security.models import Principal
from ..security.replacement_notice import ReplacementNotice
from ..security.security_log import SecurityLog
from ..security.tokens.issuer import TokenIssuer
from ..security.tokens.keys import SigningKey
from ..security.tokens.verifier import TokenVerifier
from ..settings import Settings
from ..upstream.embedded import EmbeddedAddress
from .audit import open_audit, open_store
from .breakers import shared_breakers
from .budgets import open_budgets
from .models_in_use import ModelsInUse
from .news import OtherNodes, among_nodes
from .start_checks import verify_start
from .telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Services:
    """What the endpoints use. All of it is open inside `open_services`."""

    settings: Settings
    clients: ClientStore
    security: SecurityManager
    assistant: SecureAIAssistant
    audit: AuditLog
    evidence: EvidenceReader
    audit_access: AuditAccess
    events: SecurityLog
    model_note: str
    running_mark: RunningMark
    use_catalogue: Callable[[Catalogue], None]
    """For the questions that begin from now on. Raises ConfigError, with nothing changed."""
    budgets: Budgets
    nodes: OtherNodes

    def caps_for(self, principal: Principal) -> Caps:
        """Everything that differs between principals is found here."""
        caps = self.assistant.v1_requests.catalogue.caps_for(principal.roles, principal.client_roles)
        rpm = principal.client_rpm
        return caps if rpm is None else replace(caps, requests_per_minute=rpm)


@asynccontextmanager
async def open_services(
    settings: Settings,
    catalogue: Catalogue,
    embedded: EmbeddedAddress | None = None,
    on_closed: Callable[[bool], None] = lambda is_closed: None,
    health: LogHealth | None = None,
    notice: ReplacementNotice | None = None,
    *,
    keeps_books: bool = True,
    telemetry: Telemetry | None = None,
    token_rates: TokenRates | None = None,
) -> AsyncIterator[Services]:
    """Open everything, and close it at the end.

    *on_closed* is called with True when the log starts to refuse records, and with False when it
    accepts them again. *health*: nothing is recorded while the log is not what was signed.
    *keeps_books*: as BudgetsInUse. *telemetry*: what is told to operators; None: nothing.
    *token_rates*: None: no rate in tokens is counted.

    Raises ConfigError or AuditCorrupt with nothing left open.
    """
    signer, telemetry, health = verify_start(settings), telemetry or Telemetry(), health or LogHealth()
    async with AsyncExitStack() as opened:
        clients = await opened.enter_async_context(aclosing(open_clients(settings.database)))
        breakers = opened.enter_context(shared_breakers(settings.audit_log_path))
        models = ModelsInUse(settings, catalogue, embedded, breakers)
        opened.push_async_callback(models.aclose)
        events = opened.enter_context(closing(SecurityLog(settings.security_log_path)))
        audit = opened.enter_context(closing(_open_log(settings, events, on_closed, health, telemetry)))
        evidence = _evidence(settings, signer, opened)
        audit_access = opened.enter_context(closing(AuditAccess(evidence, audit)))
        security = _security(settings, clients, audit, events, notice)
        _recover(audit, signer, health)
        running_mark = opened.enter_context(marked_running(settings.audit_log_path))
        await security.load_revocations()
        nodes = await opened.enter_async_context(among_nodes(settings, catalogue, events, breakers, security.news.set))
        await opened.enter_async_context(audit)
        responses = opened.enter_context(closing(_known_responses(settings)))
        books = open_budgets(settings, catalogue, audit, events, keeps_books=keeps_books, on_alarm=telemetry.on_budget_alarm)
        budgets = await opened.enter_async_context(books)
        assistant = _assistant(settings, security, models, responses, token_rates, budgets.budgets, telemetry)

        def use_catalogue(catalogue: Catalogue) -> None:
            replaced = models.replace(catalogue)
            budgets.use(catalogue)
            assistant.use(replaced.language_model, replaced.v1_requests)
            nodes.use(catalogue)

        told = (models.now.note, running_mark, use_catalogue, budgets.budgets, nodes)
        yield Services(settings, clients, security, assistant, audit, evidence, audit_access, events, *told)


def _evidence(settings: Settings, signer: CheckpointSigner, opened: AsyncExitStack) -> EvidenceReader:
    store = opened.enter_context(closing(open_store(settings)))
    return EvidenceReader(store, StoredTree.beside(settings.audit_log_path), signer)


def _open_log(
    settings: Settings, events: SecurityLog, on_closed: Callable[[bool], None], health: LogHealth, telemetry: Telemetry
) -> AuditLog:
    keeps = settings.audit_long_texts == "keep"
    return open_audit(settings, events, on_closed, keeps_texts=keeps, health=health, meter=telemetry.storage)


def _known_responses(settings: Settings) -> Responses:
    if not isinstance(settings.database, PostgresUrl):
        return KnownResponses(settings.audit_log_path.with_suffix(".responses.sqlite3"))
    from ..assistant.postgres_responses import PostgresResponses  # late: its driver is an extra

    return PostgresResponses(settings.database)


def _recover(audit: AuditLog, signer: CheckpointSigner, health: LogHealth) -> None:
    """A worker that restarts while nothing can be recorded must not end the service."""
    if health.problem is not None:
        audit.close_until_writable(health.problem)
        return
    try:
        audit.recover()
        signer.verify_start()
    except AuditUnavailable as error:
        audit.close_until_writable(error.detail)
    except EvidenceUnavailable:  # the signing loop logs it; receipts are refused until it can sign
        pass


def _security(
    settings: Settings, clients: ClientStore, audit: AuditLog, events: SecurityLog, notice: ReplacementNotice | None
) -> SecurityManager:
    key = SigningKey(settings.jwt_algorithm, settings.secret_key.get_secret_value().encode())
    claims: dict[str, Any] = {
        "issuer": settings.jwt_issuer,
        "audience": settings.jwt_audience,
        "lifetime_seconds": round(settings.token_expiry_hours * 3600),
    }
    issuer, verifier = TokenIssuer(key, **claims), TokenVerifier(key, **claims)
    return SecurityManager(
        issuer=issuer,
        verifier=verifier,
        clients=clients,
        audit=audit,
        events=events,
        notice=notice or ReplacementNotice(),
        token_seconds=claims["lifetime_seconds"],
    )


def _assistant(
    settings: Settings,
    security: SecurityManager,
    models: ModelsInUse,
    responses: Responses,
    token_rates: TokenRates | None,
    budgets: Budgets,
    telemetry: Telemetry,
) -> SecureAIAssistant:
    timeouts = StreamTimeouts(
        keepalive_seconds=settings.stream_keepalive_seconds,
        is_buffered=settings.audit_stream == "buffer",
    )
    return SecureAIAssistant(
        security,
        models.now.language_model,
        models.now.v1_requests,
        timeouts=timeouts,
        responses=responses,
        token_rates=token_rates,
        budgets=budgets,
        observer=telemetry.observer(lambda: models.now.v1_requests.catalogue),
        clock=time.monotonic,
    )
