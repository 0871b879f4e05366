"""The proxy of compose.yaml, by nginx itself: what it takes off a request, cuts, bounds and lets through at once."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.api.asserted_user import KNOWN_HEADERS
from app.settings import Settings

from ..support.calls import bearer
from ..support.fake_openai import FakeOpenAI
from ..support.nginx import CONFIGURATION, check, in_front_of, render, untrusting
from ..support.sdk import records_named
from ..support.service import Service, free_port
from ..support.waiting import eventually

FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "Forwarded": "for=203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "X-Forwarded-Host": "evil.example",
    **{header.id: "mallory" for header in KNOWN_HEADERS},
}
CONNECTIONS = 50


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Service:
    """A service that believes its proxy. It does not run yet."""
    env: dict[str, Any] = {"OPENAI_BASE_URL": fake.base_url, "TRUSTED_PROXIES": "127.0.0.1"}
    return Service(tmp_path_factory.mktemp("proxied"), **env)


@pytest.fixture(scope="module")
def key(stopped: Service) -> str:
    """Of a front end: a service that ran would know that within a second only."""
    return str(stopped.cli("clients", "add", "webui", "--front-end", "--key")["key"])


@pytest.fixture(scope="module")
def proxied(stopped: Service, key: str) -> Iterator[Service]:
    with stopped:
        yield stopped


@pytest.fixture(scope="module")
def edge(proxied: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with in_front_of(proxied.port, tmp_path_factory.mktemp("edge")) as url:
        with httpx.Client(base_url=url, verify=untrusting(), timeout=60) as client:
            yield client


def connect(edge: httpx.Client) -> http.client.HTTPSConnection:
    at = urlsplit(str(edge.base_url))
    return http.client.HTTPSConnection(str(at.hostname), at.port, context=untrusting(), timeout=60)


def test_nginx_takes_the_file_without_a_warning(tmp_path: Path) -> None:
    assert check(render(tmp_path, free_port(), free_port())) == ""


def test_its_numbers_fit_the_settings() -> None:
    text, settings = CONFIGURATION.read_text(), Settings.model_fields
    (wait,), (size,) = re.findall(r"proxy_read_timeout (\d+)s", text), re.findall(r"client_max_body_size (\d+)m", text)
    assert int(wait) > settings["llm_timeout_seconds"].default
    assert int(size) << 20 == settings["v1_max_body_bytes"].default
    blanked = {name.lower() for name in re.findall(r'proxy_set_header ([\w-]+) "";', text)}
    assert {header.id for header in KNOWN_HEADERS} <= blanked


def test_its_tls_is_announced_and_new_enough(edge: httpx.Client) -> None:
    assert edge.get("/livez").headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
    for version, is_taken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
        context = untrusting()
        context.set_ciphers("ALL:@SECLEVEL=0")  # this side would take the old one
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = context.maximum_version = version
        at = urlsplit(str(edge.base_url))
        with socket.create_connection((str(at.hostname), at.port or 0)) as plain:
            with nullcontext() if is_taken else pytest.raises(ssl.SSLError), context.wrap_socket(plain) as caller:
                assert caller.version() == version.name.replace("_", ".")


def test_a_caller_cannot_say_from_where_or_for_whom(proxied: Service, edge: httpx.Client, key: str) -> None:
    answer = edge.post("/ask", json={"query": "hi"}, headers=bearer(key) | FORGED)
    assert answer.status_code == 200, answer.text
    received = records_named(proxied, answer.headers["x-request-id"])[0]
    assert received["details"]["address"] == "127.0.0.1"
    assert "asserted_user" not in received["details"]


def test_the_discovered_address_is_the_one_that_was_called(edge: httpx.Client) -> None:
    told = edge.get("/.well-known/oauth-authorization-server", headers=FORGED).json()
    assert "evil.example" not in json.dumps(told)
    assert told["token_endpoint"] == str(edge.base_url.join("/token"))


def test_an_event_leaves_before_the_next_one_comes(edge: httpx.Client, key: str, upstream: FakeOpenAI) -> None:
    upstream.set("stall:1")
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with edge.stream("POST", "/v1/chat/completions", json=body, headers=bearer(key)) as answer:
        assert any('"content"' in line for line in answer.iter_lines())


def test_what_nginx_refuses_itself_is_an_error_that_sdks_read(edge: httpx.Client, key: str) -> None:
    size = Settings.model_fields["v1_max_body_bytes"].default + 1
    answer = edge.post("/v1/chat/completions", content=b" " * size, headers=bearer(key))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_a_service_that_is_down_is_a_503_to_be_tried_again(tmp_path: Path) -> None:
    with in_front_of(free_port(), tmp_path) as url:
        answer = httpx.get(url + "/livez", verify=untrusting())
    assert (answer.status_code, answer.json()["error"]["code"], answer.headers["retry-after"]) == (503, "unavailable", "5")


def test_one_address_has_so_many_questions_at_once(edge: httpx.Client, key: str, upstream: FakeOpenAI) -> None:
    upstream.set("hang")
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            waiting = stack.enter_context(closing(connect(edge)))
            waiting.request("POST", "/ask", json.dumps({"query": "hi"}), bearer(key) | {"Content-Type": "application/json"})
        eventually(lambda: upstream.calls("open") == CONNECTIONS)
        answer = edge.post("/ask", json={"query": "hi"}, headers=bearer(key))
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limited")


def test_public_evidence_has_a_rate_per_address(edge: httpx.Client) -> None:
    statuses = {edge.get("/audit/checkpoint").status_code for _ in range(400)}
    assert statuses == {200, 429}


@pytest.mark.parametrize(
    "part", [b"POST /token HTTP/1.1\r\nHost: a\r\n", b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1"]
)
def test_half_a_request_is_cut_and_never_reaches_us(proxied: Service, edge: httpx.Client, part: bytes) -> None:
    before = len(proxied.records())
    at = urlsplit(str(edge.base_url))
    with socket.create_connection((str(at.hostname), at.port or 0)) as plain, untrusting().wrap_socket(plain) as caller:
        caller.settimeout(60)
        caller.sendall(part)
        assert caller.recv(1 << 16).partition(b" ")[2][:3] in (b"", b"408")
    assert len(proxied.records()) == before
