"""GET /metrics over a socket: nothing else is there, and who is slow keeps nobody waiting."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from app.telemetry.metrics import server
from app.telemetry.metrics.board import Board, Meter
from app.telemetry.metrics.server import MetricsServer


@pytest.fixture
def port() -> Iterator[int]:
    listener, board = socket.create_server(("127.0.0.1", 0)), Board()
    Meter(board.pages[0]).add("refusals_total", "not_found")
    running = MetricsServer(listener, board, dict)
    running.daemon_threads = False  # so that the end of the block waits for them
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield listener.getsockname()[1]
    running.shutdown()
    thread.join()
    running.server_close()


def ask(port: int, method: str = "GET", path: str = "/metrics", **headers: str) -> tuple[int, bytes, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["content-type"]


def test_the_metrics_are_at_their_path(port: int) -> None:
    status, body, kind = ask(port)
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert b'secure_ai_refusals_total{code="not_found"} 1.0\n' in body


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("GET", "/metrics/x", 404), ("POST", "/metrics", 405)])
def test_nothing_else_is_there(method: str, path: str, status: int, port: int) -> None:
    assert ask(port, method, path)[0] == status


def test_callers_who_say_nothing_keep_no_scrape_waiting(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port))), closing(socket.create_connection(("127.0.0.1", port))):
        assert ask(port)[0] == 200


def test_a_caller_who_says_nothing_is_disconnected(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CALLER_SECONDS", 0.05)
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as silent:
        assert silent.recv(1) == b""


@pytest.mark.parametrize("said", [b"", b"GET /metrics HTTP/1.1\r\nX:", b"GET /metrics HTTP/1.1\r\n\r\n"])
def test_a_caller_who_is_gone_is_nothing_to_tell(said: bytes, port: int, capfd: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as leaver:
        leaver.sendall(said)
        leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    assert ask(port)[0] == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "header",
    ["application/openmetrics-text; version=x", "application/openmetrics-text;version=0;q=z,,;=", "\xff", "text/plain;q=x"],
)
def test_an_odd_header_is_no_fault_of_the_server(header: str, port: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert ask(port, Accept=header, **{"Accept-Encoding": header})[0] == 200
    assert capfd.readouterr() == ("", "")


def test_one_caller_too_many_is_turned_away(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(server.MOST_CALLERS)]
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as late:
            assert late.recv(1) == b""
    finally:
        for one in silent:
            one.close()
