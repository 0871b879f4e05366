"""Stops work for a caller who has disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ClientGone

Disconnected = asyncio.Future[None]
"""Done once the caller has disconnected."""
EXTENSION = "disconnected"
"""The ASGI extension of our server: a function that returns such a future, without a task."""


@contextmanager
def cancel_on_disconnect(disconnected: Disconnected | None) -> Iterator[None]:
    """Cancel what the block awaits once the caller disconnects. Raises ClientGone in that case.

    Without a disconnect, a cancellation of the task passes through unchanged.
    """
    if disconnected is None:
        yield
        return
    task = asyncio.current_task()
    assert task is not None
    is_over = False

    def cancel(future: Disconnected) -> None:
        if not is_over and not future.cancelled():
            task.cancel()

    disconnected.add_done_callback(cancel)
    try:
        yield
    except asyncio.CancelledError:
        if not disconnected.done() or disconnected.cancelled():
            raise  # somebody else cancelled the task
        task.uncancel()
        raise ClientGone from None
    finally:
        is_over = True  # the callback may be scheduled already
        disconnected.remove_done_callback(cancel)
