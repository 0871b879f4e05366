"""Endless headers, upgrades, broken HTTP and disconnects before there is a request, and the record of each."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service
from ..support.sockets import unread_bytes
from ..support.waiting import eventually


def talk(service: Service, *pieces: bytes) -> bytes:
    """Everything that the service answers to *pieces* until it closes the connection."""
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
def test_an_endless_head_is_cut_off_and_delays_no_one(service: Service, head: bytes) -> None:
    talk(service, head, *[b"a" * 65536] * 400)  # a reset may discard the answer
    assert HTTP.get(service.url + "/livez").status_code == 200


def test_a_head_that_is_too_large_gets_an_answer(service: Service) -> None:
    said = talk(service, b"GET /livez HTTP/1.1\r\nX-A: ", b"a" * 33_000, b"a" * 10)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert json.loads(body)["code"] == "too_large"


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


def test_an_upgrade_is_ignored_in_pieces_too_and_its_body_is_no_request(service: Service) -> None:
    """The body is another complete request. The address reads it before it answers."""
    inner = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n" % len(inner)
    head = b"POST /token HTTP/1.1\r\nHost: x\r\n%bConnection: Upgrade, close\r\nUpgr" % form
    said = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        for piece in (head, b"ade: h2c\r\n\r\n", inner):
            eventually(lambda: unread_bytes(connection) == 0)  # so that each piece is a read of its own
            connection.sendall(piece)
        while data := connection.recv(65536):
            said += data
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.startswith(b"HTTP/1.1 400")


def has_answer(connection: socket.socket) -> bool:
    return b"\r\n\r\n{" in connection.recv(65536, socket.MSG_PEEK)


def test_an_answer_before_the_body_is_read_by_a_caller_who_still_sends_it(service: Service) -> None:
    """A close at once would be a reset, which discards what the caller has not read."""
    head = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n"
    for body in (b"x" * 1000, b"x" * 100_000):
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
            connection.sendall(head)
            eventually(partial(has_answer, connection))
            with suppress(OSError):  # on a busy machine the service has ended its wait for the body
                for at in range(0, len(body), 1000):
                    connection.sendall(body[at : at + 1000])
            said = b""
            with suppress(ConnectionResetError):
                while data := connection.recv(65536):
                    said += data
        assert said.startswith(b"HTTP/1.1 404")


def test_trailers_without_end_are_not_kept(service: Service) -> None:
    head = b"POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    (worker,) = service.worker_pids()
    before = resident_bytes(worker)
    talk(service, head, *[b"a: b\r\n" * 10_000] * 300)
    assert HTTP.get(service.url + "/livez").status_code == 200
    assert resident_bytes(worker) - before < 30_000_000


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    "broken",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\n\r\n",
        b"POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a/b\r\n\r\n",
    ],
)
def test_broken_http_gets_a_problem_and_no_line_of_our_output(service: Service, broken: bytes) -> None:
    before = service.output().count("Invalid HTTP")
    said = talk(service, broken)
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert re.search(r"x-request-id: [0-9a-f]{32}\r\n", said.decode())
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "malformed_http"
    assert b"x-content-type-options: nosniff\r\n" in said
    assert b"connection: close\r\n" in said
    assert service.output().count("Invalid HTTP") == before


def test_a_refusal_does_not_wait_for_the_rest_of_an_endless_body(service: Service) -> None:
    head = b"POST /ask HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = talk(service, head, *[b"10000\r\n" + b"a" * 65536 + b"\r\n"] * 2000)
    assert said == b"" or b"connection: close" in said.lower()


CHUNKED = "POST /ask HTTP/1.1\r\nHost: x\r\n{}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("in_one_piece", [True, False])
def test_a_body_that_breaks_off_is_refused_and_recorded_once(service: Service, token: str, in_one_piece: bool) -> None:
    """Even if the bytes before the broken chunk are a complete question."""
    question, head = b'{"query": "hi"}', CHUNKED.format(f"Authorization: Bearer {token}\r\n").encode()
    before, pieces = len(service.records()), (head + b"%x\r\n%b\r\n" % (len(question), question), b"no chunk\r\n")
    said = talk(service, *([b"".join(pieces)] if in_one_piece else pieces))
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "malformed_http"
    (record,) = [one for one in service.records()[before:] if one["action"] != "log.alive"]
    assert (record["action"], record["user_id"]) == ("request.refused", "alice")
    assert [record["details"][name] for name in ("status", "code", "route")] == [400, "malformed_http", "/ask"]


def test_a_broken_body_that_nobody_reads_changes_no_answer(service: Service) -> None:
    before = len(service.records())
    said = talk(service, CHUNKED.format("").encode() + b"no chunk\r\n")
    assert said.startswith(b"HTTP/1.1 401 ")
    assert said.count(b"HTTP/1.1 ") == 1
    (record,) = [one for one in service.records()[before:] if one["action"] != "log.alive"]
    assert record["details"]["code"] == "token_missing"


def test_rubbish_behind_a_question_is_answered_after_it(service: Service, token: str, fake: FakeOpenAI) -> None:
    """An earlier 400 would be taken for the answer to the question."""
    fake.set("ok", delay=0.5)
    body = b'{"query": "hi"}'
    head = f"POST /ask HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    said = talk(service, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\x00\x01")
    fake.set("ok")
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"400"]
    assert [one["action"] for one in service.records()[-2:]] == ["ask.received", "ask.answered"]


def test_what_never_becomes_a_request_is_counted_in_a_summary(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service:
        before = len(service.records())
        for broken in (b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX-A: " + b"a" * 33_000):
            assert talk(service, broken)
        for piece in (b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /livez HTTP/1.1\r\nHo"):
            with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
                connection.sendall(piece)
                if piece.endswith(b"\r\n\r\n"):
                    connection.recv(65536)
        assert HTTP.get(service.url + "/livez").status_code == 200
    (summary,) = service.records()[before:]
    counted = {one["code"]: one["count"] for one in summary["details"]["refusals"]}
    assert (summary["action"], counted) == (
        "request.refused_summary",
        {"malformed_http": 2, "too_large": 1, "client_gone": 1},
    )


def test_pipelined_requests_of_a_disconnected_caller_are_dropped(service: Service, token: str, fake: FakeOpenAI) -> None:
    """And the model call of the question before them ends."""
    fake.set("hang")
    before, body = len(service.records()), b'{"query": "hi"}'
    head = f"POST /ask HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=20)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() is a reset
    connection.sendall(request * 3)
    eventually(lambda: len(service.records()) > before)
    connection.close()
    eventually(lambda: len(service.records()) >= before + 2)
    fake.set("ok")
    assert service.ask(token).status_code == 200
    ends = [(one["action"], one["details"].get("code")) for one in service.records()[before:]]
    assert ends[:2] == [("ask.received", None), ("ask.failed", "client_gone")]
    assert len(ends) == 4


def test_probes_with_head_are_answered_and_leave_no_record(service: Service) -> None:
    size = service.log.stat().st_size
    assert [HTTP.head(service.url + path).status_code for path in ("/livez", "/readyz")] == [200, 200]
    assert service.log.stat().st_size == size


def test_a_disconnect_frees_the_model_and_is_recorded(tmp_path: Path) -> None:
    with FakeOpenAI() as fake, Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service:
        token = service.token("alice", service.add_client())
        fake.set("ok", delay=30)
        head = f"POST /ask HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", service.port)) as caller:
            caller.sendall(head.encode() + b'Content-Length: 15\r\n\r\n{"query": "hi"}')
            eventually(lambda: fake.calls("open") == 1)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() is a reset
        eventually(lambda: service.records()[-1]["action"] == "ask.failed", seconds=20)
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
        service.wait_ready()  # at once, or with the next probe if the watch has seen it missing


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
    eventually(lambda: service.records()[-1]["action"] == "ask.received")
    assert service.process is not None
    pids = [service.process.pid, *service.worker_pids(), service.notary_pid()]
    for _ in range(2):
        os.killpg(service.process.pid, signal.SIGINT)
        eventually(lambda: not any(map(has_pending_signal, pids)))


def has_pending_signal(pid: int) -> bool:
    """Whether a signal waits to be taken (proc(5), status); two of one kind would be one."""
    pending = re.findall(r"^(?:SigPnd|ShdPnd):\t(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return any(int(mask, 16) for mask in pending)
