"""The console's endpoints over sockets: /console, its parts, /admin/…, /audit/search: who may do what, and what is recorded."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # no stubs

from app.web import admin_routes, console, export, pages, records, usage
from app.web.console import STATIC
from app.web.export import AT_ONCE
from app.web.records import MAX_FEEDS

from ..support.calls import records_of
from ..support.console_calls import Web
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service
from ..support.tables import for_each
from ..support.tokens import forged
from ..support.waiting import eventually


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Web]:
    """A service for all tests here: each makes the clients that it changes."""
    with Service(tmp_path_factory.mktemp("web"), OPENAI_BASE_URL=fake.base_url) as running:
        yield Web.of(running)


# --- page ------------------------------------------------------------------------------------------


def test_the_page_answers_anyone_without_data_cookie_or_inline_script(web: Web) -> None:
    page = web.get("/console")
    assert (page.status_code, page.headers["cache-control"], "set-cookie" in page.headers) == (200, "no-store", False)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; ")
    assert ("frame-ancestors 'none'" in policy, "unsafe" in policy) == (True, False)
    assert page.headers["x-frame-options"] == "DENY"
    assert re.findall(r"<script(?![^>]* src=)[^>]*>|\son[a-z]+=|\sstyle=|<style", page.text) == []
    assert re.findall(r"""(?:src|href)=["'](?:[a-z]+:)?//""", page.text) == []
    for name in ("olga", "alice", "gpt"):
        assert name not in page.text


def test_every_file_that_the_page_names_is_served(web: Web) -> None:
    page = web.get("/console").text
    named = re.findall(r'(?:src|href)="(console/static/[^"]+)"', page)
    modules = [f"console/static/js/{path.name}" for path in (STATIC / "js").glob("*.js")]
    for path in {*named, *modules}:
        assert web.get(f"/{path}").status_code == 200, path
    assert len(named) >= 5


def test_a_session_is_told_its_pages_and_proven_by_the_header_alone(web: Web) -> None:
    told = web.get("/console/session", "olga").json()
    assert (told["user_id"], told["pages"]) == ("olga", ["records", "verify", "usage", "operations"])
    token = web.tokens["olga"]
    for way in (
        web.get(f"/console/session?access_token={token}"),
        web.get("/console/session", Cookie=f"session={token}; Authorization=Bearer {token}"),
    ):
        assert way.status_code == 401
        assert "set-cookie" not in way.headers


@for_each("kind", ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json"))
def test_a_form_of_another_site_does_nothing(web: Web, kind: str) -> None:
    origin = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": kind}
    cookie = {"Cookie": f"session={web.tokens['olga']}; access_token={web.tokens['olga']}"}
    before = len(web.lines())
    for path in ("/admin/clients", "/admin/clients/alice/disable", "/admin/keys", "/token", "/ask", "/console/sign-out"):
        answer = HTTP.post(web.service.url + path, content=b'{"client_id":"stolen","query":"q"}', headers=origin | cookie)
        assert answer.status_code in (400, 401, 415), path
        assert "access-control-allow-origin" not in answer.headers, path
        asked = {"Origin": origin["Origin"], "Access-Control-Request-Method": "POST"}
        preflight = HTTP.options(web.service.url + path, headers=asked | {"Access-Control-Request-Headers": "authorization"})
        assert "access-control-allow-origin" not in preflight.headers, path
    assert {record["action"] for record in web.records_since(before)} == {"request.refused"}
    assert not clients(web)["alice"]["disabled"]


def test_who_signs_out_leaves_a_token_that_proves_nothing(web: Web) -> None:
    header = {"Authorization": f"Bearer {web.add('leaving', 'ai.playground.user')}"}
    assert web.get("/console/session", **header).json()["user_id"] == "leaving"
    assert web.post("/console/sign-out", who=None, **header).status_code == 204
    eventually(lambda: web.get("/console/session", **header).status_code == 401, "within a second")


def test_who_signs_out_after_the_database_lost_the_client_is_signed_out(web: Web) -> None:
    token = forged(web.service, sub="unlisted", client_id="unlisted", user_id="unlisted")
    header = {"Authorization": f"Bearer {token}"}
    assert web.post("/console/sign-out", who=None, **header).status_code == 204


def test_a_key_outlives_the_console_that_it_signed_in(web: Web) -> None:
    key = web.post("/admin/keys", {"client_id": "alice"}).json()["key"]
    header = {"Authorization": f"Bearer {key}"}
    assert web.post("/console/sign-out", who=None, **header).status_code == 204
    assert web.get("/console/session", **header).status_code == 200


def test_vendored_files_are_those_that_their_packages_published() -> None:
    vendor = STATIC / "vendor"
    listed = json.loads((vendor / "vendored.json").read_text())
    assert all(one["license"] in ("MIT", "0BSD") and one["integrity"].startswith("sha512-") for one in listed)
    files = {name: digest for one in listed for name, digest in one["files"].items()}
    assert {name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name in files} == files
    known = {*map(Path, files), Path("vendored.json")}
    found = {path.relative_to(vendor) for path in vendor.rglob("*") if path.is_file()}
    assert {path for path in found if path.parts[0] != "noble"} == known, "those of the verifier have a list of their own"


ROUTERS = (admin_routes.router, records.router, export.router, usage.router, pages.router, console.router)
ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
GUARDED = sorted({(route.path, method) for route in ROUTES for method in route.methods or ()})


def test_every_route_needs_a_bearer_and_records_who_has_none(web: Web) -> None:
    assert len(GUARDED) > 30
    for path, method in GUARDED:
        at = re.sub(r"{\w+}", "x", path)
        for how, status in ((method, 401), ("PUT", 405)):
            answer = HTTP.request(how, web.service.url + at, content=b"{")
            assert answer.status_code == status, (how, path)
            if status == 405:
                assert answer.headers["allow"].split(", ") == [one for same, one in GUARDED if same == path]
            (record,) = records_of(web.service, answer)
            assert (record["action"], record["details"]["route"]) == ("request.refused", path)


# --- parts -----------------------------------------------------------------------------------------


EVERYONE = ("records", "records/list", "verify", "usage", "usage/sums")
NEEDS = {
    "playground": "alice",
    "audit": "carol",
    "audit/log": "carol",
    "operations": "olga",
    "operations/state": "olga",
    "operations/clients": "olga",
}


@pytest.fixture(scope="module")
def indexed(web: Web) -> Web:
    eventually(lambda: bool(web.get("/audit/search", "alice").json().get("records")))
    return web


@for_each(("part", "who"), [*((part, who) for part in EVERYONE for who in ("alice", "carol", "olga")), *NEEDS.items()])
def test_a_part_is_html_for_those_who_may_see_it(indexed: Web, part: str, who: str) -> None:
    answer = indexed.get(f"/console/parts/{part}", who)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), part
    assert (answer.headers["cache-control"], "default-src 'self'" in answer.headers["content-security-policy"]) == (
        "no-store",
        True,
    )
    for word in ("<script", "style=", "onclick", "javascript:"):
        assert word not in answer.text, part


@for_each(("part", "who"), NEEDS.items())
def test_a_part_is_refused_to_everyone_else(web: Web, part: str, who: str) -> None:
    assert web.get(f"/console/parts/{part}").status_code == 401
    for other in {"alice", "carol", "olga"} - {who}:
        assert web.get(f"/console/parts/{part}", other).status_code == 403, (part, other)


def test_a_text_of_a_record_stays_text(indexed: Web) -> None:
    text = """<img src=x onerror=alert(1)>"'{{7*7}}"""
    indexed.post("/ask", {"query": text}, "alice")
    eventually(lambda: "alert(1)" in indexed.get("/console/parts/records/list", "alice").text)
    page = indexed.get("/console/parts/records/list", "alice").text
    assert "&lt;img src=x onerror=alert(1)&gt;&#34;&#39;{{7*7}}" in page


def test_a_list_to_choose_from_names_only_models_of_ones_own_records(indexed: Web) -> None:
    def models(who: str) -> list[str]:
        part = indexed.get("/console/parts/records", who).text
        (offered,) = re.findall(r'<select id="filter-model".*?</select>', part, re.DOTALL)
        return re.findall(r"<option>(.*?)</option>", offered)

    indexed.post("/ask", {"query": "which model?"}, "alice")
    eventually(lambda: models("alice") != [])
    assert models("olga") == [], "the admin has asked nothing"
    assert models("carol") == models("alice"), "an auditor may choose from all"


def test_nothing_found_and_nothing_there_are_told_apart(indexed: Web) -> None:
    assert "Nothing found" in indexed.get("/console/parts/records/list?text=zzzz", "alice").text
    assert "No model for you" not in indexed.get("/console/parts/playground", "alice").text
    assert "Nothing was asked" in indexed.get("/console/parts/usage/sums?since=2020-01-01&until=2020-01-02", "alice").text


# --- records ---------------------------------------------------------------------------------------


def found(web: Web, query: str, who: str) -> list[dict[str, Any]]:
    return list(web.get(f"/audit/search{query}", who).json()["records"])


def test_a_principal_finds_its_own_records_and_no_others(web: Web) -> None:
    web.post("/ask", {"query": "a question of alice"}, "alice")
    eventually(lambda: bool(found(web, "?text=question+of", "alice")))
    before = len(web.lines())
    own = found(web, "", "alice")
    assert {one["user_id"] for one in own} == {"alice"}
    assert found(web, "?text=question+of", "alice")[0]["text"] == "a question of alice"
    assert web.records_since(before) == [], "nothing is recorded of a search of one's own"
    assert web.get("/audit/search?user=carol", "alice").status_code == 403


def test_a_search_of_an_auditor_is_recorded_once_with_its_filter(web: Web) -> None:
    eventually(lambda: bool(found(web, "?user=alice", "carol")))
    before = len(web.lines())
    shown = found(web, "?user=alice&text=question&limit=5", "carol")
    (record,) = web.records_since(before)
    assert (record["action"], record["user_id"]) == ("audit.read", "carol")
    details = {"what": "search", "filter": {"user": "alice", "text": "question"}, "count": len(shown)}
    assert details.items() <= record["details"].items()


def test_an_auditors_own_records_are_searched_unrecorded(web: Web) -> None:
    found(web, "?user=carol", "carol")
    before = len(web.lines())
    found(web, "?user=carol", "carol")
    assert web.records_since(before) == []


@for_each(
    ("query", "word"),
    [
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?before=x", "before"),
        ("?since=yesterday", "since"),
        ("?until=2026-13-01", "until"),
        ("?action=ask.everything", "action"),
        ("?user=a", "user"),
        ("?text=" + "x" * 201, "200 characters"),
        ("?color=red", "parameters"),
        ("?text=a&text=b", "at most once"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(web: Web, query: str, word: str) -> None:
    answer = web.get(f"/audit/search{query}", "carol")
    assert (answer.status_code, word in answer.json()["detail"]) == (422, True)


def test_more_records_are_reached_by_the_number_of_the_last(web: Web) -> None:
    first = web.get("/audit/search?limit=2", "carol").json()
    assert first["more"]
    seqs = [one["seq"] for one in first["records"]]
    assert [one["seq"] for one in found(web, f"?limit=1&before={seqs[-1]}", "carol")] < seqs


def test_an_empty_parameter_is_taken_exactly_where_the_description_says_so(web: Web) -> None:
    wrong, tried = [], 0
    for path, operations in web.get("/openapi.json").json()["paths"].items():
        parameters = operations.get("get", {}).get("parameters", [])
        for name, schema in ((one["name"], one["schema"]) for one in parameters if one["in"] == "query"):
            with HTTP.stream("GET", f"{web.service.url}{path}?{name}=", headers=web.bearer("olga")) as answer:
                is_allowed, tried = Draft202012Validator(schema).is_valid(""), tried + 1
            if (answer.status_code == 200) != is_allowed or answer.status_code not in (200, 422):
                wrong.append((path, name, answer.status_code))
    assert wrong == []
    assert tried > 20


def test_an_export_is_what_the_filter_finds_and_recorded_once(indexed: Web) -> None:
    indexed.post("/ask", {"query": "=cmd|' /C calc'!A0 exported"}, "alice")
    eventually(lambda: bool(found(indexed, "?text=exported", "alice")))
    before = len(indexed.lines())
    answer = indexed.get("/audit/export?user=alice&action=ask.received&text=exported", "carol")
    (record,) = indexed.records_since(before)
    details = {"what": "export", "format": "jsonl", "filter": {"user": "alice", "action": "ask.received", "text": "exported"}}
    assert (record["user_id"], record["details"]["count"], details.items() <= record["details"].items()) == ("carol", 1, True)
    (line,) = answer.content.splitlines()
    assert (line in indexed.lines(), answer.headers["x-records"]) == (True, "1")
    assert answer.headers["content-type"] == "application/x-ndjson"


def test_an_export_has_the_forms_of_the_command(indexed: Web) -> None:
    table = indexed.get("/audit/export?format=csv&user=alice", "carol")
    rows = list(csv.DictReader(table.text.splitlines()))
    assert [int(row["seq"]) for row in rows] == sorted(int(row["seq"]) for row in rows), "oldest first"
    assert len(rows) == int(table.headers["x-records"]) > 1
    events = indexed.get("/audit/export?format=ocsf&user=alice", "carol").text.splitlines()
    assert {json.loads(event)["metadata"]["version"] for event in events} == {"1.8.0"}


def test_an_export_longer_than_a_piece_is_whole(indexed: Web) -> None:
    for _ in range(AT_ONCE + 1):
        indexed.get("/nowhere")
    wanted = [line for line in indexed.lines() if b'"path":"/nowhere"' in line]
    path = "/audit/export?text=nowhere&action=request.refused"
    eventually(lambda: indexed.get(path, "carol").content.splitlines() == wanted, "once the last of them are signed")
    table = indexed.get(f"{path}&format=csv", "carol")
    assert len(list(csv.DictReader(table.text.splitlines()))) == len(wanted) > AT_ONCE


def test_ones_own_records_are_exported_unrecorded_and_no_others(indexed: Web) -> None:
    before = len(indexed.lines())
    own = indexed.get("/audit/export", "alice").content.splitlines()
    assert {json.loads(line)["user_id"] for line in own} == {"alice"}
    assert indexed.records_since(before) == []
    assert indexed.get("/audit/export?user=carol", "alice").status_code == 403
    assert indexed.get("/audit/export?format=xls", "alice").status_code == 422
    assert indexed.get("/audit/export?limit=5", "alice").status_code == 422


@contextmanager
def feeds(web: Web, count: int, **bearer: str) -> Iterator[list[httpx.Response]]:
    """The answers, whose bodies are not read yet."""
    with ExitStack() as stack, httpx.Client(timeout=60) as client:
        ask = partial(client.stream, "GET", web.service.url + "/audit/feed", headers=bearer)
        yield [stack.enter_context(ask()) for _ in range(count)]


def test_a_feed_refuses_what_it_does_not_filter_by(web: Web) -> None:
    answer = web.get("/audit/feed?user=alice&text=word", "alice")
    assert (answer.status_code, answer.json()["detail"]) == (422, "The parameters are user, action, model, each at most once.")


def test_a_feed_ends_when_its_credential_loses_the_role(web: Web) -> None:
    bearer = {"Authorization": f"Bearer {web.add('retiring', 'ai.audit.reader')}"}
    with feeds(web, 1, **bearer) as (feed,):
        web.post("/admin/clients/retiring/roles", {"roles": ["ai.playground.user"]})
        events = "\n".join(feed.iter_lines())
        assert (feed.status_code, '"code":"insufficient_scope"' in events.rpartition("event: end")[2]) == (200, True)


def test_one_principal_leaves_feeds_for_others(web: Web) -> None:
    alice, carol = web.bearer("alice"), web.bearer("carol")
    with feeds(web, MAX_FEEDS // 2 + 1, **alice) as own, feeds(web, 1, **carol) as others:
        assert [feed.status_code for feed in own] == [200] * (MAX_FEEDS // 2) + [503]
        assert [feed.status_code for feed in others] == [200]
    eventually(lambda: _opens(web, alice), "feeds that are closed are free again")


def _opens(web: Web, bearer: dict[str, str]) -> bool:
    with feeds(web, 1, **bearer) as (feed,):
        return feed.status_code == 200


# --- admin -----------------------------------------------------------------------------------------


def last_record(web: Web) -> dict[str, Any]:
    return web.records_since(-20)[-1]


def clients(web: Web) -> dict[str, dict[str, Any]]:
    return {one["client_id"]: one for one in web.get("/admin/clients", "olga").json()["clients"]}


def test_a_client_is_added_recorded_and_may_sign_in(web: Web) -> None:
    made = web.post("/admin/clients", {"client_id": "newcomer", "roles": ["ai.playground.user"], "key": True, "rpm": 7}).json()
    assert web.service.token("newcomer", made["client_secret"])
    assert web.get("/console/session", Authorization=f"Bearer {made['key']}").json()["kind"] == "key"
    assert clients(web)["newcomer"]["rpm"] == 7


def test_a_change_is_recorded_with_who_made_it_and_how_that_was_proven(web: Web) -> None:
    web.post("/admin/clients", {"client_id": "recorded"})
    answer = web.post("/admin/clients/recorded/disable")
    record = last_record(web)
    assert answer.json() == {"recorded": True}
    assert (record["user_id"], record["action"], record["request_id"]) == (
        "olga",
        "client.disabled",
        answer.headers["x-request-id"],
    )
    assert record["details"].pop("credential").startswith("token:")
    assert record["details"] == {"client_id": "recorded", "by": "admin", "address": "127.0.0.1"}


def test_every_change_of_a_client_is_made(web: Web) -> None:
    web.post("/admin/clients", {"client_id": "changing"})
    first = web.post("/admin/clients/changing/secrets").json()["client_secret"]
    assert clients(web)["changing"]["secrets"] == 2
    web.post("/admin/clients/changing/secrets/remove", {"newer": True})
    assert first not in (second := web.post("/admin/clients/changing/rotate").json()["client_secret"])
    assert len(second) == 43
    web.post("/admin/clients/changing/roles", {"roles": ["ai.audit.reader"]})
    web.post("/admin/clients/changing/settings", {"rpm": 3, "front_end": True})
    web.post("/admin/clients/changing/settings", {"rpm": None})
    web.post("/admin/clients/changing/disable")
    changed = clients(web)["changing"]
    assert (changed["roles"], changed["rpm"], changed["front_end"], changed["disabled"]) == (
        ["ai.audit.reader"],
        None,
        True,
        True,
    )
    web.post("/admin/clients/changing/enable")
    assert not clients(web)["changing"]["disabled"]


def test_a_key_is_added_listed_and_revoked(web: Web) -> None:
    made = web.post("/admin/keys", {"client_id": "alice", "name": "laptop", "expires_in": 3600}).json()
    (listed,) = (one for one in web.get("/admin/keys?client_id=alice", "olga").json()["keys"] if one["key_id"] == made["key_id"])
    assert (listed["name"], listed["revoked_at"], "key" in listed) == ("laptop", None, False)
    web.post(f"/admin/keys/{made['key_id']}/revoke")
    assert last_record(web)["action"] == "key.revoked"
    assert [
        one["revoked_at"] is None for one in web.get("/admin/keys", "olga").json()["keys"] if one["key_id"] == made["key_id"]
    ] == [False]


def test_a_token_is_revoked_by_its_jti(web: Web) -> None:
    web.post(f"/admin/tokens/{'ab' * 16}/revoke")
    assert (last_record(web)["action"], last_record(web)["details"]["jti"]) == ("token.revoked", "ab" * 16)


@pytest.mark.parametrize(("path", "body"), [("roles", {"roles": ["ai.playground.user"]}), ("disable", None)])
def test_the_last_admin_cannot_lock_everyone_out(web: Web, path: str, body: Any) -> None:
    before = len(web.lines())
    answer = web.post(f"/admin/clients/olga/{path}", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
    assert [one["action"] for one in web.records_since(before)] == ["request.refused"]
    assert clients(web)["olga"]["roles"] == ["ai.admin"]


def test_one_of_two_admins_may_go(web: Web) -> None:
    web.post("/admin/clients", {"client_id": "second", "roles": ["ai.admin"]})
    assert web.post("/admin/clients/second/disable").status_code == 200


@pytest.mark.parametrize("who", ["alice", "carol"])
def test_nobody_else_may_look_or_change(web: Web, who: str) -> None:
    for path in ("clients", "keys", "status", "policy", "budgets"):
        assert web.get(f"/admin/{path}", who).json()["code"] == "insufficient_scope"
    assert web.post("/admin/clients", {"client_id": "stolen"}, who).status_code == 403
    assert "stolen" not in clients(web)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "The member client_id is missing."),
        ([], "The body is one JSON object with client_id and roles"),
        ({"client_id": "x1y", "is_admin": True}, "and nothing else."),
        ({"client_id": "x1y", "rpm": "7"}, "rpm: input should be a valid integer."),
        ({"client_id": "x1y", "roles": ["ai.playground.usr"]}, 'or add "allow_unknown_role": true'),
        ({"client_id": "no spaces"}, "3 to 32"),
        ({"client_id": "alice"}, "alice"),
    ],
)
def test_what_cannot_be_used_is_named(web: Web, body: Any, sentence: str) -> None:
    answer = web.post("/admin/clients", body)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


def test_a_change_of_what_is_not_there_is_refused(web: Web) -> None:
    for path in ("clients/nobody/disable", "clients/nobody/rotate", "keys/none/revoke", "tokens/none/revoke"):
        assert web.post(f"/admin/{path}").status_code == 422, path
    assert web.post("/admin/breakers/close", {"server": "none"}).status_code == 422


@for_each("path", ("breakers/close", "clients", "clients/alice/roles", "keys"))
def test_half_of_a_character_in_a_body_is_refused(web: Web, path: str) -> None:
    headers = {**web.bearer("olga"), "Content-Type": "application/json"}
    for body in (rb'{"server": "\ud800"}', rb'{"client_id": "x", "roles": ["\udfff"], "\ud800": 1}'):
        answer = HTTP.post(f"{web.service.url}/admin/{path}", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


# --- feed ------------------------------------------------------------------------------------------


def test_a_feed_brings_new_records_and_opening_it_is_recorded_once(web: Web) -> None:
    before = len(web.lines())
    with HTTP.stream("GET", web.service.url + "/audit/feed?action=ask.received", headers=web.bearer("carol")) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith(":"), "a comment comes at once"
        web.post("/ask", {"query": "while the feed is open"}, "alice")
        (shown,) = [line for line in (next(lines) for _ in range(3)) if line.startswith("data: ")]
    assert json.loads(shown.removeprefix("data: "))["text"] == "while the feed is open"
    opened = [one for one in web.records_since(before) if one["action"] == "audit.read"]
    assert [(one["details"]["what"], one["details"]["filter"]) for one in opened] == [("feed", {"action": "ask.received"})]


def test_a_feed_of_ones_own_records_leaves_none(web: Web) -> None:
    before = len(web.lines())
    with HTTP.stream("GET", web.service.url + "/audit/feed", headers=web.bearer("alice")) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
    assert web.records_since(before) == []
    assert web.get("/audit/feed?user=carol", "alice").status_code == 403
