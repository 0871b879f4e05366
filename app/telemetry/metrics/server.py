"""GET /metrics on a port of its own: for who scrapes, and nobody else."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app

from .board import Board
from .exposition import BoardCollector, Facts

LOG = logging.getLogger("app.metrics")
CALLER_SECONDS = 10.0
"""A scraper is disconnected after so long, however slowly it sends or reads."""
MOST_CALLERS = 16
PATH = "/metrics"
PLAIN = [("Content-Type", "text/plain; charset=utf-8")]
ELSEWHERE = b"The metrics are at /metrics.\n"


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Uses a socket that listens already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, board: Board, facts: Callable[[], Facts]) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.setup_environ()
        self._room = threading.BoundedSemaphore(MOST_CALLERS)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(BoardCollector(board, facts))
        metrics = make_wsgi_app(registry)

        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            if environ["PATH_INFO"] == PATH and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
                return _page(metrics, environ, start)
            start("404 Not Found" if environ["PATH_INFO"] != PATH else "405 Method Not Allowed", PLAIN)
            return [ELSEWHERE]

        self.set_app(answer)

    server_name, server_port = "metrics", 0

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        ending = threading.Timer(CALLER_SECONDS, _disconnect, (request,))
        ending.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            ending.cancel()
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who is gone is nothing to tell; the base class prints a traceback for each."""
        if not isinstance(sys.exc_info()[1], OSError):
            LOG.exception("A scrape failed.")


def _page(metrics: Callable[..., Any], environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    try:
        found: Iterable[bytes] = metrics(environ, start)
    except (TypeError, ValueError):  # prometheus_client's, for an odd Accept header; ours comes again
        if environ.pop("HTTP_ACCEPT", None) is None:
            raise
        found = metrics(environ, start)
    return found


def _disconnect(request: socket.socket) -> None:
    with suppress(OSError):  # it is over
        request.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    def address_string(self) -> str:
        return str(self.client_address[0])  # no look-up of a name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
        """A scrape every few seconds is nothing to tell."""
