"""Callers of streams that use HTTP in rare ways: pipelining, HTTP/1.0, Expect, and not reading."""

from __future__ import annotations

import socket
import struct
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from app.limits.bounds import Bounds
from app.upstream.embedded import EmbeddedAddress

from ..faults.cut_client import ENDPOINTS, stream_body, stream_request
from ..support.calls import wait_until_late
from ..support.fake_openai import FakeOpenAI
from ..support.inside import Inside
from ..support.service import Service
from ..support.waiting import eventually

MODEL = "small-1"


def test_a_caller_who_never_reads_the_end_loses_the_connection(
    tmp_path: Path, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last bytes wait in the server's memory, too few to block it: for the server the answer is complete."""
    monkeypatch.chdir(tmp_path)
    endpoint = EmbeddedAddress(upstream.base_url, "no-key", MODEL, max_waiting=1)
    inside = Inside(Service(tmp_path), endpoint, replace(Bounds(), unread_seconds=1))
    create_server = socket.create_server

    def with_small_buffers(address: tuple[str, int]) -> socket.socket:
        listener = create_server(address)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # inherited by accepted sockets
        return listener

    monkeypatch.setattr(socket, "create_server", with_small_buffers)
    upstream.set(chunks=160)
    with inside, closing(socket.socket()) as caller:
        token = inside.service.token("alice", inside.service.add_client())
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.connect(("127.0.0.1", inside.service.port))
        caller.sendall(stream_request(ENDPOINTS[0], token, "unread", stream_body(ENDPOINTS[0], "unread", MODEL)))
        eventually(lambda: inside.service.records()[-1]["action"] == "ask.answered")
        eventually(lambda: not inside.server.server_state.connections)


@pytest.mark.parametrize("leave", ["close", "reset", "half-close"])
@pytest.mark.parametrize("more", ["a whole request", "a head", "no request at all"])
@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_caller_who_sends_more_and_disconnects_ends_the_call_too(
    patient: Service, patient_token: str, upstream: FakeOpenAI, path: str, more: str, leave: str
) -> None:
    """A server notices the disconnect only if it reads on; otherwise the call lasts a minute."""
    upstream.set("hang")
    name = f"{path}, {more}, {leave}"
    asked = stream_request(path, patient_token, "behind", stream_body(path, name))
    behind = {"a whole request": asked, "a head": asked.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"}.get(more, b"\x00\r\n\r\n")
    with closing(socket.create_connection(("127.0.0.1", patient.port))) as caller:
        caller.sendall(asked)
        eventually(lambda: upstream.calls("open") == 1)
        caller.sendall(behind)
        wait_until_late(patient)  # the sent bytes have arrived by now
        if leave == "reset":
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if leave == "half-close":
            caller.shutdown(socket.SHUT_WR)
        else:
            caller.close()
        eventually(lambda: upstream.calls("open") == 0)
    (received,) = [one for one in patient.records() if name in str(one["details"])]
    eventually(lambda: any(one["details"].get("received") == received["seq"] for one in patient.records()))
    (end,) = [one for one in patient.records() if one["details"].get("received") == received["seq"]]
    assert (end["action"], end["details"]["code"]) == ("ask.failed", "client_gone")


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_caller_of_http_1_0_gets_no_chunks(patient: Service, patient_token: str, upstream: FakeOpenAI, path: str) -> None:
    """RFC 9112, section 6.1: Transfer-Encoding only in an answer to HTTP/1.1."""
    with closing(socket.create_connection(("127.0.0.1", patient.port))) as caller:
        caller.sendall(stream_request(path, patient_token, "old", stream_body(path, f"old at {path}"), "1.0"))
        raw = b"".join(iter(partial(caller.recv, 65536), b""))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith((b"data: ", b"event: "))
    assert b'"receipt"' in body


def test_pipelined_streams_come_in_their_order(patient: Service, patient_token: str, upstream: FakeOpenAI) -> None:
    upstream.set(chunks=6, interval=0.02)
    asked = [stream_request(path, patient_token, f"row-{path}", stream_body(path, f"row {path}")) for path in ENDPOINTS]
    with closing(socket.create_connection(("127.0.0.1", patient.port))) as caller:
        caller.sendall(b"".join(asked))
        raw = b""
        while raw.count(b"\r\n0\r\n\r\n") < len(ENDPOINTS):
            raw += (piece := caller.recv(65536))
            assert piece
    told = (b"chatcmpl-", b"response.completed", b"message_stop", b"event: done")
    assert [end in answer for end, answer in zip(told, raw.split(b"HTTP/1.1 200 OK")[1:], strict=True)] == [True] * 4


def test_a_caller_who_waits_for_100_continue_gets_a_stream_too(
    patient: Service, patient_token: str, upstream: FakeOpenAI
) -> None:
    asked = stream_request(
        ENDPOINTS[0], patient_token, "expect", stream_body(ENDPOINTS[0], "expect"), "1.1", "Expect: 100-continue"
    )
    head, _, body = asked.partition(b"\r\n\r\n")
    with closing(socket.create_connection(("127.0.0.1", patient.port))) as caller:
        caller.sendall(head + b"\r\n\r\n")
        assert caller.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(body)
        raw = b""
        while not raw.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
            raw += (piece := caller.recv(65536))
            assert piece
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
