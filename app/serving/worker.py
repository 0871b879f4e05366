"""One worker process: a uvicorn server on the socket of its parent.

Imports everything that answers questions. The parent imports this module before it forks.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn

from ..api.context import AppContext
from ..catalogue.models import Catalogue
from ..errors import EvidenceUnavailable
from ..kit.process import show_as
from ..limits.bounds import Bounds, raise_descriptor_limit
from ..main import create_app
from ..security.clients.store import open_clients
from ..settings import Settings
from ..upstream.embedded import EmbeddedAddress
from ..wiring.models import open_models
from ..wiring.start_checks import verify_start
from ..wiring.stop_times import FINISH_SHARE
from .child import ReadyFlag
from .connections import Connections
from .http_protocol import HttpProtocol
from .listener import WAITING, accepting, all_accepted
from .output import ServiceOutput
from .plain_start import PlainStart
from .shared_parts import SharedParts, SharedPolicy

SWITCH_SECONDS = 0.0005
"""How long a thread waits for the interpreter while the event loop is busy, and the other way
round: at each of its system calls. The log's thread makes a dozen of them for a record."""
COLLECT_AFTER = 5_000, 20, 50
"""A question leaves nothing to the collector, which looked at what was in progress all the time.

Refusals leave some. With a higher number each collection takes longer, and memory is fragmented.
"""


class Server(uvicorn.Server):
    """Ctrl-C reaches the whole process group; the parent decides, and sends SIGTERM."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None], on_stopping: Callable[[], None]) -> None:
        """*on_started* is called on the event loop, when the lifespan and the socket are open.

        *on_stopping* is called when a stop begins, while requests are in progress.
        """
        super().__init__(config)
        self._on_started, self._on_stopping = on_started, on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stopping()
        await all_accepted(sockets or ())
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig != signal.SIGINT:
            super().handle_exit(sig, frame)


def run_worker(shared: SharedParts, output: ServiceOutput, ready: ReadyFlag, number: int) -> int:
    """Serve until SIGTERM. *number* is from 0. Raises ConfigError or AuditCorrupt before that."""
    show_as("worker")
    settings = pickle.loads(shared.settings)  # noqa: S301 - from our own fork
    assert isinstance(settings, Settings)
    policy = PolicyFollower(shared.policy)
    output.count_losses(shared.scoreboard.slot(number).count_lost_messages)
    _verify_again(settings, policy.catalogue, shared.embedded)
    app = create_app(
        settings,
        policy.catalogue,
        embedded=shared.embedded,
        signs_checkpoints=False,
        scoreboard=shared.scoreboard,
        worker=number,
        board=shared.board,
    )
    bounds = Bounds().within(raise_descriptor_limit())
    connections = Connections(bounds, settings.trusted_proxies)
    config = uvicorn.Config(
        PlainStart(app),
        backlog=WAITING,  # the kernel keeps so many
        http=cast(Any, partial(HttpProtocol, connections)),
        log_config=None,
        access_log=False,  # the audit log is the record of who asked what
        proxy_headers=False,  # ours obeys TRUSTED_PROXIES; uvicorn's trusts loopback by default
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=int(settings.shutdown_grace_seconds * FINISH_SHARE),
    )

    def on_started() -> None:
        context: AppContext = app.state.context
        connections.count = context.refusals.count
        connections.health.context = context
        policy.follow(context)
        gc.collect()
        gc.freeze()  # what is there now stays; the collector need not walk it again
        context.services.nodes.on_other_policy = partial(_read_policy_again, number)
        output.flush()  # before the parent says that all are ready
        ready.set()

    def on_stopping() -> None:
        context: AppContext = app.state.context
        context.services.assistant.begin_stop()

    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECT_AFTER)
    Server(config, on_started, on_stopping).run(sockets=accepting(shared.listener))
    return 0


class PolicyFollower:
    """At SIGHUP: opens the security log again, and takes the catalogue that is published now."""

    def __init__(self, shared: SharedPolicy) -> None:
        self._shared = shared
        self._encoded = shared.read()
        self.catalogue = _decode(self._encoded)

    def follow(self, context: AppContext) -> None:
        """Call it on the event loop, once the lifespan has begun."""
        self._take(context)  # a SIGHUP may have come while this worker started
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up, context)

    def _hang_up(self, context: AppContext) -> None:
        context.services.events.reopen()
        self._take(context)

    def _take(self, context: AppContext) -> None:
        encoded = self._shared.read()
        if encoded != self._encoded:
            context.services.use_catalogue(_decode(encoded))
            self._encoded = encoded


def _read_policy_again(number: int) -> None:
    """Once for all workers: as an operator's SIGHUP to the service."""
    if number == 0:
        os.kill(os.getppid(), signal.SIGHUP)


def _decode(encoded: bytes) -> Catalogue:
    catalogue = pickle.loads(encoded)  # noqa: S301 - from our own fork
    assert isinstance(catalogue, Catalogue)
    return catalogue


def _verify_again(settings: Settings, catalogue: Catalogue, embedded: EmbeddedAddress | None) -> None:
    """As the lifespan will: a failure here is one sentence, there it would be a stack trace."""
    signer = verify_start(settings)
    open_clients(settings.database)
    with suppress(EvidenceUnavailable):
        signer.verify_start()
    open_models(settings, catalogue, embedded)
