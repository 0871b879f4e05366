"""Good requests as bytes, one for each endpoint: what mutants are made of."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from ..support.service import Service
from .endpoints import FORM, VICTIM, Endpoint, every_endpoint

ROLES = ("ai.playground.user", "ai.audit.reader", "ai.admin")


@dataclass(frozen=True)
class Credentials:
    key: str
    """Of a client with every role. A key outlives a sign-out."""
    secret: str
    """Sent by HTTP Basic for the client alice."""

    @classmethod
    def made_in(cls, service: Service) -> Credentials:
        service.cli("clients", "add", "olga", *(word for role in ROLES for word in ("--role", role)))
        service.add_client(VICTIM)
        return cls(str(service.cli("keys", "add", "olga")["key"]), service.add_client("alice"))

    @property
    def bearer(self) -> str:
        return f"Bearer {self.key}"

    def value(self, endpoint: Endpoint) -> str:
        if endpoint.kind == FORM:
            return "Basic " + base64.b64encode(f"alice:{self.secret}".encode()).decode()
        return self.bearer


def valid_requests(credentials: Credentials) -> Iterator[bytes]:
    for one in every_endpoint():
        yield request(one.method, one.target, credentials.value(one), *body_of(one))


def body_of(endpoint: Endpoint) -> tuple[()] | tuple[bytes, str]:
    if not endpoint.kind:
        return ()
    is_form = endpoint.kind == FORM
    return (urlencode(endpoint.members) if is_form else json.dumps(endpoint.members)).encode(), endpoint.kind


def request(method: str, path: str, authorization: str = "", body: bytes | None = None, kind: str = "application/json") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    if body is not None:
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
