"""Transactions of several processes on one client database."""

from __future__ import annotations

from pathlib import Path

import pytest

from ....support.client_database import make_database, python, use


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "clients.sqlite3")


WRITER = """
import asyncio, sys
from pathlib import Path
from app.errors import InvalidRequest
from app.security.clients.store import open_clients

async def main(path, number):
    store = open_clients(Path(path), timeout=30)
    won = 0
    for turn in range(20):
        await store.revoke(f"{number * 100 + turn:032x}", 2**40)
        try:
            await store.add(f"client-{turn}", ["ai.playground.user"])
            won += 1
        except InvalidRequest:
            pass
        await store.rotate("client-0")  # it reads before it writes
    await store.aclose()
    print(won)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def test_processes_that_write_at_once_lose_nothing_and_add_each_name_once(path: Path) -> None:
    writers = [python(WRITER, str(path), str(number)) for number in range(3)]
    outcomes = [writer.communicate(timeout=60) for writer in writers]
    assert sum(int(out) for out, _ in outcomes) == 20, outcomes
    denied = use(path)
    assert len(denied.revoked) == 60
    assert denied.generation == 141
