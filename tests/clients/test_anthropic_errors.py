"""How Anthropic's Python SDK reports our refusals and failures, and when it tries again: its error classes, our codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import (
    Anthropic,
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)

from ..support.anthropic_sdk import (
    ASKED,
    anthropic_newcomer,
    anthropic_of,
    ask,
    check_error,
    hasty_anthropic,
    refused,
    text_of,
    texts_of,
)
from ..support.fake_openai import FakeOpenAI
from ..support.sdk import ANSWER, MODEL, records_named
from ..support.service import HTTP, Service
from ..support.tokens import forged
from ..support.waiting import eventually

SECRET_TEXT = "text of the model's server, which is nobody's business"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """Two calls per minute for each principal, and a short deadline."""
    env: dict[str, Any] = {"RATE_LIMIT": "2", "LLM_TIMEOUT_SECONDS": "3", "V1_MAX_BODY_BYTES": "2000", "V1_MAX_TOKENS": "100"}
    with Service(tmp_path_factory.mktemp("strict"), OPENAI_BASE_URL=fake.base_url, **env) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service, token: str) -> Iterator[Anthropic]:
    """It does not retry, so that an error is the answer to one request."""
    with anthropic_of(service, token, max_retries=0) as client:
        yield client


# --- authorisation -----------------------------------------------------------------------------------------


def test_a_caller_without_a_good_token_gets_an_authentication_error(service: Service) -> None:
    for token, code in (("not-a-token", "invalid_token"), (forged(service, iat=1000, nbf=1000, exp=1001), "token_expired")):
        with anthropic_of(service, token) as stranger:
            errors = [
                refused(ask, stranger),
                refused(ask, stranger, stream=True),
                refused(stranger.messages.count_tokens, model=MODEL, messages=ASKED["messages"]),
            ]
        for error in errors:
            check_error(error, AuthenticationError, 401, "authentication_error", code)


def test_a_key_and_a_token_that_differ_are_refused(service: Service, token: str) -> None:
    with anthropic_of(service, token, max_retries=0) as client:
        both = {"X-Api-Key": token, "Authorization": "Bearer other"}
        check_error(refused(ask, client, extra_headers=both), AuthenticationError, 401, "authentication_error", "invalid_token")
        same = {"X-Api-Key": token, "Authorization": f"Bearer {token}"}
        assert text_of(ask(client, extra_headers=same)) == ANSWER


def test_a_caller_without_the_role_is_denied(service: Service) -> None:
    token = service.token("reader", service.add_client("reader", "ai.audit.reader"))
    with anthropic_of(service, token) as reader:
        error = refused(ask, reader)
    check_error(error, PermissionDeniedError, 403, "permission_error", "insufficient_scope")
    (record,) = records_named(service, error.request_id)
    assert (record["action"], record["user_id"]) == ("ask.refused", "reader")


def test_too_many_calls_are_a_rate_limit_error_that_says_when_to_come_back(strict: Service) -> None:
    with hasty_anthropic(strict, "hasty") as client:
        assert [text_of(ask(client)) for _ in range(2)] == [ANSWER] * 2
        error = refused(ask, client)
    check_error(error, RateLimitError, 429, "rate_limit_error", "rate_limited")
    assert len(client.waits) == 2
    assert [wait for _, wait in client.waits] == [int(told or 0) / 1000 for told, _ in client.waits]


# --- the request -----------------------------------------------------------------------------


def test_what_is_wrong_with_a_request_is_named(client: Anthropic, service: Service, upstream: FakeOpenAI) -> None:
    for error in (refused(ask, client, model="gpt-9"), refused(ask, client, model="gpt-9", stream=True)):
        check_error(error, NotFoundError, 404, "not_found_error", "model_not_found")
    for wrong, param in (
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"extra_body": {"n_predict": 9}}, "n_predict"),
        ({"extra_query": {"key": "x"}}, "key"),
        ({"extra_headers": {"anthropic-beta": "x" * 3000}}, "anthropic-beta"),
    ):
        error = refused(ask, client, **wrong)
        check_error(error, BadRequestError, 400, "invalid_request_error", "invalid_request")
        assert error.response.json()["error"]["details"]["param"] == param
        assert [record["action"] for record in records_named(service, error.request_id)] == ["request.refused"]
    assert upstream.calls() == 0


def test_a_body_that_is_too_large_is_refused_before_it_is_read(strict: Service) -> None:
    with anthropic_newcomer(strict, "large", max_retries=0) as client:
        error = refused(ask, client, system="x" * 3000)
        assert (error.status_code, error.type, error.error_code) == (413, "request_too_large", "too_large")
        check_error(refused(ask, client, max_tokens=101), BadRequestError, 400, "invalid_request_error", "invalid_request")


# --- errors of the model's server --------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("told", "kind", "type_"),
    [
        (400, BadRequestError, "invalid_request_error"),
        (404, NotFoundError, "not_found_error"),
        (409, ConflictError, "conflict_error"),
        (422, UnprocessableEntityError, "invalid_request_error"),
    ],
)
def test_a_refusal_by_the_models_server_has_its_status_but_not_its_text(
    client: Anthropic, service: Service, upstream: FakeOpenAI, told: int, kind: type[APIStatusError], type_: str, stream: bool
) -> None:
    upstream.set(f"status:{told}", body=json.dumps({"type": "error", "error": {"type": "x", "message": SECRET_TEXT}}))
    error = refused(ask, client, stream=stream)
    check_error(error, kind, told, type_, "upstream_refused")
    assert "business" not in error.response.text
    assert error.response.headers["x-should-retry"] == "false"
    assert [record["action"] for record in records_named(service, error.request_id)] == ["ask.received", "ask.failed"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("mode", "status", "type_", "code"),
    [
        ("status:401", 502, "api_error", "upstream_denied"),
        ("status:429", 503, "overloaded_error", "upstream_unavailable"),
        ("status:529", 503, "overloaded_error", "upstream_unavailable"),
        ("close", 503, "overloaded_error", "upstream_unavailable"),
        ("garbage", 502, "api_error", "upstream_error"),
    ],
)
def test_a_fault_of_the_models_server_is_an_internal_server_error(
    client: Anthropic, upstream: FakeOpenAI, mode: str, status: int, type_: str, code: str, stream: bool
) -> None:
    upstream.set(mode)
    error = refused(ask, client, stream=stream)
    assert isinstance(error, InternalServerError)
    assert (error.status_code, error.type, error.error_code) == (status, type_, code)


@pytest.mark.parametrize("body", ['{"detail": "Not Found"}', "", '{"error": {"message": "Invalid URL", "type": "x"}}'])
def test_a_server_without_this_protocol_is_a_bad_request_that_says_so(
    client: Anthropic, service: Service, upstream: FakeOpenAI, body: str
) -> None:
    upstream.set("status:404", body=body)
    error = refused(ask, client)
    check_error(error, BadRequestError, 400, "invalid_request_error", "protocol_not_served")
    (_, failed) = records_named(service, error.request_id)
    assert (failed["action"], failed["details"]["code"]) == ("ask.failed", "protocol_not_served")


def test_an_unpaid_bill_is_told_once(service: Service, upstream: FakeOpenAI) -> None:
    told = '{"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low."}}'
    upstream.set("status:400", body=told)
    with hasty_anthropic(service, "unpaid") as client:
        error = refused(ask, client)
    assert (error.status_code, error.type, error.error_code) == (402, "billing_error", "upstream_out_of_quota")
    assert (client.waits, upstream.calls()) == ([], 1)


# --- streams, retries and time --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "type_", "code"),
    [
        ("error_event:2", "api_error", "upstream_error"),
        ("garbage_event:2", "api_error", "upstream_error"),
        ("cut:2", "overloaded_error", "upstream_unavailable"),
        ("stall:2", "timeout_error", "upstream_timeout"),
    ],
)
def test_a_stream_that_breaks_off_raises_and_its_record_says_what_came(
    strict: Service, upstream: FakeOpenAI, mode: str, type_: str, code: str
) -> None:
    upstream.set(mode)
    seen: list[Any] = []
    with anthropic_newcomer(strict, f"listener-{code}-{mode[:3]}"[:32], max_retries=0, timeout=20) as client:
        stream = ask(client, stream=True)
        with pytest.raises(APIStatusError) as caught:
            seen.extend(stream)
    assert (caught.value.type, caught.value.error_code) == (type_, code)
    assert len(texts_of(seen)) == 2
    failed = strict.records()[-1]
    assert (failed["action"], failed["details"]["code"]) == ("ask.failed", code)
    assert failed["details"]["delivered"]["answer"] == "".join(texts_of(seen))


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_model_that_does_not_answer_in_time_is_asked_once(strict: Service, upstream: FakeOpenAI, stream: bool) -> None:
    upstream.set("hang")
    with hasty_anthropic(strict, f"patient-{stream}") as client:
        error = refused(ask, client, stream=stream)
    assert isinstance(error, InternalServerError)
    assert (error.status_code, error.type, error.error_code) == (504, "timeout_error", "upstream_timeout")
    assert (client.waits, upstream.calls()) == ([], 1)


def test_a_temporary_error_is_tried_three_times_after_the_named_time(service: Service, upstream: FakeOpenAI) -> None:
    upstream.set("status:500", headers={"Retry-After": "7"})
    with hasty_anthropic(service, "tried-thrice") as client:
        refused(ask, client)
    assert client.waits == [("7000", 7.0)] * 2
    assert upstream.calls() == 3


def test_while_nothing_can_be_recorded_no_retry_and_no_model_call_is_made(service: Service, upstream: FakeOpenAI) -> None:
    away = service.log.with_name("away")
    with hasty_anthropic(service, "unrecorded") as client:
        service.log.rename(away)
        try:
            for stream in (False, True):
                error = refused(ask, client, stream=stream)
                assert (error.status_code, error.type, error.error_code) == (503, "api_error", "audit_unavailable")
        finally:
            away.rename(service.log)
        service.wait_ready()
        assert text_of(ask(client)) == ANSWER
    assert (client.waits, upstream.calls()) == ([], 1)


def test_an_impatient_caller_is_told_before_it_gives_up(client: Anthropic, service: Service, upstream: FakeOpenAI) -> None:
    """Its SDK sends its timeout. Where the answer comes too late all the same, the caller is gone."""
    upstream.set("hang")
    for stream in (False, True):
        with pytest.raises((InternalServerError, APITimeoutError)):
            ask(client, stream=stream, timeout=2)
        eventually(lambda: upstream.calls("open") == 0)
        eventually(lambda: service.records()[-1]["action"] == "ask.failed")
        assert service.records()[-1]["details"]["code"] in ("upstream_timeout", "client_gone")


def test_a_service_that_is_gone_is_a_connection_error(tmp_path: Path, fake: FakeOpenAI) -> None:
    with (
        Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service,
        anthropic_newcomer(service, "alice", max_retries=0) as client,
    ):
        assert text_of(ask(client)) == ANSWER
        service.stop()
        with pytest.raises(APIConnectionError):
            ask(client)


def test_another_method_is_an_error_in_the_same_form(client: Anthropic, service: Service, token: str) -> None:
    answer = HTTP.get(service.url + "/v1/messages", headers={"x-api-key": token})
    assert (answer.status_code, answer.json()["error"]["type"]) == (405, "invalid_request_error")
    with pytest.raises(APIError) as caught:
        client.messages.batches.list()
    assert isinstance(caught.value, NotFoundError)
