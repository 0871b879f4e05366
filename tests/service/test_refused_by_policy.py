"""Refusals at /v1 by the operator's caps, lists and roles: in OpenAI's form, recorded once, without a model call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI

from ..support.fake_openai import FakeOpenAI
from ..support.sdk import client_of, records_named, refused, strict_service
from ..support.sdk_bodies import CHAT, EMBEDDINGS, HI, PLAIN, RESPONSES, check_refused, send
from ..support.service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    with strict_service(tmp_path_factory.mktemp("strict"), fake) as running:
        yield running


@pytest.fixture(scope="module")
def researcher(service: Service) -> Iterator[OpenAI]:
    """A client with one more role."""
    roles = ("--role", "ai.playground.user", "--role", "ai.research")
    secret = service.cli("clients", "add", "researcher", *roles)["client_secret"]
    with client_of(service, service.token("researcher", secret), max_retries=0) as client:
        yield client


BODY = json.dumps({"x_pad": ""} | PLAIN[CHAT], separators=(",", ":"))
TEXT_PARTS: Any = [{"type": "text", "text": "x" * 100}, {"type": "text", "text": "y" * 100}]
CAPS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, str]] = {
    "messages": (CHAT, {"messages": [HI] * 7}, {"messages": [HI] * 8}, "messages", "array_above_max_length"),
    "items": (RESPONSES, {"input": [HI] * 7}, {"input": [HI] * 8}, "input", "array_above_max_length"),
    "texts": (EMBEDDINGS, {"input": ["x"] * 7}, {"input": ["x"] * 8}, "input", "array_above_max_length"),
    "characters": (
        CHAT,
        {"messages": [HI, {**HI, "content": "🐈" * 200}]},
        {"messages": [HI, {**HI, "content": "🐈" * 201}]},
        "messages[1]",
        "string_above_max_length",
    ),
    "characters of all parts": (
        CHAT,
        {"messages": [{**HI, "content": TEXT_PARTS}]},
        {"messages": [{**HI, "content": [*TEXT_PARTS, {"type": "text", "text": "z"}]}]},
        "messages[0]",
        "string_above_max_length",
    ),
    "characters of an item": (
        RESPONSES,
        {"input": [{**HI, "content": [{"type": "input_text", "text": "x" * 200}]}]},
        {"input": [{**HI, "content": [{"type": "input_text", "text": "x" * 201}]}]},
        "input[0]",
        "string_above_max_length",
    ),
    "characters of a text": (
        EMBEDDINGS,
        {"input": ["hi", "x" * 200]},
        {"input": ["hi", "x" * 201]},
        "input[1]",
        "string_above_max_length",
    ),
    "tokens": (CHAT, {"max_tokens": 50}, {"max_tokens": 51}, "max_tokens", "integer_above_max_value"),
    "tokens by their newer name": (
        CHAT,
        {"max_completion_tokens": 50},
        {"max_completion_tokens": 51},
        "max_completion_tokens",
        "integer_above_max_value",
    ),
    "tokens under both names": (
        CHAT,
        {"max_tokens": 50, "max_completion_tokens": 50},
        {"max_tokens": 50, "max_completion_tokens": 51},
        "max_completion_tokens",
        "integer_above_max_value",
    ),
    "tokens of a response": (
        RESPONSES,
        {"max_output_tokens": 50},
        {"max_output_tokens": 51},
        "max_output_tokens",
        "integer_above_max_value",
    ),
    "tokens of all choices": (
        CHAT,
        {"n": 5, "max_tokens": 10},
        {"n": 5, "max_tokens": 11},
        "max_tokens",
        "integer_above_max_value",
    ),
    "choices": (CHAT, {"n": 50}, {"n": 51}, "n", "integer_above_max_value"),
}


@pytest.mark.parametrize("case", CAPS)
def test_each_cap_allows_its_own_value_and_refuses_one_more(
    client: OpenAI, service: Service, upstream: FakeOpenAI, case: str
) -> None:
    path, enough, too_much, param, code = CAPS[case]
    send(client, path, PLAIN[path] | enough)
    assert upstream.calls() == 1
    upstream.reset()
    error = refused(send, client, path, PLAIN[path] | too_much)
    assert error.status_code == 400
    check_refused(service, upstream, error, BadRequestError, param, code)


def test_a_body_of_the_allowed_size_is_accepted_and_one_byte_more_is_413(
    client: OpenAI, service: Service, upstream: FakeOpenAI
) -> None:
    send(client, CHAT, {"x_pad": "x" * (20_000 - len(BODY))} | PLAIN[CHAT])
    assert upstream.calls() == 1
    upstream.reset()
    error = refused(send, client, CHAT, {"x_pad": "x" * (20_001 - len(BODY))} | PLAIN[CHAT])
    assert error.status_code == 413
    check_refused(service, upstream, error, APIStatusError, None, "too_large")


def test_tokens_of_an_embedding_are_bounded_by_the_body_alone(client: OpenAI, upstream: FakeOpenAI) -> None:
    for tokens in ([5] * 1000, [[5] * 500, [6] * 500]):
        send(client, EMBEDDINGS, {"model": "small", "input": tokens})
    assert upstream.calls() == 2


@pytest.mark.parametrize("path", [RESPONSES, EMBEDDINGS])
@pytest.mark.parametrize("first", [5, True])
def test_a_number_before_them_lets_no_texts_pass(
    client: OpenAI, service: Service, upstream: FakeOpenAI, path: str, first: Any
) -> None:
    error = refused(send, client, path, {"model": "small", "input": [first, "x" * 201]})
    assert isinstance(error, BadRequestError)
    assert upstream.calls() == 0


def test_a_role_with_caps_gives_them_to_its_clients(researcher: OpenAI, upstream: FakeOpenAI) -> None:
    long: Any = {**HI, "content": "x" * 400}
    send(researcher, CHAT, {"model": "small", "messages": [long] * 9, "max_tokens": 80, "x_pad": "x" * 22_000})
    send(researcher, CHAT, PLAIN[CHAT])
    assert "max_tokens" not in json.loads(upstream.seen()["bodies"][-1])
    for more in ({"messages": [long] * 10}, {"messages": [{**HI, "content": "x" * 401}]}, {"max_tokens": 81}):
        assert refused(send, researcher, CHAT, PLAIN[CHAT] | more).status_code == 400
    assert refused(send, researcher, CHAT, PLAIN[CHAT] | {"x_pad": "x" * 30_000}).status_code == 413
    assert upstream.calls() == 2


# --- parameters --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [5, 0, 0.0, True, False, "5", [], {}], ids=repr)
@pytest.mark.parametrize("path", PLAIN)
def test_a_parameter_the_operator_refuses_is_refused_whatever_its_value(
    client: OpenAI, service: Service, upstream: FakeOpenAI, path: str, value: Any
) -> None:
    for name in ("grammar", "logits_processors"):
        error = refused(send, client, path, PLAIN[path] | {name: value})
        assert error.status_code == 400
        check_refused(service, upstream, error, BadRequestError, name, "unsupported_parameter")


def test_embeddings_do_not_stream(client: OpenAI, service: Service, upstream: FakeOpenAI) -> None:
    error = refused(client.embeddings.create, **PLAIN[EMBEDDINGS], extra_body={"stream": True})
    check_refused(service, upstream, error, BadRequestError, "stream", "unsupported_parameter")


WRONG: list[tuple[str, Any, str, str]] = [
    (CHAT, {"messages": [HI]}, "model", "missing_required_parameter"),
    (CHAT, {"model": "small"}, "messages", "missing_required_parameter"),
    (RESPONSES, {"model": "small", "input": None}, "input", "missing_required_parameter"),
    (EMBEDDINGS, {"model": "small"}, "input", "missing_required_parameter"),
    (CHAT, PLAIN[CHAT] | {"model": ["small"]}, "model", "invalid_type"),
    (CHAT, PLAIN[CHAT] | {"messages": "hi"}, "messages", "invalid_type"),
    (CHAT, PLAIN[CHAT] | {"messages": ["hi"]}, "messages", "invalid_type"),
    (RESPONSES, PLAIN[RESPONSES] | {"input": {"role": "user"}}, "input", "invalid_type"),
    (CHAT, PLAIN[CHAT] | {"stream": "true"}, "stream", "invalid_type"),
    (CHAT, PLAIN[CHAT] | {"stream": True, "stream_options": [1]}, "stream_options", "invalid_type"),
    (CHAT, PLAIN[CHAT] | {"max_tokens": 5.0}, "max_tokens", "invalid_type"),
    (CHAT, PLAIN[CHAT] | {"max_tokens": True}, "max_tokens", "invalid_type"),
    (CHAT, PLAIN[CHAT] | {"n": "2"}, "n", "invalid_type"),
    (CHAT, PLAIN[CHAT] | {"n": 0}, "n", "integer_below_min_value"),
    (CHAT, PLAIN[CHAT] | {"max_tokens": -1}, "max_tokens", "integer_below_min_value"),
    (CHAT, PLAIN[CHAT] | {"messages": []}, "messages", "empty_array"),
    (RESPONSES, PLAIN[RESPONSES] | {"input": ""}, "input", "empty_string"),
    (RESPONSES, PLAIN[RESPONSES] | {"input": "x" * 201}, "input", "string_above_max_length"),
    (CHAT, PLAIN[CHAT] | {"models": ["another"]}, "models", "unsupported_parameter"),
    (CHAT, PLAIN[CHAT] | {"api_base": "http://127.0.0.1:9"}, "api_base", "unsupported_parameter"),
    (RESPONSES, PLAIN[RESPONSES] | {"input": [{"id": "msg_1"}]}, "input[0]", "unsupported_parameter"),
    (f"{CHAT}?version=1", PLAIN[CHAT], "version", "unknown_parameter"),
    (f"{RESPONSES}?api-version=2024-10-21&beta=true", PLAIN[RESPONSES], "beta", "unknown_parameter"),
]


@pytest.mark.parametrize(("path", "members", "param", "code"), WRONG)
def test_an_invalid_value_is_refused_with_the_name_of_its_member(
    client: OpenAI, service: Service, upstream: FakeOpenAI, path: str, members: Any, param: str, code: str
) -> None:
    error = refused(send, client, path, members)
    assert error.status_code == 400
    check_refused(service, upstream, error, BadRequestError, param, code)


@pytest.mark.parametrize("path", PLAIN)
def test_azures_version_passes_in_the_address(client: OpenAI, upstream: FakeOpenAI, path: str) -> None:
    send(client, f"{path}?api-version=2024-10-21", PLAIN[path])
    assert upstream.calls() == 1


@pytest.mark.parametrize("path", ["/edits", "/v1/chat/completions", "/files"])
def test_an_address_that_is_not_there_says_which_are(client: OpenAI, service: Service, path: str) -> None:
    error = refused(send, client, path, PLAIN[CHAT])
    assert "POST /v1/chat/completions, POST /v1/responses, POST /v1/embeddings" in str(error)
    (record,) = records_named(service, error.request_id)
    assert record["details"]["path"] == "/v1" + path


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1], ids=["above", "below"])
def test_a_number_that_would_be_forwarded_as_another_is_refused(client: OpenAI, upstream: FakeOpenAI, number: int) -> None:
    error = refused(send, client, CHAT, PLAIN[CHAT] | {"seed": number})
    assert (error.status_code, error.type, upstream.calls()) == (400, "invalid_request_error", 0)


# --- models ------------------------------------------------------------------------------------------


def test_a_role_sees_its_own_models(client: OpenAI, researcher: OpenAI, service: Service) -> None:
    assert [model.id for model in client.models.list()] == ["small", "clamped", "newer", "old/one", "vectors"]
    assert [model.id for model in researcher.models.list()] == ["small", "clamped", "newer", "old/one", "research", "vectors"]
    assert client.models.retrieve("old/one").owned_by == "old"
    changed = int((service.folder / "models.toml").stat().st_mtime)
    assert {model.created for model in researcher.models.list()} == {changed}


def test_the_model_of_another_role_is_refused_like_an_unknown_one(
    client: OpenAI, researcher: OpenAI, service: Service, upstream: FakeOpenAI
) -> None:
    refusals = []
    for name in ("research", "unknown", "vendor/small-1:free", "Small", ""):
        for path in PLAIN:
            error = refused(send, client, path, PLAIN[path] | {"model": name})
            assert error.status_code == 404
            check_refused(service, upstream, error, NotFoundError, None, "model_not_found")
            refusals.append(error.response.json())
    refusals.append(refused(client.models.retrieve, "research").response.json())
    assert all(one == refusals[0] for one in refusals)
    send(researcher, CHAT, PLAIN[CHAT] | {"model": "research"})
    assert upstream.calls() == 1


def test_a_model_is_used_at_its_own_endpoints_only(client: OpenAI, service: Service, upstream: FakeOpenAI) -> None:
    for path in (CHAT, RESPONSES):
        error = refused(send, client, path, PLAIN[path] | {"model": "vectors"})
        check_refused(service, upstream, error, NotFoundError, None, "model_not_found")
    send(client, EMBEDDINGS, PLAIN[EMBEDDINGS] | {"model": "vectors"})
    assert upstream.calls() == 1
