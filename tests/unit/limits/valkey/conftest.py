"""A Valkey server for the tests of one module, empty for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ....support.valkey_server import ValkeyServer


@pytest.fixture(scope="module")
def module_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def valkey(module_valkey: ValkeyServer) -> ValkeyServer:
    module_valkey.command("FLUSHALL")
    return module_valkey
