"""OpenAI's Python SDK against a running service, with only a base URL and a token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import OpenAI

from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.sdk import (
    ANSWER,
    CALLED,
    CHAT,
    MESSAGES,
    MODEL,
    PARAMETERS,
    PIXEL,
    QUESTION,
    RESPONSE,
    TOOLS,
    TRIP,
    Exchange,
    client_of,
    receipt_of,
    record_of,
    records_named,
    texts_of,
)
from ..support.service import Service


@pytest.fixture(scope="module")
def client(service: Service, token: str) -> Iterator[OpenAI]:
    with client_of(service, token) as client:
        yield client


# --- chat ------------------------------------------------------------------------------------------


def test_a_chat_answer_is_the_upstreams_with_a_receipt(client: OpenAI, service: Service) -> None:
    answer = client.chat.completions.create(**CHAT)
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (12, 7, 19)
    assert set(answer.model_extra or {}) == {"receipt"}
    record = record_of(service, receipt_of(answer))
    assert (record["action"], record["details"]["answer"]) == ("ask.answered", ANSWER)
    assert record["request_id"] == answer._request_id


@pytest.mark.parametrize("usage", [None, False, True])
def test_a_stream_gives_the_same_text_and_its_receipt_in_the_last_chunk(
    client: OpenAI, service: Service, usage: bool | None
) -> None:
    asked = CHAT if usage is None else {**CHAT, "stream_options": {"include_usage": usage}}
    *chunks, last = client.chat.completions.create(**asked, stream=True)
    assert "".join(texts_of([*chunks, last])) == ANSWER
    assert len(texts_of(chunks)) > 1
    assert [chunk.model_extra for chunk in chunks] == [{}] * len(chunks)
    counted = [chunk.usage.total_tokens for chunk in [*chunks, last] if chunk.usage]
    assert (counted, bool(last.choices)) == (([19], False) if usage else ([], True))
    record = record_of(service, receipt_of(last))
    assert (record["action"], record["details"]["answer"]) == ("ask.answered", ANSWER)
    assert record["details"]["usage"] == {"input_tokens": 12, "output_tokens": 7}


def test_the_stream_helper_adds_the_pieces_up(client: OpenAI) -> None:
    with client.chat.completions.stream(**CHAT) as stream:
        events = list(stream)
        whole = stream.get_final_completion()
    pieces = [event.delta for event in events if event.type == "content.delta"]
    assert ("".join(pieces), whole.choices[0].message.content) == (ANSWER, ANSWER)
    assert events[-1].type == "content.done"


@pytest.mark.parametrize("stream", [False, True])
def test_choices_logprobs_seed_and_stop_work(client: OpenAI, fake: FakeOpenAI, stream: bool) -> None:
    wanted: Any = {"n": 2, "logprobs": True, "top_logprobs": 2, "seed": 7, "stop": ["\n\n", "END"]}
    answer: Any = client.chat.completions.create(**CHAT, **wanted, stream=stream)
    if stream:
        chunks = list(answer)
        assert ["".join(texts_of(chunks, choice)) for choice in (0, 1)] == [ANSWER] * 2
        choices = [choice for chunk in chunks for choice in chunk.choices]
        tokens = [token for choice in choices if choice.index == 1 and choice.logprobs for token in choice.logprobs.content]
    else:
        assert [choice.message.content for choice in answer.choices] == [ANSWER] * 2
        tokens = answer.choices[1].logprobs.content
    assert "".join(token.token for token in tokens) == ANSWER
    assert all(len(token.top_logprobs) == 2 for token in tokens)
    sent = json.loads(fake.seen()["bodies"][-1])
    assert {name: sent[name] for name in wanted} == wanted


@pytest.mark.parametrize("picture", ["https://example.com/cat.png", PIXEL], ids=["by url", "by data"])
def test_a_picture_reaches_the_model_and_the_record(client: OpenAI, service: Service, fake: FakeOpenAI, picture: str) -> None:
    parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": picture, "detail": "low"}}]
    messages: Any = [{"role": "user", "content": parts}]
    answer = client.chat.completions.create(model=MODEL, messages=messages)
    assert answer.choices[0].message.content == ANSWER
    assert json.loads(fake.seen()["bodies"][-1])["messages"] == messages
    received, _ = records_named(service, answer._request_id)
    assert received["details"]["messages"] == messages


# --- tools and structured answers --------------------------------------------------------------------


def test_a_tool_is_called_and_its_answer_is_answered(client: OpenAI, service: Service) -> None:
    asked = client.chat.completions.create(**CHAT, tools=TOOLS)
    (choice,) = asked.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", CALLED)
    (recorded,) = record_of(service, receipt_of(asked))["details"]["answer"]["tool_calls"]
    assert recorded == call.model_dump()
    answers: Any = [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "Sunny"}]
    answered = client.chat.completions.create(model=MODEL, messages=[*MESSAGES, *answers], tools=TOOLS)
    assert answered.choices[0].message.content == completion_text("Sunny")


def test_a_streamed_tool_call_comes_in_pieces_and_is_recorded_as_one(client: OpenAI, service: Service) -> None:
    *chunks, last = client.chat.completions.create(**CHAT, tools=TOOLS, stream=True)
    parts = [part for chunk in [*chunks, last] for one in chunk.choices for part in one.delta.tool_calls or ()]
    arguments = [part.function.arguments or "" for part in parts if part.function]
    assert len(arguments) > 2
    assert json.loads("".join(arguments)) == CALLED
    assert last.choices[0].finish_reason == "tool_calls"
    (recorded,) = record_of(service, receipt_of(last))["details"]["answer"]["tool_calls"]
    assert (recorded["id"], recorded["function"]["name"]) == (parts[0].id, "weather")
    assert json.loads(recorded["function"]["arguments"]) == CALLED


def test_structured_answers_are_parsed(client: OpenAI) -> None:
    parsed = client.chat.completions.parse(**CHAT, response_format=Exchange)
    assert parsed.choices[0].message.parsed == TRIP
    receipt_of(parsed)
    with client.chat.completions.stream(**CHAT, response_format=Exchange) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == TRIP
    response = client.responses.parse(**RESPONSE, text_format=Exchange)
    assert response.output_parsed == TRIP
    receipt_of(response)


# --- responses, embeddings, models ------------------------------------------------------------------


def test_a_response_is_the_upstreams_with_a_receipt(client: OpenAI, service: Service) -> None:
    answer = client.responses.create(**RESPONSE, instructions="Answer briefly.")
    assert (answer.output_text, answer.status) == (ANSWER, "completed")
    assert answer.usage
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (12, 7)
    assert record_of(service, receipt_of(answer))["details"]["answer"] == ANSWER


def test_a_streamed_response_ends_with_its_receipt(client: OpenAI, service: Service) -> None:
    *events, last = client.responses.create(**RESPONSE, stream=True)
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert ("".join(deltas), len(deltas) > 1) == (ANSWER, True)
    assert events[0].type == "response.created"
    assert [event.sequence_number for event in [*events, last]] == list(range(len(events) + 1))
    assert last.type == "response.completed"
    assert last.response.output_text == ANSWER
    assert [event.model_extra for event in events] == [{}] * len(events)
    record = record_of(service, receipt_of(last))
    assert (record["details"]["answer"], record["details"]["finish_reason"]) == (ANSWER, "completed")


def test_the_stream_helper_of_responses_ends_with_the_whole_response(client: OpenAI) -> None:
    with client.responses.stream(**RESPONSE) as stream:
        texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert "".join(texts) == stream.get_final_response().output_text == ANSWER


def test_a_response_calls_a_tool_and_takes_its_answer(client: OpenAI, service: Service) -> None:
    tools: Any = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}]
    asked = client.responses.create(**RESPONSE, tools=tools)
    (call,) = asked.output
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)) == ("weather", CALLED)
    assert record_of(service, receipt_of(asked))["details"]["answer"][0]["arguments"] == call.arguments
    told: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny"}
    answered = client.responses.create(model=MODEL, input=[{"role": "user", "content": QUESTION}, call, told], tools=tools)
    assert answered.output_text == completion_text("Sunny")


def test_embeddings_are_the_same_in_both_encodings(client: OpenAI, service: Service) -> None:
    """The SDK asks for base64 by default and decodes it."""
    texts = ["one", "two", "zwölf 🐈"]
    packed = client.embeddings.create(model=MODEL, input=texts, dimensions=16)
    plain = client.embeddings.create(model=MODEL, input=texts, dimensions=16, encoding_format="float")
    assert [one.embedding for one in packed.data] == [pytest.approx(one.embedding, rel=1e-6) for one in plain.data]
    assert [len(one.embedding) for one in plain.data] == [16] * 3
    assert plain.usage.prompt_tokens == 4
    details = record_of(service, receipt_of(packed))["details"]
    assert (details["answer"], details["usage"]) == ({"vectors": 3}, {"input_tokens": 4, "output_tokens": 0})
    tokens = client.embeddings.create(model=MODEL, input=[[1, 2, 3], [4]])
    assert (len(tokens.data), tokens.usage.total_tokens) == (2, 4)


def test_the_models_are_the_operators_and_need_no_upstream_call(client: OpenAI, fake: FakeOpenAI) -> None:
    before = fake.calls(), fake.calls("strays")
    (model,) = client.models.list()
    assert (model.id, model.object, model.owned_by) == (MODEL, "model", "default")
    told = model.model_extra or {}
    assert (told["kind"], told["type"], told["max_output_tokens"]) == ("chat", "chat", 131_072)
    assert client.models.retrieve(MODEL) == model
    assert (fake.calls(), fake.calls("strays")) == before


# --- headers and receipts ------------------------------------------------------------------


def test_the_headers_name_the_request_its_record_and_the_limit(client: OpenAI, service: Service) -> None:
    raw = client.chat.completions.with_raw_response.create(**CHAT)
    answer = raw.parse()
    assert answer._request_id == raw.headers["x-request-id"] == raw.request_id
    assert f"{raw.headers['x-audit-seq']}:{raw.headers['x-audit-hash']}" == receipt_of(answer)
    assert raw.headers["x-ratelimit-limit-requests"] == "10000000"
    assert 0 < int(raw.headers["x-ratelimit-remaining-requests"]) < 10_000_000
    assert raw.headers["x-ratelimit-reset-requests"].endswith("s")


def test_the_headers_of_a_stream_name_the_record_of_the_question(client: OpenAI, service: Service) -> None:
    raw = client.chat.completions.with_raw_response.create(**CHAT, stream=True)
    received = record_of(service, f"{raw.headers['x-audit-seq']}:{raw.headers['x-audit-hash']}")
    assert (received["action"], received["request_id"]) == ("ask.received", raw.headers["x-request-id"])
    *_, last = raw.parse()
    answered = record_of(service, receipt_of(last))
    assert answered["request_id"] == received["request_id"]
    assert (answered["action"], answered["details"]["received"]) == ("ask.answered", received["seq"])


WAYS: dict[str, Callable[[OpenAI], Any]] = {
    "chat": lambda client: client.chat.completions.create(**CHAT),
    "chat stream": lambda client: [*client.chat.completions.create(**CHAT, stream=True)][-1],
    "responses": lambda client: client.responses.create(**RESPONSE),
    "responses stream": lambda client: [*client.responses.create(**RESPONSE, stream=True)][-1],
    "embeddings": lambda client: client.embeddings.create(model=MODEL, input="one"),
}


def test_audit_verify_takes_the_receipt_of_every_way_to_ask(client: OpenAI, service: Service) -> None:
    receipts = [receipt_of(way(client)) for way in WAYS.values()]
    verdict = service.verify(*receipts)
    assert (verdict["ok"], verdict["completeness"]["verdict"]) == (True, "ok"), verdict
    seq, _, digest = receipts[0].partition(":")
    assert not service.verify(f"{seq}:{digest[::-1]}")["ok"]


# --- the older completions --------------------------------------------------------------------------------


def test_older_completions_have_their_receipts_plain_and_streamed(client: OpenAI, service: Service) -> None:
    answer = client.completions.create(model=MODEL, prompt=QUESTION)
    *chunks, last = client.completions.create(model=MODEL, prompt=QUESTION, stream=True)
    streamed = "".join(choice.text for chunk in [*chunks, last] for choice in chunk.choices)
    assert answer.choices[0].text == streamed == ANSWER
    for receipt in (receipt_of(answer), receipt_of(last)):
        record = record_of(service, receipt)
        assert record["details"]["answer"] == ANSWER
        received = service.records()[record["details"]["received"]]["details"]
        assert (received["endpoint"], received["messages"]) == ("/v1/completions", QUESTION)


def test_older_completions_answer_each_of_several_prompts(client: OpenAI, service: Service) -> None:
    answer = client.completions.create(model=MODEL, prompt=["one", "two"], n=2, max_tokens=9)
    texts = [completion_text(prompt) for prompt in ("one", "one", "two", "two")]
    assert [choice.text for choice in answer.choices] == texts
    assert record_of(service, receipt_of(answer))["details"]["answer"] == texts
