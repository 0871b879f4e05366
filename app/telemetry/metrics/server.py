"""GET /metrics on a port of its own: for who scrapes, and nobody else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app

from .board import Board
from .exposition import BoardCollector, Facts

CALLER_SECONDS = 10.0
"""A scraper that does not send or read for so long is disconnected."""
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
                found: Iterable[bytes] = metrics(environ, start)
                return found
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
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()


class _Handler(WSGIRequestHandler):
    timeout = CALLER_SECONDS

    def address_string(self) -> str:
        return str(self.client_address[0])  # no look-up of a name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
        """A scrape every few seconds is nothing to tell."""
