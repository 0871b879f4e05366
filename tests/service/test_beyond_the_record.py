"""Requests at /v1 that no configuration allows: for data outside the record, of other callers, or past the token cap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from ..support.fake_openai import FakeOpenAI
from ..support.sdk import refused, strict_service
from ..support.sdk_bodies import CHAT, EMBEDDINGS, HI, PLAIN, RESPONSES, check_refused, send
from ..support.service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    with strict_service(tmp_path_factory.mktemp("strict"), fake) as running:
        yield running


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("background", True),
        ("background", "yes"),
        ("previous_response_id", "resp_1"),
        ("previous_response_id", ""),
        ("conversation", "conv_1"),
        ("conversation", {"id": "conv_1"}),
        ("prompt", {"id": "pmpt_1", "version": "2"}),
    ],
)
def test_a_response_may_not_reach_beyond_what_the_record_holds(
    client: OpenAI, service: Service, upstream: FakeOpenAI, name: str, value: Any, stream: bool
) -> None:
    error = refused(client.responses.create, **PLAIN[RESPONSES], **{name: value}, stream=stream)
    assert error.status_code == 400
    check_refused(service, upstream, error, BadRequestError, name, "unsupported_parameter")


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("value", [5, False], ids=repr)
@pytest.mark.parametrize("name", ["n_predict", "num_predict", "max_new_tokens", "best_of", "n_cmpl", "num_return_sequences"])
def test_no_parameter_of_other_servers_lifts_the_cap_on_tokens(
    client: OpenAI, service: Service, upstream: FakeOpenAI, path: str, name: str, value: Any
) -> None:
    error = refused(send, client, path, PLAIN[path] | {name: value})
    check_refused(service, upstream, error, BadRequestError, name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("path", "name"), [(RESPONSES, "max_tokens"), (RESPONSES, "max_completion_tokens"), (CHAT, "max_output_tokens")]
)
def test_no_parameter_of_the_other_endpoint_lifts_it_either(
    client: OpenAI, service: Service, upstream: FakeOpenAI, path: str, name: str
) -> None:
    error = refused(send, client, path, PLAIN[path] | {name: 51})
    assert isinstance(error, BadRequestError)
    check_refused(service, upstream, error, BadRequestError, name, error.code or "")


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("name", ["cache_prompt", "id_slot", "n_cache_reuse"])
def test_a_caller_cannot_find_out_what_another_asked(
    client: OpenAI, service: Service, upstream: FakeOpenAI, path: str, name: str
) -> None:
    """With these, llama.cpp reports how much of a prompt matched an earlier one of any caller."""
    for value in (True, 0):
        error = refused(send, client, path, PLAIN[path] | {name: value})
        check_refused(service, upstream, error, BadRequestError, name, "unsupported_parameter")


FOREIGN: list[tuple[str, dict[str, Any]]] = [
    (RESPONSES, {"type": "item_reference", "id": "msg_1"}),
    (RESPONSES, {**HI, "content": [{"type": "input_file", "file_id": "file-1"}]}),
    (RESPONSES, {**HI, "content": [{"type": "input_image", "file_id": "file-1", "detail": "low"}]}),
    (CHAT, {**HI, "content": [{"type": "file", "file": {"file_id": "file-1"}}]}),
]


@pytest.mark.parametrize(("path", "message"), FOREIGN)
def test_a_message_may_not_name_what_lies_on_the_models_server(
    client: OpenAI, service: Service, upstream: FakeOpenAI, path: str, message: dict[str, Any]
) -> None:
    """All callers share one key there, so the file may be of another caller."""
    member = "messages" if path == CHAT else "input"
    error = refused(send, client, path, {"model": "small", member: [HI, message]})
    check_refused(service, upstream, error, BadRequestError, f"{member}[1]", "unsupported_parameter")


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("kind", ["file_search", "mcp", "code_interpreter", "web_fetch_20250910", "new_one", 5])
def test_a_tool_that_uses_data_outside_the_record_is_refused(
    client: OpenAI, service: Service, upstream: FakeOpenAI, path: str, kind: Any
) -> None:
    harmless = {"type": "function", "name": "weather", "parameters": {}}
    error = refused(send, client, path, PLAIN[path] | {"tools": [harmless, {"type": kind}]})
    check_refused(service, upstream, error, BadRequestError, "tools[1].type", "unsupported_parameter")


@pytest.mark.parametrize(
    ("path", "long"),
    [
        (RESPONSES, {"type": "function_call_output", "call_id": "c", "output": "x" * 201}),
        (RESPONSES, {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "x" * 201}),
        (
            CHAT,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"arguments": "x" * 201}}],
            },
        ),
        (CHAT, {"role": "assistant", "content": None, "reasoning_content": "x" * 201}),
        (CHAT, {"role": "user", "content": [[{"type": "text", "text": "x" * 201}]]}),
    ],
)
def test_a_long_text_counts_wherever_it_is(
    client: OpenAI, service: Service, upstream: FakeOpenAI, path: str, long: dict[str, Any]
) -> None:
    member = "messages" if path == CHAT else "input"
    error = refused(send, client, path, {"model": "small", member: [HI, long]})
    check_refused(service, upstream, error, BadRequestError, f"{member}[1]", "string_above_max_length")


def test_pictures_and_sounds_are_bounded_by_the_body_alone(client: OpenAI, upstream: FakeOpenAI) -> None:
    data = "data:image/png;base64," + "A" * 5000
    parts: Any = [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": data}},
        {"type": "input_audio", "input_audio": {"data": "A" * 5000, "format": "wav"}},
    ]
    send(client, CHAT, {"model": "small", "messages": [{**HI, "content": parts}]})
    send(client, RESPONSES, {"model": "small", "input": [{**HI, "content": [{"type": "input_image", "image_url": data}]}]})
    assert upstream.calls() == 2


def test_null_is_as_if_it_were_not_there(client: OpenAI, upstream: FakeOpenAI) -> None:
    nulls = dict.fromkeys(("n_predict", "cache_prompt", "background", "previous_response_id", "grammar"))
    for path in PLAIN:
        send(client, path, PLAIN[path] | nulls)
    assert upstream.calls() == 3


@pytest.mark.parametrize("name", ["conversation", "prompt", "previous_response_id"])
def test_a_chat_may_not_either_as_gateways_translate_it(
    client: OpenAI, service: Service, upstream: FakeOpenAI, name: str
) -> None:
    error = refused(send, client, CHAT, PLAIN[CHAT] | {name: "x"})
    check_refused(service, upstream, error, BadRequestError, name, "unsupported_parameter")
    send(client, EMBEDDINGS, PLAIN[EMBEDDINGS] | {name: "x"})
