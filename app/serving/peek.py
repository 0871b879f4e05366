"""What the kernel knows of a connection that is not read now."""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress


def has_left(transport: asyncio.Transport) -> bool:
    """Whether the caller has disconnected."""
    return _has(transport, select.POLLRDHUP)


def has_sent(transport: asyncio.Transport) -> bool:
    """Whether the caller sent something that is not read yet."""
    return _has(transport, select.POLLIN)


def write_last(transport: asyncio.Transport, answer: bytes) -> None:
    """Write *answer* before a close. What is unread is read first: a close would reset otherwise,
    which may discard the answer."""
    with suppress(OSError):
        os.read(_descriptor(transport), 65536)
    transport.write(answer)


def _has(transport: asyncio.Transport, event: int) -> bool:
    poll = select.poll()
    poll.register(_descriptor(transport), event)
    return bool(poll.poll(0))


def _descriptor(transport: asyncio.Transport) -> int:
    number: int = transport.get_extra_info("socket").fileno()
    return number
