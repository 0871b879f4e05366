"""Pieces are read ahead, within bounds, and an error comes after them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from app.errors import AppError
from app.upstream.langchain_servers.pieces import AHEAD, Pieces, ended


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def noted(error: Exception) -> AppError:
    return AppError(str(error))


async def several(count: int, fails: bool = False, waits: bool = False) -> AsyncGenerator[AIMessage]:
    for number in range(count):
        if waits:
            await asyncio.sleep(0)
        yield AIMessage(str(number))
    if fails:
        raise ValueError("planted")


async def texts_of(pieces: Pieces) -> list[str]:
    found: list[str] = []
    while (arrived := await pieces.next()) is not None:
        found += [str(one.content) for one in arrived]
    return found


def test_all_pieces_come_in_order() -> None:
    async def work() -> None:
        assert await texts_of(Pieces(several(3 * AHEAD, waits=True), noted)) == [str(number) for number in range(3 * AHEAD)]

    run(work)


def test_no_more_is_read_ahead_than_the_bound() -> None:
    taken = 0

    async def counted() -> AsyncGenerator[AIMessage]:
        nonlocal taken
        async for piece in several(10 * AHEAD):
            taken += 1
            yield piece

    async def work() -> None:
        pieces = Pieces(counted(), noted)
        for _ in range(20):
            await asyncio.sleep(0)
        assert taken <= AHEAD + 1
        assert len(await texts_of(pieces)) == 10 * AHEAD

    run(work)


def test_the_end_stays_the_end() -> None:
    async def work() -> None:
        pieces = Pieces(several(1), noted)
        assert await texts_of(pieces) == ["0"]
        assert await pieces.next() is None

    run(work)


@pytest.mark.parametrize("waits", [False, True])
def test_an_error_comes_after_the_pieces(waits: bool) -> None:
    async def work() -> None:
        pieces = Pieces(several(2, fails=True, waits=waits), noted)
        found = 0
        while found < 2:
            found += len(await pieces.next() or ())
        with pytest.raises(AppError, match="planted"):
            await pieces.next()

    run(work)


def test_closing_ends_the_source() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[AIMessage]:
        try:
            while True:
                yield AIMessage("x")
        finally:
            closed.set()

    async def work() -> None:
        pieces = Pieces(endless(), noted)
        await pieces.next()
        await ended({pieces.reading})
        assert closed.is_set()

    run(work)
