"""Waiting for a condition: a busy machine needs longer than a fixed time, an idle one less."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from typing import Any

POLL_SECONDS = 0.01
WAIT_SECONDS = 60.0
FALSE = "the condition stayed false"


def eventually(condition: Callable[[], bool], otherwise: str = FALSE, seconds: float = WAIT_SECONDS) -> None:
    """Return once *condition* holds. Fails after *seconds*, saying *otherwise*."""
    for _ in _polls(condition, otherwise, seconds):
        time.sleep(POLL_SECONDS)


async def until(condition: Callable[[], bool], otherwise: str = FALSE, seconds: float = WAIT_SECONDS) -> None:
    """As `eventually`, while the event loop goes on."""
    for _ in _polls(condition, otherwise, seconds):
        await asyncio.sleep(POLL_SECONDS)


def run_in_time(work: Coroutine[Any, Any, None], seconds: float = WAIT_SECONDS) -> None:
    """Run *work* on an event loop of its own. Raises TimeoutError after *seconds*."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await work

    asyncio.run(bounded())


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Makes a test of a coroutine function; its fixtures stay as they are."""

    @wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        run_in_time(test(*arguments, **fixtures))

    return run


def _polls(condition: Callable[[], bool], otherwise: str, seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        yield
