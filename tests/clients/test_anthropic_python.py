"""Anthropic's Python SDK against a running service, with only a base URL and a token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic, NotFoundError, Omit

from ..support.anthropic_sdk import ASKED, PICTURE, TOOLS, anthropic_of, ask, check_error, refused, text_of, texts_of
from ..support.fake_messages import COUNTED
from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.sdk import ANSWER, CALLED, MODEL, QUESTION, receipt_of, record_of, records_named
from ..support.service import Service


@pytest.fixture(scope="module")
def client(service: Service, token: str) -> Iterator[Anthropic]:
    with anthropic_of(service, token) as client:
        yield client


def test_a_message_comes_with_its_receipt_and_all_of_it_is_recorded(client: Anthropic, service: Service) -> None:
    answer = ask(client, system="Answer briefly.", thinking={"type": "disabled"})
    assert (text_of(answer), answer.stop_reason, answer.model) == (ANSWER, "end_turn", MODEL)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (12, 7)
    terminal = record_of(service, receipt_of(answer))
    received, answered = records_named(service, answer._request_id)
    assert answered == terminal
    asked = received["details"]
    assert (asked["endpoint"], asked["messages"]) == ("/v1/messages", ASKED["messages"])
    assert asked["params"] == {"model": MODEL, "max_tokens": 99, "system": "Answer briefly.", "thinking": {"type": "disabled"}}
    assert asked["headers"] == {"anthropic-version": client.default_headers["anthropic-version"]}
    told = answered["details"]
    assert (told["answer"], told["finish_reason"]) == (ANSWER, "end_turn")
    assert told["usage"] == {"input_tokens": 12, "output_tokens": 7}


def test_a_stream_ends_with_its_receipt_after_the_record(client: Anthropic, service: Service) -> None:
    with client.messages.stream(**ASKED) as stream:
        events = list(stream)
        final = stream.get_final_message()
    assert (text_of(final), final.stop_reason, final.usage.output_tokens) == (ANSWER, "end_turn", 7)
    *_, last = ask(client, stream=True)
    assert last.type == "message_stop"
    assert record_of(service, receipt_of(last))["details"]["answer"] == ANSWER
    assert len(texts_of(event for event in events if event.type == "content_block_delta")) > 1


def test_a_tool_is_called_and_its_result_is_answered(client: Anthropic, service: Service) -> None:
    called = ask(client, tools=TOOLS)
    (block,) = called.content
    assert (called.stop_reason, block.name, block.input) == ("tool_use", "weather", CALLED)
    assert record_of(service, receipt_of(called))["details"]["answer"] == [block.to_dict()]
    result = {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": "sunny"}]}
    turns = [*ASKED["messages"], {"role": "assistant", "content": [block.to_dict()]}, {"role": "user", "content": [result]}]
    assert text_of(ask(client, tools=TOOLS, messages=turns)) == completion_text("sunny")


def test_a_streamed_call_has_its_input_whole_in_the_record(client: Anthropic, service: Service) -> None:
    choice: Any = {"type": "tool", "name": "weather"}
    with client.messages.stream(**ASKED, tools=TOOLS, tool_choice=choice) as stream:
        (block,) = stream.get_final_message().content
    assert block.input == CALLED  # type: ignore[union-attr]  # it is a call
    *_, last = ask(client, tools=TOOLS, tool_choice=choice, stream=True)
    (recorded,) = record_of(service, receipt_of(last))["details"]["answer"]
    assert json.loads(recorded["input"]) == CALLED
    assert (recorded["type"], recorded["name"]) == ("tool_use", "weather")


def test_an_image_passes_as_it_is(client: Anthropic, fake: FakeOpenAI) -> None:
    content: Any = [PICTURE, {"type": "text", "text": QUESTION}]
    assert text_of(ask(client, messages=[{"role": "user", "content": content}])) == ANSWER
    assert json.loads(fake.seen()["bodies"][-1])["messages"][0]["content"] == content


def test_tokens_are_counted_with_the_same_records(client: Anthropic, service: Service) -> None:
    counted = client.messages.count_tokens(model=MODEL, messages=ASKED["messages"], tools=TOOLS)
    assert counted.input_tokens == COUNTED
    record = record_of(service, receipt_of(counted))
    assert record["details"]["answer"] == {"input_tokens": COUNTED}
    assert record["details"]["usage"] is None
    received = service.records()[record["details"]["received"]]
    assert received["details"]["endpoint"] == "/v1/messages/count_tokens"


def test_models_are_listed_and_found(client: Anthropic) -> None:
    page = client.models.list(limit=1)
    (model,) = [*page, *client.beta.models.list()][:1]
    assert (page.has_more, page.first_id, page.last_id) == (False, MODEL, MODEL)
    assert (model.id, model.type, model.display_name, model.max_tokens) == (MODEL, "model", MODEL, 131_072)
    assert isinstance(model.created_at, datetime)
    assert client.models.retrieve(MODEL) == model
    check_error(refused(client.models.retrieve, "gpt-9"), NotFoundError, 404, "not_found_error", "model_not_found")


def test_the_callers_key_stays_here_and_the_protocols_headers_pass(
    client: Anthropic, service: Service, token: str, fake: FakeOpenAI
) -> None:
    betas = ["context-1m-2025-08-07", "interleaved-thinking-2025-05-14"]
    answer = client.beta.messages.create(**ASKED, betas=betas)  # posts to ?beta=true
    assert text_of(answer) == ANSWER
    sent = fake.seen()["headers"]
    assert (sent["anthropic-version"], sent["anthropic-beta"]) == (client.default_headers["anthropic-version"], ",".join(betas))
    assert token not in json.dumps(sent)
    (received, _) = records_named(service, answer._request_id)
    assert received["details"]["headers"]["anthropic-beta"] == ",".join(betas)
    assert token not in service.log.read_text()
    with Anthropic(base_url=service.url, auth_token=token, api_key=None) as bearer:
        assert text_of(ask(bearer)) == ANSWER
    assert token not in json.dumps(fake.seen()["headers"])


def test_the_asynchronous_client_streams_alike(service: Service, token: str) -> None:
    async def whole() -> tuple[str, Any]:
        async with AsyncAnthropic(base_url=service.url, api_key=token) as client:
            async with client.messages.stream(**ASKED) as stream:
                texts = [text async for text in stream.text_stream]
            return "".join(texts), await client.messages.create(**ASKED)

    streamed, plain = asyncio.run(whole())
    assert streamed == text_of(plain) == ANSWER


def test_an_api_key_does_in_either_header(service: Service) -> None:
    service.add_client("keyholder")
    added = service.cli("keys", "add", "keyholder")
    key = added["key"]
    with anthropic_of(service, key) as client, anthropic_of(service, "", default_headers={"X-Api-Key": key}) as by_header:
        assert text_of(ask(client)) == ANSWER
        without: Any = {"Authorization": Omit()}
        assert text_of(ask(by_header, extra_headers=without)) == ANSWER
    asked = [record for record in service.records() if record["user_id"] == "keyholder" and record["action"].startswith("ask.")]
    assert [record["details"]["credential"] for record in asked] == [f"key:{added['key_id']}"] * 4
