"""Anthropic's SDK for Node.js against a running service, with only a base URL and a token."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.fake_messages import COUNTED
from ..support.fake_openai import FakeOpenAI
from ..support.node_sdk import receipt_in, use_node_sdk
from ..support.sdk import ANSWER, CALLED, MODEL, record_of, records_named
from ..support.service import Service


@pytest.fixture(scope="module")
def seen(service: Service, fake: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The output of tests/support/node/anthropic.js."""
    return use_node_sdk("anthropic.js", "@anthropic-ai/sdk", service.url, service, fake, tmp_path_factory.mktemp("node"))


@pytest.fixture
def answers(seen: dict[str, Any]) -> Any:
    return seen["answers"]


@pytest.mark.parametrize("name", ["message", "byKey", "picture", "streamHelper", "beta"])
def test_an_answer_is_the_upstreams(answers: Any, name: str) -> None:
    assert [block["text"] for block in answers[name]["content"]] == [ANSWER]
    assert answers[name]["stop_reason"] == "end_turn"


def test_answers_and_streams_have_their_receipts(answers: Any, service: Service) -> None:
    *events, last = answers["stream"]
    texts = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert ("".join(texts), len(texts) > 1, last["type"]) == (ANSWER, True, "message_stop")
    receipts = [receipt_in(answers["message"]), receipt_in(last)]
    assert [record_of(service, one)["details"]["answer"] for one in receipts] == [ANSWER] * 2
    assert service.verify(*receipts)["ok"]
    received, answered = records_named(service, answers["requestID"])
    assert (received["action"], answered["action"]) == ("ask.received", "ask.answered")


@pytest.mark.parametrize("name", ["tool", "toolStream"])
def test_a_tool_is_called(answers: Any, name: str) -> None:
    (block,) = answers[name]["content"]
    assert (answers[name]["stop_reason"], block["name"], block["input"]) == ("tool_use", "weather", CALLED)


def test_tokens_are_counted(answers: Any, service: Service) -> None:
    assert answers["count"]["input_tokens"] == COUNTED
    assert record_of(service, receipt_in(answers["count"]))["details"]["answer"] == {"input_tokens": COUNTED}


def test_models_are_listed_and_found(answers: Any) -> None:
    (model,) = answers["models"]
    assert answers["model"] == model
    assert (model["id"], model["type"], model["display_name"], model["max_tokens"]) == (MODEL, "model", MODEL, 131_072)


FAILURES = {
    # name: class, status, our code, type, how often the model was asked
    "unproven": ("AuthenticationError", 401, "invalid_token", "authentication_error", 0),
    "unprovenStream": ("AuthenticationError", 401, "invalid_token", "authentication_error", 0),
    "withoutRole": ("PermissionDeniedError", 403, "insufficient_scope", "permission_error", 0),
    "unknownModel": ("NotFoundError", 404, "model_not_found", "not_found_error", 0),
    "unknownListed": ("NotFoundError", 404, "model_not_found", "not_found_error", 0),
    "unknownAddress": ("NotFoundError", 404, "not_found", "not_found_error", 0),
    "notAllowed": ("BadRequestError", 400, "invalid_request", "invalid_request_error", 0),
    "refused400": ("BadRequestError", 400, "upstream_refused", "invalid_request_error", 1),
    "refused404": ("NotFoundError", 404, "upstream_refused", "not_found_error", 1),
    "refused409": ("ConflictError", 409, "upstream_refused", "conflict_error", 1),
    "refused413": ("ContentTooLargeError", 413, "upstream_refused", "request_too_large", 1),
    "refused422": ("UnprocessableEntityError", 422, "upstream_refused", "invalid_request_error", 1),
    "notServed": ("BadRequestError", 400, "protocol_not_served", "invalid_request_error", 1),
    "unpaid": ("PaymentRequiredError", 402, "upstream_out_of_quota", "billing_error", 1),
    "down": ("ServiceUnavailableError", 503, "upstream_unavailable", "overloaded_error", 3),
    "garbled": ("InternalServerError", 502, "upstream_error", "api_error", 1),
    "brokenOff": ("APIError", None, "upstream_unavailable", "overloaded_error", 1),
    "toldInTheStream": ("APIError", None, "upstream_error", "api_error", 1),
    "tooSlow": ("APIConnectionTimeoutError", None, None, None, 1),
    "nobodyThere": ("APIConnectionError", None, None, None, 0),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_the_sdks_own_error_after_the_announced_retries(
    seen: dict[str, Any], service: Service, name: str
) -> None:
    told = seen["failures"][name]
    assert tuple(told.get(member) for member in ("name", "status", "errorCode", "type", "calls")) == FAILURES[name], told
    if told.get("status"):
        assert records_named(service, told["requestID"])


def test_every_failure_of_the_script_is_checked(seen: dict[str, Any]) -> None:
    assert set(seen["failures"]) == set(FAILURES)
