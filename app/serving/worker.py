"""One worker process: a uvicorn server on the socket of its parent.

Imports everything that answers questions. With several workers the parent imports this module
before it forks, so that they share its memory.
"""

from __future__ import annotations

import gc
import pickle
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

import uvicorn

from ..api.scoreboard import Scoreboard
from ..catalogue.models import Catalogue
from ..errors import EvidenceUnavailable
from ..kit.process import show_as
from ..main import create_app
from ..security.clients.store import open_clients
from ..settings import Settings
from ..upstream.embedded import EmbeddedAddress
from ..wiring.models import open_models
from ..wiring.start_checks import verify_start
from .http_protocol import BoundedHttpProtocol, mute_strangers
from .supervisor import IN_FLIGHT_GRACE_SECONDS


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What the parent gives to one worker."""

    settings: bytes
    """Of `ServicePlan.settings`."""
    embedded: EmbeddedAddress | None
    listener: socket.socket
    scoreboard: Scoreboard
    number: int
    """From 0; the worker's slot on the scoreboard."""


class Server(uvicorn.Server):
    """Ctrl-C reaches the whole process group; the parent decides, and sends SIGTERM."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig != signal.SIGINT:
            super().handle_exit(sig, frame)


def run_worker(plan: WorkerPlan) -> int:
    """Serve until SIGTERM. Raises ConfigError or AuditCorrupt before that."""
    show_as("worker")
    settings, catalogue = pickle.loads(plan.settings)  # noqa: S301 - from our own fork
    assert isinstance(settings, Settings)
    assert isinstance(catalogue, Catalogue)
    _verify_again(settings, catalogue, plan.embedded)
    app = create_app(
        settings,
        catalogue,
        embedded=plan.embedded,
        keeps_evidence=False,
        scoreboard=plan.scoreboard,
        worker=plan.number,
    )
    config = uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        log_config=None,
        access_log=False,  # the audit log is the record of who asked what
        proxy_headers=False,  # ours obeys TRUSTED_PROXIES; uvicorn's trusts loopback by default
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=int(settings.llm_timeout_seconds + IN_FLIGHT_GRACE_SECONDS),
    )
    gc.collect()
    gc.freeze()  # what is there now stays; the collector need not walk it again
    mute_strangers()
    Server(config).run(sockets=[plan.listener])
    return 0


def _verify_again(settings: Settings, catalogue: Catalogue, embedded: EmbeddedAddress | None) -> None:
    """As the lifespan will: a failure here is one sentence, there it would be a stack trace."""
    signer = verify_start(settings)
    open_clients(settings.database_path)
    with suppress(EvidenceUnavailable):
        signer.verify_start()
    open_models(settings, catalogue, embedded)
