"""The pieces of one answer, read from LangChain as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from langchain_core.messages import AIMessage

from ...errors import AppError

AHEAD = 64
"""Pieces that are read before somebody takes them."""


class Pieces:
    """A task reads them, so that who waits for the next may stop waiting and lose nothing."""

    def __init__(self, pieces: AsyncGenerator[AIMessage], error_of: Callable[[Exception], AppError]) -> None:
        self._pieces, self._error_of = pieces, error_of
        self._arrived: asyncio.Queue[AIMessage | None] = asyncio.Queue(AHEAD)
        self._failure: AppError | None = None
        self._is_over = False
        self.has_begun = False
        """Whether a piece has come."""
        self.reading = asyncio.create_task(self._read())

    async def next(self) -> list[AIMessage] | None:
        """All that have arrived, at least one; None at the end. Raises what `error_of` makes."""
        pieces: list[AIMessage] = []
        while not self._is_over and not (pieces and self._arrived.empty()):
            piece = await self._arrived.get()
            if piece is None:
                self._is_over = True
            else:
                pieces.append(piece)
        if not pieces and self._failure is not None:
            raise self._failure
        return pieces or None

    @property
    def is_behind(self) -> bool:
        return not self._arrived.empty()

    def close(self) -> None:
        self.reading.cancel()

    async def _read(self) -> None:
        try:
            async with aclosing(self._pieces) as pieces:
                async for piece in pieces:
                    self.has_begun = True
                    await self._arrived.put(piece)
        except Exception as error:  # noqa: BLE001 - an SDK may raise anything; it becomes one of ours
            self._failure = self._error_of(error)
        await self._arrived.put(None)


async def ended(readings: set[asyncio.Task[None]]) -> None:
    """Cancel all of *readings*, and wait for their ends."""
    for reading in readings:
        reading.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*readings, return_exceptions=True)
