"""What the endpoints answer and record, value by value, with every part real but the model's server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from pydantic import TypeAdapter

from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.waiting import eventually
from ..support.whole_app import WholeApp, whole_app

pytestmark = pytest.mark.slow
ADDRESS, ORIGIN = "198.51.100.7", "https://pages.test"
TEXT = "text/plain; charset=utf-8"
MODELS = """
[servers.fake]
base_url = "{url}"

[models.small]
server = "fake"
model = "small-1"
aliases = ["tiny"]
context_tokens = 9000
max_output_tokens = 4000
over_cap = "clamp"

[models.plain]
server = "fake"

[models.embed]
server = "fake"
endpoints = ["embeddings"]
"""
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/responses": {"model": "tiny", "input": "hi"},
    "/v1/completions": {"model": "tiny", "prompt": "hi"},
    "/v1/messages": {**CHAT, "max_tokens": 9},
    "/v1/messages/count_tokens": CHAT,
    "/v1/embeddings": {"model": "embed", "input": ["hi"]},
}
STREAMED = ("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/messages")
VERSIONS = {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1"}
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@dataclass(frozen=True)
class Seen:
    """The answers by name, the log at the end, the lines of the security log, and the headers at the model's server."""

    answers: dict[str, Response]
    log: list[bytes]
    events: list[str]
    forwarded: dict[str, str]

    def records_of(self, name: str) -> list[dict[str, Any]]:
        """Those of the request that is answered there."""
        records, request_id = map(json.loads, self.log), self.answers[name].headers["x-request-id"]
        return [one for one in records if one["request_id"] == request_id]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Seen:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "models.toml").write_text(MODELS.format(url=fake.base_url))
    how = {"MODELS_FILE": "models.toml", "LLM_MODEL": "small", "CORS_ORIGINS": ORIGIN, "RATE_LIMIT": "100000"}
    with whole_app(folder, **how) as app:
        answers = dict(answers_of(app))
    log = (folder / app.settings.audit_log_path).read_bytes().splitlines(keepends=True)
    events = (folder / app.settings.security_log_path).read_text().splitlines()
    return Seen(answers, log, events, fake.seen()["headers"])


def answers_of(app: WholeApp) -> Iterator[tuple[str, Response]]:
    get, post = app.http.get, app.http.post
    alice = {"Authorization": f"Bearer {app.token('alice', 'ai.playground.user')}"}
    auditor = {"Authorization": f"Bearer {app.token('auditor', 'ai.audit.reader')}"}
    yield "ask", (asked := post("/ask", json={"query": "hi"}, headers=alice))
    yield "ask, streamed", post("/ask", json={"query": "hi"}, headers={**alice, "Accept": "text/event-stream"})
    for path, body in BODIES.items():
        yield path, post(path, json=body, headers=alice)
        if path in STREAMED:
            yield f"{path}, streamed", post(path, json={**body, "stream": True}, headers=alice)
    for name, more in {"lowered": {}, "lowered, streamed": {"stream": True}}.items():
        yield name, post("/v1/chat/completions", json={**CHAT, "max_tokens": 5000, **more}, headers=alice)
    yield "added by OpenAI's SDK", post("/v1/chat/completions?api-version=1", json=CHAT, headers=alice)
    yield "parameter", post("/v1/chat/completions?beta=true", json=CHAT, headers=alice)
    for name, value in {"models": "/v1/models", "a model": "/v1/models/small", "an alias": "/v1/models/tiny"}.items():
        yield name, get(value, headers=alice)
    yield "models for Anthropic", get("/v1/models", headers={**alice, "anthropic-version": "2023-06-01"})
    yield "no model", get("/v1/models/nothing", headers=alice)
    long = {**alice, "anthropic-beta": "x" * 2001}
    yield "long header", post("/v1/messages", json=BODIES["/v1/messages"], headers=long)
    yield from answers_about_the_log(app, alice, auditor, asked.json()["receipt"]["seq"])
    yield from answers_about_a_token(app)
    for path in ("/", "/docs/start.js", "/docs/assets/swagger-ui.css", "/openapi.json"):
        yield path, get(path, follow_redirects=False)
    yield "head", app.http.head("/openapi.json")
    yield "preflight", app.http.options("/ask", headers=PREFLIGHT)
    yield "from a page", post("/ask", json={"query": "hi"}, headers={**alice, "Origin": ORIGIN})
    yield "other origin", app.http.options("/ask", headers={**PREFLIGHT, "Origin": "https://other.test"})
    yield "proxy's header", app.http.options("/ask", headers={**PREFLIGHT, "Access-Control-Request-Headers": "x-forwarded-for"})
    yield "versions", post("/v1/messages?beta=true", json=BODIES["/v1/messages"], headers={**alice, **VERSIONS})


def answers_about_the_log(
    app: WholeApp, alice: dict[str, str], auditor: dict[str, str], own: int
) -> Iterator[tuple[str, Response]]:
    eventually(lambda: app.http.get(f"/audit/receipts/{own}", headers=alice).status_code == 200, "it is signed")
    for name, path, who in [
        ("entry", "/audit/entries/1", auditor),
        ("receipt", "/audit/receipts/1", auditor),
        ("page", "/audit/entries?from=1&limit=2", auditor),
        ("bundle", "/audit/tile/entries/000.p/2", auditor),
        ("own entry", f"/audit/entries/{own}", alice),
        ("own page", "/audit/entries?limit=1000", alice),
        ("another's entry", "/audit/entries/0", alice),
        ("no number", "/audit/entries/x", alice),
        ("checkpoint", "/audit/checkpoint", {}),
        ("vkey", "/audit/vkey", {}),
        ("tile", "/audit/tile/0/000.p/1", {}),
        ("bundle for anyone", "/audit/tile/entries/000.p/1", {}),
        ("no tile", "/audit/tile/0/001", {}),
    ]:
        yield name, app.http.get(path, headers=who)


def answers_about_a_token(app: WholeApp) -> Iterator[tuple[str, Response]]:
    login = {"client_id": "carol", "client_secret": app.add_client("carol", "a.role", "b.role")}
    granted = app.http.post("/token", data={**login, "grant_type": "client_credentials", "scope": "b.role"})
    login |= {"token": granted.json()["access_token"]}
    yield "granted", granted
    yield "introspected", app.http.post("/token/introspect", data=login)
    yield "revoked", app.http.post("/token/revoke", data=login)
    yield "introspected again", app.http.post("/token/introspect", data=login)


def events_of(response: Response) -> list[tuple[str, Any]]:
    """Name and document of each server-sent event."""
    found = []
    for block in response.text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        found.append((fields.get("event", ""), fields["data"] if fields["data"] == "[DONE]" else json.loads(fields["data"])))
    return found


def named(record: dict[str, Any]) -> dict[str, Any]:
    """As a receipt names it."""
    return {"seq": record["seq"], "hash": record["hash"]}


# --- questions ---------------------------------------------------------------------------------------


def test_a_question_is_answered_with_the_receipt_of_its_record(seen: Seen) -> None:
    response, (received, answered) = seen.answers["ask"], seen.records_of("ask")
    assert response.json() == {
        "answer": completion_text("hi"),
        "model": "small-1",
        "usage": {"input_tokens": 12, "output_tokens": 7},
        "request_id": response.headers["x-request-id"],
        "receipt": named(answered),
    }
    assert response.headers["content-type"] == "application/json"
    assert {"seq": int(response.headers["x-audit-seq"]), "hash": response.headers["x-audit-hash"]} == named(answered)
    assert (received["action"], received["user_id"], received["details"]["query"]) == ("ask.received", "alice", "hi")
    assert (answered["action"], answered["details"]["received"]) == ("ask.answered", received["seq"])
    assert received["details"]["address"] == ADDRESS


def test_a_streamed_question_is_answered_by_events(seen: Seen) -> None:
    response, (received, answered) = seen.answers["ask, streamed"], seen.records_of("ask, streamed")
    *deltas, (last, done) = events_of(response)
    assert {name for name, _ in deltas} == {"delta"}
    assert "".join(one["text"] for _, one in deltas) == completion_text("hi")
    assert (last, done["receipt"], done["model"]) == ("done", named(answered), "small-1")
    assert {"seq": int(response.headers["x-audit-seq"]), "hash": response.headers["x-audit-hash"]} == named(received)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("path", BODIES)
def test_each_protocol_is_answered_with_the_receipt_of_its_record(path: str, seen: Seen) -> None:
    response, (received, answered) = seen.answers[path], seen.records_of(path)
    assert response.json()["receipt"] == named(answered)
    assert response.json().get("asked_model") == ("tiny" if path != "/v1/embeddings" else None)
    assert (response.headers["x-audit-seq"], response.headers["content-type"]) == (str(answered["seq"]), "application/json")
    assert (received["user_id"], received["details"]["address"]) == ("alice", ADDRESS)
    assert answered["details"]["received"] == received["seq"]


@pytest.mark.parametrize("path", STREAMED)
def test_each_protocol_streams_and_ends_with_the_receipt(path: str, seen: Seen) -> None:
    response, (received, answered) = seen.answers[f"{path}, streamed"], seen.records_of(f"{path}, streamed")
    last = [one for _, one in events_of(response) if one != "[DONE]"][-1]
    assert (last["receipt"], last["asked_model"]) == (named(answered), "tiny")
    assert response.headers["x-audit-seq"] == str(received["seq"])


@pytest.mark.parametrize("name", ["lowered", "lowered, streamed"])
def test_what_is_lowered_is_said_in_a_header(name: str, seen: Seen) -> None:
    assert seen.answers[name].headers["x-clamped"] == "max_tokens=5000->4000"


def test_only_what_sdks_add_may_stand_in_the_address(seen: Seen) -> None:
    assert [seen.answers[name].status_code for name in ("added by OpenAI's SDK", "versions")] == [200, 200]
    error = seen.answers["parameter"].json()["error"]
    assert (error["code"], error["param"]) == ("unknown_parameter", "beta")
    assert "send parameters in the body" in error["message"]


def test_a_header_of_the_protocol_reaches_the_models_server(seen: Seen) -> None:
    assert VERSIONS.items() <= seen.forwarded.items()
    message = seen.answers["long header"].json()["error"]["message"]
    assert "anthropic-beta is not 1 to 2,000 printable ASCII characters." in message


# --- models ------------------------------------------------------------------------------------------


def model_body(name: str, made: tuple[int, str], **more: Any) -> dict[str, Any]:
    body = {"id": name, "object": "model", "created": made[0], "owned_by": "fake", "display_name": name, "created_at": made[1]}
    return body | {"lifecycle": "active", "kind": "chat", "type": "chat"} | more


def test_the_models_are_listed_in_both_forms(seen: Seen) -> None:
    document = seen.answers["models"].json()
    first, plain = document["data"][:2]
    made, most = (first["created"], first["created_at"]), plain["max_tokens"]
    sizes = {"context_length": 9000, "max_input_tokens": 9000, "max_output_tokens": 4000, "max_tokens": 4000}
    small = model_body("small", made, **sizes, aliases=["tiny"])
    embed = model_body("embed", made, kind="embeddings", type="embedding", info={"meta": {"hidden": True}})
    listed = [small, model_body("plain", made, max_output_tokens=most, max_tokens=most), embed]
    assert document == {"object": "list", "data": listed, "has_more": False, "first_id": "small", "last_id": "embed"}
    assert (type(most), made[1].endswith("Z")) == (int, True)
    assert {one["type"] for one in seen.answers["models for Anthropic"].json()["data"]} == {"model"}
    for name in ("a model", "an alias"):
        assert seen.answers[name].json() == small
    types = {seen.answers[name].headers["content-type"] for name in ("models", "a model")}
    assert (types, seen.answers["no model"].json()["error"]["code"]) == ({"application/json"}, "model_not_found")


# --- the log -----------------------------------------------------------------------------------------


def test_records_are_read_as_they_are_stored(seen: Seen) -> None:
    entry, receipt, page, bundle = (seen.answers[name] for name in ("entry", "receipt", "page", "bundle"))
    assert (entry.content, page.content) == (seen.log[1], b"".join(seen.log[1:3]))
    assert bundle.content == b"".join((len(line) - 1).to_bytes(2, "big") + line[:-1] for line in seen.log[:2])
    assert receipt.text.startswith("c2sp.org/tlog-proof")
    assert page.headers["link"] == '</audit/entries?from=3&limit=2>; rel="next"'
    types = [one.headers["content-type"] for one in (entry, page, receipt, bundle)]
    assert types == ["application/json", "application/x-ndjson", TEXT, "application/octet-stream"]


@pytest.mark.parametrize(
    ("name", "what", "start", "count"),
    [("entry", "entry", 1, 1), ("receipt", "receipt", 1, 1), ("page", "entries", 1, 2), ("bundle", "bundle", 0, 2)],
)
def test_a_reading_by_an_auditor_is_recorded(name: str, what: str, start: int, count: int, seen: Seen) -> None:
    (record,) = seen.records_of(name)
    credential = record["details"].pop("credential")
    assert credential.startswith("token:")
    assert (record["action"], record["user_id"]) == ("audit.read", "auditor")
    assert record["details"] == {"what": what, "from": start, "count": count, "address": ADDRESS}


def test_a_caller_reads_only_their_own_records(seen: Seen) -> None:
    assert seen.answers["own entry"].json()["request_id"] == seen.answers["ask"].headers["x-request-id"]
    assert {json.loads(line)["user_id"] for line in seen.answers["own page"].text.splitlines()} == {"alice"}
    assert seen.records_of("own entry") + seen.records_of("own page") == []
    other, unnamed = seen.answers["another's entry"], seen.answers["no number"]
    assert (other.status_code, other.json()["detail"]) == (404, "The log has no such record.")
    assert (unnamed.status_code, unnamed.json()["detail"]) == (404, "A record is named by its number, in decimal digits.")


def test_anyone_reads_the_head_the_key_and_the_tiles(seen: Seen) -> None:
    checkpoint, vkey, tile = (seen.answers[name] for name in ("checkpoint", "vkey", "tile"))
    assert (checkpoint.text.split("\n")[0], vkey.text[-1]) == (vkey.text.split("+")[0], "\n")
    assert [one.headers["content-type"] for one in (checkpoint, vkey, tile)] == [TEXT, TEXT, "application/octet-stream"]
    assert (len(tile.content), tile.headers["cache-control"]) == (32, "public, max-age=31536000, immutable")
    assert [seen.answers[name].status_code for name in ("bundle for anyone", "no tile")] == [401, 404]


# --- tokens, pages, scripts --------------------------------------------------------------------------


def test_a_token_is_granted_told_about_and_revoked(seen: Seen) -> None:
    granted, about = seen.answers["granted"], seen.answers["introspected"].json()
    assert granted.json().pop("access_token").count(".") == 2
    body = {name: value for name, value in granted.json().items() if name != "access_token"}
    assert body == {"token_type": "Bearer", "expires_in": 3600, "scope": "b.role"}
    assert (granted.headers["content-type"], granted.headers["pragma"]) == ("application/json", "no-cache")
    assert (about["active"], about["sub"], about["scope"]) == (True, "carol", "b.role")
    assert seen.answers["introspected again"].json() == {"active": False}
    (issued,), (revoked,) = seen.records_of("granted"), seen.records_of("revoked")
    known = {"jti": about["jti"], "roles": ["b.role"], "expires_in": 3600, "address": ADDRESS}
    assert (issued["action"], issued["user_id"], issued["details"]) == ("token.issued", "carol", known)
    known = {"jti": about["jti"], "by": "client", "address": ADDRESS}
    assert (revoked["action"], revoked["user_id"], revoked["details"]) == ("token.revoked", "carol", known)


def test_the_security_log_names_what_was_done_to_a_token(seen: Seen) -> None:
    events, jti = [line.partition(" ")[2] for line in seen.events], seen.answers["introspected"].json()["jti"]
    ids = [seen.answers[name].headers["x-request-id"] for name in ("granted", "revoked")]
    assert f"INFO token_issued user_id=carol jti={jti} address={ADDRESS} request_id={ids[0]}" in events
    assert f"INFO token_revoked user_id=carol address={ADDRESS} request_id={ids[1]} jti={jti}" in events


def test_the_root_leads_to_a_page_that_needs_no_other_server(seen: Seen) -> None:
    root, script, description = (seen.answers[path] for path in ("/", "/docs/start.js", "/openapi.json"))
    assert (root.status_code, root.headers["location"]) == (307, "console")
    assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert (description.json()["openapi"], description.headers["content-type"]) == ("3.1.0", "application/json")
    assert [seen.answers[name].status_code for name in ("head", "/docs/assets/swagger-ui.css")] == [200, 200]
    document = description.json()
    (key,) = (name for name, scheme in document["components"]["securitySchemes"].items() if scheme["type"] == "http")
    assert document["components"]["securitySchemes"][key]["description"] == "A key (saa_…), or a token."
    assert {key: []} in document["paths"]["/ask"]["post"]["security"]


def test_a_script_of_an_allowed_origin_may_ask(seen: Seen) -> None:
    allowed, answered = seen.answers["preflight"], seen.answers["from a page"]
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert allowed.headers["access-control-allow-methods"] == "GET, POST"
    assert "x-audit-seq" in answered.headers["access-control-expose-headers"]
    for name in ("other origin", "proxy's header"):
        (record,) = seen.records_of(name)
        assert (seen.answers[name].status_code, record["details"]["code"]) == (400, "cross_origin_refused")


@pytest.mark.parametrize(("name", "route"), [("no number", "/audit/entries/{seq}"), ("no model", "/v1/models/{model:path}")])
def test_the_record_of_a_refusal_names_the_route(name: str, route: str, seen: Seen) -> None:
    (record,) = seen.records_of(name)
    assert (record["details"]["route"], record["details"]["address"]) == (route, ADDRESS)


def test_a_first_request_finds_all_routes_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeOpenAI) -> None:
    with whole_app(tmp_path, OPENAI_BASE_URL=fake.base_url, OPENAI_API_KEY="k") as app:
        monkeypatch.setattr(TypeAdapter, "__init__", None)
        assert app.http.post("/token").status_code == 415
