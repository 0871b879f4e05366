"""Answers in odd shapes, over sockets: the caller gets them, and all that was delivered can be read from the record."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest

from ..support.answer_shapes import (
    BEGUN,
    CALL_EVENTS,
    DELTAS,
    DIFFERENT,
    DONE,
    STOP,
    THINKING,
    Shape,
    answer,
    calls,
    message,
    part,
    says,
    shapes,
)
from ..support.calls import bearer, records_of
from ..support.fake_openai import FakeOpenAI
from ..support.odd_events import NOT_SAID, missing
from ..support.service import HTTP, Service

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}
BODIES: dict[str, Any] = {
    "chat": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "gpt-4o-mini", "input": "hi"},
}
NOT_RECORDED = NOT_SAID | {"receipt", "id", "object", "status"}
WHOLE = [shape for shape in shapes() if shape not in DIFFERENT]


def ask(service: Service, token: str, shape: Shape, upstream: FakeOpenAI) -> httpx.Response:
    if shape.is_stream:
        upstream.set(script=list(shape.pieces))
    else:
        upstream.set(body=shape.pieces[0])
    return HTTP.post(
        service.url + PATHS[shape.endpoint], json={**BODIES[shape.endpoint], "stream": shape.is_stream}, headers=bearer(token)
    )


def documents_in(text: str) -> list[Any]:
    """The JSON documents of a stream or of a plain answer."""
    lines = text.split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")] or [text]
    if any(line.startswith("data: {") and not line.endswith("}") for line in lines):  # in two lines
        data = ["".join(data[:-2]), *data[-2:]]
    documents = [json.loads(one) for one in data if one != "[DONE]"]
    for document in documents:
        if "response" in document:  # but for its output, it is an echo of the request
            document["response"] = document["response"].get("output")
    return documents


@pytest.mark.parametrize("shape", WHOLE, ids=lambda one: f"{one.endpoint} {'stream' if one.is_stream else 'plain'}: {one.name}")
def test_what_was_delivered_can_be_read_from_the_record(service: Service, token: str, upstream: FakeOpenAI, shape: Shape) -> None:
    response = ask(service, token, shape, upstream)
    assert response.status_code == 200, response.text
    _, answered = records_of(service, response)
    assert answered["action"] == "ask.answered"
    assert "receipt" in response.text
    assert missing(documents_in(response.text), answered["details"], NOT_RECORDED) == []


def test_a_plain_answer_comes_byte_for_byte_with_its_receipt(service: Service, token: str, upstream: FakeOpenAI) -> None:
    body = answer(message("half \ud83d")).replace('"content"', '"content": "twice", "content"')
    response = ask(service, token, Shape("odd", "chat", (body,)), upstream)
    assert response.text.startswith(body[:-1])
    details = records_of(service, response)[1]["details"]
    assert details["answer"] == {"read_as": "half \\ud83d", "raw": body}
    assert details["delivered"]["sha256"] == hashlib.sha256(body.encode()).hexdigest()


def test_of_a_stream_that_broke_off_the_calls_are_recorded_too(service: Service, token: str, upstream: FakeOpenAI) -> None:
    pieces = (calls(part(0, "t", "weather", '{"city"')), calls(part(0, "u", "delete_all", "{}")), "data: no JSON\n\n")
    response = ask(service, token, Shape("odd", "chat", pieces, True), upstream)
    details = records_of(service, response)[1]["details"]
    assert [one["function"]["name"] for one in details["delivered"]["answer"]["tool_calls"]] == ["weather", "delete_all"]
    response = ask(service, token, Shape("odd", "responses", (BEGUN, DELTAS, *CALL_EVENTS[:2]), True), upstream)
    details = records_of(service, response)[1]["details"]
    assert missing([DELTAS[:0], "Hello", "weather", "{}"], details["delivered"]["answer"]) == []


def test_events_that_are_kept_may_be_long(service: Service, token: str, upstream: FakeOpenAI) -> None:
    """As all that is too long for a line, they are kept by their digest."""
    pieces = [calls(part(0, None, "name", "x" * 500)) for _ in range(300)]
    response = ask(service, token, Shape("long", "chat", (*pieces, STOP, DONE), True), upstream)
    details = records_of(service, response)[1]["details"]
    assert details["answer"]["events"]
    assert service.verify()["ok"]


PARTS = [THINKING, {"type": "text", "text": "four"}]


@pytest.mark.parametrize(("content", "text"), [(PARTS, "four"), ("half \ud83d", "half \ud83d"), ("four", "four")])
def test_ask_gives_the_text_of_an_answer_in_any_form(
    service: Service, token: str, upstream: FakeOpenAI, content: Any, text: str
) -> None:
    upstream.set(body=answer(message(content), usage={"prompt_tokens": "3"}))
    response = service.ask(token)
    assert (response.status_code, json.loads(response.text)["answer"], response.json()["usage"]) == (200, text, None)
    upstream.set(script=[says(content), "data:\n\n", STOP.rstrip("\n")])
    headers = {**bearer(token), "accept": "text/event-stream"}
    streamed = HTTP.post(service.url + "/ask", json={"query": "hi"}, headers=headers).text
    deltas = [line.removeprefix("data: ") for line in streamed.split("\n") if line.startswith('data: {"text"')]
    assert "".join(json.loads(delta)["text"] for delta in deltas) == text
    assert "event: done" in streamed
