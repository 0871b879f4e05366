"""OpenAI's asynchronous Python SDK: the same calls, many at once, and streams that break off at either end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from openai import APIError, AsyncOpenAI

from ..support.calls import wait_until_late
from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.sdk import (
    ANSWER,
    CALLED,
    CHAT,
    MODEL,
    QUESTION,
    RESPONSE,
    TOOLS,
    TRIP,
    Exchange,
    async_client_of,
    receipt_of,
    record_of,
    records_named,
    texts_of,
)
from ..support.service import Service
from ..support.waiting import eventually

T = TypeVar("T")
Use = Callable[[Callable[[AsyncOpenAI], Awaitable[Any]]], Any]


@pytest.fixture
def use(service: Service, token: str) -> Use:
    """Runs one coroutine with a client in its own event loop."""

    def run(work: Callable[[AsyncOpenAI], Awaitable[T]]) -> T:
        async def main() -> T:
            async with async_client_of(service, token) as client, asyncio.timeout(60):
                return await work(client)

        return asyncio.run(main())

    return run


async def streamed(client: AsyncOpenAI, question: str, **more: Any) -> list[Any]:
    stream: Any = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}], stream=True, **more
    )
    return [chunk async for chunk in stream]


def test_a_chat_answer_has_its_receipt(use: Use, service: Service) -> None:
    answer = use(lambda client: client.chat.completions.create(**CHAT))
    assert answer.choices[0].message.content == ANSWER
    record = record_of(service, receipt_of(answer))
    assert (record["action"], record["details"]["answer"], record["request_id"]) == ("ask.answered", ANSWER, answer._request_id)


def test_a_stream_gives_the_same_text_and_its_receipt_in_the_last_chunk(use: Use, service: Service) -> None:
    async def ask(client: AsyncOpenAI) -> list[Any]:
        return [chunk async for chunk in await client.chat.completions.create(**CHAT, stream=True)]

    *chunks, last = use(ask)
    assert "".join(texts_of([*chunks, last])) == ANSWER
    assert [chunk.model_extra for chunk in chunks] == [{}] * len(chunks)
    assert record_of(service, receipt_of(last))["details"]["answer"] == ANSWER


def test_tools_and_structured_answers_work_in_a_stream_too(use: Use) -> None:
    async def ask(client: AsyncOpenAI) -> tuple[Any, Any, Any, Any]:
        called = await client.chat.completions.create(**CHAT, tools=TOOLS)
        parsed = await client.chat.completions.parse(**CHAT, response_format=Exchange)
        async with client.chat.completions.stream(**CHAT, response_format=Exchange) as stream:
            streamed = await stream.get_final_completion()
        response = await client.responses.parse(**RESPONSE, text_format=Exchange)
        return called, parsed, streamed, response

    called, parsed, streamed, response = use(ask)
    assert json.loads(called.choices[0].message.tool_calls[0].function.arguments) == CALLED
    assert parsed.choices[0].message.parsed == streamed.choices[0].message.parsed == response.output_parsed == TRIP


def test_responses_embeddings_and_models_work(use: Use, service: Service) -> None:
    async def ask(client: AsyncOpenAI) -> tuple[Any, list[Any], Any, list[Any]]:
        plain = await client.responses.create(**RESPONSE)
        events = [event async for event in await client.responses.create(**RESPONSE, stream=True)]
        vectors = await client.embeddings.create(model=MODEL, input="one")
        return plain, events, vectors, [model async for model in client.models.list()]

    plain, events, vectors, models = use(ask)
    assert plain.output_text == events[-1].response.output_text == ANSWER
    assert len(vectors.data[0].embedding) == 8
    assert [model.id for model in models] == [MODEL]
    for told in (plain, events[-1], vectors):
        assert record_of(service, receipt_of(told))["action"] == "ask.answered"


def test_forty_streams_at_once_each_get_their_own_answer_and_receipt(use: Use, service: Service, upstream: FakeOpenAI) -> None:
    upstream.set(chunks=4, interval=0.01)
    questions = [f"What is {number} times seven?" for number in range(40)]

    async def ask(client: AsyncOpenAI) -> list[list[Any]]:
        return await asyncio.gather(*(streamed(client, question) for question in questions))

    streams = use(ask)
    assert ["".join(texts_of(chunks)) for chunks in streams] == [completion_text(question) for question in questions]
    receipts = [receipt_of(chunks[-1]) for chunks in streams]
    answers = [record_of(service, receipt)["details"]["answer"] for receipt in receipts]
    assert answers == [completion_text(question) for question in questions]
    assert service.verify(*receipts)["ok"]


def test_a_stream_closed_by_its_caller_is_recorded_as_far_as_it_was_sent(
    use: Use, service: Service, upstream: FakeOpenAI
) -> None:
    upstream.set("stall:2")

    async def ask(client: AsyncOpenAI) -> tuple[str, list[Any]]:
        async with await client.chat.completions.create(**CHAT, stream=True) as stream:
            chunks: list[Any] = []
            async for chunk in stream:
                chunks.append(chunk)
                if len(texts_of(chunks)) == 2:
                    break
            return stream.response.headers["x-request-id"], chunks

    request_id, chunks = use(ask)
    eventually(lambda: len(records_named(service, request_id)) == 2)
    received, failed = records_named(service, request_id)
    assert (failed["action"], failed["details"]["code"]) == ("ask.failed", "client_gone")
    assert failed["details"]["received"] == received["seq"]
    assert failed["details"]["delivered"]["answer"] == "".join(texts_of(chunks))
    eventually(lambda: upstream.streams() == {"open": 0, "finished": 0, "aborted": 1})


def test_a_cancelled_plain_call_is_recorded_and_its_upstream_call_ends(use: Use, service: Service, upstream: FakeOpenAI) -> None:
    upstream.set("hang")

    async def ask(client: AsyncOpenAI) -> None:
        asking = asyncio.ensure_future(client.responses.create(**RESPONSE))
        await asyncio.to_thread(eventually, lambda: upstream.calls("open") == 1)
        await asyncio.to_thread(wait_until_late, service)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    use(ask)
    eventually(lambda: upstream.calls("open") == 0)
    eventually(lambda: service.records()[-1]["action"] == "ask.failed")
    assert service.records()[-1]["details"]["code"] == "client_gone"


async def until_it_breaks(stream: Any) -> tuple[list[Any], APIError]:
    """The chunks received, and the error at the end."""
    seen: list[Any] = []
    try:
        async for one in stream:
            seen += [one]
    except APIError as error:
        return seen, error
    raise AssertionError("the stream ended without an error")


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
@pytest.mark.parametrize("mode", ["cut:2", "error_event:2", "garbage_event:2"])
def test_a_broken_stream_raises_and_is_recorded_with_what_was_delivered(
    use: Use, service: Service, upstream: FakeOpenAI, mode: str, endpoint: str
) -> None:
    upstream.set(mode, interval=0.01)

    async def ask(client: AsyncOpenAI) -> tuple[list[Any], APIError, str]:
        ways: Any = {"chat": (client.chat.completions, CHAT), "responses": (client.responses, RESPONSE)}
        where, asked = ways[endpoint]
        stream = await where.create(**asked, stream=True)
        return *await until_it_breaks(stream), stream.response.headers["x-request-id"]

    seen, error, request_id = use(ask)
    code = "upstream_unavailable" if mode == "cut:2" else "upstream_error"
    assert (type(error), error.code, error.type) == (APIError, code, "server_error")
    texts = texts_of(seen) if endpoint == "chat" else [one.delta for one in seen if one.type.endswith("text.delta")]
    assert len(texts) == 2
    assert not any((one.model_extra or {}).get("receipt") for one in seen)
    received, failed = records_named(service, request_id)
    assert (failed["action"], failed["details"]["received"]) == ("ask.failed", received["seq"])
    assert (failed["details"]["code"], failed["details"]["delivered"]["answer"]) == (code, "".join(texts))


def test_a_stream_whose_end_cannot_be_recorded_raises_and_has_no_receipt(
    use: Use, service: Service, upstream: FakeOpenAI
) -> None:
    upstream.set(chunks=40, interval=0.05)
    away = service.log.with_name("away")

    async def ask(client: AsyncOpenAI) -> tuple[list[Any], APIError, int]:
        stream = await client.chat.completions.create(**CHAT, stream=True)
        first = await anext(stream)
        service.log.rename(away)
        seen, error = await until_it_breaks(stream)
        return [first, *seen], error, int(stream.response.headers["x-audit-seq"])

    try:
        seen, error, received = use(ask)
    finally:
        away.rename(service.log)
    assert (type(error), error.code, error.type) == (APIError, "audit_unavailable", "server_error")
    assert "".join(texts_of(seen)) == completion_text(QUESTION, 40)
    assert not any(one.model_extra for one in seen)
    assert not any(choice.finish_reason for one in seen for choice in one.choices), (
        "the finish reason must be held back with the receipt"
    )
    service.wait_ready()
    verdict = service.verify()
    assert verdict["ok"]
    assert received in verdict["open"]["records"]
