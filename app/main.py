"""create_app: the whole HTTP service from its settings. Nothing is built at import."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from . import __version__
from .api.context import AppContext
from .api.cors import add_cors
from .api.direct_routes import Application
from .api.error_responses import answer_error
from .api.middleware import RequestMiddleware
from .api.routes import anthropic, ask, audit, budget, discovery, docs, health, home, openai, token
from .api.scoreboard import Scoreboard
from .api.worker_state import beat_forever, record_replacement, watch_limits
from .catalogue.models import Catalogue
from .errors import AppError, LimitsUnavailable
from .limits.bounds import Bounds
from .limits.held_bytes import HeldBytes
from .limits.opened import open_limits
from .limits.rate_limits import Buckets
from .limits.shared_counts import SharedCounts
from .security.refusals import SUMMARY_SECONDS, RefusalRecorder
from .security.security_log import SecurityLog
from .settings import Settings, load_settings
from .upstream.embedded import EmbeddedAddress
from .wiring.audit import open_signing_loop
from .wiring.catalogue import read_catalogue
from .wiring.health_watch import watch_health
from .wiring.services import open_services
from .wiring.stop_times import CUT_SHARE
from .wiring.telemetry import Telemetry

LOG = logging.getLogger("app.main")
SIGNING_GRACE_SECONDS = 3.0
"""For the last signature."""


def create_app(
    settings: Settings | None = None,
    catalogue: Catalogue | None = None,
    *,
    embedded: EmbeddedAddress | None = None,
    signs_checkpoints: bool = True,
    scoreboard: Scoreboard | None = None,
    worker: int = 0,
    board: object | None = None,
) -> FastAPI:
    """The ASGI application. The lifespan opens what needs files or a database. Raises ConfigError.

    *embedded*: the address of the embedded model, if that one is to be asked.
    *signs_checkpoints*: in this process; `serve` has a process of its own for that.
    *scoreboard*: shared by all workers; *worker* is the number of this one. By default it is alone.
    *board*: the Board where it counts what the metrics show; None: nowhere.
    """
    settings = settings or load_settings()
    catalogue = catalogue or read_catalogue(settings)
    app = Application(
        title="Secure AI Assistant",
        summary="Nothing is asked or answered before it is durably written down.",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": "."}],  # beside openapi.json, wherever a proxy puts it
        lifespan=_lifespan(settings, catalogue, embedded, signs_checkpoints, scoreboard or Scoreboard(), worker, board),
    )
    app.add_exception_handler(AppError, answer_error)
    app.add_exception_handler(HTTPException, answer_error)
    app.add_exception_handler(RequestValidationError, answer_error)
    for routes in (token, discovery, ask, openai, anthropic, budget, audit, health):
        app.include_router(routes.router)
    if settings.docs_enabled:
        docs.add_docs(app)
    _add_console(app, settings)
    asking = [route for part in (ask, openai, anthropic) for route in part.router.routes]
    posts = [route for route in asking if isinstance(route, APIRoute) and route.methods == {"POST"}]
    # The middleware that is added last runs first.
    if settings.cors_origins:
        add_cors(app, settings.cors_origins)
    app.add_middleware(RequestMiddleware)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    app.serve_directly(posts)
    return app


def _add_console(app: FastAPI, settings: Settings) -> None:
    if settings.console_enabled:
        from .web.console import add_console  # late: where it is switched off, nothing of it is loaded

        add_console(app, settings)
    home.add_home(app, settings)


def _lifespan(
    settings: Settings,
    catalogue: Catalogue,
    embedded: EmbeddedAddress | None,
    signs_checkpoints: bool,
    scoreboard: Scoreboard,
    worker: int,
    board: object | None,
) -> Callable[[Application], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        slot, telemetry = scoreboard.slot(worker), Telemetry(board, worker, settings.node_name)
        bounds = Bounds().for_bodies_of(settings.v1_max_body_bytes)
        held = HeldBytes(bounds.body_bytes, bounds.body_bytes_each)
        async with open_limits(settings) as (limits, token_rates):
            told = (slot.set_closed, scoreboard.log, scoreboard.database)
            async with open_services(
                *(settings, catalogue, embedded, *told), keeps_books=worker == 0, telemetry=telemetry, token_rates=token_rates
            ) as services:
                buckets = limits.buckets
                shared = SharedCounts(buckets.shared, worker, scoreboard.slots)
                kept = (services.audit, services.events, buckets.admit_refusal, shared)
                refusals = RefusalRecorder(*kept, sums=worker == 0, on_refusal=telemetry.on_refusal)
                services.events.count_losses(slot.count_lost_events)
                await app.prepare()
                app.state.context = AppContext(services, limits, refusals, scoreboard, slot, held)
                tasks = [
                    _keep(beat_forever(slot)),
                    _keep(telemetry.sample_forever(services.assistant, services.budgets, services.audit)),
                    _keep(record_replacement(slot, services.audit, services.events)),
                    _keep(watch_limits(limits, slot, services.events)),
                    _keep(services.security.follow_revocations()),
                    _keep(refusals.summarise_forever()),
                    _keep(_forget_forever(buckets)),
                    _keep(watch_health(scoreboard.log, services.running_mark, services.events, reports=worker == 0)),
                ]
                with _beside(settings, services.events, scoreboard) if signs_checkpoints else nullcontext():
                    yield
                await services.assistant.until_idle(settings.shutdown_grace_seconds * CUT_SHARE)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await refusals.close()
                await telemetry.aclose()

    return lifespan


@contextmanager
def _beside(settings: Settings, events: SecurityLog, scoreboard: Scoreboard) -> Iterator[None]:
    """A thread that signs checkpoints, and one that builds the index; `serve` has processes.

    Each process may have them: the tree's lock elects one, and two builders do no harm.
    """
    work = {"notary": open_signing_loop(settings, events, scoreboard.log).run}
    if settings.console_enabled:
        from .wiring.record_index import open_index_builder  # late: as the console

        work["index"] = open_index_builder(settings, scoreboard.demand).run
    stop = threading.Event()
    threads = [threading.Thread(target=run, args=(stop,), name=name, daemon=True) for name, run in work.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(SIGNING_GRACE_SECONDS)


def _keep(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """A vital task: if it fails, this process stops, and its parent restarts it."""

    def on_end(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            LOG.critical(
                "A task of this process failed; the process stops, and its parent restarts it.", exc_info=task.exception()
            )
            os.kill(os.getpid(), signal.SIGTERM)

    task = asyncio.create_task(work)
    task.add_done_callback(on_end)
    return task


async def _forget_forever(buckets: Buckets) -> None:
    while True:
        await asyncio.sleep(SUMMARY_SECONDS)
        with suppress(LimitsUnavailable):
            buckets.forget_old()
