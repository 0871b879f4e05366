"""OpenAI's Python SDK at a model that LangChain's ChatAnthropic asks: it sees a chat completion like every other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI, RateLimitError

from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.langchain_server import service_for
from ..support.sdk import ANSWER, CALLED, MESSAGES, PIXEL, QUESTION, TOOLS, client_of, receipt_of, record_of, texts_of
from ..support.service import Service

CHAT: Any = {"model": "claude", "messages": MESSAGES}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    with service_for(tmp_path_factory.mktemp("service"), fake) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service, token: str) -> Iterator[OpenAI]:
    with client_of(service, token, max_retries=0) as client:
        yield client


def test_a_plain_answer_has_text_usage_and_a_receipt(client: OpenAI, service: Service) -> None:
    answer = client.chat.completions.create(**CHAT, temperature=0.2, max_tokens=20, stop=["x"])
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (ANSWER, "stop")
    assert answer.usage
    assert answer.usage.total_tokens == 19
    assert record_of(service, receipt_of(answer))["details"]["answer"] == ANSWER


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_has_the_same_text_and_its_receipt_at_the_end(client: OpenAI, service: Service, wants_usage: bool) -> None:
    more: Any = {"stream_options": {"include_usage": True}} if wants_usage else {}
    *chunks, last = client.chat.completions.create(**CHAT, **more, stream=True)
    assert "".join(texts_of([*chunks, last])) == ANSWER
    assert [chunk.usage.total_tokens for chunk in [*chunks, last] if chunk.usage] == [19] * wants_usage
    assert record_of(service, receipt_of(last))["details"]["answer"] == ANSWER


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_answers(client: OpenAI, stream: bool) -> None:
    if stream:
        with client.chat.completions.stream(**CHAT, tools=TOOLS) as events:
            message: Any = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(**CHAT, tools=TOOLS).choices[0].message
    (call,) = message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", CALLED)
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    history: Any = [*MESSAGES, message, result]
    answer = client.chat.completions.create(model="claude", messages=history, tools=TOOLS)
    assert answer.choices[0].message.content == completion_text("rain")


def test_an_image_reaches_the_model(client: OpenAI, fake: FakeOpenAI) -> None:
    parts: Any = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    answer = client.chat.completions.create(model="claude", messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == ANSWER
    asked = json.loads(fake.seen()["bodies"][-1])
    assert asked["messages"][0]["content"][1]["source"]["data"] == PIXEL.partition(",")[2]


def test_what_cannot_be_carried_is_a_bad_request(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(**CHAT, seed=1)
    assert (caught.value.param, caught.value.code) == ("seed", "unsupported_parameter")


def test_a_spent_account_is_a_rate_limit_error_without_a_retry(client: OpenAI, upstream: FakeOpenAI) -> None:
    upstream.set("status:402")
    with pytest.raises(RateLimitError) as caught:
        client.chat.completions.create(**CHAT)
    assert caught.value.code == "insufficient_quota"
