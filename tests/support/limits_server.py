"""Limits that are counted on a server of the tests: opened, and with a clock that the test sets."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.catalogue.limits_url import limits_address
from app.limits.valkey import server as server_module
from app.limits.valkey import storage, token_rates
from app.limits.valkey.client import open_client
from app.limits.valkey.keys import Keys
from app.limits.valkey.scripts import Script
from app.limits.valkey.server import LimitsServer

from .valkey_server import ValkeyServer

CLOCK = "clock of the test"
SECOND = 1_000_000
PATIENCE = 2.0
"""For a server of a machine whose cores are busy."""


@asynccontextmanager
async def opened(
    url: str, service: str = "tests", password: Callable[[], str] | None = None, answer_seconds: float = PATIENCE
) -> AsyncIterator[LimitsServer]:
    server = LimitsServer(lambda: open_client(limits_address(url), password), Keys(service), answer_seconds)
    try:
        await server.open()
        yield server
    finally:
        await server.aclose()


class ServerClock:
    """The scripts read it in place of the server's own; all else in them stays."""

    def __init__(self, valkey: ValkeyServer, patch: pytest.MonkeyPatch) -> None:
        self._valkey = valkey
        for module, name in ((storage, "WINDOWS"), (server_module, "WINDOWS"), (token_rates, "TOKENS")):
            script: Script = getattr(module, name)
            assert script.text.count("redis.call('TIME')") == 1
            text = script.text.replace("redis.call('TIME')", f"redis.call('HMGET', '{CLOCK}', 'seconds', 'rest')")
            patch.setattr(module, name, Script(text, hashlib.sha1(text.encode()).hexdigest()))
        self.set(1000.0)

    def set(self, seconds: float) -> None:
        """Whole microseconds."""
        self._valkey.command(*self.words(seconds))

    @staticmethod
    def words(seconds: float) -> tuple[Any, ...]:
        microseconds = round(seconds * SECOND)
        return ("HSET", CLOCK, "seconds", microseconds // SECOND, "rest", microseconds % SECOND)
