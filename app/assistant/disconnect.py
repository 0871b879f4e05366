"""Stops work for a caller who has disconnected."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from ..errors import ClientGone

Disconnected = asyncio.Future[None]
"""Done once the caller has disconnected."""
EXTENSION = "disconnected"
"""The ASGI extension of our server: a function that returns such a future, without a task."""


class cancel_on_disconnect:  # noqa: N801 - as contextlib's suppress
    """Cancel what the block awaits once the caller disconnects. Raises ClientGone in that case.

    Without a disconnect, a cancellation of the task passes through unchanged. A class: every
    question enters two.
    """

    __slots__ = ("_disconnected", "_task")

    def __init__(self, disconnected: Disconnected | None) -> None:
        self._disconnected = disconnected
        self._task: asyncio.Task[Any] | None = None  # of the block; None: it is over

    def __enter__(self) -> None:
        if self._disconnected is not None:
            self._task = asyncio.current_task()
            self._disconnected.add_done_callback(self._cancel)

    def _cancel(self, disconnected: Disconnected) -> None:
        if self._task is not None and not disconnected.cancelled():
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        disconnected, task = self._disconnected, self._task
        self._task = None  # the callback may be scheduled already
        if disconnected is None or task is None:
            return
        disconnected.remove_done_callback(self._cancel)
        if isinstance(error, asyncio.CancelledError) and disconnected.done() and not disconnected.cancelled():
            task.uncancel()
            raise ClientGone from None
