"""Machines over one database of clients: alike, or refused by the name of a setting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.catalogue.models import Catalogue
from app.errors import ConfigError
from app.limits.shared_folder import SharedFolder
from app.security.security_log import SecurityLog
from app.settings import Settings, load_settings
from app.wiring.breakers import SharedBreakers
from app.wiring.catalogue import read_catalogue
from app.wiring.news import OtherNodes, among_nodes, tell_of_policy
from app.wiring.nodes import marks, verify_alike

from ...support.clean_settings import use_defaults
from ...support.own_ledger import new_place
from ...support.postgres_clients import make_clients
from ...support.postgres_server import PostgresServer
from ...support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    use_defaults(monkeypatch, tmp_path)
    monkeypatch.setenv("DATABASE_URL", make_clients(postgres).text)
    monkeypatch.setenv("NODE_NAME", "node-1")
    return load_settings()


@pytest.fixture
def catalogue(settings: Settings) -> Catalogue:
    return read_catalogue(settings)


@asynccontextmanager
async def serving(settings: Settings, catalogue: Catalogue, node: str, **changes: object) -> AsyncIterator[OtherNodes]:
    """A worker of the machine *node*."""
    own = settings.model_copy(update={"node_name": node, **changes})
    events = SecurityLog(settings.security_log_path.with_name(f"{node}.log"))
    breakers = SharedBreakers(SharedFolder(settings.security_log_path.parent / node))
    async with among_nodes(own, catalogue, events, breakers, lambda: None) as nodes:
        yield nodes
    events.close()


def verify(settings: Settings, catalogue: Catalogue, **changes: object) -> None:
    verify_alike(settings.model_copy(update=changes), catalogue)


async def until_refused(settings: Settings, catalogue: Catalogue, **changes: object) -> str:
    """What a machine with *changes* is told at its start, once the other is there."""
    while True:
        try:
            await asyncio.to_thread(verify, settings, catalogue, **changes)
        except ConfigError as error:
            return error.detail
        await asyncio.sleep(0.01)


async def test_a_machine_with_other_settings_is_refused_by_their_names(settings: Settings, catalogue: Catalogue) -> None:
    verify(settings, catalogue, rate_limit=61)  # nobody serves
    async with serving(settings, catalogue, "node-1"):
        assert await until_refused(settings, catalogue, rate_limit=61, jwt_issuer="b") == (
            "Node node-1 serves with another JWT_ISSUER and another RATE_LIMIT than this one: make them alike, "
            "or stop the other machines first."
        )
        secret = "t" * 43
        assert "another SECRET_KEY than" in await until_refused(settings, catalogue, secret_key=SecretStr(secret), rate_limit=61)
        assert "another POLICY_FILE than" in await until_refused(settings, replace(catalogue, sha256="f" * 64))
        verify(settings, catalogue)
        verify(settings, catalogue, limits_timeout_seconds=1.0, budgets_url="postgresql://other.example/b")

    def is_alone() -> bool:
        try:
            verify(settings, catalogue, rate_limit=61)
        except ConfigError:
            return False
        return True

    await until(is_alone)  # its lock ends with its connection


async def test_a_policy_that_one_machine_takes_is_news_to_the_others(settings: Settings, catalogue: Catalogue) -> None:
    asked = list[str]()
    async with serving(settings, catalogue, "node-1") as one, serving(settings, catalogue, "node-2") as other:
        other.on_other_policy = lambda: asked.append("node-2")
        await until(lambda: one.differing == {} == other.differing)
        changed = replace(catalogue, sha256="f" * 64)
        one.use(changed)
        await until(lambda: other.differing == {"node-1": ["POLICY_FILE"]})
        assert asked == ["node-2"]
        await until(lambda: one.differing == {"node-2": ["POLICY_FILE"]})
        other.use(changed)
        await until(lambda: one.differing == {} == other.differing)


async def test_who_reads_another_policy_tells_the_others_before_it_serves_it(settings: Settings, catalogue: Catalogue) -> None:
    heard = set[str]()
    async with serving(settings, catalogue, "node-1") as one, serving(settings, catalogue, "node-2") as other:
        for nodes, name in ((one, "node-1"), (other, "node-2")):
            nodes.on_other_policy = partial(heard.add, name)
        for told, wanted in (("node-1", {"node-2"}), ("node-2", {"node-1", "node-2"})):
            while heard < wanted:  # until the other one listens
                await asyncio.to_thread(tell_of_policy, settings.model_copy(update={"node_name": told}))
                await asyncio.sleep(0.05)
            assert heard == wanted, "each hears of the other alone"


async def test_machines_that_share_a_ledger_alone_are_compared_too(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_defaults(monkeypatch, tmp_path)
    monkeypatch.setenv("AUDIT_URL", new_place(postgres).url)
    settings = load_settings()
    catalogue = read_catalogue(settings)
    verify(settings, catalogue, rate_limit=61)
    async with serving(settings, catalogue, "node-1") as one, serving(settings, catalogue, "node-2") as other:
        assert "with another RATE_LIMIT than" in await until_refused(settings, catalogue, rate_limit=61)
        verify(settings, catalogue)
        await until(lambda: one.differing == {} == other.differing)
        one.use(replace(catalogue, sha256="f" * 64))
        await until(lambda: other.differing == {"node-1": ["POLICY_FILE"]})


def test_no_mark_shows_a_value(settings: Settings, catalogue: Catalogue) -> None:
    found = marks(settings, catalogue)
    assert {"SECRET_KEY", "JWT_ISSUER", "RATE_LIMIT", "AUDIT_ORIGIN", "POLICY_FILE", "AUDIT_KEY_PATH"} <= set(found)
    assert not {"DATABASE_URL", "DATABASE_PASSWORD_FILE", "NODE_NAME"} & set(found)
    assert settings.secret_key.get_secret_value() not in str(found)
