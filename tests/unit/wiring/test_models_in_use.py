"""A new catalogue replaces the old one: what did not change keeps its connections, what did is closed later."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.catalogue.models import Catalogue, ModelEntry, Server
from app.errors import ConfigError
from app.settings import Settings, load_settings
from app.wiring import models_in_use
from app.wiring.models_in_use import ModelsInUse

from ...support.caps import CAPS
from ...support.clean_settings import use_defaults

ONE, TWO = Server("one", "http://127.0.0.1:1/v1", "sk-1"), Server("two", "http://127.0.0.1:2/v1", "sk-2")


def catalogue(**servers: Server) -> Catalogue:
    models = {alias: ModelEntry(alias, alias, server) for alias, server in servers.items()}
    short = replace(CAPS, timeout_seconds=0.01, stream_timeout_seconds=0.01)
    return Catalogue(models, short, {"a.b": replace(short, stream_timeout_seconds=0.1)}, frozenset())


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    use_defaults(monkeypatch, tmp_path)
    return load_settings(openai_base_url="http://127.0.0.1:9/v1", llm_model="a")


def test_an_unchanged_server_is_kept_and_others_are_closed_later(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_in_use, "SPARE_SECONDS", 0.1)

    async def main() -> None:
        models = ModelsInUse(settings, catalogue(a=ONE, b=TWO), None)
        before = dict(models.now.upstreams)
        closed = list[object]()
        for server, upstream in before.items():
            monkeypatch.setattr(upstream, "aclose", lambda server=server: note(closed, server))
        after = models.replace(catalogue(a=ONE, b=replace(TWO, api_key="sk-3")))
        assert after.upstreams[ONE] is before[ONE]
        assert after.upstreams[replace(TWO, api_key="sk-3")] is not before[TWO]
        assert after.v1_requests.catalogue.models["b"].server.api_key == "sk-3"
        assert closed == [], "a question may still use it"
        while not closed:
            await asyncio.sleep(0.01)
        assert closed == [TWO]
        await models.aclose()
        assert closed == [TWO, ONE]

    asyncio.run(asyncio.wait_for(main(), 30))


async def note(closed: list[object], what: object) -> None:
    closed.append(what)


def test_what_waits_to_be_closed_is_closed_at_the_end(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        models, closed = ModelsInUse(settings, catalogue(a=ONE), None), list[object]()
        monkeypatch.setattr(models.now.upstreams[ONE], "aclose", lambda: note(closed, ONE))
        models.replace(catalogue(a=TWO))
        await models.aclose()
        assert closed == [ONE]

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_catalogue_that_cannot_be_used_changes_nothing(settings: Settings) -> None:
    async def main() -> None:
        models = ModelsInUse(settings, catalogue(a=ONE), None)
        before = models.now
        with pytest.raises(ConfigError):
            models.replace(catalogue(a=replace(ONE, api_key="sk-\n")))
        assert models.now is before
        await models.aclose()

    asyncio.run(asyncio.wait_for(main(), 30))
