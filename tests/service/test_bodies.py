"""Which bodies are accepted: the JSON test suite, the list of naughty strings, and what lax parsers accept."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import groupby
from typing import Any

import httpx
import pytest

from ..support.calls import bearer, check_problem, refusal
from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.paths import CORPORA
from ..support.service import Service
from ..support.waiting import eventually

NAUGHTY: list[str] = json.loads((CORPORA / "strings" / "blns.json").read_text("utf-8"))
MARKER = "planted-marker-7c1f"


@cache
def suite(kind: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((CORPORA / "json").glob(f"{kind}_*.json"))}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """A service with a high bound on single records of refusals."""
    more: dict[str, Any] = {"AUDIT_REFUSALS_PER_MINUTE": "100000"}
    with Service(tmp_path_factory.mktemp("bodies"), OPENAI_BASE_URL=fake.base_url, **more) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service, token: str) -> Iterator[httpx.Client]:
    headers = {**bearer(token), "content-type": "application/json"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=60, verify=False) as running:
        yield running


def send_all(service: Service, client: httpx.Client, bodies: dict[str, bytes]) -> dict[str, tuple[httpx.Response, list[Any]]]:
    """The response to each body and its records. Checks that the log has complete lines and no other records."""
    size = service.log.stat().st_size
    responses = {name: client.post("/ask", content=body) for name, body in bodies.items()}
    lines = service.log.read_bytes()[size:].splitlines(keepends=True)
    assert all(line.endswith(b'"}\n') and line.startswith(b'{"v":1,') for line in lines)
    grown = groupby((json.loads(line) for line in lines), key=lambda record: record["request_id"])
    records = {request_id: list(group) for request_id, group in grown}
    assert set(records) == {response.headers["x-request-id"] for response in responses.values()}
    return {name: (response, records[response.headers["x-request-id"]]) for name, response in responses.items()}


def wrapped(bodies: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name} as a query": b'{"query": ' + body + b"}" for name, body in bodies.items()}


# --- the JSON suite ----------------------------------------------------------------------------------


def test_what_is_not_json_is_400_or_422_with_one_record(service: Service, client: httpx.Client) -> None:
    bodies = suite("n")
    assert len(bodies) == 188
    for name, (response, records) in send_all(service, client, bodies | wrapped(bodies)).items():
        assert response.status_code in (400, 422), name
        check_problem(response, response.status_code, {400: "malformed_json", 422: "invalid_request"}[response.status_code])
        assert [(one["action"], one["user_id"]) for one in records] == [("request.refused", "alice")], name


def test_what_is_json_but_no_question_is_422_with_one_record(service: Service, client: httpx.Client) -> None:
    bodies = suite("y")
    assert len(bodies) == 95
    for name, (response, records) in send_all(service, client, bodies).items():
        # An object with a member twice is JSON, but it is unclear which of the two is meant.
        assert response.status_code == (400 if "duplicated" in name else 422), name
        assert [one["action"] for one in records] == ["request.refused"], name


def test_json_as_the_text_of_a_query_is_answered_or_is_a_422(service: Service, client: httpx.Client) -> None:
    texts = {name: body.strip() for name, body in suite("y").items() if name.startswith("y_string")}
    bodies = {name: body[1:-1] if body.startswith(b"[") else body for name, body in texts.items()}
    answered = 0
    for name, (response, records) in send_all(service, client, wrapped(bodies)).items():
        assert response.status_code in (200, 422), name
        assert len(records) == (2 if response.status_code == 200 else 1), name
        answered += response.status_code == 200
    assert answered > 30


# --- the naughty strings -----------------------------------------------------------------------------


@pytest.mark.parametrize("as_ascii", [True, False], ids=["escaped", "as UTF-8"])
def test_every_naughty_string_is_answered_and_recorded_in_one_line(
    service: Service, client: httpx.Client, fake: FakeOpenAI, as_ascii: bool
) -> None:
    assert len(NAUGHTY) == 515
    calls = fake.calls()
    bodies = {f"{n}: {text!a}": json.dumps({"query": text}, ensure_ascii=as_ascii).encode() for n, text in enumerate(NAUGHTY)}
    blank = 0
    for (name, (response, records)), text in zip(send_all(service, client, bodies).items(), NAUGHTY, strict=True):
        if not text.strip():
            blank += 1
            check_problem(response, 422, "invalid_request")
            assert [one["action"] for one in records] == ["request.refused"], name
            continue
        assert (response.status_code, response.json()["answer"]) == (200, completion_text(text)), name
        received, answered = records
        assert (received["action"], received["details"]["query"], answered["action"]) == ("ask.received", text, "ask.answered")
    assert 0 < blank < 10
    assert fake.calls() == calls + 515 - blank
    assert service.verify()["ok"]


def test_no_naughty_string_forges_a_line_of_the_security_log(service: Service, client: httpx.Client) -> None:
    for text in NAUGHTY:
        client.post("/token", data={"grant_type": text, "client_id": text, "scope": text})
        client.get("/x", params={"q": text})
    last = client.get("/x").headers["x-request-id"]
    for line in service.security_log(last):
        assert line.isascii()
        words = line.split(" ")
        assert words[0].endswith("Z"), line
        assert words[1] in ("INFO", "WARNING", "ERROR"), line


# --- what lax parsers accept ------------------------------------------------------------------------

DEEP = 100_000
CASES: dict[str, tuple[bytes, int]] = {
    "a lone surrogate": (rb'{"query": "a\ud800"}', 422),
    "a lone low surrogate": (rb'{"query": "\udc00a"}', 422),
    "two high surrogates": (rb'{"query": "\ud800\ud800"}', 422),
    "a surrogate as UTF-8": (b'{"query": "\xed\xa0\x80"}', 400),
    "NaN": (b'{"query": NaN}', 400),
    "Infinity": (b'{"query": Infinity}', 400),
    "-Infinity": (b'{"query": -Infinity}', 400),
    "a byte order mark": (b'\xef\xbb\xbf{"query": "hi"}', 400),
    "UTF-16": ('{"query": "hi"}'.encode("utf-16"), 400),
    "UTF-16 without a mark": ('{"query": "hi"}'.encode("utf-16-le"), 400),
    "UTF-32": ('{"query": "hi"}'.encode("utf-32"), 400),
    "Latin-1": ('{"query": "caf\xe9"}'.encode("latin-1"), 400),
    "an overlong form": (b'{"query": "\xc0\xaf"}', 400),
    "a member twice": (b'{"query": "hi", "query": "ho"}', 400),
    "the same member twice": (b'{"query": "hi", "query": "hi"}', 400),
    "a member twice by escapes": (rb'{"query": "hi", "qu\u0065ry": "ho"}', 400),
    "a member twice below": (b'{"query": {"a": 1, "a": 2}}', 400),
    "NUL": (rb'{"query": "a\u0000b"}', 422),
    "NUL in a name": (rb'{"query\u0000": "a"}', 422),
    "a raw NUL": (b'{"query": "a\0b"}', 400),
    "a raw newline": (b'{"query": "a\nb"}', 400),
    "100,000 arrays": (b'{"query": ' + b"[" * DEEP + b"]" * DEEP + b"}", 400),
    "25,000 objects": (b'{"a":' * (DEEP // 4) + b"1" + b"}" * (DEEP // 4), 400),
    "a huge number": (b'{"query": ' + b"9" * DEEP + b"}", 400),
    "a huge exponent": (b'{"query": 1e999999999}', 400),
    "two documents": (b'{"query": "a"}{"query": "b"}', 400),
    "a comment": (b'{"query": "a" /* b */}', 400),
    "single quotes": (b"{'query': 'a'}", 400),
    "an empty body": (b"", 400),
    "only white space": (b"  \n", 400),
    "an array": (b'["query", "a"]', 422),
    "a text": (b'"query"', 422),
    "null": (b"null", 422),
    "an empty object": (b"{}", 422),
    "another name": (b'{"Query": "a"}', 422),
    "an extra member": (b'{"query": "a", "model": "b"}', 422),
    "a query of null": (b'{"query": null}', 422),
    "a query of 7": (b'{"query": 7}', 422),
    "a query of true": (b'{"query": true}', 422),
    "a query of a list": (b'{"query": ["a"]}', 422),
    "a query of an object": (b'{"query": {"query": "a"}}', 422),
    "an empty query": (b'{"query": ""}', 422),
    "a blank query": (rb'{"query": " \t\r\n\u00a0\u2003\u3000"}', 422),
    "2,001 code points": (json.dumps({"query": "x" * 2001}).encode(), 422),
    "a form": (b"query=hi", 400),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_lax_parser_would_take_is_refused_and_recorded_once(service: Service, client: httpx.Client, name: str) -> None:
    body, status = CASES[name]
    response = client.post("/ask", content=body)
    check_problem(response, status, {400: "malformed_json", 422: "invalid_request"}[status])
    details = refusal(service, response)["details"]
    assert list(details) == ["status", "code", "method", "route", "address", "credential"]


@pytest.mark.parametrize(
    "body",
    [
        {MARKER: 1},
        {"query": "hi", MARKER: "x"},
        {"query": [MARKER]},
        {"query": {MARKER: MARKER}},
        {"query": MARKER + "\0"},
        {"query": MARKER * 200},
        [MARKER],
        MARKER,
    ],
    ids=str,
)
def test_a_refusal_repeats_nothing_of_what_was_sent(service: Service, client: httpx.Client, body: object) -> None:
    response = client.post("/ask", content=json.dumps(body))
    check_problem(response, 422, "invalid_request")
    broken = client.post("/ask", content=json.dumps(body) + MARKER)
    check_problem(broken, 400, "malformed_json")
    assert MARKER not in response.text + broken.text + str(response.headers) + str(broken.headers)
    assert MARKER not in service.log.read_text()
    assert MARKER not in str(service.security_log(broken.headers["x-request-id"]))


@pytest.mark.parametrize("point", ["x", "\x01", "é", "\uffff", "\U0001f600", "\U0010ffff"], ids=ascii)
def test_2000_code_points_are_a_question_however_many_bytes_they_are(client: httpx.Client, point: str) -> None:
    query = point * 1999 + "."
    for as_ascii in (True, False):
        response = client.post("/ask", content=json.dumps({"query": query}, ensure_ascii=as_ascii).encode())
        assert (response.status_code, response.json()["answer"]) == (200, completion_text(query))
    assert client.post("/ask", content=json.dumps({"query": query + "."})).status_code == 422


# --- size --------------------------------------------------------------------------------------------


def pour(service: Service, head: str, piece: bytes, until: int) -> tuple[int, bytes]:
    """Send *piece* repeatedly until an answer or a reset. Returns the number of bytes sent and the answer."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as caller:
        sent, answer = 0, b""
        answered = select.poll()  # select() takes no descriptor past 1,024
        answered.register(caller, select.POLLIN)
        with suppress(ConnectionError):
            caller.sendall(head.encode())
            while sent < until and not answered.poll(0):
                caller.sendall(piece)
                sent += len(piece)
        with suppress(ConnectionError):
            while more := caller.recv(65536):
                answer += more
        return sent, answer


@pytest.mark.parametrize("how", ["chunked", "declared"])
def test_a_body_of_100_mb_is_cut_at_the_limit(service: Service, token: str, how: str) -> None:
    total = 100_000_000
    length = "Transfer-Encoding: chunked" if how == "chunked" else f"Content-Length: {total}"
    head = f"POST /ask HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    data = b" " * 65536
    sent, answer = pour(service, head, b"10000\r\n" + data + b"\r\n" if how == "chunked" else data, total)
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:100]
    assert b"connection: close" in answer.lower(), "otherwise the service reads as long as the caller sends"
    assert sent < total / 2
    assert service.ask(token).status_code == 200


def test_a_chunked_body_within_the_limit_is_a_question(client: httpx.Client) -> None:
    response = client.post("/ask", content=iter([b'{"que', b'ry": ', b'"hi"}']))
    assert response.status_code == 200


def test_a_body_without_its_end_is_recorded_when_the_caller_disconnects(service: Service, token: str) -> None:
    size = service.log.stat().st_size
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as caller:
        head = f"POST /ask HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        caller.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    eventually(lambda: service.log.stat().st_size > size)
    record = service.records()[-1]
    assert (record["action"], record["user_id"], record["details"]["code"]) == ("request.refused", "alice", "client_gone")
