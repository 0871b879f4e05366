"""Which requests get the short way, and that its answers are those of the routes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from app.api.scoreboard import Scoreboard
from app.serving.health_desk import HealthDesk
from app.serving.http_parser import Head

SERVER: Any = SimpleNamespace(state=SimpleNamespace(default_headers=[(b"date", b"today")]))


class Transport:
    """Keeps what is written."""

    def __init__(self, unread: int = 0) -> None:
        self.written, self._unread = b"", unread

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self._unread


def answer_of(desk: HealthDesk, head: Head, is_last: bool = False, unread: int = 0) -> bytes | None:
    transport: Any = Transport(unread)
    return transport.written if desk.answers(head, transport, SERVER, is_last) else None


def head(path: str = "/readyz", method: str = "GET", *headers: tuple[bytes, bytes]) -> Head:
    return Head(method, "1.1", path.encode(), path, b"", list(headers), True, False)


@pytest.fixture
def desk() -> HealthDesk:
    scoreboard = Scoreboard(1)
    audit = SimpleNamespace(closed_because=None, is_in_place=lambda: True)
    assistant = SimpleNamespace(v1_requests=SimpleNamespace(upstreams={}))
    services = SimpleNamespace(
        audit=audit,
        security=SimpleNamespace(is_following=True),
        assistant=assistant,
        model_note="m",
        settings=SimpleNamespace(has_nodes=False),
    )
    desk = HealthDesk()
    context: Any = SimpleNamespace(services=services, scoreboard=scoreboard)
    desk.context = context
    return desk


def test_a_probe_is_answered_at_once(desk: HealthDesk) -> None:
    answer = answer_of(desk, head())
    assert answer is not None
    lines, _, body = answer.partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ndate: today\r\n" in lines
    assert b"connection" not in lines
    assert orjson.loads(body)["status"] == "ready"
    assert answer_of(desk, head()) != answer_of(desk, head()), "each has an id of its own"


@pytest.mark.parametrize("path", ["/livez", "/health", "/healthz"])
def test_liveness_says_that_the_process_answers(desk: HealthDesk, path: str) -> None:
    answer = answer_of(desk, head(path), is_last=True)
    assert answer is not None
    assert answer.endswith(b'\r\n\r\n{"status":"ok"}')
    assert b"\r\nconnection: close\r\n" in answer


def test_a_head_is_answered_without_a_body(desk: HealthDesk) -> None:
    answer = answer_of(desk, head("/livez", "HEAD"))
    assert answer is not None
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: 15\r\n" in answer


@pytest.mark.parametrize(
    "other", [head("/ask"), head("/livez/"), head("/livez", "POST"), head("/readyz", "GET", (b"origin", b"https://x.example"))]
)
def test_anything_else_takes_the_usual_way(desk: HealthDesk, other: Head) -> None:
    assert answer_of(desk, other) is None


def test_there_is_no_short_way_before_the_application_has_started() -> None:
    assert answer_of(HealthDesk(), head()) is None


def test_a_caller_who_does_not_read_waits_like_any_other(desk: HealthDesk) -> None:
    assert answer_of(desk, head(), unread=1) is None
