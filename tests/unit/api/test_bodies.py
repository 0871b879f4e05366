"""How a body is read: never more than its limit, parsed once, and only as JSON that says it is JSON."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import Request

from app.api.bodies import LARGE_BYTES, MAX_ASK_BYTES, MAX_CONTAINERS, asked_question, disconnect_watch, read_body, read_json
from app.api.context import request_context
from app.api.http_errors import MalformedBody, MalformedJson, TooLarge, UnsupportedCoding, UnsupportedMediaType
from app.errors import ClientGone, InvalidRequest
from app.limits.held_bytes import HeldBytes, TooMuchInFlight
from app.security.models import Principal

from ...support import http_request
from ...support.codings import PACKED
from ...support.http_request import DISCONNECT, REQUEST_ID, FakeApp, run

JSON = {"content-type": "application/json"}
ALICE = Principal("alice", (), "alice", "0" * 32, 2_000_000_000)


def request_of(**how: Any) -> Request:
    return http_request.request_of(**{"app": FakeApp(), **how})


# --- its bytes ---------------------------------------------------------------------------------------


def test_a_body_is_held_until_the_request_ends_and_not_beyond_the_bound() -> None:
    app = FakeApp()
    app.held = HeldBytes(10, 6)
    first, second = request_of(app=app, body=[b"1234"]), request_of(app=app, body=[b"12", b"3"])
    assert run(read_body(first, 100)) == b"1234"
    with pytest.raises(TooMuchInFlight):
        run(read_body(second, 100))
    for request in (second, first):
        request["state"]["hold"].end()
    assert app.held.total == 0


@pytest.mark.parametrize("body", [[b""], [b"1234"], [b"12", b"34"], [b"", b"1234", b""]])
def test_a_body_is_read_whole_up_to_its_limit(body: list[bytes]) -> None:
    request = request_of(body=body)
    assert run(read_body(request, 4)) == b"".join(body)
    assert request_context(request).is_body_read


@pytest.mark.parametrize("body", [[b"12345"], [b"123", b"45"], [b"1234", b"5", b"6"]])
def test_a_body_above_its_limit_is_refused_without_its_rest(body: list[bytes]) -> None:
    request = request_of(body=body)
    with pytest.raises(TooLarge, match="larger than the 4 bytes"):
        run(read_body(request, 4))
    assert not request_context(request).is_body_read


@pytest.mark.parametrize("length", ["5", "99999999999999999999", "9" * 5000])
def test_a_declared_length_above_the_limit_is_refused_unread(length: str) -> None:
    with pytest.raises(TooLarge):
        run(read_body(request_of(headers={"content-length": length}, body=[DISCONNECT]), 4))


@pytest.mark.parametrize("body", [[DISCONNECT], [b"{", DISCONNECT]])
def test_a_caller_who_disconnects_before_the_end_is_gone(body: list[Any]) -> None:
    request = request_of(body=body)
    with pytest.raises(ClientGone):
        run(read_body(request, 4))
    assert not request_context(request).is_body_read


# --- its coding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gzip", "GZIP", "x-gzip", "zstd", " identity , zstd", "identity"])
def test_a_coded_body_is_read_as_what_it_holds(name: str) -> None:
    pack = PACKED["zstd" if "zstd" in name else "gzip"] if name != "identity" else bytes
    body = pack(b'{"a": 1}')
    request = request_of(headers={"content-encoding": name}, body=[body[:5], body[5:]])
    assert run(read_body(request, 100)) == b'{"a": 1}'
    assert request_context(request).is_body_read


@pytest.mark.parametrize("name", ["br", "deflate", "compress", "x-zstd", "gzip, zstd", "gzip, gzip", "gzip;q=1", "utf-8"])
def test_any_other_coding_is_refused_unread(name: str) -> None:
    with pytest.raises(UnsupportedCoding, match="gzip or zstd"):
        run(read_body(request_of(headers={"content-encoding": name}, body=[DISCONNECT]), 100))


def test_two_headers_with_a_coding_each_are_two_codings() -> None:
    headers = [("content-encoding", "gzip"), ("content-encoding", "zstd")]
    with pytest.raises(UnsupportedCoding):
        run(read_body(request_of(headers=headers, body=[DISCONNECT]), 100))


@pytest.mark.parametrize("coding", PACKED)
def test_the_limit_holds_for_what_a_coded_body_holds(coding: str) -> None:
    headers = {"content-encoding": coding}
    packed = PACKED[coding](b"a" * 5_000)
    assert len(run(read_body(request_of(headers=headers, body=[packed]), 5_000))) == 5_000
    with pytest.raises(TooLarge, match="larger than the 4999 bytes"):
        run(read_body(request_of(headers=headers, body=[packed, DISCONNECT]), 4_999))


@pytest.mark.parametrize("coding", PACKED)
def test_bytes_that_hold_nothing_count_too(coding: str) -> None:
    nothing = PACKED[coding](b"")
    with pytest.raises(TooLarge):
        run(read_body(request_of(headers={"content-encoding": coding}, body=[nothing] * 10 + [DISCONNECT]), 9 * len(nothing)))


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("body", [b"", b"{}", "cut"])
def test_a_body_that_is_not_what_its_coding_says_is_malformed(coding: str, body: bytes | str) -> None:
    sent = PACKED[coding](b'{"a": 1}')[:-3] if isinstance(body, str) else body
    with pytest.raises(MalformedBody, match=coding):
        run(read_body(request_of(headers={"content-encoding": coding}, body=[sent]), 100))


# --- its JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "media_type", ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8", " application/json "]
)
def test_json_is_parsed_where_the_header_says_it_is_json(media_type: str) -> None:
    body = run(read_json(request_of(headers={"content-type": media_type}, body=[b'{"a": [1, 2]}']), 100))
    assert (body.document, body.is_large) == ({"a": [1, 2]}, False)


@pytest.mark.parametrize("media_type", [None, "", "text/plain", "application/jsonx", "application/problem+json"])
def test_another_media_type_is_refused_before_anything_is_read(media_type: str | None) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    with pytest.raises(UnsupportedMediaType):
        run(read_json(request_of(headers=headers, body=[DISCONNECT]), 100))


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b'{"a": 1, "a": 1}', b'\xef\xbb\xbf{"a": 1}', b'"\xff"', b"{} {}"])
def test_what_is_not_one_json_document_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedJson, match="not one JSON document"):
        run(read_json(request_of(headers=JSON, body=[text]), 100))


def test_from_a_size_on_a_body_is_large() -> None:
    for size, is_large in ((LARGE_BYTES - 1, False), (LARGE_BYTES, True)):
        body = run(read_json(request_of(headers=JSON, body=[b'"' + b"a" * (size - 2) + b'"']), size))
        assert (len(body.document), body.is_large) == (size - 2, is_large)


def test_a_large_body_of_brackets_is_refused_before_it_is_parsed() -> None:
    for brackets, error in ((MAX_CONTAINERS, MalformedJson), (MAX_CONTAINERS + 1, TooLarge)):
        text = b"[" * (brackets - 1) + b"{" + b" " * LARGE_BYTES
        with pytest.raises(error):
            run(read_json(request_of(headers=JSON, body=[text]), len(text)))


# --- a question --------------------------------------------------------------------------------------


def test_a_question_comes_with_the_request_that_asked_it() -> None:
    request = request_of(headers=JSON, body=['{"query": "Où?"}'.encode()])
    question = run(asked_question(request, ALICE))
    assert (question.query, question.origin.request_id) == ("Où?", REQUEST_ID)
    assert question.origin is request_context(request).origin


def test_what_is_no_question_is_refused_with_its_own_error() -> None:
    with pytest.raises(InvalidRequest):
        run(asked_question(request_of(headers=JSON, body=[b"[]"]), ALICE))
    with pytest.raises(TooLarge):
        run(asked_question(request_of(headers=JSON, body=[b" " * (MAX_ASK_BYTES + 1)]), ALICE))


# --- while it is answered ----------------------------------------------------------------------------


def test_a_watch_is_done_once_the_caller_disconnects() -> None:
    async def watch() -> None:
        request = request_of(body=[b"more", b"", DISCONNECT])
        with disconnect_watch(request) as disconnected:
            await disconnected
            assert disconnected.done()

    run(watch())


def test_a_watch_ends_with_its_block() -> None:
    async def watch() -> None:
        with disconnect_watch(request_of(body=[])) as disconnected:
            await asyncio.sleep(0)
            assert not disconnected.done()
        with pytest.raises(asyncio.CancelledError):
            await disconnected

    run(watch())
