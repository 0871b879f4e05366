"""A service with a policy, prices, budgets, a month of records, and one client of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .console_history import MODELS, PEOPLE, write_history
from .service import Service

POLICY = """
time_zone = "UTC"
currency = "EUR"
[servers.upstream]
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
[models."{name}"]
server = "upstream"
max_output_tokens = 1000
context_tokens = 8192
[prices."{name}"]
input = {input}
output = {output}
"""
ROLES = {
    "alice": ("ai.playground.user",),
    "carol": ("ai.audit.reader",),
    "olga": ("ai.admin", "ai.audit.reader", "ai.playground.user"),
    "adam": ("ai.admin",),
}
"""The clients that sign in to the console: who asks, who audits, who may all, who only administers."""


@dataclass(frozen=True)
class ConsoleService:
    service: Service
    secrets: dict[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        return self.service.url


@contextmanager
def console_service(folder: Path, base_url: str, *, days: int = 30, a_day: int = 24, **env: str) -> Iterator[ConsoleService]:
    """Running, at the end of its month."""
    folder.mkdir(parents=True, exist_ok=True)
    prices = zip(MODELS, (0.15, 3, 0.6), (0.6, 15, 0.8), strict=True)
    models = "".join(MODEL.format(name=name, input=price, output=most) for name, price, most in prices)
    (folder / "policy.toml").write_text(POLICY.format(base_url=base_url, models=models))
    settings = {"POLICY_FILE": str(folder / "policy.toml"), "LLM_MODEL": MODELS[0], **env}
    service = Service(folder, **settings)  # type: ignore[arg-type]  # settings by their names
    write_history(service.log, days=days, a_day=a_day)
    secrets = {name: _added(service, name, roles) for name, roles in ROLES.items()}
    for name in PEOPLE[1:]:
        _added(service, name, ("ai.playground.user",))
    service.cli("keys", "add", "support-bot", "--name", "Help desk")
    with service:
        yield ConsoleService(service, secrets)


def _added(service: Service, name: str, roles: tuple[str, ...]) -> str:
    options = [word for role in roles for word in ("--role", role)]
    return str(service.cli("clients", "add", name, *options)["client_secret"])
