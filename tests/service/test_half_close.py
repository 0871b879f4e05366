"""A caller whose sending ends: together with the request they wait for the answer, later they give up."""

from __future__ import annotations

import json
import socket
from contextlib import closing

import pytest

from ..faults.cut_client import ENDPOINTS, stream_body, stream_request
from ..support.calls import wait_until_late
from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from ..support.waiting import eventually


def question(token: str, query: str, version: str = "1.1") -> bytes:
    body = json.dumps({"query": query}).encode()
    head = f"POST /ask HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def send_and_end(service: Service, *pieces: bytes) -> bytes:
    """All that comes back to a caller who ends their sending right after the last piece."""
    with closing(socket.create_connection(("127.0.0.1", service.port), timeout=30)) as caller:
        for piece in pieces[:-1]:
            caller.sendall(piece)
        caller.sendall(pieces[-1], socket.MSG_MORE)  # it leaves together with the end
        caller.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: caller.recv(65536), b""))


def ends_of(service: Service, query: str) -> list[tuple[str, str | None]]:
    """How the questions with this text ended, by the log."""
    asked = [one["seq"] for one in service.records() if one["action"] == "ask.received" and query in str(one["details"])]
    ended = [one for one in service.records() if one["details"].get("received") in asked]
    return [(one["action"], one["details"].get("code")) for one in ended]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_end_that_comes_with_the_request_waits_for_the_answer(
    patient: Service, patient_token: str, upstream: FakeOpenAI, version: str
) -> None:
    upstream.set(delay=0.4)
    raw = send_and_end(patient, question(patient_token, f"with HTTP/{version}", version))
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close\r\n" in raw
    assert b'"receipt"' in raw
    assert ends_of(patient, f"with HTTP/{version}") == [("ask.answered", None)]


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_stream_comes_whole_after_such_an_end(patient: Service, patient_token: str, upstream: FakeOpenAI, path: str) -> None:
    upstream.set(chunks=6, interval=0.1)
    raw = send_and_end(patient, stream_request(path, patient_token, "ended", stream_body(path, f"ended at {path}")))
    assert b'"receipt"' in raw
    assert raw.endswith(b"0\r\n\r\n")
    assert ends_of(patient, f"ended at {path}") == [("ask.answered", None)]


def test_every_pipelined_request_before_the_end_is_answered(patient: Service, patient_token: str, upstream: FakeOpenAI) -> None:
    upstream.set(delay=0.2)
    raw = send_and_end(patient, question(patient_token, "pipelined 1") + question(patient_token, "pipelined 2"))
    assert raw.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert raw.count(b"connection: close\r\n") == 1


def test_a_large_body_in_two_pieces_is_answered(patient: Service, patient_token: str, upstream: FakeOpenAI) -> None:
    """More than uvicorn holds before it pauses."""
    body = json.dumps({"query": "large"}).encode() + b" " * 200_000
    head = question(patient_token, "large").partition(b"Content-Length: ")[0]
    asked = head + b"Content-Length: %d\r\n\r\n" % len(body)
    assert send_and_end(patient, asked + body[:70_000], body[70_000:]).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_refusal_is_read_after_such_an_end_too(patient: Service, sent: bytes) -> None:
    assert send_and_end(patient, sent).startswith(b"HTTP/1.1 40")


def test_half_a_request_before_the_end_gets_no_answer(patient: Service, patient_token: str) -> None:
    whole = question(patient_token, "half")
    for part in (whole[:40], whole[:-3]):
        assert send_and_end(patient, part) == b""
    eventually(lambda: patient.records()[-1]["details"].get("code") == "client_gone")


@pytest.mark.parametrize("path", ["plain /ask", *ENDPOINTS])
def test_an_end_that_comes_later_ends_the_call(patient: Service, patient_token: str, upstream: FakeOpenAI, path: str) -> None:
    upstream.set("hang")
    query = f"late at {path}"
    plain = question(patient_token, query)
    asked = plain if path not in ENDPOINTS else stream_request(path, patient_token, "late", stream_body(path, query))
    with closing(socket.create_connection(("127.0.0.1", patient.port), timeout=30)) as caller:
        caller.sendall(asked)
        eventually(lambda: upstream.calls("open") == 1)
        wait_until_late(patient)
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(65536) == b""
        eventually(lambda: upstream.calls("open") == 0)
    eventually(lambda: ends_of(patient, query) == [("ask.failed", "client_gone")])
