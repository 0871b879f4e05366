"""How OpenAI's Python SDK reports our refusals and failures: its error classes and their codes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)

from ..support.fake_openai import FakeOpenAI
from ..support.sdk import (
    ANSWER,
    CHAT,
    MESSAGES,
    MODEL,
    RESPONSE,
    ask,
    check_error,
    client_of,
    hasty,
    newcomer,
    records_named,
    refused,
    texts_of,
)
from ..support.service import Service
from ..support.tokens import forged
from ..support.waiting import eventually

SECRET_TEXT = "text of the model's server, which is nobody's business"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """Two calls per minute for each principal, and a short deadline."""
    env: dict[str, Any] = {"RATE_LIMIT": "2", "LLM_TIMEOUT_SECONDS": "3"}
    with Service(tmp_path_factory.mktemp("strict"), OPENAI_BASE_URL=fake.base_url, **env) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service, token: str) -> Iterator[OpenAI]:
    """It does not retry, so that an error is the answer to one request."""
    with client_of(service, token, max_retries=0) as client:
        yield client


# --- authorisation -----------------------------------------------------------------------------------------


def test_a_caller_without_a_good_token_gets_an_authentication_error(service: Service) -> None:
    for token, code in (("not-a-token", "invalid_api_key"), (forged(service, iat=1000, nbf=1000, exp=1001), "token_expired")):
        with client_of(service, token) as stranger:
            errors = [
                refused(ask, stranger),
                refused(ask, stranger, stream=True),
                refused(stranger.models.list),
                refused(stranger.responses.create, **RESPONSE),
                refused(stranger.embeddings.create, model=MODEL, input="x"),
            ]
        for error in errors:
            check_error(error, AuthenticationError, 401, "invalid_request_error", code)
            assert error.response.headers["www-authenticate"].startswith("Bearer ")


def test_a_caller_without_the_role_is_denied(service: Service) -> None:
    token = service.token("reader", service.add_client("reader", "ai.audit.reader"))
    with client_of(service, token) as reader:
        errors = [
            refused(ask, reader),
            refused(reader.models.list),
            refused(reader.models.retrieve, MODEL),
            refused(reader.responses.create, **RESPONSE, stream=True),
            refused(reader.embeddings.create, model=MODEL, input="x"),
        ]
    for error in errors:
        check_error(error, PermissionDeniedError, 403, "invalid_request_error", "missing_scope")
        (record,) = records_named(service, error.request_id)
        assert (record["action"], record["user_id"]) == ("ask.refused", "reader")


def test_too_many_calls_are_a_rate_limit_error_that_says_when_to_come_back(strict: Service) -> None:
    with newcomer(strict, "hasty", max_retries=0) as client:
        assert [ask(client).choices[0].message.content for _ in range(2)] == [ANSWER] * 2
        error = refused(ask, client)
    check_error(error, RateLimitError, 429, "requests", "rate_limit_exceeded")
    headers = error.response.headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "0")
    assert 0 < int(headers["retry-after-ms"]) <= 1000 * int(headers["retry-after"]) <= 60_000
    assert "x-should-retry" not in headers


def test_over_the_limit_it_waits_as_long_as_the_answer_says(strict: Service, upstream: FakeOpenAI) -> None:
    with hasty(strict, "over") as client:
        for _ in range(2):
            ask(client)
        refused(ask, client)
    assert [wait for _, wait in client.waits] == [int(told or 0) / 1000 for told, _ in client.waits]
    assert len(client.waits) == 2
    assert upstream.calls() == 2


# --- the request -----------------------------------------------------------------------------


def test_an_unknown_model_or_address_is_a_not_found_error(client: OpenAI, service: Service, upstream: FakeOpenAI) -> None:
    errors = [
        refused(client.chat.completions.create, model="gpt-9", messages=MESSAGES),
        refused(client.responses.create, model="gpt-9", input="hi", stream=True),
        refused(client.embeddings.create, model="gpt-9", input="hi"),
        refused(client.models.retrieve, "gpt-9"),
        refused(client.files.list),
    ]
    for error, code in zip(errors, [*["model_not_found"] * 4, "unknown_url"], strict=True):
        check_error(error, NotFoundError, 404, "invalid_request_error", code)
        assert [record["action"] for record in records_named(service, error.request_id)] == ["request.refused"]
    assert upstream.calls() == 0


def test_a_wrong_method_is_an_error_that_names_it(client: OpenAI) -> None:
    error = refused(client.models.delete, MODEL)
    check_error(error, APIStatusError, 405, "invalid_request_error", "method_not_supported")
    assert error.response.headers["allow"] == "GET"


# --- errors of the model's server --------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (400, BadRequestError),
        (404, NotFoundError),
        (409, ConflictError),
        (413, APIStatusError),
        (422, UnprocessableEntityError),
    ],
)
def test_a_refusal_by_the_models_server_has_its_status_but_not_its_text(
    client: OpenAI, service: Service, upstream: FakeOpenAI, told: int, kind: type[APIStatusError], stream: bool
) -> None:
    body = '{"error": {"message": "%s", "type": "%s", "param": "%s", "code": "%s"}}'
    named, other, words = "messages[0].role", "tools[0].name", "two words"
    for param, code, shown in ((named, "bad_role", "bad_role"), (other, "bad", "bad"), (words, "Not a word", "upstream_refused")):
        upstream.set(f"status:{told}", body=body % (SECRET_TEXT, SECRET_TEXT, param, code))
        error = refused(ask, client, stream=stream)
        check_error(error, kind, told, "invalid_request_error", shown)
        assert error.param == (param if param == named else None), "only what the caller's body holds is named"
        assert "business" not in error.response.text
        assert error.response.headers["x-should-retry"] == "false"
        received, failed = records_named(service, error.request_id)
        assert (failed["action"], failed["details"]["code"]) == ("ask.failed", "upstream_refused")
        assert failed["details"]["received"] == received["seq"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("status:401", 502, "upstream_denied"),
        ("status:403", 502, "upstream_denied"),
        ("status:429", 503, "upstream_unavailable"),
        ("status:500", 503, "upstream_unavailable"),
        ("close", 503, "upstream_unavailable"),
        ("garbage", 502, "upstream_error"),
        ("redirect", 502, "upstream_denied"),
    ],
)
def test_a_fault_of_the_models_server_is_an_internal_server_error(
    client: OpenAI, service: Service, upstream: FakeOpenAI, mode: str, status: int, code: str, stream: bool
) -> None:
    upstream.set(mode)
    error = refused(client.responses.create, **RESPONSE, stream=stream)
    check_error(error, InternalServerError, status, "server_error", code)
    assert [record["action"] for record in records_named(service, error.request_id)] == ["ask.received", "ask.failed"]


# --- time --------------------------------------------------------------------------------------------


def test_a_model_that_does_not_answer_in_time_is_a_504(strict: Service, upstream: FakeOpenAI) -> None:
    upstream.set("hang")
    with newcomer(strict, "patient") as client:
        error = refused(ask, client)
    check_error(error, InternalServerError, 504, "server_error", "upstream_timeout")
    assert error.response.headers["x-should-retry"] == "false"
    assert upstream.calls() == 1, "the SDK would ask three times"


def test_a_model_that_falls_silent_ends_its_stream_with_an_error(strict: Service, upstream: FakeOpenAI) -> None:
    upstream.set("stall:2")
    seen: list[Any] = []
    with newcomer(strict, "listener", max_retries=0, timeout=20) as client:
        stream = ask(client, stream=True)
        with pytest.raises(APIError) as caught:
            seen.extend(stream)
    assert (type(caught.value), caught.value.code) == (APIError, "upstream_timeout")
    assert len(texts_of(seen)) == 2
    assert strict.records()[-1]["details"]["delivered"]["answer"] == "".join(texts_of(seen))


def test_an_impatient_caller_is_told_before_it_gives_up(client: OpenAI, service: Service, upstream: FakeOpenAI) -> None:
    """Its SDK sends its timeout. Where the answer comes too late all the same, the caller is gone."""
    upstream.set("hang")
    for stream in (False, True):
        with pytest.raises((InternalServerError, APITimeoutError)):
            client.chat.completions.create(**CHAT, stream=stream, timeout=2)
        eventually(lambda: upstream.calls("open") == 0)
        eventually(lambda: service.records()[-1]["action"] == "ask.failed")
        assert service.records()[-1]["details"]["code"] in ("upstream_timeout", "client_gone")


def test_a_service_that_is_gone_is_a_connection_error(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service, newcomer(service, "alice", max_retries=0) as client:
        assert ask(client).choices[0].message.content == ANSWER
        service.stop()
        with pytest.raises(APIConnectionError) as caught:
            ask(client)
    assert type(caught.value) is APIConnectionError
