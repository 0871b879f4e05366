"""News of other machines over PostgreSQL: what was changed there is read here at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ..kit.postgres_url import PostgresUrl

CHANNEL = "assistant_changed"


@asynccontextmanager
async def hearing(where: Path | PostgresUrl, on_news: Mapping[str, Callable[[], object]]) -> AsyncIterator[None]:
    """Until the end of the block. *on_news*: what to do when a table was changed.

    Whatever was missed while the server could not be reached is looked at after it. A file has no
    news: its readers look by themselves.
    """
    if not isinstance(where, PostgresUrl):
        yield
        return
    from ..kit.postgres_listener import PostgresListener  # late: only where it is configured

    def hear(table: str) -> None:
        for name, act in on_news.items():
            if table in (name, ""):
                act()

    task = asyncio.create_task(PostgresListener(where, CHANNEL, hear).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
