"""A model whose server speaks Anthropic's protocol, behind /ask and /v1: answers, records, refusals, a caller who leaves."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.calls import bearer, check_problem, records_of, refusal, wait_until_late
from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.langchain_server import KEY, service_for
from ..support.service import HTTP, Service
from ..support.waiting import eventually

QUERY = "What is the capital of France?"
CHAT: Any = {"model": "claude", "messages": [{"role": "user", "content": QUERY}]}
WORDS = "planted words of the server"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    with service_for(
        tmp_path_factory.mktemp("service"), fake, LANGSMITH_TRACING="true", HTTP_PROXY="http://127.0.0.1:9"
    ) as running:
        yield running


def post(service: Service, token: str, path: str, body: Any, **headers: str) -> httpx.Response:
    return HTTP.post(service.url + path, json=body, headers={**bearer(token), **headers})


def details_of(service: Service, answer: httpx.Response) -> list[dict[str, Any]]:
    return [record["details"] for record in records_of(service, answer)]


def digest_of(messages: Any) -> str:
    return hashlib.sha256(json.dumps(messages, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def test_ask_is_answered_and_the_record_says_by_whom(service: Service, token: str, upstream: FakeOpenAI) -> None:
    answer = service.ask(token, QUERY)
    assert answer.json()["answer"] == completion_text(QUERY)
    assert answer.json()["usage"] == {"input_tokens": 12, "output_tokens": 7}
    received, answered = details_of(service, answer)
    assert (received["upstream_sha256"], received["via"]) == (None, "langchain")
    asked = json.loads(upstream.seen()["bodies"][-1])
    messages = [{"content": asked["system"], "role": "system"}, {"content": QUERY, "role": "user"}]
    assert received["messages_sha256"] == digest_of(messages)
    assert answered["upstream_response_sha256"] is None
    assert (answered["answer"], answered["model"]) == (completion_text(QUERY), "claude-test")
    assert upstream.seen()["headers"]["authorization"] == f"Bearer {KEY}"


def test_ask_streams(service: Service, token: str) -> None:
    answer = post(service, token, "/ask", {"query": QUERY}, accept="text/event-stream")
    assert answer.status_code == 200
    received, answered = details_of(service, answer)
    assert (received["via"], answered["answer"]) == ("langchain", completion_text(QUERY))


@pytest.mark.parametrize("stream", [False, True])
def test_v1_answers_as_for_every_other_model(service: Service, token: str, stream: bool) -> None:
    answer = post(
        service, token, "/v1/chat/completions", {**CHAT, "stream": stream, "temperature": 0.5, "max_completion_tokens": 9}
    )
    received, answered = details_of(service, answer)
    assert received["messages_sha256"] == digest_of(received["messages"])
    assert (received["params"]["max_tokens"], received["params"]["temperature"]) == (9, 0.5)
    assert answered["answer"] == completion_text(QUERY)
    assert answered["usage"] == {"input_tokens": 12, "output_tokens": 7}
    assert service.verify()["ok"]


def test_each_model_is_asked_in_its_own_protocol(service: Service, token: str, upstream: FakeOpenAI) -> None:
    for model in ("claude", "plain"):
        post(service, token, "/v1/chat/completions", {**CHAT, "model": model})
    assert upstream.seen()["paths"] == ["/v1/messages", "/v1/chat/completions"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": "hi"}),
        ("/v1/embeddings", {"input": "hi"}),
        ("/v1/completions", {"prompt": "hi"}),
        ("/v1/messages", {"messages": CHAT["messages"], "max_tokens": 5}),
        ("/v1/messages/count_tokens", {"messages": CHAT["messages"]}),
    ],
)
def test_other_endpoints_are_not_served(service: Service, token: str, upstream: FakeOpenAI, path: str, body: Any) -> None:
    answer = post(service, token, path, {"model": "claude", **body})
    assert answer.status_code == 400
    assert refusal(service, answer)["details"]["code"] == "protocol_not_served"
    assert upstream.calls() == 0


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"seed": 1}, "seed"),
        ({"n": 2}, "n"),
        ({"user": "alice"}, "user"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"base_url": "http://127.0.0.1:9"}, "base_url"),
        ({"default_headers": {"x": "y"}}, "default_headers"),
    ],
)
def test_a_parameter_that_is_not_carried_is_refused_by_name(
    service: Service, token: str, upstream: FakeOpenAI, more: Any, param: str
) -> None:
    answer = post(service, token, "/v1/chat/completions", {**CHAT, **more})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, "unsupported_parameter")
    assert refusal(service, answer)["details"]["param"] == param
    assert upstream.calls() == 0


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("status:401", 502, "upstream_denied"),
        ("status:429", 503, "upstream_unavailable"),
        ("status:529", 503, "upstream_unavailable"),
        ("status:402", 502, "upstream_out_of_quota"),
        ("garbage", 502, "upstream_error"),
        ("cut:2", 503, "upstream_unavailable"),
        ("redirect", 502, "upstream_denied"),
    ],
)
def test_each_failure_of_the_server_has_its_code_and_record(
    service: Service, token: str, upstream: FakeOpenAI, mode: str, status: int, code: str
) -> None:
    upstream.set(mode, headers={"x-words": WORDS})
    answer = service.ask(token)
    check_problem(answer, status, code)
    failed = details_of(service, answer)[-1]
    assert (failed["code"], failed["upstream_response_sha256"], failed["delivered"]) == (code, None, None)
    assert upstream.calls("strays") == 0


def test_a_caller_who_leaves_ends_the_call(service: Service, token: str, upstream: FakeOpenAI) -> None:
    upstream.set("hang")
    with closing(socket.create_connection(("127.0.0.1", service.port))) as caller:
        body = json.dumps(CHAT).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        caller.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: upstream.calls("open") == 1)
        asked = service.records()[-1]["seq"]
        wait_until_late(service)
    eventually(lambda: upstream.calls("open") == 0)
    eventually(lambda: service.records()[-1]["details"].get("received") == asked)
    assert service.records()[-1]["details"]["code"] == "client_gone"


def test_the_timeout_is_ours(tmp_path: Path, upstream: FakeOpenAI) -> None:
    with service_for(tmp_path, upstream, LLM_TIMEOUT_SECONDS="2") as service:
        token = service.token("alice", service.add_client())
        upstream.set("hang")
        check_problem(service.ask(token), 504, "upstream_timeout")
        eventually(lambda: upstream.calls("open") == 0)
        assert upstream.calls() == 1


def test_what_is_not_installed_prevents_the_start(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = service_for(tmp_path, fake)
    models = tmp_path / "policy.toml"
    models.write_text(models.read_text().replace('"anthropic"', '"bedrock_converse"'))
    ended = service.run("serve", "--port", "0", status=2)
    assert "[servers.claude]" in ended.stderr
    assert "needs the package langchain-aws, which is not installed" in ended.stderr
    assert "Traceback" not in ended.stderr
