"""How work on the large answers of a model's server leaves time for everybody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import ParamSpec, TypeVar

from .bounds import LARGE_BYTES, LIGHT_PIECES, PIECES, STEP_BYTES
from .errors import unusable

REST = 2.0
"""After a piece of work others have the interpreter for this many times as long."""
_COUNT_BYTES = 1024 * 1024
P = ParamSpec("P")
T = TypeVar("T")


class Turns:
    """Of one worker; belongs to one event loop. One large piece of work after the other.

    A thread alone would not do: parsing holds the interpreter until a document is parsed.
    """

    def __init__(self) -> None:
        self._work, self._step = asyncio.Lock(), asyncio.Lock()
        self._free_at = 0.0

    async def work(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What *do* returns, in a thread. A cancellation waits until it has ended."""
        async with self._work:
            await asyncio.sleep(self._free_at - time.monotonic())
            cancelled: asyncio.CancelledError | None = None
            working = asyncio.ensure_future(asyncio.to_thread(self._timed, partial(do, *args, **kwargs)))
            while not working.done():
                try:
                    await asyncio.wait({working})
                except asyncio.CancelledError as error:
                    cancelled = error
            try:
                if cancelled is not None:
                    working.exception()  # nobody hears of it
                    raise cancelled
                return working.result()
            finally:  # else an error would hold this frame, which holds the error, and a large answer
                del working, cancelled

    def _timed(self, do: Callable[[], T]) -> T:
        begun = time.thread_time()
        try:
            return do()
        finally:
            self._free_at = time.monotonic() + REST * (time.thread_time() - begun)

    async def step(self) -> None:
        """Before the next step on what has arrived: one stream at each turn of the event loop."""
        async with self._step:
            await asyncio.sleep(0)


def is_heavy(raw: bytes) -> bool:
    """Whether reading this document takes longer than others should wait."""
    if len(raw) <= STEP_BYTES:  # nearly always
        return False
    return len(raw) > LARGE_BYTES or raw.count(b"[") + raw.count(b"{") + raw.count(b'"') // 2 > LIGHT_PIECES


def verify_pieces(raw: bytes, bounds: Mapping[bytes, int] = PIECES) -> None:
    """Raises UpstreamError for a document that would take too long to parse."""
    counts = dict.fromkeys(bounds, 0)
    for begin in range(0, len(raw), _COUNT_BYTES):
        for mark in bounds:
            counts[mark] += raw.count(mark, begin, begin + _COUNT_BYTES)
        lists = counts[b"["] + counts[b"{"]
        if lists > bounds[b"["]:
            raise unusable(b"", f"answer of more than {bounds[b'[']} lists and objects")
        for mark, most in bounds.items():
            if counts[mark] > most:
                raise unusable(b"", f"answer with the character {mark.decode()} more than {most} times")
