"""A class that has no asynchronous call is asked in threads of its own.

LangChain would take the threads that the whole service shares: a few calls that hang would then
hold up everybody. These end at the next piece once their caller has left; no stop waits for them.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from ...errors import UpstreamUnavailable
from ..errors import DEFAULT_RETRY_AFTER

LOG = logging.getLogger("app.upstream")
MAX_THREADS = 128
"""In one process, with those whose callers have left."""
AHEAD = 64
"""Pieces that a thread reads before somebody takes them."""


def use_threads(model: BaseChatModel) -> None:
    """*model*: a copy for one question alone. If its class has an asynchronous call, keeps that."""
    kind = type(model)
    if kind._astream is not BaseChatModel._astream or kind._agenerate is not BaseChatModel._agenerate:
        return

    async def stream(
        messages: Any, stop: Any = None, run_manager: Any = None, **more: Any
    ) -> AsyncGenerator[ChatGenerationChunk]:
        manager = run_manager and run_manager.get_sync()
        async with aclosing(InThread(lambda: model._stream(messages, stop, manager, **more)).pieces()) as pieces:
            async for piece in pieces:
                yield piece

    async def generate(messages: Any, stop: Any = None, run_manager: Any = None, **more: Any) -> ChatResult:
        manager = run_manager and run_manager.get_sync()

        def answer() -> Iterator[ChatResult]:
            yield model._generate(messages, stop, manager, **more)

        async with aclosing(InThread(answer).pieces()) as pieces:
            return await anext(pieces)

    vars(model).update(_astream=stream, _agenerate=generate)


class InThread:
    """One iterator, read in a thread."""

    _free = threading.BoundedSemaphore(MAX_THREADS)

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self._make = make
        self._room = threading.Semaphore(AHEAD)
        self._is_left = False
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[tuple[Any, BaseException | None, bool]] = asyncio.Queue()

    async def pieces(self) -> AsyncGenerator[Any]:
        """Raises what the iterator raises, and UpstreamUnavailable if no thread is free."""
        if not self._free.acquire(blocking=False):
            raise UpstreamUnavailable(retry_after=DEFAULT_RETRY_AFTER)
        try:
            threading.Thread(target=contextvars.copy_context().run, args=(self._read,), daemon=True).start()
        except BaseException:
            self._free.release()
            raise
        try:
            while True:
                piece, error, is_over = await self._arrived.get()
                if error is not None:
                    raise error
                if is_over:
                    return
                self._room.release()
                yield piece
        finally:
            self._is_left = True
            self._room.release()

    def _read(self) -> None:
        try:
            for piece in self._make():
                self._room.acquire()
                if self._is_left:
                    break  # and the iterator closes its connection
                self._tell(piece)
            self._tell(is_over=True)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the pieces are read
            self._tell(error=error)
            if self._is_left:  # nobody reads them
                LOG.info("A call ended with %s after its caller had left.", type(error).__name__)
        finally:
            self._free.release()

    def _tell(self, piece: Any = None, error: BaseException | None = None, is_over: bool = False) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody reads any more
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, (piece, error, is_over))
