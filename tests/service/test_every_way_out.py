"""Every refusal is recorded, on all routes and for all reasons; and the list of requests without a record."""

from __future__ import annotations

import re
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.responses import StreamingResponse
from fastapi.routing import iter_route_contexts

from app.main import create_app
from app.security import roles
from app.settings import load_settings
from app.upstream import fair_slots
from app.upstream.client import Upstream
from app.upstream.embedded import EmbeddedAddress

from ..support.calls import FORM, bearer, check_problem, records_of
from ..support.fake_openai import FakeOpenAI
from ..support.inside import Inside
from ..support.service import HTTP, Service
from ..support.waiting import eventually
from ..support.windows import held, window_folder

ORIGIN = "https://console.example"
JSON = {"content-type": "application/json"}
QUESTION = b'{"query": "hi"}'
MESSAGES = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}'
BODIES = {
    "/ask": QUESTION,
    "/v1/chat/completions": MESSAGES,
    "/v1/responses": b'{"model": "gpt-4o-mini", "input": "hi"}',
    "/v1/embeddings": b'{"model": "gpt-4o-mini", "input": "hi"}',
    "/v1/completions": b'{"model": "gpt-4o-mini", "prompt": "hi"}',
    **dict.fromkeys(("/v1/messages", "/v1/messages/count_tokens"), MESSAGES),
}
JSON_HEADER = "Content-Type: application/json\r\n"
SECRET = "no-secret-of-anybody"
OAUTH_FORM = {**FORM, "token": "x"}
"""For all three endpoints of clients; each takes its own parameters of it."""


@dataclass(frozen=True)
class Way:
    """A successful call of a route. *role* is needed (None: none; "client": a secret; "any": any token)."""

    path: str
    role: str | None = None
    method: str = "GET"
    others_get: str = "PUT"
    """A method that the route does not accept."""

    @property
    def is_guarded(self) -> bool:
        return self.role not in (None, "client")


WAYS = {
    "/token": Way("/token", "client", "POST", "GET"),
    "/token/revoke": Way("/token/revoke", "client", "POST", "GET"),
    "/token/introspect": Way("/token/introspect", "client", "POST", "GET"),
    "/.well-known/oauth-authorization-server": Way("/.well-known/oauth-authorization-server"),
    "/.well-known/oauth-protected-resource": Way("/.well-known/oauth-protected-resource"),
    "/ask": Way("/ask", roles.ASK, "POST", "GET"),
    "/budget": Way("/budget", "any"),
    "/livez": Way("/livez"),
    "/health": Way("/health"),
    "/healthz": Way("/healthz"),
    "/readyz": Way("/readyz", None, "GET", "POST"),
    "/openapi.json": Way("/openapi.json"),
    "/": Way("/"),
    "/docs": Way("/docs"),
    "/docs/start.js": Way("/docs/start.js"),
    "/docs/assets": Way("/docs/assets/swagger-ui.css"),
    "/v1/chat/completions": Way("/v1/chat/completions", roles.ASK, "POST", "GET"),
    "/v1/responses": Way("/v1/responses", roles.ASK, "POST", "GET"),
    "/v1/embeddings": Way("/v1/embeddings", roles.ASK, "POST", "GET"),
    "/v1/completions": Way("/v1/completions", roles.ASK, "POST", "GET"),
    "/v1/messages": Way("/v1/messages", roles.ASK, "POST", "GET"),
    "/v1/messages/count_tokens": Way("/v1/messages/count_tokens", roles.ASK, "POST", "GET"),
    "/v1/models": Way("/v1/models", roles.ASK),
    "/v1/models/{model:path}": Way("/v1/models/gpt-4o-mini", roles.ASK),
    "/audit/checkpoint": Way("/audit/checkpoint", None, "GET", "POST"),
    "/audit/vkey": Way("/audit/vkey"),
    "/audit/tile/{address:path}": Way("/audit/tile/0/000.p/1"),
    "/audit/tile/entries/{address:path}": Way("/audit/tile/entries/000.p/1", roles.AUDIT_READER),
    "/audit/entries": Way("/audit/entries", "any"),
    "/audit/entries/{seq}": Way("/audit/entries/0", "any"),
    "/audit/receipts/{seq}": Way("/audit/receipts/0", "any"),
}
UNRECORDED = {
    *("/", "/livez", "/health", "/healthz", "/readyz", "/openapi.json", "/docs", "/docs/start.js", "/docs/assets"),
    *("/token/revoke", "/token/introspect"),  # of what proves nothing, as here
    *("/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"),
    *("/budget", "/v1/models", "/v1/models/{model:path}", "/audit/checkpoint", "/audit/vkey", "/audit/tile/{address:path}"),
}
OF_CLIENTS = [template for template, way in WAYS.items() if way.role == "client"]
GUARDED = [template for template, way in WAYS.items() if way.is_guarded]
READERS = [template for template in GUARDED if WAYS[template].role in ("any", roles.AUDIT_READER)]
"""Those that the tests call as the reader."""
addresses = (f"203.0.{high}.{low}" for high in range(256) for low in range(1, 255))
"""A new address for each call, so that no limit of an address affects a test."""


class Caller:
    """Calls the service, each time from another address."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.secret = service.add_client("alice", roles.ASK)
        self.tokens = {
            roles.ASK: service.token("alice", self.secret),
            roles.AUDIT_READER: service.token("reader", service.add_client("reader", roles.AUDIT_READER)),
        }

    def succeed(self, way: Way, method: str = "") -> httpx.Response:
        """Call it as a caller that may."""
        if way.role == "client":
            return self.call(way, data=OAUTH_FORM, auth=("alice", self.secret))
        token = None if way.role is None else self.tokens.get(way.role, self.tokens[roles.AUDIT_READER])
        return self.call(way, token, method=method)

    def call(self, way: Way, token: str | None = None, *, method: str = "", path: str = "", **more: Any) -> httpx.Response:
        headers = {"x-forwarded-for": next(addresses), **(bearer(token) if token else {}), **more.pop("headers", {})}
        if way.path in BODIES and not more:
            headers, more = {**JSON, **headers}, {"content": BODIES[way.path]}
        response = HTTP.request(method or way.method, self.service.url + (path or way.path), headers=headers, **more)
        response.extensions["address"] = headers["x-forwarded-for"]
        return response

    def check(self, response: httpx.Response, status: int, code: str, route: str | None, **other: Any) -> dict[str, Any]:
        """The one record of a refused request, complete as the contract demands."""
        assert response.status_code == status, response.text
        (record,) = records_of(self.service, response)
        assert record["action"] == other.get("action", "request.refused")
        assert record["user_id"] == other.get("user_id")
        recorded = {name: record["details"].get(name) for name in ("status", "code", "method", "route", "address")}
        address = other.get("address", response.extensions["address"])
        assert recorded == {
            "status": status,
            "code": code,
            "method": response.request.method,
            "route": route,
            "address": address,
        }
        return record


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Caller]:
    env: dict[str, Any] = {"TRUSTED_PROXIES": "127.0.0.1", "CORS_ORIGINS": ORIGIN, "LLM_TIMEOUT_SECONDS": "3"}
    with Service(tmp_path_factory.mktemp("out"), OPENAI_BASE_URL=fake.base_url, **env) as service:
        yield Caller(service)


# --- all routes --------------------------------------------------------------------------------------


def test_every_route_of_the_app_is_walked_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(secret_key="s" * 43, openai_base_url="http://127.0.0.1:9/v1", console_enabled=False)
    app = create_app(settings)  # test_console_api.py walks the routes of the console
    assert {route.path for route in iter_route_contexts(app.routes)} == set(WAYS)


def test_the_paths_whose_successes_leave_no_record_are_exactly_these(out: Caller) -> None:
    silent = set()
    for template, way in WAYS.items():
        for method in {"GET", "HEAD"} if template in ("/livez", "/readyz", "/docs/assets", "/openapi.json") else {way.method}:
            response = out.succeed(way, method)
            assert response.status_code == (307 if template == "/" else 200), (template, method, response.text)
            assert len(response.headers.get_list("cache-control")) == 1, template
            if not records_of(out.service, response):
                silent.add(template)
    assert silent == UNRECORDED


@pytest.mark.parametrize("template", WAYS)
def test_a_method_that_a_route_does_not_take_is_405_with_what_it_takes(out: Caller, template: str) -> None:
    way = WAYS[template]
    for method in (way.others_get, "DELETE", "TRACE"):
        response = out.call(way, method=method, content=b"")
        out.check(response, 405, "method_not_allowed", template)
        assert way.method in response.headers["allow"].split(", ")


def test_an_unknown_address_is_404(out: Caller) -> None:
    for path in ("/nothing", "/docs/", "/audit", "/v1/nothing", "/%00", "//ask", "/livez/x", "/metrics", "/livez%0A"):
        out.check(out.call(WAYS["/livez"], path=path), 404, "not_found", None)
    for path in ("/docs/assets/nothing", "/docs/assets/", "/docs/assets/%2e%2e/%2e%2e/docs.py", "/docs/assets/" + "x" * 300):
        out.check(out.call(WAYS["/livez"], path=path), 404, "not_found", "/docs/assets")


def test_a_range_that_a_file_does_not_have_gets_the_whole_file(out: Caller) -> None:
    way = WAYS["/docs/assets"]
    for asked in ("bytes=999999999-", "apples"):
        assert out.call(way, headers={"range": asked}).status_code == 200


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"access-control-request-headers": "x-forwarded-for"}])
def test_a_refused_preflight_is_recorded_and_an_allowed_one_is_not(out: Caller, headers: dict[str, str]) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
    fine = out.call(WAYS["/ask"], method="OPTIONS", headers=asked, content=b"")
    assert (fine.status_code, records_of(out.service, fine)) == (200, [])
    response = out.call(WAYS["/ask"], method="OPTIONS", headers=asked | headers, content=b"")
    out.check(response, 400, "cross_origin_refused", None)
    assert "access-control-allow-origin" not in response.headers


# --- authorisation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", GUARDED)
def test_without_a_good_token_it_is_401(out: Caller, template: str) -> None:
    way = WAYS[template]
    out.check(out.call(way), 401, "token_missing", template)
    out.check(out.call(way, "x.y.z"), 401, "token_malformed", template)
    out.check(out.call(way, path=f"{way.path}?access_token=x"), 401, "token_missing", template)


@pytest.mark.parametrize("template", [template for template in GUARDED if WAYS[template].role != "any"])
def test_without_the_role_it_is_403(out: Caller, template: str) -> None:
    way = WAYS[template]
    ((role, token),) = [(role, token) for role, token in out.tokens.items() if role != way.role]
    who = {roles.ASK: "alice", roles.AUDIT_READER: "reader"}[role]
    out.check(out.call(way, token), 403, "insufficient_scope", template, action="ask.refused", user_id=who)


def test_records_of_others_are_404_and_the_attempt_is_recorded(out: Caller) -> None:
    for template in ("/audit/entries/{seq}", "/audit/receipts/{seq}"):
        for seq, token, who in ((0, roles.ASK, "alice"), (10**9, roles.AUDIT_READER, "reader"), ("x", roles.ASK, "alice")):
            path = template.replace("{seq}", str(seq))
            out.check(out.call(WAYS[template], out.tokens[token], path=path), 404, "not_found", template, user_id=who)


@pytest.mark.parametrize("template", [*OF_CLIENTS, *GUARDED])
def test_too_many_are_429_for_a_principal_and_for_an_address(template: str, limited: Caller) -> None:
    way, who = WAYS[template], "reader" if template in READERS else "alice"
    reads = way.method == "GET" or template in ("/v1/messages/count_tokens", "/token/introspect")
    for _ in range(601 if reads else 61 if template in OF_CLIENTS else 2):
        response = limited.succeed(way)
        if response.status_code == 429:
            break
    limited.check(response, 429, "rate_limited", template, user_id=who)
    headers = {"x-forwarded-for": next(addresses)}
    wrong: dict[str, Any] = {"data": FORM, "auth": ("alice", SECRET)} if template in OF_CLIENTS else {}
    first, second = (limited.call(way, headers=headers, **wrong) for _ in range(2))
    limited.check(first, 401, "invalid_client" if wrong else "token_missing", template)
    limited.check(second, 429, "rate_limited", template)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Caller]:
    env: dict[str, Any] = {"TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMIT": "1", "ADDRESS_RATE_LIMIT": "1"}
    with Service(tmp_path_factory.mktemp("limited"), OPENAI_BASE_URL=fake.base_url, **env) as service:
        yield Caller(service)


# --- the request -----------------------------------------------------------------------------------


def test_an_unusable_body_is_refused_at_every_endpoint_that_takes_one(out: Caller) -> None:
    ask, token = WAYS["/ask"], out.tokens[roles.ASK]
    for status, code, headers, content in (
        (400, "malformed_json", JSON, b"{"),
        (422, "invalid_request", JSON, b"{}"),
        (415, "unsupported_media_type", {"content-type": "text/plain"}, QUESTION),
        (413, "too_large", JSON, b" " * 300_000),
    ):
        response = out.call(ask, token, headers=headers, content=content)
        out.check(response, status, code, "/ask", user_id="alice")
    for template, good_body in list(BODIES.items())[1:]:
        for status, code, headers, content in (
            (400, "malformed_json", JSON, b"{"),
            (400, "invalid_request", JSON, b"{}"),
            (400, "invalid_request", JSON, b"[]"),
            (404, "model_not_found", JSON, good_body.replace(b"gpt-4o-mini", b"gpt-9")),
            (415, "unsupported_media_type", {"content-type": "text/plain"}, good_body),
            (413, "too_large", JSON, b" " * (8 * 1024 * 1024 + 1)),
            (413, "too_large", JSON, b"[" * 200_001 + b" " * 100_000),
        ):
            response = out.call(WAYS[template], token, headers=headers, content=content)
            out.check(response, status, code, template, user_id="alice")
    form, good = {"content-type": "application/x-www-form-urlencoded"}, ("alice", out.secret)
    for status, code, headers, content in (
        (400, "invalid_request", form, b"a=1&a=2"),
        (400, "unsupported_grant_type", form, b"grant_type=password"),
        (415, "unsupported_media_type", JSON, b"grant_type=client_credentials"),
        (413, "too_large", form, b"a" * 10_000),
    ):
        response = out.call(WAYS["/token"], auth=good, headers=headers, content=content)
        out.check(response, status, code, "/token")
    response = out.call(WAYS["/token"], auth=good, data={**FORM, "scope": "x.y"})
    out.check(response, 400, "invalid_scope", "/token", user_id="alice")
    for template in OF_CLIENTS:
        response = out.call(WAYS[template], auth=("alice", SECRET), data=OAUTH_FORM)
        out.check(response, 401, "invalid_client", template)
    for template in OF_CLIENTS[1:]:
        response = out.call(WAYS[template], auth=good, data=FORM)
        out.check(response, 400, "invalid_request", template, user_id="alice")


@pytest.mark.parametrize("query", ["from=x", "limit=0", "limit=1001", "from=1&from=2", "other=1"])
def test_parameters_of_an_address_that_cannot_be_used_are_422(out: Caller, query: str) -> None:
    response = out.call(WAYS["/audit/entries"], out.tokens[roles.ASK], path=f"/audit/entries?{query}")
    out.check(response, 422, "invalid_request", "/audit/entries", user_id="alice")


@pytest.mark.parametrize("template", ["/audit/tile/{address:path}", "/audit/tile/entries/{address:path}"])
def test_a_tile_that_there_is_not_is_404(out: Caller, template: str) -> None:
    who = {"user_id": "reader"} if WAYS[template].is_guarded else {}
    for address in ("x", "0/999", "0/0", "64/000"):
        path = template.replace("0/", "").replace("{address:path}", address)
        response = out.call(WAYS[template], out.tokens[roles.AUDIT_READER] if who else None, path=path)
        out.check(response, 404, "not_found", template, **who)


# --- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("garbage", 502, "upstream_error"),
        ("close", 503, "upstream_unavailable"),
        ("status:429", 503, "upstream_unavailable"),
        ("hang", 504, "upstream_timeout"),
    ],
)
def test_a_fault_of_the_model_ends_its_question(out: Caller, upstream: FakeOpenAI, mode: str, status: int, code: str) -> None:
    upstream.set(mode)
    response = out.succeed(WAYS["/ask"])
    assert response.status_code == status
    received, failed = records_of(out.service, response)
    assert (received["action"], failed["action"]) == ("ask.received", "ask.failed")
    assert (failed["details"]["received"], failed["details"]["code"]) == (received["seq"], code)


def test_a_client_database_that_cannot_be_read_is_503_with_a_record(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url, TRUSTED_PROXIES="127.0.0.1") as service:
        out = Caller(service)
        (database,) = service.folder.rglob("clients.sqlite3")
        with closing(sqlite3.connect(database)) as stranger:
            stranger.execute("ALTER TABLE clients RENAME TO lost")
        out.check(out.succeed(WAYS["/token"]), 503, "unavailable", "/token")


def test_without_rate_limits_it_is_503_and_in_the_summary(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = Service(tmp_path, OPENAI_BASE_URL=fake.base_url).start()
    out = Caller(service)
    with held(window_folder(service.log)):
        response = out.succeed(WAYS["/ask"])
        assert (response.status_code, response.json()["code"]) == (503, "limits_unavailable")
    service.stop()
    (summary,) = [one["details"] for one in service.records() if one["action"] == "request.refused_summary"]
    assert {"user_id": "alice", "code": "limits_unavailable", "count": 1} in summary["refusals"]


def test_every_refusal_because_of_the_log_is_logged_and_counted(tmp_path: Path, fake: FakeOpenAI) -> None:
    """A line in the security log, a number in /readyz; other refusals keep their status, and their record comes later."""
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url, TRUSTED_PROXIES="127.0.0.1") as service:
        out = Caller(service)
        service.log.rename(tmp_path / "away")
        refused = [out.succeed(WAYS[template]) for template in ("/token", "/ask") for _ in range(3)]
        assert {one.status_code for one in refused} == {503}
        others = [out.call(WAYS["/livez"], path="/nothing"), out.call(WAYS["/ask"]), out.call(WAYS["/livez"], method="PUT")]
        assert [one.status_code for one in others] == [404, 401, 405]
        ready = HTTP.get(service.url + "/readyz")
        assert (ready.status_code, ready.json()["refused_for_audit"]) == (503, 6)
        (tmp_path / "away").rename(service.log)
        service.wait_ready()
        lines = service.security_log("audit_resumed")
        logged = [line for line in lines if re.search(r" ERROR audit_unavailable .*route=/(ask|token)$", line)]
        ids = {one.headers["x-request-id"] for one in refused}
        assert len(logged) == 6
        assert all(any(f"request_id={one} " in line for line in logged) for one in ids)
    summaries = [one["details"] for one in service.records() if one["action"] == "request.refused_summary"]
    assert sum(one["total"] for one in summaries) == 3
    assert service.verify()["ok"]


# --- in this process, where a test can break more -------------------------------------------------


@pytest.fixture
def inside(tmp_path: Path, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """At most one question at a time."""
    monkeypatch.chdir(tmp_path)
    return Inside(Service(tmp_path), EmbeddedAddress(upstream.base_url, "no-key", "small-1", max_waiting=1))


def test_a_crash_in_a_handler_is_500_with_a_record_and_shows_nothing(inside: Inside) -> None:
    @inside.app.get("/crash/{how}")
    @inside.app.post("/token/crash")
    async def crash(how: str = "") -> StreamingResponse:
        async def half() -> AsyncIterator[bytes]:
            yield b"half of "
            raise RuntimeError(SECRET)

        if how == "late":
            return StreamingResponse(half())
        raise RuntimeError(SECRET)

    with inside:
        out = Caller(inside.service)
        response = out.call(WAYS["/livez"], path="/crash/soon")
        check_problem(response, 500, "internal")
        assert SECRET not in response.text
        out.check(response, 500, "internal", "/crash/{how}", address="127.0.0.1")
        response = out.call(WAYS["/token"], path="/token/crash")
        assert response.json()["error"] == "server_error"
        out.check(response, 500, "internal", "/token/crash", address="127.0.0.1")
        with pytest.raises(httpx.RemoteProtocolError):
            out.call(WAYS["/livez"], path="/crash/late")
        last = inside.service.records()[-1]
        assert (last["action"], last["details"]["code"]) == ("request.refused", "internal")


def test_a_crash_on_the_way_to_the_model_ends_its_question(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    with inside:
        out = Caller(inside.service)

        async def crash(*_: object, **__: object) -> None:
            raise RuntimeError(SECRET)

        monkeypatch.setattr(Upstream, "complete", crash)
        response = out.succeed(WAYS["/ask"])
        check_problem(response, 500, "internal")
        received, failed = records_of(inside.service, response)
        assert (failed["action"], failed["details"]["code"]) == ("ask.failed", "internal")
        assert failed["details"]["received"] == received["seq"]


def test_a_caller_refused_because_too_many_wait_is_recorded(
    inside: Inside, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair_slots, "MAX_WAITING", 0)
    with inside, ThreadPoolExecutor(1) as pool:
        out, calls = Caller(inside.service), upstream.calls()
        upstream.set("ok", delay=2.0)
        first = pool.submit(out.succeed, WAYS["/ask"])
        eventually(lambda: upstream.calls() == calls + 1)
        response = out.succeed(WAYS["/ask"])
        about: dict[str, Any] = {"action": "ask.refused", "user_id": "alice", "address": "127.0.0.1"}
        out.check(response, 503, "overloaded", "/ask", **about)
        assert first.result().status_code == 200


def test_a_request_interrupted_by_a_stop_is_answered_and_recorded(inside: Inside, upstream: FakeOpenAI) -> None:
    upstream.set("hang")
    with ThreadPoolExecutor(1) as pool, inside:
        out, calls = Caller(inside.service), upstream.calls()
        asking = pool.submit(out.succeed, WAYS["/ask"])
        half = socket.create_connection(("127.0.0.1", inside.service.port))
        head = f"POST /ask HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {out.tokens[roles.ASK]}\r\n{JSON_HEADER}"
        half.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        eventually(lambda: upstream.calls() == calls + 1 and len(inside.server.server_state.tasks) == 2)
        inside.server.should_exit = True
        check_problem(asking.result(), 503, "interrupted")
        half.close()
    ended = {one["action"]: one for one in inside.service.records() if one["action"] in ("ask.failed", "request.refused")}
    assert ended["ask.failed"]["details"]["code"] == "interrupted"
    # Its body may be found to be late in the same second.
    assert ended["request.refused"]["details"]["code"] in ("interrupted", "request_timeout")
    assert all(one["user_id"] == "alice" for one in ended.values())
    assert inside.service.verify()["ok"]
