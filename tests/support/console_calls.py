"""A running service with one client of each kind, and calls in their names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from .service import HTTP, Service

ROLES = {"olga": ("ai.admin",), "alice": ("ai.playground.user",), "carol": ("ai.audit.reader",)}


@dataclass(frozen=True)
class Web:
    service: Service
    tokens: dict[str, str]

    @classmethod
    def of(cls, service: Service) -> Web:
        """The admin is made by a command, the others by the admin."""
        made = cls(service, {"olga": token_of(service, "olga", *ROLES["olga"])})
        for name, roles in ROLES.items():
            if name not in made.tokens:
                made.tokens[name] = made.add(name, *roles)
        return made

    def add(self, name: str, *roles: str) -> str:
        """The token of a new client."""
        secret = self.post("/admin/clients", {"client_id": name, "roles": roles}).json()["client_secret"]
        return self.service.token(name, secret)

    def get(self, path: str, who: str | None = None, **headers: str) -> httpx.Response:
        return HTTP.get(self.service.url + path, headers={**self.bearer(who), **headers})

    def post(self, path: str, json: Any = None, who: str | None = "olga", **headers: str) -> httpx.Response:
        body = {} if json is None else {"json": json}
        return HTTP.post(self.service.url + path, headers={**self.bearer(who), **headers}, **body)

    def bearer(self, who: str | None) -> dict[str, str]:
        return {} if who is None else {"Authorization": f"Bearer {self.tokens[who]}"}

    def lines(self) -> list[bytes]:
        return self.service.log.read_bytes().splitlines()

    def records_since(self, count: int) -> list[dict[str, Any]]:
        """Those after the first *count*, signs of life left out."""
        found = [json.loads(line) for line in self.lines()[count:]]
        return [one for one in found if one["action"] != "log.alive"]


def token_of(service: Service, name: str, *roles: str) -> str:
    options = [word for role in roles for word in ("--role", role)]
    secret = service.cli("clients", "add", name, *options)["client_secret"]
    return service.token(name, secret)
