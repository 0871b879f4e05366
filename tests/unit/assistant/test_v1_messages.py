"""How much text a message may hold, what counts as text, and that nothing kept on the server is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.assistant.v1_messages import verify_messages
from app.catalogue.caps import Caps
from app.errors import InvalidParameter
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.messages import MESSAGES
from app.upstream.protocol.responses import RESPONSES

from ...support.caps import CAPS as DEFAULT_CAPS
from ...support.tables import for_each

CAPS = replace(DEFAULT_CAPS, messages=3, message_chars=10, max_output_tokens=100)
ROOMY = replace(DEFAULT_CAPS, messages=3, message_chars=10_000, max_output_tokens=100)
HI: dict[str, Any] = {"role": "user", "content": "hi"}
URLS = [
    "data:image/png;base64," + "A" * 5000,
    "DATA:,x",
    "data:image/png;base64," + "QUJD\r\n" * 500,
    "data:image/svg+xml;utf8,<svg a='b' c='d'>" + "<g/>" * 500,
    "data:video/mp4;codecs=avc1;base64," + "A" * 5000,
]


def message_error(messages: Any, endpoint: Endpoint = CHAT, caps: Caps = CAPS, **members: Any) -> tuple[str, str] | None:
    try:
        verify_messages(endpoint, {endpoint.messages: messages, **members}, caps)
    except InvalidParameter as error:
        return error.param, error.reason
    return None


SHAPES: list[tuple[Endpoint, Any, str, str]] = [
    (CHAT, None, "messages", "missing_required_parameter"),
    (CHAT, "hi", "messages", "invalid_type"),
    (CHAT, {}, "messages", "invalid_type"),
    (CHAT, [], "messages", "empty_array"),
    (CHAT, ["hi"], "messages", "invalid_type"),
    (CHAT, [1, 2], "messages", "invalid_type"),
    (CHAT, [HI] * 4, "messages", "array_above_max_length"),
    (CHAT, [HI, {"content": "x" * 11}], "messages[1]", "string_above_max_length"),
    (RESPONSES, "", "input", "empty_string"),
    (RESPONSES, 7, "input", "invalid_type"),
    (RESPONSES, "x" * 11, "input", "string_above_max_length"),
    *((RESPONSES, [{name: "item_1"}], "input[0]", "unsupported_parameter") for name in ("id", "ID")),
    (EMBEDDINGS, ["x"] * 4, "input", "array_above_max_length"),
    (EMBEDDINGS, ["x", "x" * 11], "input[1]", "string_above_max_length"),
]


@for_each(("endpoint", "messages", "param", "reason"), SHAPES)
def test_messages_that_cannot_pass_are_named(endpoint: Endpoint, messages: Any, param: str, reason: str) -> None:
    assert message_error(messages, endpoint) == (param, reason)


GOOD: list[tuple[Endpoint, Any]] = [
    (CHAT, [HI] * 3),
    (CHAT, [{"content": "x" * 10}]),
    (CHAT, [{"id": "any"}]),
    (RESPONSES, "x" * 10),
    (RESPONSES, [{"id": "m", "role": "user", "content": "hi"}]),
    (RESPONSES, [{"id": "c", "type": "function_call"}]),
    (EMBEDDINGS, list(range(1000))),
]


@pytest.mark.parametrize(("endpoint", "messages"), GOOD)
def test_messages_within_the_caps_pass(endpoint: Endpoint, messages: Any) -> None:
    assert message_error(messages, endpoint) is None


@pytest.mark.parametrize(
    "message",
    [
        {"content": "x" * 6, "reasoning_content": "y" * 5},
        {"content": [{"type": "text", "text": "x" * 6}, {"type": "text", "text": "y" * 5}]},
        {"content": [[["x" * 11]]]},
        {"tool_calls": [{"function": {"name": "w", "arguments": "x" * 10}}]},
        {"role": "r" * 101},
        {"type": {"x": "y" * 11}},
    ],
)
def test_all_texts_of_a_message_count_together(message: dict[str, Any]) -> None:
    assert message_error([message]) == ("messages[0]", "string_above_max_length")


@for_each(
    "message",
    [
        {"role": "r" * 100, "id": "i" * 100, "content": "x" * 10},
        *({"content": [{"type": kind, kind: {"url": url}}]} for kind in ("image_url", "video_url", "audio_url") for url in URLS),
        *({"content": [{"type": "input_image", "image_url": url}]} for url in URLS),
        *({"type": "reasoning", name: "gAAAAAB" + "x" * 5000 + "=="} for name in ("encrypted_content", "signature", "blob")),
        {"content": [{"type": "redacted_thinking", "data": "A" * 5000}]},
        {"output": "DATA:image/png;base64," + "A" * 5000},
        {"content": [{"type": "image_url", "image_url": {"url": "A" * 5000}}]},
        {"content": [{"type": "input_audio", "input_audio": {"data": "A" * 5000}}]},
        {"content": [{"type": "file", "file": {"file_data": "A" * 5000}}]},
    ],
)
def test_names_images_files_and_blobs_do_not_count_as_text(message: dict[str, Any]) -> None:
    assert message_error([message]) is None


FOREIGN_PARTS: list[dict[str, Any]] = [
    *({name: "x"} for name in ("file_id", "file_ids", "vector_store_ids", "container_id", "skill_id", "item_reference")),
    *({"type": f"{what}_reference"} for what in ("item", "container", "skill")),
    {"audio": {"id": "audio_1"}},
    {"container": "cntr_1"},
    {"container": {"id": "cntr_1"}},
]


@for_each("part", FOREIGN_PARTS)
@for_each("endpoint", [CHAT, RESPONSES], ids=lambda one: one.name)
def test_content_kept_on_the_server_is_refused_wherever_it_is_named(endpoint: Endpoint, part: dict[str, Any]) -> None:
    name = f"{endpoint.messages}[1]"
    for message in ({"role": "user", **part}, {"role": "user", "content": [{"type": "file", "file": part}]}):
        assert message_error([HI, message], endpoint) == (name, "unsupported_parameter")
    assert message_error([HI, {"role": "user", "content": [{"type": "x", "image_url": part}]}], endpoint) is not None


@pytest.mark.parametrize(
    "part",
    [
        {"file_id": None, "vector_store_ids": [], "container": None},
        {"id": "x", "call_id": "x", "tool_call_id": "x", "user_id": "x"},
        {"container": {"type": "auto"}},
        {"tools": [{"type": "function", "parameters": {"properties": {"file_id": {"type": "string"}}}}]},
        {"arguments": {"file_id": "7", "container": "red"}},
    ],
)
def test_other_ids_and_empty_ones_and_data_name_nothing(part: dict[str, Any]) -> None:
    assert message_error([{"content": [part]}], caps=ROOMY) is None


@pytest.mark.parametrize(
    "message",
    [
        {"content": "data:text/plain," + "x" * 5000},
        {"content": "data:text/plain;base64,QUJD and then words"},
        {"content": "A" * 5000},
        {"content": [{"type": "text", "text": "see data:image/png;base64," + "A" * 5000}]},
        {"encrypted_content": "words, of which there are many " * 20},
        {"encrypted_content": "千" * 5000},
        {"image_url": {"url": "https://example.com/a", "caption": "words " * 100}},
    ],
)
def test_no_text_passes_for_bytes(message: dict[str, Any]) -> None:
    assert message_error([message]) == ("messages[0]", "string_above_max_length")


ANTHROPICS: list[tuple[dict[str, Any], bool]] = [  # a block, and whether it counts as text
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K" * 50}}, False),
    ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x" * 50}}, False),
    ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "some prose " * 50}}, True),
    ({"type": "thinking", "thinking": "hm", "signature": "c2lnbmF0dXJl" * 50}, False),
    ({"type": "thinking", "thinking": "some prose " * 50, "signature": ""}, True),
    ({"type": "redacted_thinking", "data": "cmVkYWN0ZWQ=" * 50}, False),
    ({"type": "tool_use", "id": "t", "name": "read", "input": {"file_id": "mine"}}, False),
    ({"type": "tool_use", "id": "t", "name": "read", "input": {"path": "some prose " * 50}}, True),
    ({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "some prose " * 50}]}, True),
    ({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "read"}]}, False),
]


@for_each(("block", "is_text"), ANTHROPICS, ids=lambda value: str(value.get("type")) if isinstance(value, dict) else "")
def test_of_anthropics_blocks_texts_count_and_bytes_do_not(block: dict[str, Any], is_text: bool) -> None:
    refusal = ("messages[0]", "string_above_max_length")
    narrow = replace(CAPS, message_chars=100)
    assert message_error([{"role": "user", "content": [block]}], MESSAGES, narrow) == (refusal if is_text else None)
    assert message_error([HI], MESSAGES, CAPS, system=[{"type": "text", "text": "x" * 11}]) == ("system", refusal[1])


def test_instructions_are_a_message_too() -> None:
    assert message_error("hi", RESPONSES, instructions="x" * 11) == ("instructions", "string_above_max_length")
    assert message_error("hi", RESPONSES, instructions="x" * 10) is None


def test_instructions_beside_a_list_of_tokens_are_a_message_too() -> None:
    assert message_error([1], RESPONSES, instructions="x" * 11) == ("instructions", "string_above_max_length")
    assert message_error([1], RESPONSES, instructions="x") is None


def test_a_deep_message_does_not_exhaust_the_stack() -> None:
    deep: Any = "x"
    for _ in range(50_000):
        deep = [deep]
    assert message_error([{"content": deep}]) is None
