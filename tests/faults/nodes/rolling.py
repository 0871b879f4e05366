"""One node after the other is restarted or upgraded behind the load balancer: no question is refused."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

from ...support.haproxy import balanced
from ...support.nodes import Place, make_nodes, nodes, running
from ...support.older_release import older_release
from ...support.postgres_server import PostgresServer
from ...support.service import Service
from ...support.verified_nodes import verify_nodes
from ..crash import answered_again
from ..figures import Figures
from ..load import Load
from .one_log import servers

NOTICE = {"SHUTDOWN_NOTICE_SECONDS": "3"}
"""The balancer looks twice a second; on a busy machine, somewhat later."""
CODE = "PYTHONPATH"
"""Where it leads to another release, a node runs that one."""


def restart(folder: Path, *, restarts: int, clients: int = 16, count: int = 2, postgres: PostgresServer | None = None) -> Figures:
    """*restarts* of *count* nodes, in turn."""
    began = time.monotonic()
    with servers(folder, postgres) as (_, _, _, env), nodes(folder, count, **env, **NOTICE) as (several, token):
        with balanced(folder, several) as port:
            load = asyncio.run(_restart([*islice(cycle(several), restarts)], Load(port, token, clients)))
        verify_none_refused(load)
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


def verify_none_refused(load: Load) -> None:
    refused = Counter((one.status, one.code) for one in load.outcomes if one.status != 200)
    assert not refused, dict(refused)


def upgrade(folder: Path, *, clients: int = 16, postgres: PostgresServer | None = None) -> Figures:
    """Two nodes of an older release, one of which is upgraded: both serve, and each proves what the other recorded."""
    began = time.monotonic()
    with servers(folder, postgres) as (_, postgres, _, env):
        older = older_release(folder / "older")
        several = make_nodes(folder, [Place()] * 2, **env, **NOTICE, **{CODE: older})
        secret = several[0].add_client()
        with running(several), balanced(folder, several) as port:
            token = several[0].token("alice", secret)
            load = asyncio.run(_upgrade(several, port, token, clients))
            verify_none_refused(load)
            records, verifiers = verify_nodes(several, load.answers, folder / "exported.jsonl")
            both = [verify_side_by_side(node, token) for node in several]
        database = env["DATABASE_URL"].rpartition("/")[2].partition("?")[0]
        postgres.query("UPDATE assistant.alembic_version SET version_num = '9999'", database=database)
        postgres.query("UPDATE assistant.side_by_side SET oldest_code = '9999'", database=database)
        for node in several:
            said = node.run("serve", "--port", str(node.port), status=2).stderr
            assert "comes from a newer version: install that one." in said, said
    remarks = [f"{both[0]} questions to each release beside the other, none refused", f"verified: {verifiers}"]
    return Figures(len(load.answers), records, time.monotonic() - began, remarks=[*remarks, "both refuse a newer schema by name"])


async def _upgrade(several: list[Service], port: int, token: str, clients: int) -> Load:
    first = several[0]
    async with Load(port, token, clients) as load:
        await answered_again(load)
        await asyncio.to_thread(first.stop)
        del first.env[CODE]
        await asyncio.to_thread(first.cli, "init")
        await answered_again(load)
        await asyncio.to_thread(first.start)
        await answered_again(load)
    return load


def verify_side_by_side(node: Service, token: str, questions: int = 20) -> int:
    statuses = [node.ask(token).status_code for _ in range(questions)]
    assert set(statuses) == {200}, statuses
    return questions
