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


@contextmanager
def asked(upstream: FakeOpenAI, path: str = CHAT, **more: Any) -> Iterator[socket.socket]:
    """A connection that has asked, for a stream where there is one."""
    body = json.dumps(BODIES[path] | more).encode()
    with socket.create_connection(("127.0.0.1", upstream.port), timeout=20) as connection:
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


def streamed(upstream: FakeOpenAI, path: str = CHAT, **more: Any) -> tuple[list[str], bool]:
    """Each HTTP chunk of a stream's body, and whether the body was ended properly."""
    with asked(upstream, path, **more) as connection:
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


def send(upstream: FakeOpenAI, path: str) -> tuple[bytes, bytes]:
    """The head and the body of a plain answer."""
    with asked(upstream, path) as connection:
        head = read_until(connection, b"\r\n\r\n", piece=1)
        size = int(head.rpartition(b"Content-Length: ")[2].strip() or 0)
        return head, connection.recv(size, socket.MSG_WAITALL)


def test_every_event_is_a_chunk_of_its_own_and_the_body_ends(upstream: FakeOpenAI) -> None:
    chunks, ended = streamed(upstream)
    assert (len(chunks), len(contents(chunks)), chunks[-1], ended) == (7, 4, DONE, True)
    chunks, ended = streamed(upstream, RESPONSES)
    assert (len(chunks), len(contents(chunks)), ended) == (12, 4, True)
    assert all(chunk.startswith("event: ") and chunk.endswith("}\n\n") for chunk in chunks)


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("number", [0, 9])
def test_a_cut_stream_ends_after_so_many_chunks(upstream: FakeOpenAI, path: str, number: int) -> None:
    upstream.set(f"cut:{number}")
    chunks, ended = streamed(upstream, path)
    assert (len(contents(chunks)), contents(chunks) == chunks[len(chunks) - number :], ended) == (number, True, False)
    assert upstream.streams() == {"open": 0, "finished": 1, "aborted": 0}


def test_a_failure_in_mid_stream_is_an_error_event_which_the_sdk_raises(upstream: FakeOpenAI) -> None:
    upstream.set("error_event:2")
    chunks, ended = streamed(upstream)
    assert (len(contents(chunks)), json.loads(chunks[-1][6:])["error"]["message"], ended) == (2, "injected", True)
    chunks, _ = streamed(upstream, RESPONSES)
    assert chunks[-1].startswith("event: error\n")
    assert json.loads(chunks[-1].partition("data: ")[2])["sequence_number"] == len(chunks) - 1
    with (
        OpenAI(api_key="k", base_url=upstream.base_url, max_retries=0) as client,
        pytest.raises(openai.APIError, match="injected"),
    ):
        list(client.chat.completions.create(model="m", messages=BODIES[CHAT]["messages"], stream=True))


def test_garbage_in_mid_stream(upstream: FakeOpenAI) -> None:
    upstream.set("garbage_event:1")
    chunks, ended = streamed(upstream)
    assert (len(contents(chunks)), chunks[-1], ended) == (1, "data: not json\n\n", True)


@pytest.mark.parametrize(("path", "last"), [(CHAT, '"finish_reason":"stop"'), (RESPONSES, "response.output_item.done")])
def test_a_stream_can_lack_its_end_mark_alone(upstream: FakeOpenAI, path: str, last: str) -> None:
    whole, _ = streamed(upstream, path)
    upstream.set("no_done")
    chunks, ended = streamed(upstream, path)
    assert (len(chunks), last in chunks[-1], ended) == (len(whole) - 1, True, True)


def test_a_truncated_stream_ends_within_its_last_event(upstream: FakeOpenAI) -> None:
    upstream.set("truncate")
    with asked(upstream) as connection:
        assert read_until(connection, b"never").endswith(b"data: [DONE")


def test_an_event_without_end_is_64_mebibytes(upstream: FakeOpenAI) -> None:
    upstream.set("huge_event")
    with asked(upstream) as connection:
        size = 0
        while piece := connection.recv(1 << 20):
            assert b"\n\n" not in piece[4000:]
            size += len(piece)
    assert HUGE_EVENT_BYTES < size < HUGE_EVENT_BYTES * 1.01
    assert upstream.calls("huge_bytes") == HUGE_EVENT_BYTES == 64 << 20


def test_a_client_that_does_not_read_stops_the_writing(upstream: FakeOpenAI) -> None:
    """And the others are served meanwhile."""
    upstream.set("huge_event")
    with asked(upstream) as connection:
        connection.recv(1)
        eventually(lambda: upstream.calls("huge_bytes") > 0)
        upstream.set(chunks=100_000)
        with asked(upstream):
            eventually(lambda: upstream.streams()["open"] == 2)
        eventually(lambda: upstream.streams()["aborted"] == 1)
        assert upstream.calls("huge_bytes") < HUGE_EVENT_BYTES // 2
    eventually(lambda: upstream.streams() == {"open": 0, "finished": 0, "aborted": 2})


@pytest.mark.parametrize(
    ("path", "pause", "due"),
    [(CHAT, {"delay": 60}, 0), (CHAT, {"first": 60}, 0), (RESPONSES, {"interval": 60}, 1), (CHAT, {"mode": "stall:3"}, 3)],
)
def test_a_client_that_leaves_during_a_pause_is_noticed(upstream: FakeOpenAI, path: str, pause: dict[str, Any], due: int) -> None:
    """Each pause would outlast the test; what is due before it has come."""
    upstream.set(**pause)
    with asked(upstream, path) as connection:
        come = "" if "delay" in pause else read_until(connection, b"}\n\n\r\n").decode()
        assert len(contents(come.split("data: "))) == due
        eventually(lambda: upstream.streams() == {"open": 1, "finished": 0, "aborted": 0})
        assert upstream.calls("open") == 1
    eventually(lambda: upstream.streams() == {"open": 0, "finished": 0, "aborted": 1})
    assert upstream.calls("open") == 0


@pytest.mark.parametrize("path", BODIES)
def test_a_call_that_hangs_is_open_until_its_client_leaves(upstream: FakeOpenAI, path: str) -> None:
    upstream.set("hang")
    with asked(upstream, path):
        eventually(lambda: upstream.calls("open") == 1)
    eventually(lambda: upstream.calls("open") == 0)
    assert upstream.calls() == 1
    assert upstream.streams() == {"open": 0, "finished": 0, "aborted": 0}


@pytest.mark.parametrize("status", [429, 503])
def test_what_is_more_than_it_bears_is_refused_at_once(upstream: FakeOpenAI, status: int) -> None:
    upstream.set(delay=30, bears=2, over=status)
    with asked(upstream) as one, asked(upstream):
        eventually(lambda: upstream.calls("open") == 2)
        with asked(upstream) as more:
            assert more.recv(100).startswith(b"HTTP/1.1 %d " % status)
        assert (upstream.calls("open"), upstream.calls("too_many")) == (2, 1)
        one.close()
        eventually(lambda: upstream.calls("open") == 1)
    upstream.reset()


def test_a_reset_forgets_calls_that_are_still_open(upstream: FakeOpenAI) -> None:
    upstream.set("stall:1")
    with asked(upstream) as connection:
        read_until(connection, b"}\n\n\r\n")
        upstream.reset()
        assert upstream.calls("open") == 0
    with asked(upstream) as connection:
        read_until(connection, b"\r\n0\r\n\r\n")
    eventually(lambda: upstream.streams() == {"open": 0, "finished": 1, "aborted": 0})
    assert upstream.calls("open") == 0


@pytest.mark.parametrize("interval", [0, 0.005])
def test_a_script_is_what_comes(upstream: FakeOpenAI, interval: float) -> None:
    """Whatever was asked, piece by piece, bytes that are not UTF-8 too."""
    script = ["data: {", '"x": 1}\n', "\n", ": comment\r\n", "", "data: [DONE]\n\n"]
    upstream.set(script=script, interval=interval)
    for path in BODIES:
        assert streamed(upstream, path) == ([piece for piece in script if piece], True)
    upstream.set("cut:1", script=["\udcff", "never"], headers={"content-type": "text/plain"})
    with asked(upstream) as connection:
        read = read_until(connection, b"never")
    assert read.endswith(b"\r\n1\r\n\xff\r\n")
    assert read.count(b"text/plain") == 1
    assert b"text/event-stream" not in read


@pytest.mark.parametrize("path", BODIES)
def test_a_status_and_a_body_are_given_on_every_endpoint(upstream: FakeOpenAI, path: str) -> None:
    upstream.set("status:429", body="slower", headers={"Retry-After": "7"})
    head, body = send(upstream, path)
    assert head.startswith(b"HTTP/1.1 429 ")
    assert (b"Retry-After: 7\r\n" in head, body) == (True, b"slower")
    upstream.set(body="{}")
    assert send(upstream, path)[1] == b"{}"


@pytest.mark.parametrize("body", [{"messages": []}, {"messages": ["hi"]}, {"n": "two"}])
def test_a_request_that_it_cannot_read_is_400(upstream: FakeOpenAI, body: dict[str, Any]) -> None:
    with asked(upstream, CHAT, **body) as connection:
        assert read_until(connection, b"}}").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("wanted", [{"mode": "stall"}, {"mode": "okay"}, {"chunk": 4}])
def test_a_mode_that_is_not_there_is_refused(upstream: FakeOpenAI, wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no such mode|unexpected keyword"):
        upstream.set(**wanted)


def test_answers_leave_a_connection_in_the_order_of_its_requests(upstream: FakeOpenAI) -> None:
    upstream.set(interval=0.002)
    body = json.dumps(BODIES[CHAT]).encode()
    request = f"POST {CHAT} HTTP/1.1\r\nHost: fake\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", upstream.port), timeout=20) as connection:
        connection.sendall(request * 2 + b"GET /control/calls HTTP/1.1\r\nHost: fake\r\n\r\n")
        read = read_until(connection, b'"aborted":0}}')
    assert [read.count(b"chatcmpl-%d" % number) for number in (1, 2)] == [6, 6]
    assert read.rindex(b"chatcmpl-1") < read.index(b"[DONE]") < read.index(b"chatcmpl-2")
    assert completion_text("hi")[:5].encode() in read
