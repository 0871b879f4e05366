"""Streams: recorded before the call and before the end marker, with what was delivered."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.calls import bearer, records_of
from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.service import HTTP, Service
from ..support.waiting import eventually

QUERY = "What is the capital of France?"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": QUERY}], "stream": True}
RESPONSES = {"model": "gpt-4o-mini", "input": QUERY, "stream": True}
EVENTS = {"accept": "text/event-stream"}


@contextmanager
def streaming(service: Service, token: str, path: str = "/v1/chat/completions", **more: Any) -> Iterator[httpx.Response]:
    body = more.pop("json", {"query": QUERY} if path == "/ask" else CHAT)
    with HTTP.stream("POST", service.url + path, json=body, headers={**bearer(token), **EVENTS}, **more) as response:
        yield response


def stream(service: Service, token: str, path: str = "/v1/chat/completions", **more: Any) -> tuple[httpx.Response, str]:
    """The response of a complete stream, and its text without comments."""
    with streaming(service, token, path, **more) as response:
        text = response.read().decode()
    return response, "".join(f"{event}\n\n" for event in text.split("\n\n") if event and not event.startswith(":"))


def body_for(path: str) -> dict[str, Any]:
    return {"query": QUERY} if path == "/ask" else CHAT if path == "/v1/messages" else CHAT | RESPONSES


def data_of(text: str) -> list[str]:
    return [line[6:] for line in text.split("\n") if line.startswith("data: ")]


def chunks_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(data) for data in data_of(text) if data != "[DONE]"]


def said(text: str) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks_of(text) for choice in chunk.get("choices", ()))


# --- content --------------------------------------------------------------------------------------


def test_a_chat_stream_ends_with_the_receipt_of_a_durable_record(service: Service, token: str) -> None:
    response, text = stream(service, token)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert said(text) == completion_text(QUERY)
    assert data_of(text)[-1] == "[DONE]"
    *chunks, last = chunks_of(text)
    assert not any("receipt" in chunk for chunk in chunks)
    assert last["choices"][0]["finish_reason"] == "stop"
    received, answered = records_of(service, response)
    assert (response.headers["x-audit-seq"], response.headers["x-audit-hash"]) == (str(received["seq"]), received["hash"])
    assert last["receipt"] == {"seq": answered["seq"], "hash": answered["hash"]}
    assert service.verify(f"{answered['seq']}:{answered['hash']}")["ok"]


def test_the_record_holds_what_was_delivered(service: Service, token: str) -> None:
    """Its digest covers the events as written, up to the one with the receipt."""
    response, text = stream(service, token)
    _, answered = records_of(service, response)
    before = "".join(f"{event}\n\n" for event in text.split("\n\n")[:-3])
    details = answered["details"]
    assert (details["answer"], details["finish_reason"]) == (completion_text(QUERY), "stop")
    assert details["usage"] == {"input_tokens": 12, "output_tokens": 7}
    assert details["delivered"] == {"bytes": len(before), "sha256": hashlib.sha256(before.encode()).hexdigest()}


def test_a_usage_chunk_comes_on_request_and_then_carries_the_receipt(service: Service, token: str) -> None:
    _, text = stream(service, token, json={**CHAT, "stream_options": {"include_usage": True}})
    *_, finish, usage = chunks_of(text)
    assert (finish["choices"][0]["finish_reason"], "receipt" in finish) == ("stop", False)
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 7)
    assert set(usage["receipt"]) == {"seq", "hash"}
    _, text = stream(service, token)
    assert all(chunk["choices"] for chunk in chunks_of(text))


def test_an_ask_stream_has_deltas_and_then_the_rest_of_the_answer(service: Service, token: str) -> None:
    response, text = stream(service, token, "/ask")
    events = [dict(line.split(": ", 1) for line in event.split("\n")) for event in text.split("\n\n") if event]
    *deltas, done = [(event["event"], json.loads(event["data"])) for event in events]
    assert {name for name, _ in deltas} == {"delta"}
    assert all(set(data) == {"text"} for _, data in deltas)
    assert "".join(data["text"] for _, data in deltas) == completion_text(QUERY)
    received, answered = records_of(service, response)
    assert received["details"]["query"] == QUERY
    assert done == (
        "done",
        {
            "model": "gpt-4o-mini",
            "usage": {"input_tokens": 12, "output_tokens": 7},
            "request_id": response.headers["x-request-id"],
            "receipt": {"seq": answered["seq"], "hash": answered["hash"]},
        },
    )


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("text/event-stream", True),
        ("TEXT/EVENT-STREAM; q=0.5", True),
        ("application/json, text/event-stream", True),
        ("application/json;q=0.5, text/event-stream;q=0.4", False),
        ("text/event-stream;q=0", False),
        ("*/*", False),
        ("text/*", False),
        ("", False),
    ],
)
def test_ask_streams_if_the_accept_header_names_events(service: Service, token: str, accept: str, streams: bool) -> None:
    response = HTTP.post(service.url + "/ask", json={"query": QUERY}, headers={**bearer(token), "accept": accept})
    assert response.headers["content-type"].startswith("text/event-stream" if streams else "application/json")


def test_a_response_stream_carries_the_receipt_in_the_event_that_ends_it(service: Service, token: str) -> None:
    response, text = stream(service, token, "/v1/responses", json=RESPONSES)
    last = chunks_of(text)[-1]
    _, answered = records_of(service, response)
    assert (last["type"], last["receipt"]["hash"]) == ("response.completed", answered["hash"])
    assert answered["details"]["answer"] == completion_text(QUERY)
    assert text.split("\n\n")[-2].startswith("event: response.completed\n")


def test_pieces_arrive_while_the_model_still_answers(service: Service, token: str, upstream: FakeOpenAI) -> None:
    """The first piece arrives while the server holds the rest back."""
    upstream.set("stall:2")
    for path in ("/v1/chat/completions", "/ask"):
        with streaming(service, token, path) as response:
            pieces, seen = response.iter_text(), ""  # an iterator that is garbage-collected closes the connection
            while completion_text(QUERY)[:5] not in seen:
                seen += next(pieces)
            assert upstream.streams()["open"] == 1
        eventually(lambda: upstream.streams()["open"] == 0)


# --- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["cut:2", "error_event:2", "garbage_event:2"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/ask", "/v1/responses", "/v1/messages"])
def test_a_broken_stream_ends_with_an_error_event_and_no_end_marker(
    service: Service, token: str, upstream: FakeOpenAI, path: str, mode: str
) -> None:
    upstream.set(mode, interval=0.1 if mode == "cut:2" else 0)
    response, text = stream(service, token, path, json=body_for(path))
    code = "upstream_unavailable" if mode == "cut:2" else "upstream_error"
    problem = json.loads(data_of(text)[-1])
    if path == "/v1/responses":
        assert (problem["type"], problem["response"]["status"]) == ("response.failed", "failed")
        assert problem["response"]["error"]["code"] == code
    told = problem if path == "/ask" else problem["error"]
    assert (told["details"]["error_code"] if path == "/v1/messages" else told["code"]) == code
    assert ("event: error\n" in text) == (path in ("/ask", "/v1/messages"))
    assert "message_stop" not in text
    assert "[DONE]" not in text
    assert '"receipt"' not in text
    _, failed = records_of(service, response)
    details = failed["details"]
    assert (failed["action"], details["code"]) == ("ask.failed", code)
    assert details["delivered"]["answer"] == completion_text(QUERY)[: len(details["delivered"]["answer"])] != ""
    delivered = text[: text.rindex("data: " if path == "/v1/chat/completions" else "event: ")]
    assert details["delivered"]["bytes"] == len(delivered)


@pytest.mark.parametrize(("mode", "status"), [("status:500", 503), ("status:422", 422), ("close", 503)])
def test_what_fails_before_the_first_piece_has_its_own_status(
    hasty: Service, hasty_token: str, upstream: FakeOpenAI, mode: str, status: int
) -> None:
    upstream.set(mode)
    response, _ = stream(hasty, hasty_token)
    assert response.status_code == status
    assert response.json()["error"]["type"] == ("server_error" if status > 500 else "invalid_request_error")
    assert [one["action"] for one in records_of(hasty, response)] == ["ask.received", "ask.failed"]


@pytest.mark.parametrize("silence", ["stall:2", "hang"])
def test_a_silent_server_is_given_up_after_the_timeout(
    hasty: Service, hasty_token: str, upstream: FakeOpenAI, silence: str
) -> None:
    upstream.set(silence)
    response, text = stream(hasty, hasty_token)
    assert json.loads(data_of(text)[-1])["error"]["code"] == "upstream_timeout"
    assert records_of(hasty, response)[1]["details"]["code"] == "upstream_timeout"
    eventually(lambda: upstream.streams()["open"] == 0)


def test_a_stream_without_its_end_marker_is_whole_if_it_said_why_it_ended(
    service: Service, token: str, upstream: FakeOpenAI
) -> None:
    upstream.set("no_done")
    response, text = stream(service, token)
    assert data_of(text)[-1] == "[DONE]"
    assert records_of(service, response)[1]["action"] == "ask.answered"
    upstream.set(script=[f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': 'half'}}]})}\n\n"])
    response, text = stream(service, token)
    assert "[DONE]" not in text
    assert records_of(service, response)[1]["details"]["delivered"]["answer"] == "half"


def test_an_end_without_a_reason_gets_a_chunk_for_the_receipt(service: Service, token: str, upstream: FakeOpenAI) -> None:
    piece = {"id": "x", "model": "m", "choices": [{"index": 0, "delta": {"content": "all"}}]}
    upstream.set(script=[f"data: {json.dumps(piece)}\r\n\r\n", ": comment\r\n\r\n", "data: [DONE]\r\n\r\n"])
    response, text = stream(service, token)
    first, last = chunks_of(text)
    assert first == piece
    assert (last["choices"], last["id"], last["receipt"]["seq"]) == ([], "x", records_of(service, response)[1]["seq"])


def test_keep_alives_come_while_the_model_is_silent(hasty: Service, hasty_token: str, upstream: FakeOpenAI) -> None:
    """Before its first piece, and between two pieces."""
    for settings in ({"delay": 0.7}, {"first": 0.7}, {"interval": 0.5}):
        upstream.set(**settings)  # type: ignore[arg-type]
        for path in ("/v1/chat/completions", "/ask"):
            with streaming(hasty, hasty_token, path) as response:
                raw = response.read().decode()
            assert raw.count(": keep-alive\n\n") >= 2, settings
            assert "receipt" in raw


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/ask", "/v1/responses", "/v1/messages"])
def test_a_disconnect_ends_the_call_and_the_record_says_what_was_delivered(
    service: Service, token: str, upstream: FakeOpenAI, path: str
) -> None:
    upstream.set("stall:2")
    with streaming(service, token, path, json=body_for(path)) as response:
        got = ""
        for piece in response.iter_text():
            got += piece
            if "echo" in got:
                break
    eventually(lambda: upstream.streams()["open"] == 0)
    eventually(lambda: len(records_of(service, response)) == 2)
    _, failed = records_of(service, response)
    details = failed["details"]
    assert (failed["action"], details["code"]) == ("ask.failed", "client_gone")
    assert completion_text(QUERY).startswith(details["delivered"]["answer"])
    assert details["delivered"]["bytes"] >= len(got.replace(": keep-alive\n\n", ""))


def test_a_caller_who_does_not_read_is_disconnected(hasty: Service, hasty_token: str, upstream: FakeOpenAI) -> None:
    """Once all buffers are full, both connections end, which is recorded."""
    piece = "x" * 50_000
    event = f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': piece}}]})}\n\n"
    upstream.set(script=[event] * 400)
    body = json.dumps(CHAT)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hasty_token}\r\n"
    with closing(socket.socket()) as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.connect(("127.0.0.1", hasty.port))
        caller.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        eventually(lambda: hasty.records()[-1]["action"] == "ask.failed")
        details = hasty.records()[-1]["details"]
        assert details["code"] == "client_gone"
        assert 0 < details["delivered"]["bytes"] < 400 * len(event)
        eventually(lambda: upstream.streams()["open"] == 0)


# --- the log -----------------------------------------------------------------------------------------


def between(upstream: FakeOpenAI, service: Service, token: str, path: str, act: Callable[[], object]) -> str:
    """Run a stream and call *act* after its first piece."""
    upstream.set(chunks=4, interval=0.3)
    with streaming(service, token, path) as response:
        pieces = response.iter_text()
        text = next(pieces)
        act()
        try:
            for piece in pieces:
                text += piece
        except httpx.RemoteProtocolError:
            text += "<broken off>"
    return text


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/ask"])
def test_without_its_last_record_a_stream_has_no_end(tmp_path: Path, upstream: FakeOpenAI, path: str) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=upstream.base_url) as service:
        token = service.token("alice", service.add_client())
        text = between(upstream, service, token, path, lambda: service.log.rename(tmp_path / "away"))
        last = json.loads(data_of(text)[-1])
        assert (last if path == "/ask" else last["error"])["code"] == "audit_unavailable"
        assert "[DONE]" not in text
        assert '"receipt"' not in text
        assert "event: done" not in text
        (tmp_path / "away").rename(service.log)
        service.wait_ready()
        verdict = service.verify()
        assert (verdict["ok"], verdict["open"]["count"]) == (True, 1)


def test_verification_shows_the_open_question_of_a_killed_stream(tmp_path: Path, upstream: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=upstream.base_url) as service:
        token = service.token("alice", service.add_client())
        (worker,) = service.worker_pids()
        text = between(upstream, service, token, "/v1/chat/completions", lambda: os.kill(worker, signal.SIGKILL))
        assert text.endswith("<broken off>")
        assert "[DONE]" not in text
        (asked,) = [one for one in service.records() if one["action"] == "ask.received"]
        service.wait_ready()
        verdict = service.verify()
        assert (verdict["ok"], verdict["open"]["records"]) == (True, [asked["seq"]])
        _, text = stream(service, token)
        assert "[DONE]" in text


# --- AUDIT_STREAM=buffer ------------------------------------------------------------------------------


def test_a_buffered_stream_says_nothing_before_its_record_is_durable(tmp_path: Path, upstream: FakeOpenAI) -> None:
    env: dict[str, Any] = {"AUDIT_STREAM": "buffer", "STREAM_KEEPALIVE_SECONDS": "0.2"}
    with Service(tmp_path, OPENAI_BASE_URL=upstream.base_url, **env) as service:
        token = service.token("alice", service.add_client())
        for path in ("/v1/chat/completions", "/ask"):
            upstream.set(chunks=6, interval=0.15)
            with streaming(service, token, path) as response:
                raw = ""
                for piece in response.iter_text():
                    raw += piece
                    if "data: " in raw:
                        assert [one["action"] for one in records_of(service, response)] == ["ask.received", "ask.answered"]
            assert raw.startswith(": keep-alive\n\n")
            assert '"receipt"' in raw
            _, answered = records_of(service, response)
            given = raw.replace(": keep-alive\n\n", "")
            before = given[: given.rindex("event: done")] if path == "/ask" else given[: given[:-20].rindex("data: ")]
            assert answered["details"]["delivered"]["sha256"] == hashlib.sha256(before.encode()).hexdigest()
        upstream.set("cut:2")
        response, text = stream(service, token)
        assert (response.status_code, records_of(service, response)[1]["details"]["delivered"]) == (503, None)
        text = between(upstream, service, token, "/ask", lambda: service.log.rename(tmp_path / "away"))
        assert "event: delta" not in text
        assert json.loads(data_of(text)[-1])["code"] == "audit_unavailable"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """A service with a timeout of two seconds, and a keep-alive every 0.2."""
    env: dict[str, Any] = {"LLM_TIMEOUT_SECONDS": "2", "STREAM_KEEPALIVE_SECONDS": "0.2"}
    with Service(tmp_path_factory.mktemp("hasty"), OPENAI_BASE_URL=fake.base_url, **env) as running:
        yield running


@pytest.fixture(scope="module")
def hasty_token(hasty: Service) -> str:
    return hasty.token("alice", hasty.add_client())
