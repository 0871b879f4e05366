"""Caps, defaults and aliases of a model at work: what is sent, what the caller is told, what the record holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from ..support.calls import bearer
from ..support.fake_openai import FakeOpenAI
from ..support.sdk import strict_service
from ..support.service import HTTP, Service

HI = [{"role": "user", "content": "hi"}]
COMMON = {"object", "created", "owned_by", "display_name", "created_at", "lifecycle", "max_tokens", "max_input_tokens"}
BODIES: dict[str, Any] = {"/chat/completions": {"messages": HI}, "/responses": {"input": "hi"}}
CAP = {"/chat/completions": "max_tokens", "/responses": "max_output_tokens"}
ANSWERS = [(path, stream) for path in BODIES for stream in (False, True)]
answers = pytest.mark.parametrize(("path", "stream"), ANSWERS, ids=lambda value: str(value))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    with strict_service(tmp_path_factory.mktemp("strict"), fake) as running:
        yield running


def post(service: Service, token: str, path: str, **body: Any) -> httpx.Response:
    response = HTTP.post(f"{service.url}/v1{path}", json=BODIES[path] | body, headers=bearer(token))
    assert response.status_code == 200, response.text
    return response


def last_document(response: httpx.Response) -> dict[str, Any]:
    """The answer, or the last JSON document of a stream."""
    if response.headers["content-type"] == "application/json":
        return dict(response.json())
    data = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    return dict(json.loads(data[-1]))


def received(service: Service, response: httpx.Response) -> dict[str, Any]:
    """The details of the question's record."""
    name = response.headers["x-request-id"]
    (found,) = [one for one in service.records() if (one["request_id"], one["action"]) == (name, "ask.received")]
    return dict(found["details"])


@answers
def test_what_is_above_the_ceiling_is_lowered_and_told(
    service: Service, token: str, upstream: FakeOpenAI, path: str, stream: bool
) -> None:
    name = CAP[path]
    response = post(service, token, path, model="clamped", stream=stream, **{name: 32_000})
    assert response.headers["x-clamped"] == f"{name}=32000->30"
    sent = upstream.seen()["bodies"][-1]
    assert json.loads(sent)[name] == 30
    details = received(service, response)
    assert (details["params"][name], details["clamped"]) == (32_000, {"name": name, "asked": 32_000, "sent": 30})
    asked = {key: details["messages"] for key in ("messages", "input") if key in BODIES[path]}
    rebuilt = json.dumps({**asked, **details["params"], name: 30}, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(rebuilt.encode()).hexdigest() == details["upstream_sha256"] == hashlib.sha256(sent.encode()).hexdigest()


@answers
def test_what_is_within_the_ceiling_is_not(service: Service, token: str, upstream: FakeOpenAI, path: str, stream: bool) -> None:
    response = post(service, token, path, model="clamped", stream=stream, **{CAP[path]: 30})
    assert "x-clamped" not in response.headers
    assert "clamped" not in received(service, response)


@answers
def test_a_models_default_is_sent_where_no_length_is_named(
    service: Service, token: str, upstream: FakeOpenAI, path: str, stream: bool
) -> None:
    response = post(service, token, path, model="clamped", stream=stream)
    assert json.loads(upstream.seen()["bodies"][-1])[CAP[path]] == 12
    assert received(service, response)["params"][CAP[path]] == 12


def test_a_server_gets_a_length_under_the_one_name_that_it_honours(service: Service, token: str, upstream: FakeOpenAI) -> None:
    post(service, token, "/chat/completions", model="newer", max_tokens=7)
    sent = json.loads(upstream.seen()["bodies"][-1])
    assert (sent["max_completion_tokens"], "max_tokens" in sent) == (7, False)


@pytest.mark.parametrize("alias", ["gpt-5-mini", "helper/one"])
@answers
def test_an_alias_is_served_by_its_model_and_named_beside_it(
    service: Service, token: str, upstream: FakeOpenAI, path: str, stream: bool, alias: str
) -> None:
    response = post(service, token, path, model=alias, stream=stream)
    document, details = last_document(response), received(service, response)
    assert json.loads(upstream.seen()["bodies"][-1])["model"] == details["params"]["model"] == "vendor/small-1:free"
    assert (details["model"], details["asked_model"]) == ("small", alias)
    assert document["asked_model"] == alias
    assert document.get("response", document)["model"] == "vendor/small-1:free"
    assert list(document)[-2:] == ["asked_model", "receipt"]


@answers
def test_a_models_own_name_is_no_alias(service: Service, token: str, upstream: FakeOpenAI, path: str, stream: bool) -> None:
    response = post(service, token, path, model="small", stream=stream)
    assert "asked_model" not in last_document(response)
    assert "asked_model" not in received(service, response)


def test_the_list_of_models_says_what_each_is_for(service: Service, token: str) -> None:
    data = HTTP.get(f"{service.url}/v1/models", headers=bearer(token)).json()["data"]
    found = {one.pop("id"): {name: one[name] for name in one if name not in COMMON} for one in data}
    chat = {"kind": "chat", "type": "chat"}
    assert found == {
        "small": {**chat, "context_length": 4000, "max_output_tokens": 50, "aliases": ["gpt-5-mini", "helper/one"]},
        "clamped": {**chat, "max_output_tokens": 30},
        "newer": {**chat, "max_output_tokens": 50},
        "old/one": {**chat, "max_output_tokens": 50},
        "vectors": {"kind": "embeddings", "type": "embedding", "info": {"meta": {"hidden": True}}},
    }
    alias = HTTP.get(f"{service.url}/v1/models/helper/one", headers=bearer(token)).json()
    assert (alias["id"], alias["aliases"]) == ("small", ["gpt-5-mini", "helper/one"])


def test_the_same_list_is_anthropics_to_a_client_that_says_so(service: Service, token: str) -> None:
    """The one member whose value differs is `type`; errors have Anthropic's form."""
    anthropic = bearer(token) | {"anthropic-version": "2023-06-01"}
    url = f"{service.url}/v1/models"
    plain, other = (HTTP.get(url, headers=headers).json() for headers in (bearer(token), anthropic))
    assert {one.pop("type") for one in other["data"]} == {"model"}
    assert {one.pop("type") for one in plain["data"]} == {"chat", "embedding"}
    assert plain == other
    assert (other["first_id"], other["last_id"], other["has_more"]) == ("small", "vectors", False)
    small = other["data"][0]
    assert (small["display_name"], small["max_tokens"], small["max_input_tokens"]) == ("small", 50, 4000)
    assert datetime.fromisoformat(small["created_at"]).timestamp() == small["created"]
    missing = HTTP.get(f"{url}/gpt-9", headers=anthropic)
    assert missing.json()["error"]["type"] == "not_found_error"
    assert missing.headers["request-id"] == missing.json()["request_id"]


def test_reads_have_a_limit_of_their_own(service: Service, token: str) -> None:
    listed = HTTP.get(f"{service.url}/v1/models", headers=bearer(token))
    own = HTTP.get(f"{service.url}/audit/entries", headers=bearer(token))
    for response in (listed, own):
        assert response.headers["ratelimit-policy"].startswith('"reads";q=')
    asked = post(service, token, "/chat/completions", model="small")
    assert asked.headers["ratelimit-policy"].startswith('"rpm";q=')


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez"])
def test_whether_the_process_is_up_has_three_names(service: Service, path: str) -> None:
    before = len(service.records())
    assert HTTP.get(service.url + path).json() == {"status": "ok"}
    assert HTTP.head(service.url + path).status_code == 200
    assert len(service.records()) == before
