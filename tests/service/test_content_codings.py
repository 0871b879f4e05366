"""Bodies that arrive compressed, as Codex sends them: decoded within the same limits, at every endpoint that takes one."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ..support.calls import bearer, refusal
from ..support.codings import PACKED
from ..support.service import HTTP, Service

ASK, CHAT = "/ask", "/v1/chat/completions"
BODIES: dict[str, Any] = {
    ASK: {"query": "What is 2+2?"},
    CHAT: {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is 2+2?"}]},
}
CODINGS = ["gzip", "zstd"]
BOMB = b" " * (9 << 20)


@pytest.fixture(scope="module")
def secret(service: Service) -> str:
    return service.add_client("coder")


def post(service: Service, token: str, path: str, body: bytes, coding: str) -> httpx.Response:
    headers = {**bearer(token), "content-type": "application/json", "content-encoding": coding}
    return HTTP.post(service.url + path, content=body, headers=headers)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_question_is_answered_and_recorded_as_it_reads(service: Service, token: str, path: str, coding: str) -> None:
    response = post(service, token, path, PACKED[coding](json.dumps(BODIES[path]).encode()), coding)
    assert response.status_code == 200, response.text
    asked = next(one for one in service.records() if one["request_id"] == response.headers["x-request-id"])["details"]
    assert (asked.get("query") or asked["messages"][0]["content"]) == "What is 2+2?"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_form_gets_a_token(service: Service, secret: str, coding: str) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "content-encoding": coding}
    form = PACKED[coding](b"grant_type=client_credentials")
    response = HTTP.post(service.url + "/token", content=form, headers=headers, auth=("coder", secret))
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_too_large_although_it_comes_small(service: Service, token: str, path: str, coding: str) -> None:
    packed = PACKED[coding](BOMB)
    assert len(packed) < 20_000
    response = post(service, token, path, packed, coding)
    assert response.status_code == 413
    assert refusal(service, response)["details"]["code"] == "too_large"


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, zstd"])
def test_another_coding_is_415_and_names_those_that_are_known(service: Service, token: str, path: str, coding: str) -> None:
    response = post(service, token, path, b"whatever", coding)
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "gzip, zstd")
    assert "gzip or zstd" in response.text
    assert "UTF-8" not in response.text


@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_cut_or_broken_is_400_and_says_so(service: Service, token: str, secret: str, coding: str) -> None:
    whole = PACKED[coding](json.dumps(BODIES[ASK]).encode())
    for body in (whole[:-1], whole[:10], b"{}", b""):
        response = post(service, token, ASK, body, coding)
        assert (response.status_code, response.json()["code"]) == (400, "malformed_body")
        assert coding in response.json()["detail"]
    headers = {"content-type": "application/x-www-form-urlencoded", "content-encoding": coding}
    response = HTTP.post(service.url + "/token", content=whole[:-1], headers=headers, auth=("coder", secret))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_without_its_header_is_told_which_to_send(service: Service, token: str, coding: str) -> None:
    for path, media_type in (
        (ASK, "application/json"),
        (CHAT, "application/json"),
        ("/token", "application/x-www-form-urlencoded"),
    ):
        body = PACKED[coding](json.dumps(BODIES.get(path)).encode())
        response = HTTP.post(service.url + path, content=body, headers={**bearer(token), "content-type": media_type})
        assert response.status_code == 400
        assert f"looks {coding}-compressed: send Content-Encoding: {coding}" in response.text
        assert refusal(service, response)["details"]["code"] == "malformed_body"
    twice = PACKED[coding](PACKED[coding](json.dumps(BODIES[ASK]).encode()))
    assert post(service, token, ASK, twice, coding).json()["detail"] == "The body is compressed twice: compress it once."
