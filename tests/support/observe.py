"""What callers and operators observe of a service, without varying values, to compare it with an earlier version.

Codes, statuses, header names, and the members and types of every answer; the CLI's --json documents; the records' members.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

VARYING_HEADERS = frozenset({"date", "content-length", "server", "transfer-encoding", "connection"})
KEPT_TEXTS = frozenset(
    {"code", "error", "error_code", "type", "title", "object", "token_type", "scope", "verdict", "status", "model", "role"}
)
"""Members whose text is part of the contract; of other members only the type is."""


class Observed(Protocol):
    """A running service, its client's id and secret, and the fake behind it."""

    url: str

    def cli(self, *arguments: str, status: int | None = 0) -> Any: ...

    def records(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Request:
    """One request; *auth* is the name of a token below, *mode* what the upstream does."""

    name: str
    method: str
    path: str
    auth: str | None = None
    json: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    mode: str = "ok"


CUT = ("cut", "error_event", "garbage_event", "no_done")
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
JSON = {"content-type": "application/json"}


def requests() -> Iterator[Request]:
    yield Request("livez", "GET", "/livez")
    yield Request("readyz", "GET", "/readyz")
    yield Request("no such address", "GET", "/nowhere", "user")
    yield Request("wrong method", "PUT", "/ask", "user")
    yield Request("no token", "POST", "/ask", content=b"{")
    yield Request("no token at v1", "POST", "/v1/chat/completions", content=b"{")
    yield Request("bad token", "POST", "/ask", "bad", json={"query": "hi"})
    yield Request("bad token at v1", "GET", "/v1/models", "bad")
    yield Request("token in the address", "POST", "/ask?access_token=x", "user", json={"query": "hi"})
    yield Request("no role", "POST", "/ask", "auditor", json={"query": "hi"})
    yield Request("no role at v1", "POST", "/v1/chat/completions", "auditor", json=CHAT)
    yield Request("ask", "POST", "/ask", "user", json={"query": "What is 6 times 7?"})
    yield Request("ask as a stream", "POST", "/ask", "user", json={"query": "hi"}, headers={"accept": "text/event-stream"})
    for name, content in {
        "malformed": b"{",
        "empty": b"",
        "twice": b'{"query": "a", "query": "b"}',
        "NaN": b'{"query": NaN}',
        "latin": b'{"query": "\xe9"}',
        "surrogate": b'{"query": "\\ud800"}',
        "extra": b'{"query": "a", "more": 1}',
        "missing": b"{}",
        "number": b'{"query": 1}',
        "blank": b'{"query": "  "}',
        "long": b'{"query": "%b"}' % (b"x" * 2001),
        "large": b'{"query": "%b"}' % (b"x" * 300_000),
    }.items():
        yield Request(f"ask, {name}", "POST", "/ask", "user", content=content, headers=JSON)
    yield Request("ask, as text", "POST", "/ask", "user", content=b"hi", headers={"content-type": "text/plain"})
    bodies: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("chat", "/v1/chat/completions", CHAT),
        ("responses", "/v1/responses", {"model": "gpt-4o-mini", "input": "hi"}),
        ("embeddings", "/v1/embeddings", {"model": "gpt-4o-mini", "input": ["hi"]}),
        ("completions", "/v1/completions", {"model": "gpt-4o-mini", "prompt": "hi"}),
        ("messages", "/v1/messages", {**CHAT, "max_tokens": 9}),
        ("count_tokens", "/v1/messages/count_tokens", CHAT),
    )
    for name, path, body in bodies:
        yield Request(name, "POST", path, "user", json=body)
        if name not in ("embeddings", "count_tokens"):
            yield Request(f"{name}, streamed", "POST", path, "user", json={**body, "stream": True})
        yield Request(f"{name}, another model", "POST", path, "user", json={**body, "model": "no-such-model"})
        yield Request(f"{name}, no model", "POST", path, "user", json={"input": "hi", "messages": []})
        yield Request(f"{name}, refused", "POST", path, "user", json={**body, "api_key": "x"})
        yield Request(f"{name}, malformed", "POST", path, "user", content=b"[", headers=JSON)
        for mode in ("status:400", "status:401", "status:404", "status:429", "status:500", "garbage", "close", "truncate"):
            yield Request(f"{name}, upstream {mode}", "POST", path, "user", json=body, mode=mode)
    for mode in ("status:400", "status:401", "status:429", "status:500", "garbage", "close", "no_usage"):
        yield Request(f"ask, upstream {mode}", "POST", "/ask", "user", json={"query": "hi"}, mode=mode)
    for mode in ("cut:2", "error_event:2", "garbage_event:1", "no_done"):
        yield Request(f"chat stream, {mode}", "POST", "/v1/chat/completions", "user", json={**CHAT, "stream": True}, mode=mode)
        yield Request(f"messages stream, {mode}", "POST", "/v1/messages", "user", json={**CHAT, "stream": True}, mode=mode)
        yield Request(
            f"responses stream, {mode}",
            "POST",
            "/v1/responses",
            "user",
            json={"model": "gpt-4o-mini", "input": "hi", "stream": True},
            mode=mode,
        )
        accept = {"accept": "text/event-stream"}
        yield Request(f"ask stream, {mode}", "POST", "/ask", "user", json={"query": "hi"}, headers=accept, mode=mode)
    yield Request("models", "GET", "/v1/models", "user")
    yield Request("one model", "GET", "/v1/models/gpt-4o-mini", "user")
    yield Request("another model", "GET", "/v1/models/nothing", "user")
    for name, form in {
        "token, no grant": {},
        "token, other grant": {"grant_type": "password"},
        "token, no client": {"grant_type": "client_credentials"},
        "token, wrong secret": {"grant_type": "client_credentials", "client_id": "user", "client_secret": "x"},
    }.items():
        encoded = str(httpx.QueryParams(form)).encode()
        yield Request(name, "POST", "/token", content=encoded, headers={"content-type": "application/x-www-form-urlencoded"})
    for path in ("/token/revoke", "/token/introspect"):
        content, headers = b"token=x", {"content-type": "application/x-www-form-urlencoded"}
        yield Request(f"{path}, no client", "POST", path, content=content, headers=headers)
        yield Request(f"{path}, wrong method", "GET", path)
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"):
        yield Request(path, "GET", path)
    yield Request("token, as JSON", "POST", "/token", json={"grant_type": "client_credentials"})
    for name, path, auth in (
        ("checkpoint", "/audit/checkpoint", None),
        ("vkey", "/audit/vkey", None),
        ("a tile", "/audit/tile/0/000.p/1", None),
        ("no tile", "/audit/tile/0/x999/999", None),
        ("an entry", "/audit/entries/1", "auditor"),
        ("another's entry", "/audit/entries/1", "user"),
        ("no entry", "/audit/entries/999999", "auditor"),
        ("entries", "/audit/entries?from=0&limit=3", "auditor"),
        ("entries, a bad number", "/audit/entries?from=x", "auditor"),
        ("a bundle", "/audit/tile/entries/000.p/1", "auditor"),
        ("a bundle, no role", "/audit/tile/entries/000.p/1", "user"),
        ("a receipt", "/audit/receipts/2", "auditor"),
        ("no receipt", "/audit/receipts/999999", "auditor"),
        ("an entry, no token", "/audit/entries/1", None),
        ("docs", "/docs", None),
    ):
        yield Request(name, "GET", path, auth)


def shape(value: Any, name: str = "") -> Any:
    """The members and types of *value*, and those texts that are part of the contract."""
    if isinstance(value, dict):
        return {key: shape(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0], name)] if value else []
    return value if isinstance(value, str) and name in KEPT_TEXTS else type(value).__name__


def observed_answer(response: httpx.Response) -> dict[str, Any]:
    text = response.text
    headers = sorted(set(response.headers) - VARYING_HEADERS)
    seen: dict[str, Any] = {"status": response.status_code, "type": response.headers.get("content-type"), "headers": headers}
    for name in ("www-authenticate", "x-should-retry", "allow"):
        if name in headers:
            seen[name] = re.sub(r"127\.0\.0\.1:[0-9]+", "HOST", response.headers[name])
    if "json" in (seen["type"] or "") and "ndjson" not in seen["type"]:
        seen["body"] = shape(response.json())
    elif "event-stream" in (seen["type"] or ""):
        events = [_event(block) for block in text.split("\n\n") if block and not block.startswith(":")]
        seen["events"] = [event for at, event in enumerate(events) if event not in events[:at]]
    return seen


def _event(block: str) -> Any:
    lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
    data = lines.pop("data", "")
    return {**lines, "data": data if data == "[DONE]" else shape(json.loads(data))}


def observe(service: Observed, tokens: dict[str, str], set_mode: Any) -> dict[str, Any]:
    """All observations, by the name of the request."""
    seen: dict[str, Any] = {}
    with httpx.Client(base_url=service.url, timeout=60) as http:
        for one in requests():
            set_mode(one.mode)
            headers = dict(one.headers)
            if one.auth:
                headers["authorization"] = f"Bearer {tokens[one.auth]}"
            before = len(service.records())
            response = http.request(one.method, one.path, json=one.json, content=one.content, headers=headers)
            records = [{"action": record["action"], "details": shape(record["details"])} for record in service.records()[before:]]
            seen[one.name] = {**observed_answer(response), "records": records}
            for record in records:  # whether the last connection is still kept depends on the machine
                record["details"].pop("retried", None)
                if "tries" in record["details"]:
                    record["details"]["tries"] = "list"
            if one.mode.partition(":")[0] in CUT:  # how much arrives before the cut depends on the machine
                seen[one.name]["events"] = seen[one.name].get("events", [])[-1:]
                for record in records:
                    record["details"].pop("delivered", None)
        set_mode("ok")
        seen["openapi"] = contract_of(http.get("/openapi.json").json())
    return seen


def contract_of(document: Any) -> Any:
    """An OpenAPI document without its prose."""
    if isinstance(document, dict):
        return {
            key: contract_of(item)
            for key, item in document.items()
            if not (key in ("description", "summary") and isinstance(item, str)) and key != "tags"
        }
    return [contract_of(item) for item in document] if isinstance(document, list) else document


def observe_cli(service: Observed) -> dict[str, Any]:
    """The --json documents of the commands."""
    seen = {
        "clients add": service.cli("clients", "add", "carol", "--role", "ai.playground.user"),
        "clients add again": service.cli("clients", "add", "carol", "--role", "ai.playground.user", status=None),
        "clients add, bad name": service.cli("clients", "add", "c", "--role", "ai.playground.user", status=None),
        "clients list": service.cli("clients", "list"),
        "clients rotate": service.cli("clients", "rotate", "carol"),
        "clients disable": service.cli("clients", "disable", "carol"),
        "clients disable nobody": service.cli("clients", "disable", "nobody", status=None),
        "token revoke": service.cli("token", "revoke", "0" * 32),
        "token revoke, bad id": service.cli("token", "revoke", "x", status=None),
        "audit verify": service.cli("audit", "verify"),
        "audit verify, a receipt": service.cli("audit", "verify", "--receipt", "1:" + "0" * 64, status=None),
        "audit verify, no receipt": service.cli("audit", "verify", "--receipt", "x", status=None),
        "audit show": service.cli("audit", "show")[:1],
        "audit tail": service.cli("audit", "tail", "-n", "1"),
        "init again": service.cli("init"),
    }
    return {name: shape(document) for name, document in seen.items()}
