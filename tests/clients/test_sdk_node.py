"""OpenAI's SDK for Node.js against a running service, with only a base URL and a token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..support.fake_openai import FakeOpenAI
from ..support.node_sdk import receipt_in, use_node_sdk
from ..support.sdk import ANSWER, CALLED, MODEL, record_of, records_named
from ..support.service import Service


@pytest.fixture(scope="module")
def seen(service: Service, fake: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The output of tests/support/node/sdk.js."""
    return use_node_sdk("sdk.js", "openai", service.url + "/v1", service, fake, tmp_path_factory.mktemp("node"))


@pytest.fixture
def answers(seen: dict[str, Any]) -> Any:
    return seen["answers"]


def text_of(completion: dict[str, Any]) -> str:
    return str(completion["choices"][0]["message"]["content"])


def test_a_chat_answer_is_the_upstreams_with_a_receipt_in(answers: Any, service: Service) -> None:
    assert text_of(answers["chat"]) == text_of(answers["picture"]) == text_of(answers["streamHelper"]) == ANSWER
    assert answers["chat"]["usage"]["total_tokens"] == 19
    assert record_of(service, receipt_in(answers["chat"]))["details"]["answer"] == ANSWER


@pytest.mark.parametrize(("name", "counted"), [("stream", []), ("countedStream", [19])])
def test_a_stream_gives_the_same_text_and_its_receipt_in_the_last_chunk(
    answers: Any, service: Service, name: str, counted: list[int]
) -> None:
    *chunks, last = answers[name]
    deltas = [choice["delta"].get("content") or "" for chunk in [*chunks, last] for choice in chunk["choices"]]
    assert "".join(deltas) == ANSWER
    assert len([delta for delta in deltas if delta]) > 1
    assert [chunk["usage"]["total_tokens"] for chunk in [*chunks, last] if chunk.get("usage")] == counted
    assert not any("receipt" in chunk for chunk in chunks)
    assert record_of(service, receipt_in(last))["details"]["answer"] == ANSWER


def test_headers_name_the_request_and_the_limit(answers: Any, service: Service) -> None:
    received, answered = records_named(service, answers["requestID"])
    assert (received["action"], answered["action"]) == ("ask.received", "ask.answered")
    headers = answers["headers"]
    (*_, record) = records_named(service, headers["x-request-id"])
    assert (headers["x-audit-seq"], headers["x-audit-hash"]) == (str(record["seq"]), record["hash"])
    assert headers["x-ratelimit-limit-requests"] == "10000000"


@pytest.mark.parametrize("name", ["tool", "toolStream"])
def test_a_tool_is_called(answers: Any, name: str) -> None:
    (choice,) = answers[name]["choices"]
    (called,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert (called["function"]["name"], json.loads(called["function"]["arguments"])) == ("weather", CALLED)


def test_structured_answers_are_parsed(answers: Any) -> None:
    assert answers["parsed"]["choices"][0]["message"]["parsed"] == CALLED
    assert answers["responseParsed"]["output_parsed"] == CALLED


def test_choices_and_logprobs_come_through(answers: Any) -> None:
    choices = answers["choices"]["choices"]
    assert [choice["message"]["content"] for choice in choices] == [ANSWER] * 2
    assert "".join(token["token"] for token in choices[1]["logprobs"]["content"]) == ANSWER


def test_a_response_and_its_stream_are_the_same_and_have_their_receipts(answers: Any, service: Service) -> None:
    *events, last = answers["responseStream"]
    assert answers["response"]["output_text"] == answers["responseHelper"]["output_text"] == ANSWER
    assert "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta") == ANSWER
    assert last["type"] == "response.completed"
    receipts = [receipt_in(answers["response"]), receipt_in(last)]
    assert [record_of(service, one)["details"]["answer"] for one in receipts] == [ANSWER] * 2
    assert service.verify(*receipts)["ok"]


def test_embeddings_are_the_same_in_both_encodings(answers: Any, service: Service) -> None:
    packed, plain = answers["embeddings"], answers["embeddingsAsNumbers"]
    assert [one["embedding"] for one in packed["data"]] == [pytest.approx(one["embedding"], rel=1e-6) for one in plain["data"]]
    assert record_of(service, receipt_in(packed))["details"]["answer"] == {"vectors": 2}


def test_the_models_are_the_operators(answers: Any) -> None:
    (model,) = answers["models"]
    assert model == answers["model"]
    assert (model["id"], model["owned_by"]) == (MODEL, "default")


FAILURES = {
    # name: class, status, code, type, how often the model was asked
    "unproven": ("AuthenticationError", 401, "invalid_api_key", "invalid_request_error", 0),
    "unprovenStream": ("AuthenticationError", 401, "invalid_api_key", "invalid_request_error", 0),
    "withoutRole": ("PermissionDeniedError", 403, "missing_scope", "invalid_request_error", 0),
    "unknownModel": ("NotFoundError", 404, "model_not_found", "invalid_request_error", 0),
    "unknownAddress": ("NotFoundError", 404, "unknown_url", "invalid_request_error", 0),
    "aboveTheCap": ("BadRequestError", 400, "integer_above_max_value", "invalid_request_error", 0),
    "refused400": ("BadRequestError", 400, "upstream_refused", "invalid_request_error", 1),
    "refused409": ("ConflictError", 409, "upstream_refused", "invalid_request_error", 1),
    "refused422": ("UnprocessableEntityError", 422, "upstream_refused", "invalid_request_error", 1),
    "unpaid": ("RateLimitError", 429, "insufficient_quota", "insufficient_quota", 1),
    "down": ("InternalServerError", 503, "upstream_unavailable", "server_error", 3),
    "garbled": ("InternalServerError", 502, "upstream_error", "server_error", 1),
    "brokenOff": ("APIError", None, "upstream_unavailable", "server_error", 1),
    "brokenOffResponse": ("APIError", None, "upstream_error", "server_error", 1),
    "tooSlow": ("APIConnectionTimeoutError", None, None, None, 1),
    "nobodyThere": ("APIConnectionError", None, None, None, 0),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_the_sdks_own_error_after_the_announced_retries(
    seen: dict[str, Any], service: Service, name: str
) -> None:
    told = seen["failures"][name]
    found = tuple(told.get(member) for member in ("name", "status", "code", "type", "calls"))
    assert found == FAILURES[name], told
    if told.get("status"):
        assert told["members"] == ["message", "type", "param", "code"]
        assert records_named(service, told["requestID"])
    assert told.get("param") == ("max_tokens" if name == "aboveTheCap" else None)


def test_every_failure_of_the_script_is_checked(seen: dict[str, Any]) -> None:
    assert set(seen["failures"]) == set(FAILURES)
