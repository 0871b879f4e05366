"""A service with a policy, prices, budgets, a month of records, and one client of each kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .console_history import MODELS, PEOPLE, write_history
from .service import HTTP, Service

POLICY = """
time_zone = "UTC"
currency = "EUR"
[servers.{server}]
base_url = "{base_url}"
{models}
[[budgets]]
principal = "*"
money = 25
per = "month"
[[budgets]]
role = "ai.playground.user"
money = 400
per = "month"
"""
MODEL = """
[models.{name}]
server = {server}
max_output_tokens = 1000
context_tokens = 8192
[prices.{name}]
input = {input}
output = {output}
"""
ROLES = {
    "alice": ("ai.playground.user",),
    "carol": ("ai.audit.reader",),
    "olga": ("ai.admin", "ai.audit.reader", "ai.playground.user"),
    "adam": ("ai.admin",),
    "nadia": ("ai.token.introspect",),
}
"""The clients that sign in to the console: who asks, audits, may all, only administers, and does none of it."""


@dataclass(frozen=True)
class ConsoleService:
    service: Service
    secrets: dict[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        return self.service.url


@contextmanager
def console_service(
    folder: Path,
    base_url: str,
    *,
    days: int = 30,
    a_day: int = 24,
    models: Sequence[str] = (),
    server: str = "upstream",
    **env: str,
) -> Iterator[ConsoleService]:
    """Running, at the end of its month. *models*: more of them; *server*: the name of the one that is asked."""
    folder.mkdir(parents=True, exist_ok=True)
    prices = [*zip(MODELS, (0.15, 3, 0.6), (0.6, 15, 0.8), strict=True), *((name, 1, 2) for name in models)]
    text = "".join(
        MODEL.format(name=json.dumps(name), input=price, output=most, server=json.dumps(server)) for name, price, most in prices
    )
    (folder / "policy.toml").write_text(POLICY.format(base_url=base_url, models=text, server=json.dumps(server)))
    settings = {"POLICY_FILE": str(folder / "policy.toml"), "LLM_MODEL": MODELS[0], **env}
    service = Service(folder, **settings)  # type: ignore[arg-type]  # settings by their names
    write_history(service.log, days=days, a_day=a_day)
    admin = service.cli("clients", "add", "olga", *(word for role in ROLES["olga"] for word in ("--role", role)))
    with service:
        secrets = {"olga": str(admin["client_secret"])}
        bearer = {"Authorization": f"Bearer {service.token('olga', secrets['olga'])}"}

        def add(what: str, **body: object) -> dict[str, str]:
            return dict(HTTP.post(f"{service.url}/admin/{what}", json=body, headers=bearer).json())

        for name, roles in {**dict.fromkeys(PEOPLE, ROLES["alice"]), **ROLES}.items():
            if name != "olga":
                secrets[name] = add("clients", client_id=name, roles=roles)["client_secret"]
        add("keys", client_id="support-bot", name="Help desk")
        yield ConsoleService(service, secrets)
