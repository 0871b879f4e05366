"""One good request for each endpoint, as bytes: what mutants are made of."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..support.service import Service

MESSAGES = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, Any]] = {
    "/ask": {"query": "hi"},
    "/v1/chat/completions": {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 9, "tools": [], "stream": False},
    "/v1/responses": {"model": "gpt-4o-mini", "input": [{"type": "message", **MESSAGES[0]}], "metadata": {"a": "b"}},
    "/v1/embeddings": {"model": "gpt-4o-mini", "input": ["hi", "ho"]},
    "/v1/completions": {"model": "gpt-4o-mini", "prompt": "hi", "n": 1},
    "/v1/messages": {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 9, "system": "x", "stream": True},
    "/v1/messages/count_tokens": {"model": "gpt-4o-mini", "messages": MESSAGES},
}
GETS = (
    *("/", "/docs", "/docs/start.js", "/docs/assets/swagger-ui.css", "/openapi.json", "/livez", "/health", "/healthz", "/readyz"),
    *("/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"),
    *("/audit/checkpoint", "/audit/vkey", "/audit/tile/0/000.p/1", "/audit/tile/entries/000.p/1"),
    *("/audit/entries?from=0&limit=2", "/audit/entries/0", "/audit/receipts/0", "/v1/models", "/v1/models/gpt-4o-mini"),
)
FORMS = {"/token": "grant_type=client_credentials", "/token/revoke": "token=x.y.z", "/token/introspect": "token=x.y.z"}


@dataclass(frozen=True)
class Credentials:
    asker: str
    auditor: str
    secret: str
    """Sent by HTTP Basic for the client alice."""

    @classmethod
    def made_in(cls, service: Service) -> Credentials:
        secret = service.add_client("alice")
        auditor = service.token("audrey", service.add_client("audrey", "ai.audit.reader"))
        return cls(service.token("alice", secret), auditor, secret)

    def value(self, path: str) -> str:
        if path in FORMS:
            return "Basic " + base64.b64encode(f"alice:{self.secret}".encode()).decode()
        return f"Bearer {self.auditor if path.startswith('/audit') else self.asker}"


def valid_requests(credentials: Credentials) -> Iterator[bytes]:
    for path in GETS:
        yield request("GET", path, credentials.value(path))
    for path, members in BODIES.items():
        yield request("POST", path, credentials.value(path), json.dumps(members).encode())
    for path, form in FORMS.items():
        yield request("POST", path, credentials.value(path), form.encode(), "application/x-www-form-urlencoded")


def request(method: str, path: str, authorization: str = "", body: bytes | None = None, kind: str = "application/json") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    if body is not None:
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
