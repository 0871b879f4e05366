"""What a model's server sent and what came of it: at the endpoints, and in the records, over real sockets."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from ..support.calls import bearer, records_of
from ..support.raw_server import Answer, End, RawServer, Request, chat, chunk, events, head, whole
from ..support.service import HTTP, Service

DIGEST = "upstream_response_sha256"
PLANTED = "a planted text of the server"
MODELS = """
[servers.raw]
base_url = "{base_url}"
[servers.once]
base_url = "{base_url}"
retry_idle_close = false
[models.small]
server = "raw"
[models.once]
server = "once"
"""


@pytest.fixture(scope="module")
def raw() -> Iterator[RawServer]:
    with RawServer(lambda _: [End.CLOSE]) as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, raw: RawServer) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "models.toml").write_text(MODELS.format(base_url=raw.base_url))
    models = str(folder / "models.toml")
    with Service(folder / "service", MODELS_FILE=models, LLM_MODEL="small", LLM_TIMEOUT_SECONDS="2") as running:
        yield running


Post = Callable[..., tuple[httpx.Response, dict[str, Any]]]


@pytest.fixture
def post(service: Service, token: str) -> Post:
    """Ask at an address; the response, and the details of the record that ends the question."""

    def post(path: str, *, stream: bool = False, model: str = "small") -> tuple[httpx.Response, dict[str, Any]]:
        body: dict[str, Any] = {"query": "hi"}
        headers = bearer(token) | ({"accept": "text/event-stream"} if stream else {})
        if path != "/ask":
            body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "input": "hi", "stream": stream}
            body.pop("input" if path.endswith("completions") else "messages")
        response = HTTP.post(service.url + path, json=body, headers=headers)
        received, ended = records_of(service, response)
        assert (received["action"], ended["details"]["received"]) == ("ask.received", received["seq"])
        return response, dict(ended["details"])

    return post


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


CHAT = "/v1/chat/completions"
PATHS = ["/ask", CHAT]
STREAM = events("fo", "ur")
CHUNKED = head("Transfer-Encoding: chunked", kind="text/event-stream")
REFUSAL = b'{"error": {"message": "%b", "code": "odd", "type": "x"}}' % PLANTED.encode()
SENT: list[tuple[str, bool, Answer, int, bytes | None]] = [
    ("plain", False, [whole(chat())], 200, chat()),
    ("gzip", False, [whole(gzip.compress(chat(), mtime=0), "Content-Encoding: gzip")], 200, gzip.compress(chat(), mtime=0)),
    ("chunked", False, [head("Transfer-Encoding: chunked"), chunk(chat()[:9]), chunk(chat()[9:]), chunk(b"")], 200, chat()),
    ("created", False, [whole(chat(), status="201 Created")], 200, chat()),
    ("accepted", False, [whole(chat(), status="202 Accepted")], 200, chat()),
    ("not authoritative", False, [whole(chat(), status="203 Changed")], 200, chat()),
    ("no content", False, [head(status="204 No Content")], 502, b""),
    ("a long header", False, [whole(chat(), "X-Policy: " + "a" * 64_000)], 200, chat()),
    ("many headers", False, [whole(chat(), *[f"X-{number}: a" for number in range(900)])], 200, chat()),
    ("a header too long", False, [whole(chat(), "X-Policy: " + "a" * 70_000)], 502, None),
    ("a path as the model's name", False, [whole(chat(model="/srv/x.gguf"))], 200, chat(model="/srv/x.gguf")),
    ("garbage", False, [whole(b"<html>")], 502, b"<html>"),
    ("cut", False, [head("Content-Length: 999"), chat(), End.CLOSE], 503, chat()),
    ("refused", False, [whole(REFUSAL, status="418 No")], 400, REFUSAL),
    ("failed", False, [whole(REFUSAL, status="500 Oh")], 503, REFUSAL),
    ("silent", False, [3.0, End.CLOSE], 504, None),
    ("stuck", False, [head("Content-Length: 999"), chat(), 3.0, End.CLOSE], 504, chat()),
    ("stream", True, [CHUNKED, chunk(STREAM), chunk(b"")], 200, STREAM),
    ("a stream with another label", True, [whole(STREAM, kind="application/json")], 200, STREAM),
    ("a plain answer to a stream", True, [whole(chat())], 502, chat()),
    ("an error to a stream", True, [whole(REFUSAL)], 502, REFUSAL),
    ("a stream that is cut", True, [CHUNKED, chunk(STREAM[:200]), 0.1, End.CLOSE], 200, STREAM[:200]),
    ("a stream that is cut in its first event", True, [CHUNKED, chunk(STREAM[:90]), 0.1, End.CLOSE], 503, STREAM[:90]),
]


@pytest.mark.parametrize(
    ("steps", "is_stream", "status", "sent"), [row[2:3] + row[1:2] + row[3:] for row in SENT], ids=[row[0] for row in SENT]
)
def test_the_record_holds_the_digest_of_the_body_that_the_server_sent(
    raw: RawServer, post: Post, service: Service, steps: Answer, is_stream: bool, status: int, sent: bytes | None
) -> None:
    raw.answer = lambda _: steps
    for path in PATHS:
        response, details = post(path, stream=is_stream)
        wanted = 502 if path == "/ask" and status == 400 else status
        assert response.status_code == wanted, response.text
        assert details[DIGEST] == (None if sent is None else sha256(sent))
        assert (details["attempts"], "retried" in details) == (1, False)
        if path == CHAT and status == 200 and not is_stream:
            assert details["delivered"] == {"bytes": details["delivered"]["bytes"], "sha256": sha256(_without_receipt(response))}
        assert PLANTED not in response.text + str(response.headers) + service.output() + service.log.read_text()


def _without_receipt(response: httpx.Response) -> bytes:
    """The answer as it was before the receipt was put into it."""
    return re.sub(rb',"receipt":\{[^}]*\}\}$', b"}", response.content)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_where_an_idle_connection_is_closed_the_record_says_so(raw: RawServer, post: Post, path: str, is_stream: bool) -> None:
    # In one write: a connection whose answer has not ended is not used again.
    good: Answer = [CHUNKED + chunk(STREAM) + chunk(b"")] if is_stream else [whole(chat())]

    def answer(request: Request) -> Answer:
        return good if request.number == 0 else [End.CLOSE]

    raw.answer = lambda _: [whole(chat(), "Connection: close"), End.CLOSE]  # what earlier tests left is used up
    post(path, stream=False)
    raw.answer = answer
    assert post(path, stream=is_stream)[1]["attempts"] == 1
    response, details = post(path, stream=is_stream)
    assert response.status_code == 200
    assert (details["attempts"], details["retried"]) == (2, "idle_close")
    assert details[DIGEST] == sha256(STREAM if is_stream else chat())
    assert list(details)[:8] == ["received", "answer", "model", "usage", "elapsed_ms", "attempts", "retried", "tries"]
    assert [one["why"] for one in details["tries"]] == ["idle_close", None]


def test_a_server_of_the_models_file_may_forbid_it(raw: RawServer, post: Post) -> None:
    raw.answer = lambda request: [whole(chat())] if request.number == 0 else [End.CLOSE]
    assert post(CHAT, model="once")[0].status_code == 200
    asked = len(raw.requests)
    response, details = post(CHAT, model="once")
    assert (response.status_code, details["attempts"], "retried" in details) == (503, 1, False)
    assert len(raw.requests) == asked + 1


OVERFLOW = b'{"error": {"message": "This model\'s maximum context length is 8192 tokens, %b", "code": 400}}' % PLANTED.encode()
NO_MONEY = b'{"error": {"message": "Insufficient Balance: %b", "type": "unknown_error", "code": "x"}}' % PLANTED.encode()


@pytest.mark.parametrize(
    ("status", "told", "code", "at_ask", "at_v1", "word"),
    [
        ("400 No", OVERFLOW, "context_length_exceeded", 400, 400, "context_length_exceeded"),
        ("500 Oh", OVERFLOW, "context_length_exceeded", 400, 400, "context_length_exceeded"),
        ("200 OK", OVERFLOW, "context_length_exceeded", 400, 400, "context_length_exceeded"),
        ("402 Pay", b"", "upstream_out_of_quota", 502, 429, "insufficient_quota"),
        ("403 No", NO_MONEY, "upstream_out_of_quota", 502, 429, "insufficient_quota"),
        *((f"{status} No", b"", "upstream_refused", 502, 400, "upstream_refused") for status in (405, 410, 415, 424, 451)),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_error_that_a_retry_cannot_help_says_so(
    raw: RawServer,
    post: Post,
    service: Service,
    status: str,
    told: bytes,
    code: str,
    at_ask: int,
    at_v1: int,
    word: str,
    is_stream: bool,
) -> None:
    raw.answer = lambda _: [whole(told, status=status)]
    for path, wanted in (("/ask", at_ask), (CHAT, at_v1), ("/v1/responses", at_v1)):
        response, details = post(path, stream=is_stream)
        assert response.status_code == wanted
        assert response.headers["x-should-retry"] == "false"
        assert "retry-after" not in response.headers
        assert (response.json()["code"] == code) if path == "/ask" else (response.json()["error"]["code"] == word)
        assert (details["code"], details[DIGEST]) == (code, sha256(told))
        assert PLANTED not in response.text + service.output() + service.log.read_text()
