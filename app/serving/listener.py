"""The socket on which all workers accept connections: opened once, closed without a reset."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import select
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress

from ..errors import ConfigError

WAITING = 2048
"""Connections that are not accepted yet."""
ACCEPTED_AT_ONCE = 4
"""In a turn of the event loop. With more, a turn takes so long that questions wait for it."""
UNSENT_BYTES = 128 << 10
"""The kernel takes no more of an answer for one caller than this, beyond what is on its way.

It would take up to 4 MiB each: of a thousand callers who do not read, all that it has for TCP.
"""
UNREAD_BYTES = 128 << 10
"""It keeps twice as much of what a caller sends and we have not read.

It would keep up to 32 MiB, the more the faster we have read before.
"""
ACCEPTED_SECONDS, LOOK_SECONDS = 1.0, 0.01
"""How long a worker that stops goes on to accept, at most, and how often it looks."""
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_SYN, _ACK = 0x02, 0x10  # of byte 13 in a TCP header (RFC 9293, section 3.1)
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load that byte
    (0x54, 0, 0, _SYN | _ACK),
    (0x15, 0, 1, _SYN),  # skip the next line unless only SYN is set
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0x40000),  # keep
)
"""In the words of linux/filter.h: code, jt, jf, k."""


def listen(host: str, port: int, options: tuple[str, str] = ("--host", "--port")) -> socket.socket:
    """*options* name the two in an error. Raises ConfigError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)  # accepted ones inherit both
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
        listener.bind((host, port))
        listener.listen(WAITING)
    except OSError as error:
        option = options[not (isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL)]
        raise ConfigError(f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with {option}.") from error
    return listener


def accepting(listener: socket.socket) -> list[socket.socket]:
    """*listener* ACCEPTED_AT_ONCE times: uvloop accepts one connection of each in a turn.

    With one, a burst of strangers waits in the kernel, in front of who connects after it. Once
    they are accepted, health and proven callers come first.
    """
    listener.setblocking(False)  # else `dup` would make it blocking, for all who accept on it
    return [listener, *(listener.dup() for _ in range(ACCEPTED_AT_ONCE - 1))]


def begin_no_more(listener: socket.socket) -> None:
    """Let no further connection begin, so that all that have begun can be accepted before a close.

    The kernel resets those that wait when a listener is closed, and one could begin to wait after
    the last look. Who connects now tries again after a second, and is refused once it is closed.
    """
    lines = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _DROP_SYN))
    program = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(lines))
    with suppress(OSError):  # another kernel: such a connection is reset then
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


async def all_accepted(listeners: Iterable[socket.socket]) -> None:
    """Wait until nobody waits to be accepted any more: the event loop accepts them meanwhile."""
    waiting, loop = select.poll(), asyncio.get_running_loop()
    for listener in listeners:
        waiting.register(listener, select.POLLIN)
    end = loop.time() + ACCEPTED_SECONDS
    while waiting.poll(0) and loop.time() < end:  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(LOOK_SECONDS)
