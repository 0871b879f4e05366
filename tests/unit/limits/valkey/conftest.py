"""A Valkey server for the tests of one module, empty for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.limits.valkey import client

from ....support.valkey_server import ValkeyServer


@pytest.fixture(scope="module")
def module_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def valkey(module_valkey: ValkeyServer) -> ValkeyServer:
    module_valkey.command("FLUSHALL")
    return module_valkey


@pytest.fixture(autouse=True)
def connections_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need more than a second to make many of them at once."""
    monkeypatch.setattr(client, "CONNECT_SECONDS", 30.0)
