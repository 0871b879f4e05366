"""What a page shows while something that it would show cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import Unavailable
from app.security.roles import ADMIN, ENDPOINT_ROLES
from app.settings import load_settings
from app.web.pages import _budgets, _roles
from app.web.status import budgets_of
from app.wiring.budgets import budgets_path
from app.wiring.catalogue import read_catalogue

from ...support.clean_settings import use_defaults
from ...support.installation import install

POLICY = """
[servers.local]
base_url = "http://127.0.0.1:1/v1"
[models.fast]
server = "local"
[[budgets]]
tokens = 1000
per = "day"
"""


async def _here(read: Callable[[], Any]) -> Any:
    return read()


def test_budgets_that_cannot_be_read_are_not_shown_as_none_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_defaults(monkeypatch, tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY)
    monkeypatch.setenv("POLICY_FILE", "policy.toml")
    monkeypatch.setenv("LLM_MODEL", "fast")
    install()
    settings = load_settings()
    services = SimpleNamespace(
        settings=settings,
        assistant=SimpleNamespace(v1_requests=SimpleNamespace(catalogue=read_catalogue(settings))),
        audit_access=SimpleNamespace(off_the_loop=_here),
    )
    app: Any = SimpleNamespace(services=services)
    olga: Any = SimpleNamespace(user_id="olga", has=lambda role: role == ADMIN)
    assert asyncio.run(_budgets(app, olga, None)) == asyncio.run(budgets_of(app)) != []
    budgets_path(settings).write_bytes(b"no database " * 1000)
    assert asyncio.run(_budgets(app, olga, None)) is None
    with pytest.raises(Unavailable):
        asyncio.run(budgets_of(app))


def test_roles_can_be_chosen_while_the_policy_file_is_edited(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[models.fast")
    services: Any = SimpleNamespace(settings=SimpleNamespace(policy_path=policy))
    assert asyncio.run(_roles(services)) == sorted(ENDPOINT_ROLES)
