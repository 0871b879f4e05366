"""Traces over sockets: a caller's trace goes on to the model's server and into the record; spans reach a receiver."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ..support.fake_openai import FakeOpenAI
from ..support.otlp_receiver import Received, attributes, receiving
from ..support.service import HTTP, Service
from ..support.waiting import eventually

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
SECRET_TEXT = "the recipe of the sauce"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Received]:
    with receiving() as received:
        yield received


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI, receiver: Received) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("traces"), workers=2, OPENAI_BASE_URL=fake.base_url)
    with (service.folder / ".env").open("a") as file:  # as for any other setting
        file.write(f"\nOTEL_EXPORTER_OTLP_ENDPOINT={receiver.url}\nOTEL_BSP_SCHEDULE_DELAY=50\n")
    with service:
        yield service


@pytest.fixture(scope="module")
def token(traced: Service) -> str:
    return traced.token("alice", traced.add_client())


def chat(service: Service, token: str, *, text: str = "hi", **headers: str) -> httpx.Response:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "temperature": 0.5, "max_tokens": 20}
    return HTTP.post(f"{service.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {token}", **headers})


def spans_of(receiver: Received, trace_id: str) -> dict[str, Any]:
    return {one.name: one for one in receiver.spans if one.trace_id.hex() == trace_id}


def record_of(service: Service, response: httpx.Response, action: str) -> dict[str, Any]:
    wanted = response.headers["x-request-id"]
    return next(one for one in service.records() if one["request_id"] == wanted and one["action"] == action)


def test_a_question_is_a_span_in_the_callers_trace(traced: Service, token: str, receiver: Received, fake: FakeOpenAI) -> None:
    response = chat(traced, token, traceparent=PARENT, tracestate="vendor=1")
    assert response.status_code == 200
    eventually(lambda: "chat gpt-4o-mini" in spans_of(receiver, TRACE))
    spans = spans_of(receiver, TRACE)
    question = spans["chat gpt-4o-mini"]
    assert question.parent_span_id.hex() == SPAN
    found, usage = attributes(question), response.json()["usage"]
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.provider.name"] == "openai"
    assert found["gen_ai.request.model"] == "gpt-4o-mini"
    assert (found["gen_ai.request.temperature"], found["gen_ai.request.max_tokens"]) == (0.5, 20)
    assert found["gen_ai.response.model"] == response.json()["model"]
    assert found["gen_ai.response.finish_reasons"] == ["stop"]
    assert found["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
    assert found["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    assert found["secure_ai.request_id"] == response.headers["x-request-id"]
    children = {one.name for one in spans.values() if one.parent_span_id == question.span_id}
    assert children == {"record ask.received", "record ask.answered", "POST default"}
    times = [(question.start_time_unix_nano, question.end_time_unix_nano)]
    times += [(spans[name].start_time_unix_nano, spans[name].end_time_unix_nano) for name in children]
    assert all(start <= end for start, end in times)
    assert receiver.resources[0]["service.name"] == "secure-ai-assistant"
    assert record_of(traced, response, "ask.received")["details"]["trace_id"] == TRACE
    sent = fake.seen()["headers"]
    assert sent["traceparent"] == f"00-{TRACE}-{question.span_id.hex()}-01"
    assert sent["tracestate"] == "vendor=1"


def test_without_a_callers_trace_one_begins_here(traced: Service, token: str, receiver: Received) -> None:
    trace = record_of(traced, chat(traced, token), "ask.received")["details"]["trace_id"]
    eventually(lambda: "chat gpt-4o-mini" in spans_of(receiver, trace))
    assert spans_of(receiver, trace)["chat gpt-4o-mini"].parent_span_id == b""


def test_a_failure_is_a_span_with_its_code(traced: Service, token: str, receiver: Received, fake: FakeOpenAI) -> None:
    fake.set(mode="status:500")
    response = chat(traced, token)
    fake.reset()
    trace = record_of(traced, response, "ask.received")["details"]["trace_id"]
    eventually(lambda: "chat gpt-4o-mini" in spans_of(receiver, trace))
    question = spans_of(receiver, trace)["chat gpt-4o-mini"]
    assert attributes(question)["error.type"] == record_of(traced, response, "ask.failed")["details"]["code"]
    assert question.status.code == 2
    tries = [one for one in receiver.spans if one.trace_id == question.trace_id and one.name == "POST default"]
    assert {attributes(one)["http.response.status_code"] for one in tries} == {500}


def test_no_span_holds_a_text_or_a_caller(traced: Service, token: str, receiver: Received) -> None:
    response = chat(traced, token, text=SECRET_TEXT)
    trace = record_of(traced, response, "ask.received")["details"]["trace_id"]
    eventually(lambda: "chat gpt-4o-mini" in spans_of(receiver, trace))
    said = f"{receiver.spans} {receiver.resources}"
    assert SECRET_TEXT not in said
    assert "alice" not in said
    assert response.json()["choices"][0]["message"]["content"] not in said


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        PARENT + "-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        PARENT.upper(),
        f"ff-{TRACE}-{SPAN}-01",
    ],
)
def test_a_malformed_trace_is_ignored(parent: str, traced: Service, token: str) -> None:
    response = chat(traced, token, traceparent=parent)
    assert response.status_code == 200
    assert record_of(traced, response, "ask.received")["details"]["trace_id"] != TRACE


def test_a_refusal_names_the_trace_too(traced: Service) -> None:
    response = HTTP.get(f"{traced.url}/nothing", headers={"traceparent": PARENT})
    assert record_of(traced, response, "request.refused")["details"]["trace_id"] == TRACE


def test_without_tracing_the_trace_goes_on_unchanged(service: Service, fake: FakeOpenAI) -> None:
    token = service.token("bob", service.add_client("bob"))
    response = chat(service, token, traceparent=PARENT)
    assert record_of(service, response, "ask.received")["details"]["trace_id"] == TRACE
    assert fake.seen()["headers"]["traceparent"] == PARENT
    response = chat(service, token)
    assert "trace_id" not in record_of(service, response, "ask.received")["details"]
    assert "traceparent" not in fake.seen()["headers"]


def test_texts_are_in_spans_only_where_that_is_asked_for(
    tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI, receiver: Received
) -> None:
    texts: dict[str, Any] = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
    }
    with Service(tmp_path_factory.mktemp("texts"), OPENAI_BASE_URL=fake.base_url, **texts) as service:
        response = chat(service, service.token("alice", service.add_client()), text=SECRET_TEXT)
        trace = record_of(service, response, "ask.received")["details"]["trace_id"]
    # The stop has sent what waited.
    found = attributes(spans_of(receiver, trace)["chat gpt-4o-mini"])
    assert json.loads(found["gen_ai.input.messages"]) == [{"role": "user", "parts": [{"type": "text", "content": SECRET_TEXT}]}]
    (said,) = json.loads(found["gen_ai.output.messages"])
    assert said["parts"][0]["content"] == response.json()["choices"][0]["message"]["content"]


def test_a_receiver_that_is_gone_slows_no_question_and_no_stop(
    tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        folder = tmp_path_factory.mktemp("gone")
        with Service(folder, OPENAI_BASE_URL=fake.base_url, OTEL_EXPORTER_OTLP_ENDPOINT=url) as service:
            token = service.token("alice", service.add_client())
            assert {chat(service, token).status_code for _ in range(20)} == {200}
            assert service.stop() == 0
            assert service.verify()["ok"]


def test_a_protocol_that_is_not_there_is_refused_by_name(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> None:
    grpc: dict[str, Any] = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    service = Service(tmp_path_factory.mktemp("grpc"), OPENAI_BASE_URL=fake.base_url, **grpc)
    assert "OTEL_EXPORTER_OTLP_PROTOCOL takes http/protobuf" in service.run("serve", "--port", "0", status=2).stderr
