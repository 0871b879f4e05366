"""LangChain's ChatAnthropic behind the face of all servers, against a server of Anthropic's protocol."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from app.catalogue.models import Server
from app.errors import AppError, ConfigError, UpstreamError, UpstreamUnavailable
from app.kit.event_stream import Event
from app.upstream.answer_memory import FREE_BYTES, AnswerMemory
from app.upstream.attempts import Attempts
from app.upstream.errors import UpstreamDenied, UpstreamRefused
from app.upstream.fair_slots import FairSlots
from app.upstream.langchain_servers import chat_models
from app.upstream.langchain_servers.server import LangChainServer
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.responses import RESPONSES

from ....support.fake_openai import FakeOpenAI, completion_text
from ....support.langchain_server import (
    BEGUN,
    KEY,
    MESSAGES,
    STREAM_HEAD,
    ask,
    body,
    called,
    claude,
    ended,
    events_of,
    sent,
    streamed,
    text,
    use,
)
from ....support.raw_server import End, RawServer, chunk
from ....support.waiting import eventually

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as fake:
        yield fake


@pytest.fixture
def fake(server: FakeOpenAI) -> FakeOpenAI:
    server.reset()
    return server


def asked_of(fake: FakeOpenAI) -> dict[str, Any]:
    """The last body, which Anthropic's SDK has made."""
    return dict(orjson.loads(fake.seen()["bodies"][-1]))


# --- plain -----------------------------------------------------------------------------------------


def test_a_plain_answer_is_a_chat_completion(fake: FakeOpenAI) -> None:
    reply = ask(claude(fake.base_url))
    (choice,) = reply.document["choices"]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": completion_text("hi")},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert (reply.document["object"], reply.document["model"]) == ("chat.completion", "claude-test")
    assert {name: reply.document["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")} == {
        "prompt_tokens": 12,
        "completion_tokens": 7,
        "total_tokens": 19,
    }
    assert orjson.loads(reply.raw) == reply.document
    assert (reply.completion.text, reply.completion.stopped_by) == (completion_text("hi"), None)


class Halves(BaseChatModel):
    """Its answer ends with half an emoji."""

    model: str
    max_tokens: int = 0

    @property
    def _llm_type(self) -> str:
        return "halves"

    def _generate(self, *given: Any, **more: Any) -> ChatResult:
        raise NotImplementedError

    async def _astream(self, *given: Any, **more: Any) -> AsyncIterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content="fine \ud83d", response_metadata={"stop_reason": "end_turn"}))


def asked_by(kind: type[BaseChatModel], patch: pytest.MonkeyPatch) -> LangChainServer:
    patch.setattr(chat_models, "load", lambda server, provider: kind)
    return LangChainServer(Server("odd", None, "", langchain="odd"))


def test_half_an_emoji_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(asked_by(Halves, monkeypatch)).document["choices"][0]["message"]["content"] == "fine \ud83d"


class Cut(Halves):
    """It is told of a status in the middle of its answer, as Google's classes are."""

    async def _astream(self, *given: Any, **more: Any) -> AsyncIterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content="fi"))
        error: Any = ValueError()
        error.code = 503
        raise error


def test_a_status_in_mid_answer_does_not_say_that_nothing_was_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts()

    async def work(server: LangChainServer) -> None:
        with pytest.raises(UpstreamUnavailable):
            await server.complete(CHAT, body(), "alias", attempts=attempts)

    use(asked_by(Cut, monkeypatch), work)
    assert not attempts.now.is_free


def test_a_class_that_takes_no_cap_prevents_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as caught:
        asked_by(GenericFakeChatModel, monkeypatch)
    assert "takes no max_tokens" in caught.value.detail


def test_messages_settings_and_the_key_reach_the_server(fake: FakeOpenAI) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]},
    ]
    ask(claude(fake.base_url), messages, temperature=0.5, top_p=0.9, stop="end")
    asked, headers = asked_of(fake), fake.seen()["headers"]
    assert (asked["model"], asked["max_tokens"], asked["system"], asked["stream"]) == ("claude-test", 50, "Be brief.", True)
    assert (asked["temperature"], asked["top_p"], asked["stop_sequences"]) == (0.5, 0.9, ["end"])
    ((role, parts),) = [(message["role"], message["content"]) for message in asked["messages"]]
    assert (role, [part["type"] for part in parts]) == ("user", ["text", "image"])
    assert parts[1]["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}
    assert headers["authorization"] == f"Bearer {KEY}"


def test_a_question_leaves_no_setting_behind_for_the_next(fake: FakeOpenAI) -> None:
    async def both(server: LangChainServer) -> None:
        await server.complete(CHAT, body(temperature=0.5), "alias")
        await server.complete(CHAT, body(), "alias")

    use(claude(fake.base_url), both)
    assert "temperature" not in asked_of(fake)


def test_a_tool_is_called_and_its_result_is_handed_over(fake: FakeOpenAI) -> None:
    server = claude(fake.base_url)
    reply = ask(server, tools=[TOOL], tool_choice="required")
    assert reply.document["choices"][0]["finish_reason"] == "tool_calls"
    message = reply.document["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert (message["content"], call["type"], call["function"]) == (None, "function", {"name": "weather", "arguments": "{}"})
    assert asked_of(fake)["tool_choice"] == {"type": "any"}
    history = [*MESSAGES, message, {"role": "tool", "tool_call_id": call["id"], "content": "It rains."}]
    assert ask(claude(fake.base_url), history, tools=[TOOL]).completion.text == completion_text("It rains.")
    used, result = [message["content"][0] for message in asked_of(fake)["messages"][1:]]
    assert (used["type"], used["id"], result["tool_use_id"]) == ("tool_use", call["id"], call["id"])


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("none", {"type": "none"}),
        ("auto", {"type": "auto"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
    ],
)
def test_the_choice_of_a_tool_is_translated(fake: FakeOpenAI, choice: Any, sent: Any) -> None:
    ask(claude(fake.base_url), tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
    asked = asked_of(fake)["tool_choice"]
    assert asked.pop("disable_parallel_tool_use") is True
    assert asked == sent


def test_text_and_two_parallel_calls_are_numbered_from_zero() -> None:
    answer = streamed(*text(0, "Let me ", "look."), *called(1, "a", '{"x":', "1}"), *called(2, "b", "{}"), *ended("tool_use"))
    with RawServer(lambda request: [answer]) as raw:
        message = ask(claude(raw.base_url), tools=[TOOL]).document["choices"][0]["message"]
    assert message["content"] == "Let me look."
    assert [(call["id"], call["function"]) for call in message["tool_calls"]] == [
        ("toolu_1", {"name": "a", "arguments": '{"x":1}'}),
        ("toolu_2", {"name": "b", "arguments": "{}"}),
    ]


def test_an_answer_without_an_end_is_refused() -> None:
    with RawServer(lambda request: [streamed(*text(0, "half"))]) as raw, pytest.raises(UpstreamError):
        ask(claude(raw.base_url))


def test_a_server_that_counts_no_input_has_counted_nothing() -> None:
    with RawServer(lambda request: [streamed(*text(0, "x"), *ended(input_tokens=0))]) as raw:
        reply = ask(claude(raw.base_url))
    assert "usage" not in reply.document
    assert reply.completion.usage is None


# --- streams ---------------------------------------------------------------------------------------


def test_a_stream_is_one_of_chat_completions(fake: FakeOpenAI) -> None:
    *chunks, done = events_of(claude(fake.base_url))
    documents = [orjson.loads(chunk) for chunk in chunks]
    assert done == b"[DONE]"
    assert {document["object"] for document in documents} == {"chat.completion.chunk"}
    assert len({document["id"] for document in documents}) == 1
    *deltas, end, usage = documents
    assert deltas[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in deltas) == completion_text("hi")
    assert end["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 19)


def test_the_reader_of_chat_completions_reads_it(fake: FakeOpenAI) -> None:
    reader = CHAT.reader("alias", wants_usage=True)
    for data in events_of(claude(fake.base_url), tools=[TOOL]):
        reader.feed(Event(b"", data))
    completion = reader.completion()
    assert completion.answer["tool_calls"][0]["function"]["name"] == "weather"
    assert completion.usage is not None
    assert (completion.usage.input_tokens, completion.finish) == (12, "tool_calls")


def test_a_read_that_is_cancelled_loses_nothing() -> None:
    slow: list[bytes | float | End] = [STREAM_HEAD + sent(BEGUN, *text(0, "a")), 0.3, sent(*text(1, "b"), *ended()) + chunk(b"")]

    async def impatient(server: LangChainServer) -> str:
        source, found, given_up = await server.open_stream(CHAT, body(stream=True)), b"", 0
        while True:
            try:
                async with asyncio.timeout(0.02):
                    events = await source.read()
            except TimeoutError:
                given_up += 1
                continue
            if events is None:
                break
            found += b"".join(event.data for event in events)
        source.finish()
        assert given_up
        return found.decode()

    with RawServer(lambda request: slow) as raw:
        found = use(claude(raw.base_url), impatient)
    assert found.index('"content":"a"') < found.index('"content":"b"') < found.index("[DONE]")


def test_what_is_closed_ends_the_call_at_the_server(fake: FakeOpenAI) -> None:
    fake.set("stall:2")

    async def leave(server: LangChainServer) -> None:
        source = await server.open_stream(CHAT, body(stream=True))
        await source.read()
        source.close()
        await asyncio.to_thread(eventually, lambda: fake.calls("open") == 0)

    use(claude(fake.base_url), leave)
    assert fake.streams()["aborted"] == 1


@pytest.mark.parametrize("mode", ["hang", "stall:1"])
def test_a_question_that_is_cancelled_ends_at_the_server(fake: FakeOpenAI, mode: str) -> None:
    fake.set(mode)

    async def leave(server: LangChainServer) -> None:
        asking = asyncio.create_task(server.complete(CHAT, body(), "alias"))
        await asyncio.to_thread(eventually, lambda: fake.calls("open") == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.to_thread(eventually, lambda: fake.calls("open") == 0)

    use(claude(fake.base_url), leave)


def test_an_error_in_a_stream_comes_after_what_was_said() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "secret words"}}

    async def read(server: LangChainServer) -> bytes:
        source, found = await server.open_stream(CHAT, body(stream=True)), b""
        try:
            while (events := await source.read()) is not None:
                found += b"".join(event.data for event in events)
        except UpstreamUnavailable:
            return found
        finally:
            source.close()
        raise AssertionError("the error is missing")

    with RawServer(lambda request: [STREAM_HEAD + sent(BEGUN, *text(0, "a"), error) + chunk(b"")]) as raw:
        assert b'"content":"a"' in use(claude(raw.base_url), read)


def test_a_connection_that_breaks_in_mid_stream_is_an_error() -> None:
    with RawServer(lambda request: [STREAM_HEAD + sent(BEGUN, *text(0, "a")), End.RESET]) as raw:
        with pytest.raises(UpstreamError):
            events_of(claude(raw.base_url))


# --- refusals and bounds -----------------------------------------------------------------------------


def test_nothing_but_chat_completions_is_served(fake: FakeOpenAI) -> None:
    server = claude(fake.base_url)
    assert (server.serves(CHAT), server.serves(RESPONSES)) == (True, False)


def test_what_cannot_be_converted_is_refused_and_never_sent(fake: FakeOpenAI) -> None:
    broken = [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "x", "arguments": "{"}}]}]
    twice = [{"role": "system", "content": "a"}, *MESSAGES, {"role": "system", "content": [{"type": "odd"}]}, *MESSAGES]
    for messages in (broken, twice):
        with pytest.raises(UpstreamRefused) as caught:
            ask(claude(fake.base_url), messages)
        assert caught.value.status == 400
    assert fake.calls() == 0


def test_there_is_one_call_for_one_question(fake: FakeOpenAI) -> None:
    fake.set("status:529")
    with pytest.raises(AppError):
        ask(claude(fake.base_url))
    assert fake.calls() == 1


def test_a_redirect_is_not_followed(fake: FakeOpenAI) -> None:
    fake.set("redirect")
    with pytest.raises(UpstreamDenied):
        ask(claude(fake.base_url))
    assert (fake.calls(), fake.calls("strays")) == (1, 0)


def test_the_environments_proxies_are_not_asked(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "ANTHROPIC_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(claude(fake.base_url)).completion.text == completion_text("hi")


def test_an_answer_without_room_is_overloaded() -> None:
    answer = streamed(*text(0, *["x" * 10_000] * 100), *ended())
    room, memory = FairSlots(2 * FREE_BYTES), AnswerMemory()
    memory.of(room, "alice")
    assert room.take_now("bob", FREE_BYTES)
    with RawServer(lambda request: [answer]) as raw, pytest.raises(AppError) as caught:
        use(claude(raw.base_url), lambda server: server.complete(CHAT, body(), "alias", memory=memory))
    assert caught.value.code in ("overloaded", "upstream_error")


# --- records -----------------------------------------------------------------------------------------


def test_the_record_names_the_way_and_digests_the_messages(fake: FakeOpenAI) -> None:
    digest = hashlib.sha256(orjson.dumps(MESSAGES)).hexdigest()
    assert claude(fake.base_url).digests(body(temperature=1)) == {
        "upstream_sha256": None,
        "via": "langchain",
        "messages_sha256": digest,
    }


def test_the_servers_own_bytes_have_no_digest(fake: FakeOpenAI) -> None:
    attempts = Attempts()
    use(claude(fake.base_url), lambda server: server.complete(CHAT, body(), "alias", attempts=attempts))
    assert (attempts.count, attempts.response_sha256, attempts.now.whole) == (1, None, None)
    assert attempts.now.received > 0


def test_a_class_that_is_not_installed_prevents_the_start() -> None:
    with pytest.raises(ConfigError, match="needs the package langchain-nothing"):
        claude("http://127.0.0.1:9", provider="nothing")
