"""Requests reach the model's server with no change but those of the policy; its answers come back unchanged too."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest
from openai import OpenAI

from ..support.calls import bearer
from ..support.fake_openai import FakeOpenAI
from ..support.sdk import MESSAGES, QUESTION, SERVER_KEY, records_named, strict_service
from ..support.sdk_parameters import CHAT_PARAMETERS, EMBEDDINGS_PARAMETERS, ODD_TEXTS, RESPONSES_PARAMETERS, UNKNOWN
from ..support.service import HTTP, Service

ABSENT = "absent"
MODEL = {"model": ("small", "vendor/small-1:free")}
ASKED: dict[str, Any] = {
    "chat": {"messages": MESSAGES},
    "responses": {"input": QUESTION},
    "embeddings": {"input": ["one", "two"]},
}
EVERYTHING = {"chat": CHAT_PARAMETERS, "responses": RESPONSES_PARAMETERS, "embeddings": EMBEDDINGS_PARAMETERS}
STREAMED = ("chat", "responses")
PATHS = {"chat": "/chat/completions", "responses": "/responses", "embeddings": "/embeddings"}
LISTS = {"chat": "messages", "responses": "input", "embeddings": "input"}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(keep_digests=True) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    with strict_service(tmp_path_factory.mktemp("strict"), fake) as running:
        yield running


@pytest.fixture(scope="module")
def direct(fake: FakeOpenAI) -> Iterator[OpenAI]:
    """The same SDK, directly at the model's server."""
    with OpenAI(base_url=fake.base_url, api_key="any", max_retries=0) as client:
        yield client


def create(client: OpenAI, endpoint: str) -> Callable[..., Any]:
    return {"chat": client.chat.completions, "responses": client.responses, "embeddings": client.embeddings}[endpoint].create  # type: ignore[attr-defined,no-any-return]


def call(client: OpenAI, endpoint: str, **asked: Any) -> Any:
    """Ask for the model `small`, and read the answer to its end."""
    answer = create(client, endpoint)(model="small", **asked)
    return list(answer) if asked.get("stream") else answer


def exact(value: Any) -> str:
    """A form in which 1, 1.0, true and the order of members differ."""
    return json.dumps(value)


def differences(sent: dict[str, Any], came: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By member: what was sent, and what arrived instead."""
    pairs = {name: (sent.get(name, ABSENT), came.get(name, ABSENT)) for name in [*sent, *came]}
    return {name: pair for name, pair in pairs.items() if exact(pair[0]) != exact(pair[1])}


def changes(direct: OpenAI, client: OpenAI, upstream: FakeOpenAI, endpoint: str, **asked: Any) -> dict[str, tuple[Any, Any]]:
    """What our service changes in the request of one SDK call."""
    call(direct, endpoint, **asked)
    call(client, endpoint, **asked)
    seen = upstream.seen()
    sent, came = map(json.loads, seen["bodies"])
    assert seen["paths"] == ["/v1" + PATHS[endpoint]] * 2
    return differences(sent, came)


# --- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ASKED)
def test_the_list_of_parameters_here_is_the_sdks(direct: OpenAI, endpoint: str) -> None:
    wanted = set(inspect.signature(create(direct, endpoint)).parameters) - {"model", "stream", "timeout"}
    assert {name for name in wanted if not name.startswith("extra_")} == set(EVERYTHING[endpoint])


@pytest.mark.parametrize("endpoint", ASKED)
def test_of_all_parameters_only_the_models_name_is_changed(
    direct: OpenAI, client: OpenAI, upstream: FakeOpenAI, endpoint: str
) -> None:
    assert changes(direct, client, upstream, endpoint, **EVERYTHING[endpoint], extra_body=UNKNOWN) == MODEL


@pytest.mark.parametrize("endpoint", STREAMED)
def test_on_a_stream_only_the_request_for_usage_is_added(
    direct: OpenAI, client: OpenAI, upstream: FakeOpenAI, endpoint: str
) -> None:
    asked = {**EVERYTHING[endpoint], "extra_body": UNKNOWN, "stream": True}
    options = {"include_obfuscation": False}
    usage = {"stream_options": (options, {**options, "include_usage": True})} if endpoint == "chat" else {}
    assert changes(direct, client, upstream, endpoint, **asked) == MODEL | usage


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("endpoint", STREAMED)
def test_no_length_is_added_where_the_operator_set_none(
    direct: OpenAI, client: OpenAI, upstream: FakeOpenAI, endpoint: str, stream: bool
) -> None:
    usage = {"stream_options": (ABSENT, {"include_usage": True})} if stream and endpoint == "chat" else {}
    assert changes(direct, client, upstream, endpoint, **ASKED[endpoint], stream=stream) == MODEL | usage


def test_nulls_pass_as_they_came(direct: OpenAI, client: OpenAI, upstream: FakeOpenAI) -> None:
    nulls = {"max_tokens": None, "max_completion_tokens": None, "temperature": None, "stop": None, "n": 4}
    assert changes(direct, client, upstream, "chat", **ASKED["chat"], **nulls) == MODEL


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_length_keeps_the_callers_name(direct: OpenAI, client: OpenAI, upstream: FakeOpenAI, name: str) -> None:
    assert changes(direct, client, upstream, "chat", **ASKED["chat"], **{name: 7}) == MODEL


def test_the_callers_choice_about_usage_is_kept(direct: OpenAI, client: OpenAI, upstream: FakeOpenAI) -> None:
    asked: Any = {**ASKED["chat"], "max_tokens": 5, "stream": True, "stream_options": {"include_usage": True, "x": 1}}
    assert changes(direct, client, upstream, "chat", **asked) == MODEL


def test_a_server_without_stream_options_is_not_asked_for_usage(client: OpenAI, upstream: FakeOpenAI) -> None:
    *_, last = client.chat.completions.create(model="old/one", messages=MESSAGES, stream=True)
    assert "stream_options" not in json.loads(upstream.seen()["bodies"][-1])
    assert "receipt" in (last.model_extra or {})


def test_no_header_of_the_caller_is_forwarded(client: OpenAI, token: str, upstream: FakeOpenAI) -> None:
    call(client, "chat", **ASKED["chat"], extra_headers={"X-Secret": "mine", "OpenAI-Organization": "org-1", "Cookie": "a=b"})
    headers = upstream.seen()["headers"]
    assert headers["authorization"] == f"Bearer {SERVER_KEY}"
    assert set(headers) == {"host", "authorization", "accept", "accept-encoding", "content-type", "content-length", "user-agent"}
    assert token not in str(headers)


# --- records -------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("endpoint", ASKED)
def test_the_sent_bytes_can_be_rebuilt_from_the_log(
    client: OpenAI, service: Service, upstream: FakeOpenAI, endpoint: str, stream: bool
) -> None:
    asked = {**EVERYTHING[endpoint], "extra_body": UNKNOWN, **({"stream": True} if stream and endpoint in STREAMED else {})}
    answer = create(client, endpoint)(model="small", **asked)
    request_id = answer.response.headers["x-request-id"] if "stream" in asked else answer._request_id
    details = records_named(service, request_id)[0]["details"]
    rebuilt = orjson.dumps({LISTS[endpoint]: details["messages"], **details["params"]})
    assert details["upstream_sha256"] == hashlib.sha256(rebuilt).hexdigest() == upstream.seen()["sha256"][-1]
    assert (details["endpoint"], details["model"], details["params"]["model"]) == (
        "/v1" + PATHS[endpoint],
        "small",
        "vendor/small-1:free",
    )


# --- answers --------------------------------------------------------------------------------

ODD: dict[str, str] = {
    "chat": '\n{ "choices" : [ {"message": {"content": "\\u0041 \\/ é"}, "x": [1.10, 1e-7] } ], "y": {"b":1,"a":2} } \r\n',
    "responses": '{"output":[{"type":"message","content":[{"type":"output_text","text":"\\u2028"}]}],"z":-0.0}',
    "embeddings": '{"data": [{"embedding": [0.10, -1.0e-05, 3]}], "usage": null , "x": []  }',
}


def posted(service: Service, token: str, endpoint: str, body: dict[str, Any]) -> httpx.Response:
    return HTTP.post(service.url + "/v1" + PATHS[endpoint], json=body, headers=bearer(token))


def receipt_member(service: Service, response: httpx.Response) -> bytes:
    """The receipt of *response* according to the log, as a member of a JSON document."""
    record = records_named(service, response.headers["x-request-id"])[-1]
    assert record["action"] == "ask.answered"
    return b'"receipt":{"seq":%d,"hash":"%b"}}' % (record["seq"], record["hash"].encode())


@pytest.mark.parametrize("endpoint", ASKED)
def test_an_answer_is_the_servers_bytes_and_the_receipt(
    service: Service, token: str, upstream: FakeOpenAI, endpoint: str
) -> None:
    upstream.set(body=ODD[endpoint])
    response = posted(service, token, endpoint, {"model": "small", **ASKED[endpoint]})
    assert response.content == ODD[endpoint].encode().rstrip()[:-1] + b"," + receipt_member(service, response)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("usage", [False, True], ids=["uncounted", "counted"])
@pytest.mark.parametrize("endpoint", STREAMED)
def test_a_stream_is_the_servers_events_and_the_receipt(
    service: Service, token: str, upstream: FakeOpenAI, endpoint: str, usage: bool
) -> None:
    """The server, asked directly with the same body, gives the same answer to its first call."""
    options = {"stream_options": {"include_usage": True}} if usage and endpoint == "chat" else {}
    response = posted(service, token, endpoint, {"model": "small", **ASKED[endpoint], "stream": True, **options})
    (sent,) = upstream.seen()["bodies"]
    upstream.reset()
    events = HTTP.post(upstream.base_url + PATHS[endpoint], content=sent).content.split(b"\n\n")
    end = 3 if endpoint == "chat" else 2  # before [DONE] and the empty rest after the last event
    if endpoint == "chat" and not usage:
        counted = events.pop(-end)
        assert b'"choices":[]' in counted
    events[-end] = events[-end][:-1] + b"," + receipt_member(service, response)
    assert response.content.split(b"\n\n") == events


def test_chunks_of_any_form_are_forwarded_unchanged(service: Service, token: str, upstream: FakeOpenAI) -> None:
    chunks = [
        json.dumps({"id": "c", "x": text, "choices": [{"index": 0, "delta": {"content": text}}]}, ensure_ascii=escaped)
        for text in ODD_TEXTS
        for escaped in (True, False)
    ]
    chunks.append('{ "choices" : [ ], "y" : 1.10 }')
    last = '{ "choices" : [ { "index" : 0, "delta" : { }, "finish_reason" : "length" } ] }'
    upstream.set(script=[f"data: {chunk}\n\n" for chunk in [*chunks, last, "[DONE]"]])
    response = posted(service, token, "chat", {"model": "small", **ASKED["chat"], "stream": True})
    *told, ended, done, nothing = response.content.split(b"\n\n")
    assert told == [b"data: " + chunk.encode() for chunk in chunks]
    assert ended == b"data: " + last[:-1].encode() + b"," + receipt_member(service, response)
    assert (done, nothing) == (b"data: [DONE]", b"")
    answered = records_named(service, response.headers["x-request-id"])[-1]["details"]
    assert answered["answer"] == "".join(text * 2 for text in ODD_TEXTS)
    assert answered["delivered"]["sha256"] == hashlib.sha256(b"".join(one + b"\n\n" for one in told)).hexdigest()
