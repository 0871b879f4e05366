"""One worker process: a uvicorn server on the socket of its parent."""

from __future__ import annotations

import gc
import pickle
import signal
import socket
from contextlib import suppress
from types import FrameType

from ..api.scoreboard import Scoreboard
from ..errors import EvidenceUnavailable
from ..kit.process import show_as
from ..upstream import embedded as local
from ..upstream.embedded import MAX_EMBEDDED_ASKERS, EmbeddedAddress
from .supervisor import IN_FLIGHT_GRACE_SECONDS


def run_worker(
    pickled: bytes, embedded: tuple[int, str] | None, workers: int, listener: socket.socket, scoreboard: Scoreboard, number: int
) -> int:
    """One worker: a uvicorn server on the parent's socket. Raises ConfigError before it serves."""
    import uvicorn

    from ..catalogue.models import Catalogue
    from ..main import create_app
    from ..settings import Settings
    from ..wiring.audit import checkpoint_signer_of, verify_setup
    from ..wiring.services import open_client_store, open_model
    from .http_protocol import BoundedHttpProtocol, mute_strangers

    show_as("worker")
    settings, catalogue = pickle.loads(pickled)  # noqa: S301 - from our own fork
    assert isinstance(settings, Settings)
    assert isinstance(catalogue, Catalogue)
    endpoint = _endpoint(*embedded, workers) if embedded else None
    # What fails here is one sentence; in the lifespan it is a stack trace.
    verify_setup(settings)
    open_client_store(settings)
    with suppress(EvidenceUnavailable):
        checkpoint_signer_of(settings).verify_start()
    open_model(settings, catalogue, endpoint)
    app = create_app(settings, catalogue, embedded=endpoint, keeps_evidence=False, scoreboard=scoreboard, worker=number)
    config = uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        log_config=None,
        access_log=False,  # the audit log is the record of who asked what
        proxy_headers=False,  # ours listens to TRUSTED_PROXIES; uvicorn's trusts loopback by default
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=int(settings.llm_timeout_seconds + IN_FLIGHT_GRACE_SECONDS),
    )
    gc.collect()
    gc.freeze()  # what is there now stays; the collector need not walk it again
    mute_strangers()

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if sig != signal.SIGINT:  # Ctrl-C reaches the whole group; the parent decides, and says SIGTERM
                super().handle_exit(sig, frame)

    Server(config).run(sockets=[listener])
    return 0


def _endpoint(port: int, key: str, workers: int) -> EmbeddedAddress:
    from ..upstream.embedded import EmbeddedAddress

    return EmbeddedAddress(f"http://{local.HOST}:{port}/v1", key, local.MODEL_NAME, max(1, MAX_EMBEDDED_ASKERS // workers))
