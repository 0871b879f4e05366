"""Before there is a request: endless heads, upgrades, broken HTTP, callers who hang up."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from .fake_openai import FakeOpenAI
from .service import HTTP, Service


def talk(service: Service, *pieces: bytes) -> bytes:
    """All that the service says to these bytes, until it closes."""
    said = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while data := connection.recv(65536):
                said += data
        except ConnectionResetError:
            pass
    return said


@pytest.mark.parametrize("head", [b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ", b"GET /livez?"], ids=["header", "target"])
def test_an_endless_head_is_cut_off_and_nobody_else_waits(service: Service, head: bytes) -> None:
    talk(service, head, *[b"a" * 65536] * 400)  # the answer may be lost with what was still on its way
    assert HTTP.get(service.url + "/livez").status_code == 200


def test_many_requests_on_one_connection_are_not_taken_for_one_long_head(service: Service, token: str) -> None:
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        for _ in range(3):
            assert client.post("/ask", json={"query": "x" * 2000}).status_code == 200
            assert client.post("/ask", content=b" " * 200_000, headers={"content-type": "application/json"}).status_code == 400


def test_an_upgrade_is_ignored_and_the_body_is_kept(service: Service, token: str) -> None:
    body = json.dumps({"query": "hi"}).encode()
    head = (
        f"POST /ask HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        "Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    assert talk(service, head.encode() + body).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("broken", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST /ask HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_broken_http_gets_a_problem_with_a_request_id_and_no_line_of_our_output(service: Service, broken: bytes) -> None:
    before = service.output().count("Invalid HTTP")
    said = talk(service, broken)
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"x-request-id: " in said
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "malformed_http"
    assert service.output().count("Invalid HTTP") == before


def test_a_refusal_does_not_wait_for_the_rest_of_an_endless_body(service: Service) -> None:
    head = b"POST /ask HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = talk(service, head, *[b"10000\r\n" + b"a" * 65536 + b"\r\n"] * 2000)
    assert said == b"" or b"connection: close" in said.lower()


def test_probes_with_head_are_answered_and_leave_no_record(service: Service) -> None:
    size = service.log.stat().st_size
    assert [HTTP.head(service.url + path).status_code for path in ("/livez", "/readyz")] == [200, 200]
    assert service.log.stat().st_size == size


def test_a_caller_who_hangs_up_frees_the_model_and_is_recorded(tmp_path: Path) -> None:
    with FakeOpenAI() as fake, Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service:
        token = service.token("alice", service.add_client())
        fake.set("ok", delay=30)
        started = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(service.url + "/ask", json={"query": "hi"}, headers={"Authorization": f"Bearer {token}"}, timeout=0.5)
        while service.records()[-1]["action"] != "ask.failed":
            assert time.monotonic() - started < 20
            time.sleep(0.05)
        last = service.records()[-1]
        assert last["details"]["code"] == "client_gone"
        assert last["details"]["received"] == last["seq"] - 1
        assert last["details"]["elapsed_ms"] < 15_000


def test_readiness_is_lost_when_the_log_is_moved_and_comes_back_with_it(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service:
        service.token("alice", service.add_client())
        service.log.rename(tmp_path / "away")
        assert HTTP.get(service.url + "/readyz").status_code == 503
        (tmp_path / "away").rename(service.log)
        assert HTTP.get(service.url + "/readyz").status_code == 200


def test_two_interrupts_finish_what_is_in_flight(tmp_path: Path) -> None:
    with FakeOpenAI() as fake:
        service = Service(tmp_path, OPENAI_BASE_URL=fake.base_url).start()
        token = service.token("alice", service.add_client())
        fake.set("ok", delay=2)
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(service.ask, token)
            _interrupt_twice(service)
            assert asking.result().json()["receipt"]["seq"] == 4
        assert service.process is not None
        assert service.process.wait(30) == 0


def _interrupt_twice(service: Service) -> None:
    while service.records()[-1]["action"] != "ask.received":
        time.sleep(0.05)
    assert service.process is not None
    for _ in range(2):
        os.killpg(service.process.pid, signal.SIGINT)
        time.sleep(0.1)
