"""What callers and records see of retries, fallbacks, several servers, deadlines and breakers; over real sockets."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ..support.calls import bearer, records_of
from ..support.raw_server import Answer, End, RawServer, chat, chunk, events, head, whole
from ..support.service import HTTP, Service

MODELS = """
[breaker]
open_seconds = 60
[servers.lab]
base_url = "{lab}"
[servers.spare]
base_url = "{spare}"
[models.fast]
server = "lab"
fallback = ["secret", "other"]
[models.secret]
server = "spare"
roles = ["x.secret"]
[models.other]
server = "spare"
model = "their-name"
[models.both]
servers = ["lab", {{ name = "spare", model = "spare-name" }}]
[models.alone]
server = "lab"
[models.free]
server = "lab"
fallback = ["counted"]
[models.counted]
server = "spare"
max_output_tokens = 1000
[models.narrow]
server = "lab"
fallback = ["small", "counted"]
[models.small]
server = "spare"
context_tokens = 100
[[budgets]]
model = "counted"
tokens = 100000
per = "month"
"""
CHAT = "/v1/chat/completions"
BUSY, FAILED = whole(b"{}", status="503 Busy"), whole(b"{}", status="500 Oh")
CHUNKED = head("Transfer-Encoding: chunked", kind="text/event-stream")


@pytest.fixture(scope="module")
def lab() -> Iterator[RawServer]:
    with RawServer(lambda _: [End.CLOSE]) as server:
        yield server


@pytest.fixture(scope="module")
def spare() -> Iterator[RawServer]:
    with RawServer(lambda _: [whole(chat("from the spare"))]) as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, lab: RawServer, spare: RawServer) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    folder.joinpath("policy.toml").write_text(MODELS.format(lab=lab.base_url, spare=spare.base_url))
    with Service(folder, POLICY_FILE="policy.toml", LLM_MODEL="fast", LLM_TIMEOUT_SECONDS="20", workers=2) as running:
        yield running


def ask(
    service: Service, token: str, model: str = "fast", *, stream: bool = False, headers: dict[str, str] | None = None
) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return HTTP.post(service.url + CHAT, json=body, headers=bearer(token) | (headers or {}))


def details(service: Service, response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    return [(record["action"], record["details"]) for record in records_of(service, response)]


def test_a_fallback_answers_in_place_of_a_server_that_failed(
    service: Service, token: str, lab: RawServer, spare: RawServer
) -> None:
    lab.answer = lambda _: [FAILED]
    response = ask(service, token)
    assert response.status_code == 200
    assert (response.headers["x-attempts"], response.headers["x-answered-by"]) == ("2", "other")
    body = response.json()
    assert (body["asked_model"], body["choices"][0]["message"]["content"]) == ("fast", "from the spare")
    (_, received), (second, attempted), (last, answered) = details(service, response)
    assert (received["model"], second, last) == ("fast", "ask.attempted", "ask.answered")
    sent = spare.requests[-1].body
    assert json.loads(sent)["model"] == "their-name"
    assert list(attempted) == ["received", "model", "server", "upstream_sha256", "credential"]
    assert (attempted["model"], attempted["server"]) == ("other", "spare")
    assert attempted["upstream_sha256"] == hashlib.sha256(sent).hexdigest() != received["upstream_sha256"]
    assert [(one["server"], one["status"], one["why"]) for one in answered["tries"]] == [
        ("lab", 500, "upstream_unavailable"),
        ("spare", 200, None),
    ]
    report = service.verify()
    assert report["ok"]


def test_the_budget_of_a_fallback_holds_where_the_model_itself_has_none(service: Service, token: str, lab: RawServer) -> None:
    lab.answer = lambda _: [FAILED]
    response = ask(service, token, "free")
    (_, received), (_, attempted), (_, answered) = details(service, response)
    assert "reserved" not in received
    assert [one["id"] for one in attempted["reserved"]] == ["model=counted/month/tokens"]
    assert [(one["id"], one["by"]) for one in answered["spent"]] == [("model=counted/month/tokens", "reservation")]


@pytest.mark.parametrize(("asked", "answered_by"), [(900, "counted"), (1001, None)])
def test_a_fallback_that_may_not_say_as_much_as_is_asked_is_left_out(
    service: Service, token: str, lab: RawServer, spare: RawServer, asked: int, answered_by: str | None
) -> None:
    lab.answer = lambda _: [FAILED]
    before = len(spare.requests)
    body = {"model": "narrow", "messages": [{"role": "user", "content": "hi"}], "max_tokens": asked}
    response = HTTP.post(service.url + CHAT, json=body, headers=bearer(token))
    assert (response.status_code, response.headers.get("x-answered-by")) == (200 if answered_by else 503, answered_by)
    sent = [json.loads(one.body) for one in spare.requests[before:]]
    assert [(one["model"], one["max_tokens"]) for one in sent] == ([(answered_by, asked)] if answered_by else [])
    attempted = [
        found["reserved"][0]["tokens"]["output"] for action, found in details(service, response) if action == "ask.attempted"
    ]
    assert attempted == ([asked] if answered_by else [])


def test_a_question_at_ask_falls_back_as_well(service: Service, token: str, lab: RawServer) -> None:
    lab.answer = lambda _: [FAILED]
    response = service.ask(token)
    assert (response.status_code, response.json()["answer"]) == (200, "from the spare")
    assert (response.headers["x-attempts"], response.headers["x-answered-by"]) == ("2", "other")


FIRST_FAULTS: dict[str, Answer] = {
    "refused": [FAILED],
    "cut before its first event": [CHUNKED, End.CLOSE],
    "an error as its first event": [
        CHUNKED,
        chunk(b'data: {"error": {"message": "x", "type": "busy"}}\n\n'),
        chunk(b""),
    ],
    "no stream": [whole(b"<html>")],
}


@pytest.mark.parametrize("fault", FIRST_FAULTS)
def test_a_stream_falls_back_until_its_first_event(
    service: Service, token: str, lab: RawServer, spare: RawServer, fault: str
) -> None:
    before, spare.answer = spare.answer, lambda _: [CHUNKED, chunk(events("spa", "re")), chunk(b"")]
    lab.answer = lambda _: FIRST_FAULTS[fault]
    response = ask(service, token, stream=True)
    spare.answer = before
    assert (response.status_code, response.headers["x-answered-by"]) == (200, "other")
    assert "[DONE]" in response.text
    assert [action for action, _ in details(service, response)] == ["ask.received", "ask.attempted", "ask.answered"]


def test_a_stream_that_has_begun_does_not_fall_back(service: Service, token: str, lab: RawServer, spare: RawServer) -> None:
    lab.answer = lambda _: [CHUNKED, chunk(events("be", "gun")[:250]), 0.1, End.CLOSE]
    asked = len(spare.requests)
    response = ask(service, token, stream=True)
    assert "error" in response.text
    assert len(spare.requests) == asked
    assert [action for action, _ in details(service, response)] == ["ask.received", "ask.failed"]


def test_another_server_of_the_model_answers_with_its_own_name(
    service: Service, token: str, lab: RawServer, spare: RawServer
) -> None:
    lab.answer = lambda _: [BUSY]
    for _ in range(8):  # whichever is asked first
        response = ask(service, token, "both")
        assert (response.status_code, "x-answered-by" in response.headers) == (200, False)
        assert json.loads(spare.requests[-1].body)["model"] == "spare-name"
        actions = details(service, response)
        assert actions[-1][1]["tries"][-1]["server"] == "spare"
        assert ("ask.attempted" in [action for action, _ in actions]) == (len(actions[-1][1]["tries"]) == 2)


def test_a_caller_may_wait_for_less_and_says_so_in_seconds(service: Service, token: str, lab: RawServer) -> None:
    lab.answer = lambda _: [60.0, End.CLOSE]
    for name in ("x-request-timeout", "x-stainless-read-timeout"):
        begun = time.monotonic()
        response = ask(service, token, "alone", headers={name: "0.4"})
        assert (response.status_code, response.headers["x-should-retry"]) == (504, "false")
        assert time.monotonic() - begun < 15, "the operator's time is 20 s"
    assert "open" not in HTTP.get(service.url + "/readyz").json()["breakers"]["lab"], "a caller's hurry is not the server's fault"


@pytest.mark.parametrize("path", ["/ask", CHAT])
def test_a_timeout_in_another_form_is_refused(service: Service, token: str, lab: RawServer, path: str) -> None:
    asked, headers = len(lab.requests), bearer(token) | {"x-request-timeout": "soon"}
    response = HTTP.post(service.url + path, json={"query": "hi"}, headers=headers)
    assert response.status_code == 400
    body = response.json()
    assert "invalid_timeout" in (body.get("code"), body.get("error", {}).get("code"))
    assert [record["details"]["code"] for record in records_of(service, response)] == ["invalid_timeout"]
    assert len(lab.requests) == asked


def test_a_server_that_fails_again_and_again_is_left_alone_for_a_while(service: Service, token: str, lab: RawServer) -> None:
    lab.answer = lambda _: [FAILED]
    for _ in range(5):
        assert ask(service, token, "alone").status_code == 503
    asked = len(lab.requests)
    response = ask(service, token, "alone")
    assert (response.status_code, len(lab.requests)) == (503, asked)
    assert 3 < int(response.headers["retry-after"]) <= 60
    (_, failed) = details(service, response)[-1]
    assert (failed["attempts"], failed["tries"][0]["why"]) == (0, "breaker_open")
    ready = HTTP.get(service.url + "/readyz")
    assert (ready.status_code, ready.json()["breakers"]["lab"]) == (200, "open: not asked for a moment")
    assert [one["server"] for one in service.cli("breaker", "list") if one["is_open"]] == ["lab"]
    assert ask(service, token).status_code == 200, "the fallback answers at once"
    lab.answer = lambda _: [whole(chat())]
    service.cli("breaker", "close", "lab")
    assert service.records()[-1]["action"] == "breaker.closed"
    assert ask(service, token, "alone").status_code == 200
