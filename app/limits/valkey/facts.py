"""What `doctor` asks of the server of limits: whether it counts hits, and forgets any."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import NamedTuple

from ...catalogue.limits_url import LimitsAddress
from ...settings import Settings
from .client import open_client
from .keys import Keys
from .opened import password_of
from .server import FAULTS, LimitsServer

POLICY, MOST = "maxmemory-policy", "maxmemory"
LOOK_SECONDS = 2.0


class ServerFacts(NamedTuple):
    problem: str | None
    """Why no hit can be counted."""
    evicts: str | None
    """The policy by which it forgets hits once it is full; None: none, or it does not say."""


async def server_facts(settings: Settings, address: LimitsAddress) -> ServerFacts:
    connect = partial(open_client, address, password_of(settings, address))
    server, told = LimitsServer(connect, Keys(settings.audit_origin), LOOK_SECONDS), dict[str, str]()
    try:
        await server.open()
        with suppress(*FAULTS):  # services that are rented refuse CONFIG
            told = dict(await server.client.config_get("maxmemory*"))
        evicts = told.get(POLICY) if told.get(MOST, "0") != "0" and told.get(POLICY) != "noeviction" else None
        return ServerFacts(server.problem, evicts)
    finally:
        await server.aclose()
