"""The fake of the OpenAI protocol, as the real SDK reads it (its faults: test_fake_faults.py)."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.fake_schema import instance_of

ASKED: list[Any] = [{"role": "user", "content": "hi"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "clock"}},
]
ARGUMENTS = {"city": "text", "days": 1}
ECHO = completion_text("hi")


class Place(BaseModel):
    name: str
    latitude: float | None
    kind: Literal["town", "river"]
    near: list[Place]


@pytest.fixture(scope="module")
def client(fake: FakeOpenAI) -> Iterator[OpenAI]:
    with OpenAI(api_key="k", base_url=fake.base_url, max_retries=0) as sdk:
        yield sdk


def chat(client: OpenAI, **more: Any) -> list[ChatCompletionChunk]:
    return list(client.chat.completions.create(model="m", messages=ASKED, stream=True, **more))


def contents(chunks: list[ChatCompletionChunk], index: int = 0) -> list[str]:
    """The content chunks' texts (the role's chunk has none)."""
    return [
        choice.delta.content for chunk in chunks for choice in chunk.choices if choice.index == index and choice.delta.content
    ]


def test_a_chat_is_answered_with_usage_and_counted_with_its_path(upstream: FakeOpenAI, client: OpenAI) -> None:
    answer = client.chat.completions.create(model="m", messages=ASKED, n=2)
    assert [choice.message.content for choice in answer.choices] == [ECHO, ECHO]
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 7)
    assert (upstream.calls(), upstream.calls("open"), upstream.seen()["paths"]) == (1, 0, ["/v1/chat/completions"])
    assert upstream.seen()["headers"]["authorization"] == "Bearer k"


def test_the_text_parts_of_a_message_are_the_query(upstream: FakeOpenAI, client: OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": "h"}, image, {"type": "text", "text": "i"}]}]
    assert client.chat.completions.create(model="m", messages=parts).choices[0].message.content == ECHO


def test_a_stream_has_role_text_finish_and_end(upstream: FakeOpenAI, client: OpenAI) -> None:
    chunks = chat(client)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(contents(chunks)) == ECHO
    assert len(contents(chunks)) == 4
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)
    assert upstream.streams() == {"open": 0, "finished": 1, "aborted": 0}


def test_usage_comes_last_and_only_if_asked(upstream: FakeOpenAI, client: OpenAI) -> None:
    *_, last = chat(client, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage
    assert last.usage.total_tokens == 19
    upstream.set("no_usage")
    assert chat(client, stream_options={"include_usage": True})[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("chunks", [1, 4, 64])
def test_a_stream_has_as_many_content_chunks_as_were_set(upstream: FakeOpenAI, client: OpenAI, chunks: int) -> None:
    upstream.set(chunks=chunks)
    texts = contents(chat(client))
    assert len(texts) == chunks
    plain = client.chat.completions.create(model="m", messages=ASKED).choices[0].message.content
    assert "".join(texts) == plain == completion_text("hi", chunks)


def test_the_choices_of_a_stream_take_turns_and_have_logprobs(upstream: FakeOpenAI, client: OpenAI) -> None:
    chunks = chat(client, n=2, logprobs=True, top_logprobs=2)
    assert contents(chunks, 0) == contents(chunks, 1)
    assert [chunk.choices[0].index for chunk in chunks] == [0, 1] * 6
    assert chunks[2].choices[0].logprobs
    (token,) = chunks[2].choices[0].logprobs.content or []
    assert (token.token, len(token.top_logprobs)) == (ECHO[:5], 2)
    plain = client.chat.completions.create(model="m", messages=ASKED, logprobs=True).choices[0].logprobs
    assert plain
    assert "".join(token.token for token in plain.content or []) == ECHO


def test_a_tool_is_called_once_and_then_answered_with_text(upstream: FakeOpenAI, client: OpenAI) -> None:
    (choice,) = client.chat.completions.create(model="m", messages=ASKED, tools=TOOLS).choices
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", ARGUMENTS)
    done: Any = [*ASKED, choice.message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    (choice,) = client.chat.completions.create(model="m", messages=done, tools=TOOLS).choices
    assert (choice.message.content, choice.finish_reason) == (completion_text("rain"), "stop")


def test_a_tool_can_be_named_or_none(upstream: FakeOpenAI, client: OpenAI) -> None:
    named: Any = {"type": "function", "function": {"name": "clock"}}
    answer = client.chat.completions.create(model="m", messages=ASKED, tools=TOOLS, tool_choice=named)
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("clock", "{}")
    answer = client.chat.completions.create(model="m", messages=ASKED, tools=TOOLS, tool_choice="none")
    assert answer.choices[0].message.content == ECHO


def test_a_streamed_tool_call_comes_in_pieces_that_the_sdk_puts_together(upstream: FakeOpenAI, client: OpenAI) -> None:
    with client.chat.completions.stream(model="m", messages=ASKED, tools=TOOLS) as stream:
        kinds = [event.type for event in stream]
        (choice,) = stream.get_final_completion().choices
    assert kinds.count("tool_calls.function.arguments.delta") >= 4
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls or []
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", ARGUMENTS)


def test_a_schema_is_answered_with_an_instance_of_it(upstream: FakeOpenAI, client: OpenAI) -> None:
    parsed = client.chat.completions.parse(model="m", messages=ASKED, response_format=Place).choices[0].message.parsed
    assert parsed
    assert (parsed.name, parsed.latitude, parsed.kind, len(parsed.near)) == ("text", 1.5, "town", 1)
    with client.chat.completions.stream(model="m", messages=ASKED, response_format=Place) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == parsed
    assert client.responses.parse(model="m", input="hi", text_format=Place).output_parsed == parsed
    free = client.chat.completions.create(model="m", messages=ASKED, response_format={"type": "json_object"})
    assert json.loads(free.choices[0].message.content or "") == {"answer": ECHO}


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        (True, "text"),
        ({"type": ["integer", "null"], "minimum": 7}, 7),
        ({"type": "number", "exclusiveMaximum": 1}, 0),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"allOf": [{"$ref": "#/$defs/a~1b"}], "$defs": {"a/b": {"const": 3}}}, 3),
        ({"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2}, ["x", "x"]),
        ({"prefixItems": [{"type": "null"}, {"type": "number"}], "type": "array"}, [None, 1.5]),
        ({"properties": {"a": {"type": "string", "format": "date"}, "b": {"type": "string", "maxLength": 2}}},
         {"a": "2026-01-02", "b": "te"}),
    ],
)  # fmt: skip
def test_an_instance_takes_the_first_choice_everywhere(schema: Any, instance: Any) -> None:
    assert instance_of(schema) == instance


def test_a_schema_that_holds_itself_ends_where_it_may() -> None:
    item: dict[str, Any] = {"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"]}
    instance = instance_of(item)
    while instance:
        instance = instance["next"]
    with pytest.raises(ValueError, match="no end"):
        instance_of({"properties": {"next": {"$ref": "#"}}, "required": ["next"]})


def test_a_response_is_a_text_with_usage(upstream: FakeOpenAI, client: OpenAI) -> None:
    parts: Any = [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
    for given in ("hi", ASKED, parts):
        answer = client.responses.create(model="m", input=given, temperature=0.5)
        assert (answer.output_text, answer.status, answer.temperature) == (ECHO, "completed", 0.5)
        assert answer.usage
        assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (12, 7, 19)
    upstream.set("no_usage")
    assert client.responses.create(model="m", input="hi").usage is None


def test_a_streamed_response_builds_up_the_plain_one(upstream: FakeOpenAI, client: OpenAI) -> None:
    events = list(client.responses.create(model="m", input="hi", stream=True))
    assert [event.sequence_number for event in events] == list(range(12))
    kinds = ["created", "in_progress", "output_item.added", "content_part.added", *["output_text.delta"] * 4]
    kinds += ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert [event.type for event in events] == [f"response.{kind}" for kind in kinds]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == ECHO
    with client.responses.stream(model="m", input="hi", text_format=Place) as stream:
        final = stream.get_final_response()
    assert final.output_parsed
    assert (final.output_parsed.kind, final.usage is None) == ("town", False)


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_calls_a_tool_once(upstream: FakeOpenAI, client: OpenAI, stream: bool) -> None:
    tools: Any = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": False}]
    if stream:
        with client.responses.stream(model="m", input="hi", tools=tools) as opened:
            assert [event.type for event in opened].count("response.function_call_arguments.delta") == 4
            output: Any = opened.get_final_response().output
    else:
        output = client.responses.create(model="m", input="hi", tools=tools).output
    (call,) = output
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)) == ("weather", ARGUMENTS)
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    assert client.responses.create(model="m", input=[result], tools=tools).output_text == completion_text("rain")


def test_embeddings_depend_on_the_text_only_and_agree_in_both_encodings(upstream: FakeOpenAI, client: OpenAI) -> None:
    def vectors(given: Any, **more: Any) -> list[Any]:
        return [found.embedding for found in client.embeddings.create(model="m", input=given, **more).data]

    one, two = vectors(["a b", "c"], encoding_format="float")
    assert ([one], len(one), one != two) == (vectors("a b"), 8, True)
    (packed,) = vectors("a b", encoding_format="base64")
    assert list(struct.unpack("<8f", base64.b64decode(packed))) == one
    assert len(vectors([1, 2, 3], dimensions=3)[0]) == 3
    assert vectors([[1, 2], [3]])[0] == vectors([1, 2])[0]
    assert client.embeddings.create(model="m", input=["a b", "c"]).usage.total_tokens == 3


def test_a_scripted_agent_gets_its_calls_in_order_and_then_the_text(upstream: FakeOpenAI, client: OpenAI) -> None:
    upstream.set(agent={"calls": [["clock", {"zone": 1}], ["weather", {"city": "x"}]], "says": "done"})
    said, got = list[Any](ASKED), []
    for _ in range(3):
        message: Any = client.chat.completions.create(model="m", messages=said, tools=TOOLS).choices[0].message
        got.append([(call.function.name, call.function.arguments) for call in message.tool_calls or []] or message.content)
        result = [{"role": "tool", "tool_call_id": call.id, "content": "7"} for call in message.tool_calls or []]
        said += [message.model_dump(exclude_none=True), *result]
    assert got == [[("clock", '{"zone":1}')], [("weather", '{"city":"x"}')], "done"]
    assert client.responses.create(model="m", input="hi").output_text == "done"
