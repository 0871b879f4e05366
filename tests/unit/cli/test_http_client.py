"""A service's answers and refusals reach a person as one sentence; what is no answer of ours does too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from app.cli import http_client
from app.cli.http_client import CallFailed

URL = "http://service.test/"
ANSWER = {"answer": "Paris", "receipt": {"seq": 3, "hash": "ab" * 32}}
REFUSAL = {"code": "invalid_token", "detail": "The access token is not valid.", "status": 401}
Answering = Callable[[httpx.Response], list[httpx.Request]]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """Makes every call get one answer; returns the list that collects the requests."""
    clients = []

    def use(response: httpx.Response) -> list[httpx.Request]:
        requests: list[httpx.Request] = []

        def handle(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            return response

        client = httpx.Client(transport=httpx.MockTransport(handle))
        clients.append(client)
        monkeypatch.setattr(httpx, "post", client.post)
        monkeypatch.setattr(httpx, "stream", client.stream)
        return requests

    yield use
    for client in clients:
        client.close()


def events(*pieces: bytes) -> httpx.Response:
    return httpx.Response(200, content=iter(pieces))


def ask_streamed() -> list[tuple[str, object]]:
    return list(http_client.stream(URL, "token", "Hello?"))


def test_a_question_is_posted_with_its_token(answering: Answering) -> None:
    requests = answering(httpx.Response(200, json=ANSWER))
    assert http_client.ask(URL, "the-token", "Hello?") == ANSWER
    [request] = requests
    assert (request.method, str(request.url)) == ("POST", "http://service.test/ask")
    assert request.headers["authorization"] == "Bearer the-token"
    assert json.loads(request.content) == {"query": "Hello?"}


@pytest.mark.parametrize("url", ["http://a.test", "http://a.test/", "http://a.test/v1", "http://a.test/v1/"])
def test_the_base_url_of_an_openai_client_is_understood(url: str, answering: Answering) -> None:
    requests = answering(httpx.Response(200, json=ANSWER))
    http_client.ask(url, "x", "Hello?")
    [request] = requests
    assert str(request.url) == "http://a.test/ask"


@pytest.mark.parametrize(("scope", "form"), [(None, ""), ("a.b c.d", "&scope=a.b+c.d")])
def test_a_token_is_asked_for_with_basic_credentials(scope: str | None, form: str, answering: Answering) -> None:
    granted = {"access_token": "x", "expires_in": 60, "scope": ""}
    requests = answering(httpx.Response(200, json=granted))
    assert http_client.fetch_token(URL, "alice", "secret", scope) == granted
    [request] = requests
    assert request.url.path == "/token"
    assert request.content.decode() == f"grant_type=client_credentials{form}"
    assert request.headers["authorization"].startswith("Basic ")


GRANTED = {"access_token": "x", "expires_in": 60, "scope": ""}


@pytest.mark.parametrize(
    "granted",
    [
        {},
        *({**GRANTED, "access_token": value} for value in (1, None, "", "a\nb", "a b", "\x1b[2J", "\u00e9")),
        *({**GRANTED, "expires_in": value} for value in ("60", True, 0, -1, 60.5, 10**12, 10**30)),
        *({**GRANTED, "scope": value} for value in (None, "\x1b[2J")),
    ],
)
def test_a_token_response_of_something_else_is_refused(granted: dict[str, object], answering: Answering) -> None:
    answering(httpx.Response(200, json=granted))
    with pytest.raises(CallFailed, match="without a usable"):
        http_client.fetch_token(URL, "alice", "secret")


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, REFUSAL, "401 invalid_token: The access token is not valid."),
        (401, {"error": "invalid_client", "error_description": "No."}, "401 invalid_client: No."),
        (500, {}, "500 unknown: no reason given"),
        (
            404,
            {"error": {"message": "Not here.", "type": "invalid_request_error", "code": None}},
            "404 invalid_request_error: Not here.",
        ),
        (404, {"error": {"message": "Not here.", "code": "not_found"}}, "404 not_found: Not here."),
        (500, {"error": {"code": 7}, "detail": ["x"]}, "500 unknown: no reason given"),
    ],
)
def test_a_refusal_keeps_its_status_code_and_reason(
    status: int, body: dict[str, object], sentence: str, answering: Answering
) -> None:
    for call in (lambda: http_client.ask(URL, "token", "Hello?"), ask_streamed):
        answering(httpx.Response(status, json=body))
        with pytest.raises(CallFailed) as caught:
            call()
        assert (caught.value.detail, caught.value.status, caught.value.answer) == (sentence, status, body)


@pytest.mark.parametrize(
    ("body", "headers", "end"),
    [
        ({"request_id": "ab12"}, {}, "(request ab12)"),
        ({}, {"x-request-id": "ab12", "retry-after": "35"}, "(Retry-After: 35 s, request ab12)"),
    ],
)
def test_a_refusal_says_how_long_to_wait_and_which_record_it_has(
    body: dict[str, str], headers: dict[str, str], end: str, answering: Answering
) -> None:
    answering(httpx.Response(429, json={**body, "code": "rate_limited", "detail": "Wait."}, headers=headers))
    with pytest.raises(CallFailed) as caught:
        http_client.ask(URL, "token", "Hello?")
    assert caught.value.detail == f"429 rate_limited: Wait. {end}"


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_no_answer_of_ours(content: bytes, answering: Answering) -> None:
    for status in (200, 502):
        answering(httpx.Response(status, content=content))
        with pytest.raises(CallFailed, match=f"answered {status}, and not with a JSON object"):
            http_client.ask(URL, "token", "Hello?")


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_is_its_events_however_it_is_cut(size: int, answering: Answering) -> None:
    """U+2028 ends no line of a stream of events; httpx's own lines would end there."""
    data = 'event: delta\ndata: {"text":"a\u2028b"}\n\n: keep-alive\n\nevent: done\ndata: {"receipt":1}\n\n'.encode()
    answering(events(*(data[at : at + size] for at in range(0, len(data), size))))
    assert ask_streamed() == [("delta", {"text": "a\u2028b"}), ("done", {"receipt": 1})]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "broke off before its end"),
        (b'event: delta\ndata: {"text":"a"}\n\n', "broke off before its end"),
        (b'event: done\ndata: {"receipt":1}\n', "broke off before its end"),
        (b"event: delta\ndata: a\n\n", "not a JSON object"),
        (b'event: error\ndata: {"status":504,"code":"upstream_timeout","detail":"Late."}\n\n', "504 upstream_timeout: Late."),
        (b"event: error\ndata: {}\n\n", "None unknown: no reason given"),
    ],
)
def test_a_stream_without_its_end_fails(content: bytes, sentence: str, answering: Answering) -> None:
    answering(events(content))
    with pytest.raises(CallFailed, match=sentence):
        ask_streamed()


def test_an_endless_event_is_given_up(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_EVENT_BYTES", 1 << 20)
    answering(events(*([b"data: " + b"x" * 65_536] * 100)))
    with pytest.raises(CallFailed, match="an event larger than 1 MiB"):
        ask_streamed()


@pytest.mark.parametrize(
    ("url", "token", "query", "sentence"),
    [
        ("http://127.0.0.1:1", "x", "Hello?", "cannot be reached .ConnectError.. Is the service running"),
        ("127.0.0.1:1", "x", "Hello?", "--url takes an address that begins with http:// or https://"),
        ("localhost:8000", "x", "Hello?", "--url takes an address that begins with http:// or https://"),
        ("http://[::1", "x", "Hello?", "--url takes an address that begins with http:// or https://"),
        ("http://127.0.0.1:1", "schlüssel", "Hello?", "A token is plain ASCII"),
        ("http://127.0.0.1:1", "x", "\ud800", "a question is valid Unicode"),
    ],
)
def test_a_call_that_cannot_be_made_says_why(url: str, token: str, query: str, sentence: str) -> None:
    for call in (http_client.ask, lambda *arguments: list(http_client.stream(*arguments))):
        with pytest.raises(CallFailed, match=sentence):
            call(url, token, query)
