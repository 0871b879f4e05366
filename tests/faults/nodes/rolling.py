"""One node after the other is stopped and started again behind the load balancer: no question is refused."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

from ...support.haproxy import balanced
from ...support.nodes import nodes
from ...support.postgres_server import PostgresServer
from ...support.service import Service
from ...support.verified_nodes import verify_nodes
from ..crash import answered_again
from ..figures import Figures
from ..load import Load
from .one_log import servers

NOTICE = {"SHUTDOWN_NOTICE_SECONDS": "3"}
"""The balancer looks twice a second; on a busy machine, somewhat later."""


def restart(folder: Path, *, restarts: int, clients: int = 16, count: int = 2, postgres: PostgresServer | None = None) -> Figures:
    """*restarts* of *count* nodes, in turn."""
    began = time.monotonic()
    with servers(folder, postgres) as (_, _, _, env), nodes(folder, count, **env, **NOTICE) as (several, token):
        with balanced(folder, several) as port:
            load = asyncio.run(_restart([*islice(cycle(several), restarts)], Load(port, token, clients)))
        refused = Counter((one.status, one.code) for one in load.outcomes if one.status != 200)
        assert not refused, dict(refused)
        records, verifiers = verify_nodes(several, load.answers, folder / "exported.jsonl")
    remarks = [f"{restarts} restarts, none refused", f"verified: {verifiers}"]
    return Figures(len(load.answers), records, time.monotonic() - began, remarks=remarks)


async def _restart(in_turn: list[Service], load: Load) -> Load:
    async with load:
        await answered_again(load)
        for node in in_turn:
            await asyncio.to_thread(node.stop)
            await answered_again(load)
            await asyncio.to_thread(node.start)
            await answered_again(load)
    return load
