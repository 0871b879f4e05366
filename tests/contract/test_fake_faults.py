"""The faults of the fake of the OpenAI protocol, as they stand on the wire, and what it counts of those who leave."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from openai import OpenAI

from ..support.fake_modes import HUGE_EVENT_BYTES
from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.waiting import eventually

CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True},
    RESPONSES: {"model": "m", "input": "hi", "stream": True},
    EMBEDDINGS: {"model": "m", "input": "hi"},
}
DONE = "data: [DONE]\n\n"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as running:
        yield running


@pytest.fixture
def fake(server: FakeOpenAI) -> FakeOpenAI:
    server.reset()
    return server


@contextmanager
def asked(fake: FakeOpenAI, path: str = CHAT, **more: Any) -> Iterator[socket.socket]:
    """A connection that has asked, for a stream where there is one."""
    body = json.dumps(BODIES[path] | more).encode()
    with socket.create_connection(("127.0.0.1", fake.port), timeout=20) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: fake\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        yield connection


def read_until(connection: socket.socket, end: bytes, piece: int = 65536) -> bytes:
    """All that comes until it ends in *end*, or the connection does."""
    read = b""
    while not read.endswith(end):
        if not (come := connection.recv(piece)):
            break
        read += come
    return read


def streamed(fake: FakeOpenAI, path: str = CHAT, **more: Any) -> tuple[list[str], bool]:
    """Each HTTP chunk of a stream's body, and whether the body was ended properly."""
    with asked(fake, path, **more) as connection:
        head, _, body = read_until(connection, b"\r\n0\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    chunks: list[str] = []
    while body and not body.startswith(b"0\r\n\r\n"):
        size, _, body = body.partition(b"\r\n")
        chunks.append(body[: int(size, 16)].decode())
        body = body[int(size, 16) + 2 :]
    return chunks, body == b"0\r\n\r\n"


def contents(chunks: list[str]) -> list[str]:
    """The chat's content chunks, or the response's deltas, of a stream's events."""
    return [chunk for chunk in chunks if '"delta":{"content":' in chunk or '"response.output_text.delta"' in chunk]


def send(fake: FakeOpenAI, path: str) -> tuple[bytes, bytes]:
    """The head and the body of a plain answer."""
    with asked(fake, path) as connection:
        head = read_until(connection, b"\r\n\r\n", piece=1)
        size = int(head.rpartition(b"Content-Length: ")[2].strip() or 0)
        return head, connection.recv(size, socket.MSG_WAITALL)


def test_every_event_is_a_chunk_of_its_own_and_the_body_ends(fake: FakeOpenAI) -> None:
    chunks, ended = streamed(fake)
    assert (len(chunks), len(contents(chunks)), chunks[-1], ended) == (7, 4, DONE, True)
    chunks, ended = streamed(fake, RESPONSES)
    assert (len(chunks), len(contents(chunks)), ended) == (12, 4, True)
    assert all(chunk.startswith("event: ") and chunk.endswith("}\n\n") for chunk in chunks)


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("number", [0, 9])
def test_a_cut_stream_ends_after_so_many_chunks(fake: FakeOpenAI, path: str, number: int) -> None:
    fake.set(f"cut:{number}")
    chunks, ended = streamed(fake, path)
    assert (len(contents(chunks)), contents(chunks) == chunks[len(chunks) - number :], ended) == (number, True, False)
    assert fake.streams() == {"open": 0, "finished": 1, "aborted": 0}


def test_a_failure_in_mid_stream_is_an_error_event_which_the_sdk_raises(fake: FakeOpenAI) -> None:
    fake.set("error_event:2")
    chunks, ended = streamed(fake)
    assert (len(contents(chunks)), json.loads(chunks[-1][6:])["error"]["message"], ended) == (2, "injected", True)
    chunks, _ = streamed(fake, RESPONSES)
    assert chunks[-1].startswith("event: error\n")
    assert json.loads(chunks[-1].partition("data: ")[2])["sequence_number"] == len(chunks) - 1
    with OpenAI(api_key="k", base_url=fake.base_url, max_retries=0) as client, pytest.raises(openai.APIError, match="injected"):
        list(client.chat.completions.create(model="m", messages=BODIES[CHAT]["messages"], stream=True))


def test_garbage_in_mid_stream(fake: FakeOpenAI) -> None:
    fake.set("garbage_event:1")
    chunks, ended = streamed(fake)
    assert (len(contents(chunks)), chunks[-1], ended) == (1, "data: not json\n\n", True)


@pytest.mark.parametrize(("path", "last"), [(CHAT, '"finish_reason":"stop"'), (RESPONSES, "response.output_item.done")])
def test_a_stream_can_lack_its_end_mark_alone(fake: FakeOpenAI, path: str, last: str) -> None:
    whole, _ = streamed(fake, path)
    fake.set("no_done")
    chunks, ended = streamed(fake, path)
    assert (len(chunks), last in chunks[-1], ended) == (len(whole) - 1, True, True)


def test_a_truncated_stream_ends_within_its_last_event(fake: FakeOpenAI) -> None:
    fake.set("truncate")
    with asked(fake) as connection:
        assert read_until(connection, b"never").endswith(b"data: [DONE")


def test_an_event_without_end_is_64_mebibytes(fake: FakeOpenAI) -> None:
    fake.set("huge_event")
    with asked(fake) as connection:
        size = 0
        while piece := connection.recv(1 << 20):
            assert b"\n\n" not in piece[4000:]
            size += len(piece)
    assert HUGE_EVENT_BYTES < size < HUGE_EVENT_BYTES * 1.01
    assert fake.calls("huge_bytes") == HUGE_EVENT_BYTES == 64 << 20


def test_a_client_that_does_not_read_stops_the_writing(fake: FakeOpenAI) -> None:
    """And the others are served meanwhile."""
    fake.set("huge_event")
    with asked(fake) as connection:
        connection.recv(1)
        eventually(lambda: fake.calls("huge_bytes") > 0)
        fake.set(chunks=100_000)
        with asked(fake):
            eventually(lambda: fake.streams()["open"] == 2)
        eventually(lambda: fake.streams()["aborted"] == 1)
        assert fake.calls("huge_bytes") < HUGE_EVENT_BYTES // 2
    eventually(lambda: fake.streams() == {"open": 0, "finished": 0, "aborted": 2})


@pytest.mark.parametrize(
    ("path", "pause", "due"),
    [(CHAT, {"delay": 60}, 0), (CHAT, {"first": 60}, 0), (RESPONSES, {"interval": 60}, 1), (CHAT, {"mode": "stall:3"}, 3)],
)
def test_a_client_that_leaves_during_a_pause_is_noticed(fake: FakeOpenAI, path: str, pause: dict[str, Any], due: int) -> None:
    """Each pause would outlast the test; what is due before it has come."""
    fake.set(**pause)
    with asked(fake, path) as connection:
        come = "" if "delay" in pause else read_until(connection, b"}\n\n\r\n").decode()
        assert len(contents(come.split("data: "))) == due
        eventually(lambda: fake.streams() == {"open": 1, "finished": 0, "aborted": 0})
        assert fake.calls("open") == 1
    eventually(lambda: fake.streams() == {"open": 0, "finished": 0, "aborted": 1})
    assert fake.calls("open") == 0


@pytest.mark.parametrize("path", BODIES)
def test_a_call_that_hangs_is_open_until_its_client_leaves(fake: FakeOpenAI, path: str) -> None:
    fake.set("hang")
    with asked(fake, path):
        eventually(lambda: fake.calls("open") == 1)
    eventually(lambda: fake.calls("open") == 0)
    assert fake.calls() == 1
    assert fake.streams() == {"open": 0, "finished": 0, "aborted": 0}


def test_a_reset_forgets_calls_that_are_still_open(fake: FakeOpenAI) -> None:
    fake.set("stall:1")
    with asked(fake) as connection:
        read_until(connection, b"}\n\n\r\n")
        fake.reset()
        assert fake.calls("open") == 0
    with asked(fake) as connection:
        read_until(connection, b"\r\n0\r\n\r\n")
    eventually(lambda: fake.streams() == {"open": 0, "finished": 1, "aborted": 0})
    assert fake.calls("open") == 0


@pytest.mark.parametrize("interval", [0, 0.005])
def test_a_script_is_what_comes(fake: FakeOpenAI, interval: float) -> None:
    """Whatever was asked, piece by piece, bytes that are not UTF-8 too."""
    script = ["data: {", '"x": 1}\n', "\n", ": comment\r\n", "", "data: [DONE]\n\n"]
    fake.set(script=script, interval=interval)
    for path in BODIES:
        assert streamed(fake, path) == ([piece for piece in script if piece], True)
    fake.set("cut:1", script=["\udcff", "never"], headers={"content-type": "text/plain"})
    with asked(fake) as connection:
        read = read_until(connection, b"never")
    assert read.endswith(b"\r\n1\r\n\xff\r\n")
    assert read.count(b"text/plain") == 1
    assert b"text/event-stream" not in read


@pytest.mark.parametrize("path", BODIES)
def test_a_status_and_a_body_are_given_on_every_endpoint(fake: FakeOpenAI, path: str) -> None:
    fake.set("status:429", body="slower", headers={"Retry-After": "7"})
    head, body = send(fake, path)
    assert head.startswith(b"HTTP/1.1 429 ")
    assert (b"Retry-After: 7\r\n" in head, body) == (True, b"slower")
    fake.set(body="{}")
    assert send(fake, path)[1] == b"{}"


@pytest.mark.parametrize("body", [{"messages": []}, {"messages": ["hi"]}, {"n": "two"}])
def test_a_request_that_it_cannot_read_is_400(fake: FakeOpenAI, body: dict[str, Any]) -> None:
    with asked(fake, CHAT, **body) as connection:
        assert read_until(connection, b"}}").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("wanted", [{"mode": "stall"}, {"mode": "okay"}, {"chunk": 4}])
def test_a_mode_that_is_not_there_is_refused(fake: FakeOpenAI, wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no such mode|unexpected keyword"):
        fake.set(**wanted)


def test_answers_leave_a_connection_in_the_order_of_its_requests(fake: FakeOpenAI) -> None:
    fake.set(interval=0.002)
    body = json.dumps(BODIES[CHAT]).encode()
    request = f"POST {CHAT} HTTP/1.1\r\nHost: fake\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", fake.port), timeout=20) as connection:
        connection.sendall(request * 2 + b"GET /control/calls HTTP/1.1\r\nHost: fake\r\n\r\n")
        read = read_until(connection, b'"aborted":0}}')
    assert [read.count(b"chatcmpl-%d" % number) for number in (1, 2)] == [6, 6]
    assert read.rindex(b"chatcmpl-1") < read.index(b"[DONE]") < read.index(b"chatcmpl-2")
    assert completion_text("hi")[:5].encode() in read
