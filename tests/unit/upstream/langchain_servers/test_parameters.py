"""What chat models carry; everything else is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import GenericFakeChatModel

from app.errors import InvalidParameter
from app.upstream.langchain_servers.parameters import Parameters

PARAMETERS = Parameters(ChatAnthropic)
HI: Any = [{"role": "user", "content": "hi"}]
FUNCTION: Any = {"type": "function", "function": {"name": "f"}}


def verify(takes_schemas: bool = False, **members: Any) -> None:
    PARAMETERS.verify({"model": "x", "messages": HI, **members}, takes_schemas=takes_schemas)


def test_a_class_carries_what_it_has_a_field_for() -> None:
    assert {
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "max_completion_tokens",
        "reasoning_effort",
        "tools",
        "stop",
    } <= PARAMETERS.names
    assert not {"seed", "logit_bias", "user", "functions"} & PARAMETERS.names


def test_the_operators_fields_are_no_parameters() -> None:
    own = {"base_url", "anthropic_api_url", "api_key", "anthropic_api_key", "default_headers", "mcp_servers", "container"}
    assert not (own | {"model_kwargs", "max_retries", "cache", "callbacks", "betas", "anthropic_proxy"}) & PARAMETERS.names


@pytest.mark.parametrize(
    "members",
    [
        {"n": 1, "logprobs": False, "store": False, "presence_penalty": 0, "frequency_penalty": 0.0},
        {"n": None, "response_format": {"type": "text"}, "service_tier": "auto", "tools": None, "tool_choice": None},
        {"tools": [FUNCTION], "tool_choice": "none", "parallel_tool_calls": False},
        {"tools": [FUNCTION], "tool_choice": FUNCTION},
        {"messages": [{"role": "assistant", "content": None, "refusal": None, "annotations": [], "reasoning_content": "hm"}]},
    ],
)
def test_what_changes_nothing_or_is_carried_may_stand_there(members: dict[str, Any]) -> None:
    verify(**members)


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"n": 2}, "n"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "url": "http://x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": ["text"]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "url": "http://x"}]}]}, "messages[0].content[0].url"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
        ({"response_format": "text"}, "response_format"),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, "tools[1].type"),
        ({"tools": [FUNCTION, "f"]}, "tools[1].type"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"messages": [*HI, {"role": "user", "content": "x", "audio": {"id": 1}}]}, "messages[1].audio"),
        ({"messages": [{"role": "assistant", "content": "", "function_call": {"name": "f"}}]}, "messages[0].function_call"),
    ],
)
def test_anything_else_is_refused_by_name(members: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        verify(**members)
    assert (caught.value.param, caught.value.reason) == (name, "unsupported_parameter")


@pytest.mark.parametrize("image", [{"url": "http://169.254.169.254/latest"}, "gs://bucket/x", {"url": "/etc/passwd"}])
def test_an_address_goes_only_to_classes_that_pass_it_on(image: Any) -> None:
    """langchain-google-genai would fetch it from here."""
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": image}]
    messages = [{"role": "user", "content": parts}]
    verify(messages=messages)
    with pytest.raises(InvalidParameter) as caught:
        Parameters(GenericFakeChatModel).verify({"messages": messages}, takes_schemas=False)
    assert caught.value.param == "messages[0].content[1].image_url"
    parts[1] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    Parameters(GenericFakeChatModel).verify({"messages": messages}, takes_schemas=False)


def test_a_schema_may_be_asked_of_a_model_that_answers_by_one() -> None:
    verify(takes_schemas=True, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {}}})


def test_a_members_name_that_looks_like_a_secret_is_not_shown() -> None:
    with pytest.raises(InvalidParameter) as caught:
        verify(messages=[{"role": "user", "content": "", "sk-ant-api03-0123456789abcdefghijklmnop": 1}])
    assert "0123456789" not in caught.value.detail


def test_a_class_that_cannot_be_told_to_call_no_tool_refuses_that_by_name() -> None:
    unknown = Parameters(GenericFakeChatModel)
    members: Any = {"model": "x", "messages": HI, "tool_choice": "none"}
    unknown.verify(members, takes_schemas=False)
    with pytest.raises(InvalidParameter) as caught:
        unknown.verify({**members, "tools": [FUNCTION]}, takes_schemas=False)
    assert caught.value.param == "tool_choice"
