"""POST /ask: the answer, its records, its refusals, and what no response shows."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from app import __version__
from app.api.schemas import SAYABLE
from app.main import create_app
from app.settings import load_settings

from ..support.calls import bearer, challenge, check_problem, records_of, refusal
from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.service import HTTP, Service
from ..support.tokens import ASK, forged
from ..support.waiting import eventually

READ = "ai.audit.reader"
QUERY = "What is the capital of France?"
ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(keep_digests=True) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def reader(service: Service) -> str:
    """A good token without the role."""
    return service.token("reader", service.add_client("reader", READ))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """A service with other settings: a short deadline, no docs, an origin and a proxy that it trusts."""
    env: dict[str, Any] = {
        "LLM_TIMEOUT_SECONDS": "2",
        "DOCS_ENABLED": "false",
        "CORS_ORIGINS": ORIGIN,
        "TRUSTED_PROXIES": "127.0.0.0/8",
    }
    with Service(tmp_path_factory.mktemp("other"), OPENAI_BASE_URL=fake.base_url, **env) as running:
        yield running


@pytest.fixture(scope="module")
def other_token(other: Service) -> str:
    return other.token("alice", other.add_client("alice"))


def post(service: Service, token: str | None, content: bytes = b'{"query": "hi"}', **headers: str) -> httpx.Response:
    sent = {"content-type": "application/json", **(bearer(token) if token else {})}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTP.post(service.url + "/ask", content=content, headers=sent, timeout=60)


# --- an answer ---------------------------------------------------------------------------------------


def test_an_answer_has_the_shape_of_the_contract(service: Service, token: str) -> None:
    response = service.ask(token, QUERY)
    body = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert list(body) == ["answer", "model", "usage", "request_id", "receipt"]
    assert (body["answer"], body["model"]) == (completion_text(QUERY), "gpt-4o-mini")
    assert body["usage"] == {"input_tokens": 12, "output_tokens": 7}
    assert len(bytes.fromhex(body["request_id"])) == 16
    assert list(body["receipt"]) == ["seq", "hash"]


def test_its_headers_name_the_request_the_record_and_the_limit(service: Service, token: str) -> None:
    response = service.ask(token)
    body, headers = response.json(), response.headers
    assert headers["x-request-id"] == body["request_id"]
    assert (int(headers["x-audit-seq"]), headers["x-audit-hash"]) == (body["receipt"]["seq"], body["receipt"]["hash"])
    assert headers["ratelimit-policy"] == '"rpm";q=10000000;w=60'
    remaining = int(headers["x-ratelimit-remaining-requests"])
    assert headers["x-ratelimit-limit-requests"] == "10000000"
    assert 0 < remaining < 10_000_000
    reset = headers["x-ratelimit-reset-requests"].removesuffix("s")
    assert 1 <= int(reset) <= 60
    assert headers["ratelimit"] == f'"rpm";r={remaining};t={reset}'
    assert int(service.ask(token).headers["x-ratelimit-remaining-requests"]) == remaining - 1


def test_it_has_two_records_in_the_contracts_order(service: Service, token: str, fake: FakeOpenAI) -> None:
    calls = fake.calls()
    response = service.ask(token, QUERY)
    received, answered = records_of(service, response)
    members = ["v", "seq", "timestamp", "request_id", "user_id", "action", "details", "prev_hash", "hash"]
    assert list(received) == list(answered) == members
    assert [(one["action"], one["user_id"]) for one in (received, answered)] == [
        ("ask.received", "alice"),
        ("ask.answered", "alice"),
    ]
    assert list(received["details"]) == ["query", "roles", "model", "address", "upstream_sha256", "credential"]
    credential = received["details"]["credential"]
    assert re.fullmatch("token:[0-9a-f]{32}", credential)
    assert received["details"] | {"upstream_sha256": ""} == {
        "query": QUERY,
        "roles": [ASK],
        "model": "gpt-4o-mini",
        "address": "127.0.0.1",
        "upstream_sha256": "",
        "credential": credential,
    }
    elapsed = answered["details"]["elapsed_ms"]
    assert list(answered["details"].items()) == [
        ("received", received["seq"]),
        ("answer", completion_text(QUERY)),
        ("model", "gpt-4o-mini"),
        ("usage", {"input_tokens": 12, "output_tokens": 7}),
        ("elapsed_ms", elapsed),
        ("attempts", 1),
        ("finish_reason", "stop"),
        ("upstream_response_sha256", answered["details"]["upstream_response_sha256"]),
        ("credential", credential),
    ]
    assert re.fullmatch("[0-9a-f]{64}", answered["details"]["upstream_response_sha256"])
    assert 0 <= elapsed < 60_000
    assert (answered["seq"], answered["hash"]) == tuple(response.json()["receipt"].values())
    assert fake.calls() == calls + 1


def test_the_record_names_the_exact_body_that_went_upstream(service: Service, token: str, fake: FakeOpenAI) -> None:
    asked = [service.ask(token, query) for query in (QUERY, "{query}", '"\\ \U0001f600 é\u2028')]
    named = [records_of(service, response)[0]["details"]["upstream_sha256"] for response in asked]
    assert fake.seen()["sha256"][-3:] == named
    assert fake.seen()["headers"]["authorization"] == f"Bearer {service.env['OPENAI_API_KEY']}"


def test_ask_received_is_durable_before_the_model_is_called(service: Service, token: str, upstream: FakeOpenAI) -> None:
    upstream.set("ok", delay=1.5)
    calls = upstream.calls()
    marker = "asked while the model thinks"
    asking = threading.Thread(target=service.ask, args=(token, marker))
    asking.start()
    eventually(lambda: upstream.calls() > calls)
    known = [one["action"] for one in service.records() if marker in json.dumps(one)]
    assert known == ["ask.received"], "the call is under way"
    asking.join()
    assert service.verify()["ok"]


def test_a_model_that_counts_no_tokens_gives_no_usage(service: Service, token: str, upstream: FakeOpenAI) -> None:
    upstream.set("no_usage")
    response = service.ask(token)
    assert response.json()["usage"] is None
    assert records_of(service, response)[1]["details"]["usage"] is None


def test_a_clients_own_request_id_is_kept_beside_ours(service: Service, token: str) -> None:
    response = post(service, token, x_request_id="mine-42")
    assert response.headers["x-request-id"] != "mine-42"
    received, _ = records_of(service, response)
    assert list(received["details"])[-2:] == ["client_request_id", "credential"]
    assert received["details"]["client_request_id"] == "mine-42"
    refused = post(service, None, x_request_id="mine-43")
    assert refusal(service, refused)["details"]["client_request_id"] == "mine-43"


@pytest.mark.parametrize("odd", ["x" * 129, "two words", "tab\there", "caf\xe9", ""])
def test_an_odd_request_id_is_not_kept(service: Service, token: str, odd: str) -> None:
    headers = [(b"Authorization", f"Bearer {token}".encode()), (b"X-Request-Id", odd.encode("latin-1"))]
    response = HTTP.post(service.url + "/ask", json={"query": "hi"}, headers=headers)
    assert response.status_code == 200
    assert "client_request_id" not in records_of(service, response)[0]["details"]


# --- authentication and authorisation -------------------------------------------------------------------------------------


def test_a_brace_without_a_token_is_401(service: Service) -> None:
    """The body is not read before the caller is authenticated."""
    response = post(service, None, b"{")
    check_problem(response, 401, "invalid_token")
    assert response.headers["www-authenticate"] == challenge(service)
    record = refusal(service, response)
    assert record["user_id"] is None
    assert list(record["details"].items()) == [
        ("status", 401),
        ("code", "token_missing"),
        ("method", "POST"),
        ("route", "/ask"),
        ("address", "127.0.0.1"),
    ]


def test_a_forged_token_that_is_right_in_everything_is_good(service: Service) -> None:
    """This proves that each refusal below has exactly the named cause."""
    assert service.ask(forged(service)).status_code == 200


FAULTS: dict[str, dict[str, Any]] = {
    "token_expired": {"iat": 1000, "nbf": 1000, "exp": 1001},
    "token_not_yet_valid": {"nbf": 2**40},
    "token_missing_claim": {"nonce": ...},
    "token_invalid_claim": {"exp": "soon"},
    "token_wrong_issuer": {"iss": "somebody-else"},
    "token_wrong_audience": {"aud": "somebody-else"},
    "token_lifetime_too_long": {"exp": 2**40},
    "invalid_nonce": {"nonce": "short", "jti": "short"},
    "invalid_roles": {"roles": []},
    "invalid_user": {"user_id": "al", "sub": "al"},
    "token_unknown_key": {"header": {"kid": "0" * 16}},
    "token_bad_header": {"header": {"jku": "https://evil.example"}},
    "token_wrong_algorithm": {"header": {"alg": "none"}},
}


@pytest.mark.parametrize("code", FAULTS)
def test_only_the_record_says_why_a_token_was_refused(service: Service, code: str) -> None:
    response = service.ask(forged(service, **FAULTS[code]))
    shown = "token_expired" if code == "token_expired" else "invalid_token"
    check_problem(response, 401, shown)
    assert response.headers["www-authenticate"] == challenge(service, "invalid_token")
    record = refusal(service, response)
    assert (record["details"]["code"], record["user_id"]) == (code, None)
    service.security_log(f" {code} address=127.0.0.1 request_id={record['request_id']}")
    generic = {"token_expired": "The access token has expired."}.get(code, "The access token is not valid.")
    assert response.json()["detail"] == f"{generic} Ask POST /token for a new one."


def test_a_bad_signature_and_a_malformed_token_have_different_records(service: Service, token: str) -> None:
    for bad, code in ((token[:-1] + ("A" if token[-1] != "A" else "E"), "token_bad_signature"), ("x.y", "token_malformed")):
        response = service.ask(bad)
        check_problem(response, 401, "invalid_token")
        assert refusal(service, response)["details"]["code"] in (code, "token_malformed")
    assert refusal(service, service.ask(token[: token.rindex(".") + 1] + "A" * 43))["details"]["code"] == "token_bad_signature"


@pytest.mark.parametrize("header", ["Bearer", "Basic YTpi", "Token abc", "bearer", "Bearer a b", "Bearer \xe9"])
def test_another_scheme_or_no_token_is_refused(service: Service, header: str) -> None:
    sent = [(b"Authorization", header.encode("latin-1"))]
    response = HTTP.post(service.url + "/ask", json={"query": "hi"}, headers=sent)
    check_problem(response, 401, "invalid_token")
    assert refusal(service, response)["details"]["code"] == "token_malformed"


def test_two_authorization_headers_are_refused_even_if_both_are_good(service: Service, token: str) -> None:
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    response = HTTP.post(service.url + "/ask", json={"query": "hi"}, headers=headers)
    check_problem(response, 401, "invalid_token")


def test_a_token_in_the_query_string_or_the_form_is_refused(service: Service, token: str) -> None:
    url = f"{service.url}/ask?access_token={token}"
    check_problem(HTTP.post(url, json={"query": "hi"}), 401, "invalid_token")
    check_problem(HTTP.post(url, json={"query": "hi"}, headers=bearer(token)), 401, "invalid_token")
    check_problem(HTTP.post(service.url + "/ask", data={"access_token": token}), 401, "invalid_token")
    assert token not in service.log.read_text()


def test_the_scheme_is_case_insensitive(service: Service, token: str) -> None:
    response = HTTP.post(service.url + "/ask", json={"query": "hi"}, headers={"Authorization": f"bEARER {token}"})
    assert response.status_code == 200


def test_without_the_role_it_is_403_before_the_body_is_read(service: Service, reader: str) -> None:
    for body in (b"{", b'{"query": "hi"}', b"\xff"):
        response = post(service, reader, body, content_type="text/plain")
        check_problem(response, 403, "insufficient_scope")
        wanted = f'Bearer realm="secure-ai-assistant", error="insufficient_scope", scope="{ASK}"'
        assert response.headers["www-authenticate"] == wanted
        record = refusal(service, response, "ask.refused")
        assert record["user_id"] == "reader"
        assert list(record["details"]) == ["status", "code", "method", "route", "address", "credential"]


# --- unusable requests -----------------------------------------------------------------------------


def test_an_unknown_address_is_404(service: Service, token: str) -> None:
    for path in ("/ask/", "/ASK", "/ask/more", "/v2/nothing", "/%00", "/..%2f", "/" + "x" * 5000):
        response = HTTP.get(service.url + path, headers=bearer(token))
        check_problem(response, 404, "not_found")
        details = refusal(service, response)["details"]
        assert (details["code"], details["route"], details["method"]) == ("not_found", None, "GET")
        assert details["path"][:9] == unquote(path).replace("\0", "\\x00")[:9]


def test_a_wrong_method_is_405_and_names_the_right_one(service: Service) -> None:
    for method, path, allowed in (
        ("GET", "/ask", "POST"),
        ("PUT", "/ask", "POST"),
        ("DELETE", "/ask", "POST"),
        ("POST", "/livez", "GET"),
    ):
        response = HTTP.request(method, service.url + path)
        check_problem(response, 405, "method_not_allowed")
        assert allowed in response.headers["allow"]
        assert refusal(service, response)["details"]["method"] == method


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/json-seq", "", "json"])
def test_another_media_type_is_415(service: Service, token: str, media_type: str) -> None:
    response = post(service, token, content_type=media_type)
    check_problem(response, 415, "unsupported_media_type")
    assert refusal(service, response)["user_id"] == "alice"


def test_a_media_type_may_have_parameters_and_capitals(service: Service, token: str) -> None:
    assert post(service, token, content_type="Application/JSON; charset=utf-8").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"", 400, "malformed_json"),
        (b"{}", 422, "invalid_request"),
        (b'{"query": "' + b"x" * 300_000 + b'"}', 413, "too_large"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_with_one_record(
    service: Service, token: str, body: bytes, status: int, code: str
) -> None:
    response = post(service, token, body)
    check_problem(response, status, code)
    record = refusal(service, response)
    assert (record["user_id"], record["details"]["code"]) == ("alice", code)
    assert "x-audit-seq" not in response.headers


# --- the model's faults ------------------------------------------------------------------------------

UPSTREAM_TEXT = "the upstream's own words"


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("garbage", 502, "upstream_error"),
        ("not_http", 502, "upstream_error"),
        ("redirect", 502, "upstream_denied"),
        ("status:400", 502, "upstream_refused"),
        ("status:401", 502, "upstream_denied"),
        ("status:404", 400, "protocol_not_served"),
        ("status:429", 503, "upstream_unavailable"),
        ("status:500", 503, "upstream_unavailable"),
        ("status:503", 503, "upstream_unavailable"),
        ("close", 503, "upstream_unavailable"),
    ],
)
def test_a_fault_of_the_model_is_never_a_500_and_its_text_is_never_shown(
    service: Service, token: str, upstream: FakeOpenAI, mode: str, status: int, code: str
) -> None:
    upstream.set(mode, body=UPSTREAM_TEXT, headers={"Retry-After": "700"} if mode == "status:429" else {})  # past the deadline
    response = service.ask(token)
    check_problem(response, status, code)
    assert UPSTREAM_TEXT not in response.text + str(response.headers)
    check_failed(service, response, code)
    if status == 503:
        assert response.headers["retry-after"] == ("120" if mode == "status:429" else "2")


def check_failed(service: Service, response: httpx.Response, code: str) -> None:
    """Two records: the question, and why it has no answer."""
    received, failed = records_of(service, response)
    assert (received["action"], failed["action"], failed["user_id"]) == ("ask.received", "ask.failed", "alice")
    details = failed["details"]
    tries, is_again = details["tries"], details["attempts"] > 1
    assert list(details.items()) == [
        ("received", received["seq"]),
        ("code", code),
        ("elapsed_ms", details["elapsed_ms"]),
        ("attempts", len(tries)),
        *([("retried", tries[-2]["why"])] if is_again else []),
        ("tries", tries),
        ("delivered", None),
        ("upstream_response_sha256", details["upstream_response_sha256"]),
        ("credential", received["details"]["credential"]),
    ]
    assert all(one["why"] and one["upstream_sha256"] == received["details"]["upstream_sha256"] for one in tries)
    assert not is_again or {one["why"] for one in tries[:-1]} <= {"idle_close", "upstream_unavailable"}


def test_a_model_that_does_not_answer_in_time_is_504(other: Service, other_token: str, upstream: FakeOpenAI) -> None:
    upstream.set("hang")
    response = other.ask(other_token)
    check_problem(response, 504, "upstream_timeout")
    check_failed(other, response, "upstream_timeout")
    # A timer of the loop counts whole milliseconds, so that it can be one early.
    assert 1_998 <= records_of(other, response)[1]["details"]["elapsed_ms"] < 20_000
    upstream.set("ok")
    eventually(lambda: other.ask(other_token).status_code == 200)  # two seconds may be short on a busy machine


# --- everything else ---------------------------------------------------------------------------------------


def test_every_response_has_its_id_and_the_security_headers(service: Service, token: str) -> None:
    responses = [
        service.ask(token),
        post(service, None),
        *(HTTP.get(service.url + p) for p in ("/livez", "/docs", "/nothing", "/openapi.json")),
    ]
    responses.append(HTTP.post(service.url + "/token"))
    for response in responses:
        headers = response.headers
        assert len(bytes.fromhex(headers["x-request-id"])) == 16
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
        assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
    assert len({response.headers["x-request-id"] for response in responses}) == len(responses)


def test_health_writes_nothing_and_asks_nothing(service: Service, fake: FakeOpenAI) -> None:
    calls, size = fake.calls(), service.log.stat().st_size
    live, ready = HTTP.get(service.url + "/livez"), HTTP.get(service.url + "/readyz")
    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    body: dict[str, Any] = {
        "status": "ready",
        "audit": "writable",
        "revocations": "up to date",
        "model": "gpt-4o-mini",
        "refused_for_audit": 0,
    }
    body |= {"log": "as signed", "log_key": "in place", "lost": {"output": 0, "security_log": 0}}
    assert ready.status_code == 200
    assert body.items() <= ready.json().items()
    assert (fake.calls(), service.log.stat().st_size) == (calls, size)


def test_the_docs_load_nothing_from_other_hosts(service: Service) -> None:
    page = HTTP.get(service.url + "/docs")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("http-equiv", "")
    for asset in ("assets/swagger-ui.css", "assets/swagger-ui-bundle.js", "assets/favicon-32x32.png", "start.js"):
        response = HTTP.get(f"{service.url}/docs/{asset}")
        assert (response.status_code, len(response.content) > 100) == (200, True), asset
    check_problem(HTTP.get(service.url + "/docs/assets/nothing.js"), 404, "not_found")
    check_problem(HTTP.get(service.url + "/docs/assets/../../../../etc/passwd"), 404, "not_found")
    check_problem(HTTP.get(service.url + "/docs/assets/..%2f..%2f__init__.py"), 404, "not_found")


def test_openapi_declares_the_body_and_the_security_scheme(service: Service) -> None:
    document = HTTP.get(service.url + "/openapi.json").json()
    assert document["info"]["version"] == __version__
    asked = document["paths"]["/ask"]["post"]
    schema = asked["requestBody"]["content"]["application/json"]["schema"]
    bounds = {"minLength": 1, "maxLength": 2000, "type": "string", "title": ""}
    assert schema["properties"]["query"] | {"title": ""} == {**bounds, "pattern": SAYABLE}
    assert (schema["required"], schema["additionalProperties"]) == (["query"], False)
    answers = {"200", "400", "401", "403", "408", "413", "415", "422", "429", "431", "502", "503", "504"}
    assert answers == set(asked["responses"])
    schemes = document["components"]["securitySchemes"]
    assert schemes["client_credentials"]["flows"]["clientCredentials"]["tokenUrl"] == "token"
    assert (schemes["api_key"]["type"], schemes["api_key"]["scheme"]) == ("http", "bearer")
    assert asked["security"] == [{"client_credentials": []}, {"api_key": []}]
    form = document["paths"]["/token"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert form["required"] == ["grant_type"]
    audit = {"checkpoint", "vkey", "tile/{address}", "tile/entries/{address}", "entries", "entries/{seq}", "receipts/{seq}"}
    audit |= {"search", "feed", "export"}
    asked_there = {"chat/completions", "completions", "responses", "embeddings", "messages", "messages/count_tokens"}
    v1 = {*asked_there, "models", "models/{model}"}
    tokens = {"/token", "/token/revoke", "/token/introspect"}
    ours = {
        "/ask",
        "/budget",
        "/usage",
        *tokens,
        "/livez",
        "/readyz",
        *(f"/audit/{name}" for name in audit),
        *(f"/v1/{name}" for name in v1),
    }
    wellknown = {f"/.well-known/oauth-{name}" for name in ("authorization-server", "protected-resource")}
    paths = set(document["paths"])
    admin = {path for path in paths if path.startswith("/admin/")}  # each is walked by test_console_api.py
    assert admin
    assert paths - admin == ours | wellknown


def test_the_docs_can_be_switched_off(other: Service) -> None:
    for path in ("/docs", "/openapi.json", "/docs/start.js", "/redoc", "/docs/assets/swagger-ui.css"):
        check_problem(HTTP.get(other.url + path), 404, "not_found")


def preflight(service: Service, origin: str) -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    return HTTP.options(service.url + "/ask", headers=headers)


def test_cors_is_closed_unless_an_origin_is_listed(service: Service, token: str, other: Service, other_token: str) -> None:
    def allowed(response: httpx.Response) -> str | None:
        origin: str | None = response.headers.get("access-control-allow-origin")
        return origin

    assert allowed(preflight(service, ORIGIN)) is None
    assert allowed(post(service, token, origin=ORIGIN)) is None
    assert allowed(preflight(other, ORIGIN)) == ORIGIN
    answer = post(other, other_token, origin=ORIGIN)
    assert allowed(answer) == ORIGIN
    assert "x-audit-hash" in answer.headers["access-control-expose-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    assert allowed(post(other, None, origin=ORIGIN)) == ORIGIN, "a script must be able to read why it was refused"
    for origin in ("https://evil.example", ORIGIN + ".evil.example", "null", ORIGIN.replace("https", "http")):
        assert allowed(preflight(other, origin)) is None
        assert allowed(post(other, other_token, origin=origin)) is None


def addresses(service: Service, token: str, forwarded: str) -> set[str]:
    """The caller's address in the records of a question and of a refusal."""
    asked, refused = post(service, token, x_forwarded_for=forwarded), post(service, None, x_forwarded_for=forwarded)
    return {records_of(service, asked)[0]["details"]["address"], refusal(service, refused)["details"]["address"]}


def test_a_forwarded_address_counts_only_from_a_listed_proxy(
    service: Service, token: str, other: Service, other_token: str
) -> None:
    assert addresses(service, token, "203.0.113.9") == {"127.0.0.1"}
    assert addresses(other, other_token, "203.0.113.9") == {"203.0.113.9"}
    assert addresses(other, other_token, "198.51.100.1, 203.0.113.9, 127.0.0.7") == {"203.0.113.9"}, (
        "the last address that is not a listed proxy"
    )
    assert addresses(other, other_token, "2001:db8::1") == {"2001:db8::1"}


def test_a_service_that_is_not_open_shows_no_stack_trace(
    service: Service, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lifespan never ran, so the route finds no services."""
    monkeypatch.chdir(tmp_path)
    app = create_app(load_settings(secret_key="s" * 43, openai_base_url="http://127.0.0.1:9/v1"))

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get("/readyz")

    response = asyncio.run(call())
    check_problem(response, 500, "internal")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert not any(word in response.text for word in ("Traceback", "AttributeError", "context", ".py"))
    assert f"request {response.headers['x-request-id']} failed" in caplog.text
    assert "AttributeError" in caplog.text


def test_sigterm_finishes_what_is_in_flight(tmp_path: Any, upstream: FakeOpenAI) -> None:
    upstream.set("ok", delay=1.0)
    service = Service(tmp_path, OPENAI_BASE_URL=upstream.base_url, workers=2).start()
    token = service.token("alice", service.add_client())
    calls, responses = upstream.calls(), list[httpx.Response]()
    asking = [threading.Thread(target=lambda: responses.append(service.ask(token))) for _ in range(4)]
    for one in asking:
        one.start()
    eventually(lambda: upstream.calls() == calls + 4)
    assert service.stop() == 0
    for one in asking:
        one.join()
    assert [response.status_code for response in responses] == [200] * 4
    receipts = [f"{r.json()['receipt']['seq']}:{r.json()['receipt']['hash']}" for r in responses]
    assert service.verify(*receipts)["ok"]
    with pytest.raises(httpx.ConnectError):
        service.ask(token)
