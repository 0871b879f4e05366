"""What of a /v1 body is refused, and under which name; without a service."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.assistant import v1_policy
from app.assistant.v1_policy import (
    FOREIGN_KEYS,
    REFUSED,
    TOKEN_CAPS,
    cap_tokens,
    read_flag,
    shown,
    verify_messages,
    verify_params,
)
from app.catalogue.models import Caps
from app.errors import InvalidParameter
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.responses import RESPONSES

CAPS = Caps(body_bytes=10_000, messages=3, message_chars=10, tokens=100)
HI: dict[str, Any] = {"role": "user", "content": "hi"}
ENDPOINTS: list[Endpoint] = [CHAT, RESPONSES, EMBEDDINGS]


def param_error(members: dict[str, Any], endpoint: Endpoint = CHAT, **lists: Any) -> tuple[str, str] | None:
    """The name and the reason of the refusal."""
    try:
        verify_params(endpoint, members, lists.get("refused", frozenset()), lists.get("allowed"))
    except InvalidParameter as error:
        return error.param, error.reason
    return None


def message_error(messages: Any, endpoint: Endpoint = CHAT, **members: Any) -> tuple[str, str] | None:
    try:
        verify_messages(endpoint, {endpoint.messages: messages, **members}, CAPS)
    except InvalidParameter as error:
        return error.param, error.reason
    return None


# --- parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_parameter_that_gets_round_the_caps_or_the_record_is_refused(endpoint: Endpoint, name: str) -> None:
    assert param_error({name: 1}, endpoint) == (name, "unsupported_parameter")
    assert param_error({name: None}, endpoint) is None, "null is as if it were not there"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
def test_each_endpoint_takes_its_own_caps_on_tokens_only(endpoint: Endpoint) -> None:
    taken = {name for name in TOKEN_CAPS if param_error({name: 5}, endpoint) is None}
    assert taken == set(endpoint.token_caps)


@pytest.mark.parametrize("name", sorted(RESPONSES.beyond_the_record))
def test_what_no_record_would_hold_is_refused_at_responses_only(name: str) -> None:
    assert param_error({name: "x"}, RESPONSES) == (name, "unsupported_parameter")
    assert param_error({name: False}, RESPONSES) is None
    assert param_error({name: "x"}, CHAT) is None


@pytest.mark.parametrize(
    ("kind", "is_allowed"),
    [
        ("function", True),
        ("custom", True),
        ("web_search", True),
        ("file_search", False),
        ("mcp", False),
        (None, False),
        (7, False),
    ],
)
def test_a_tool_of_responses_must_be_of_a_known_kind(kind: Any, is_allowed: bool) -> None:
    tools = [{"type": "function"}, {"type": kind}]
    assert param_error({"tools": tools}, RESPONSES) == (None if is_allowed else ("tools[1].type", "unsupported_parameter"))
    assert param_error({"tools": tools}, CHAT) is None


def test_the_operators_list_and_the_servers_list_are_kept() -> None:
    assert param_error({"seed": 1}, refused=frozenset({"seed"})) == ("seed", "unsupported_parameter")
    assert param_error({"model": "m", "seed": 1}, allowed=frozenset({"model"})) == ("seed", "unsupported_parameter")
    assert param_error({"model": "m"}, allowed=frozenset({"model"})) is None


def test_every_set_of_names_has_its_reason() -> None:
    body = ast.parse(inspect.getsource(v1_policy)).body
    unexplained = [
        ast.unparse(one.targets[0])
        for one, following in pairwise(body)
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Call) and not isinstance(following, ast.Expr)
    ]
    assert unexplained == []


# --- messages ----------------------------------------------------------------------------------

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
    (RESPONSES, [{"id": "item_1"}], "input[0]", "unsupported_parameter"),
    (EMBEDDINGS, ["x"] * 4, "input", "array_above_max_length"),
    (EMBEDDINGS, ["x", "x" * 11], "input[1]", "string_above_max_length"),
]


@pytest.mark.parametrize(("endpoint", "messages", "param", "reason"), SHAPES)
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


@pytest.mark.parametrize(
    "message",
    [
        {"role": "r" * 100, "id": "i" * 100, "content": "x" * 10},
        {"content": [{"type": "image_url", "image_url": {"url": "A" * 5000}}]},
        {"content": [{"type": "input_audio", "input_audio": {"data": "A" * 5000}}]},
        {"content": [{"type": "file", "file": {"file_data": "A" * 5000}}]},
    ],
)
def test_names_images_and_files_do_not_count_as_text(message: dict[str, Any]) -> None:
    assert message_error([message]) is None


@pytest.mark.parametrize(
    "part",
    [*({name: "x"} for name in sorted(FOREIGN_KEYS)), {"type": "item_reference"}, {"audio": {"id": "audio_1"}}],
)
@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES], ids=lambda one: one.name)
def test_content_kept_on_the_server_is_refused_wherever_it_is_named(endpoint: Endpoint, part: dict[str, Any]) -> None:
    name = f"{endpoint.messages}[1]"
    for message in ({"role": "user", **part}, {"role": "user", "content": [{"type": "file", "file": part}]}):
        assert message_error([HI, message], endpoint) == (name, "unsupported_parameter")
    assert message_error([HI, {"role": "user", "content": [{"type": "x", "image_url": part}]}], endpoint) is not None


def test_instructions_are_a_message_too() -> None:
    assert message_error("hi", RESPONSES, instructions="x" * 11) == ("instructions", "string_above_max_length")
    assert message_error("hi", RESPONSES, instructions="x" * 10) is None


def test_a_deep_message_does_not_exhaust_the_stack() -> None:
    deep: Any = "x"
    for _ in range(50_000):
        deep = [deep]
    assert message_error([{"content": deep}]) is None


# --- tokens ------------------------------------------------------------------------------------

CAPPED: list[tuple[Endpoint, bool, dict[str, Any], dict[str, Any]]] = [
    (CHAT, False, {}, {"max_tokens": 100}),
    (CHAT, True, {}, {"max_completion_tokens": 100}),
    (CHAT, False, {"max_tokens": 5}, {"max_tokens": 5}),
    (CHAT, True, {"max_tokens": 5}, {"max_tokens": 5}),
    (CHAT, False, {"max_completion_tokens": 5}, {"max_completion_tokens": 5, "max_tokens": 5}),
    (CHAT, True, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
    (CHAT, False, {"max_completion_tokens": 5, "max_tokens": 9}, {"max_completion_tokens": 5, "max_tokens": 9}),
    (CHAT, False, {"n": 4}, {"n": 4, "max_tokens": 25}),
    (CHAT, False, {"n": None, "max_tokens": None}, {"n": None, "max_tokens": 100}),
    (RESPONSES, False, {}, {"max_output_tokens": 100}),
    (RESPONSES, True, {"max_output_tokens": 5}, {"max_output_tokens": 5}),
    (EMBEDDINGS, False, {}, {}),
]


@pytest.mark.parametrize(("endpoint", "wants_newer", "params", "sent"), CAPPED)
def test_the_cap_is_sent_under_the_name_that_the_server_honours(
    endpoint: Endpoint, wants_newer: bool, params: dict[str, Any], sent: dict[str, Any]
) -> None:
    cap_tokens(endpoint, params, CAPS, wants_newer)
    assert params == sent


@pytest.mark.parametrize(
    ("params", "param", "reason"),
    [
        ({"max_tokens": 101}, "max_tokens", "integer_above_max_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": "5"}, "max_tokens", "invalid_type"),
        ({"max_tokens": True}, "max_tokens", "invalid_type"),
        ({"n": 101}, "n", "integer_above_max_value"),
        ({"n": 2, "max_tokens": 51}, "max_tokens", "integer_above_max_value"),
        ({"max_tokens": 5, "max_completion_tokens": 101}, "max_completion_tokens", "integer_above_max_value"),
    ],
)
def test_more_tokens_than_the_cap_are_refused(params: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        cap_tokens(CHAT, params, CAPS, False)
    assert (caught.value.param, caught.value.reason) == (param, reason)


@given(
    cap=st.integers(1, 300),
    n=st.none() | st.integers(1, 300),
    named=st.dictionaries(st.sampled_from(CHAT.token_caps), st.integers(1, 300)),
    newer=st.booleans(),
)
def test_no_body_that_passes_lets_all_choices_exceed_the_cap(cap: int, n: int | None, named: dict[str, int], newer: bool) -> None:
    params: dict[str, Any] = {**named, **({} if n is None else {"n": n})}
    try:
        cap_tokens(CHAT, params, Caps(1, 1, 1, cap), newer)
    except InvalidParameter:
        return
    honoured = [params[name] for name in (CHAT.token_caps if newer else ("max_tokens",)) if name in params]
    assert honoured
    assert max(honoured) * (n or 1) <= cap


# --- flags and names ---------------------------------------------------------------------------


def test_a_flag_is_true_false_or_null() -> None:
    assert [read_flag(members, "stream") for members in ({}, {"stream": None}, {"stream": False}, {"stream": True})] == [
        False,
        False,
        False,
        True,
    ]
    wrong: list[Any] = [0, 1, "true", []]
    for value in wrong:
        with pytest.raises(InvalidParameter):
            read_flag({"stream": value}, "stream")


def test_a_name_is_shown_short_and_without_lone_surrogates() -> None:
    assert shown("x" * 200) == "x" * 100
    assert shown("\ud800") == "\\ud800"
