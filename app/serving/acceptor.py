"""Accepts connections, several in one turn of the event loop.

uvloop's own server accepts one. While many ask, a turn takes 10 ms and more, and new callers
wait in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine

LOG = logging.getLogger("app.serving")
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PAUSE_SECONDS = 0.1
"""Without descriptors or memory for one more: others may free theirs meanwhile."""


class Acceptor:
    """On one listening socket, which other processes may share."""

    def __init__(self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol], at_once: int) -> None:
        """Accepts from now on, *at_once* in a turn at most. Belongs to the running event loop."""
        self._listener, self._make_protocol, self._at_once = listener, make_protocol, at_once
        self._loop = asyncio.get_running_loop()
        self._opening = 0
        self._is_closed = False
        listener.setblocking(False)
        self._resume()

    async def close(self) -> None:
        """Accept no more; the protocols of all that were accepted have been made."""
        self._is_closed = True
        self._loop.remove_reader(self._listener)
        while self._opening:  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)

    def _resume(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(self._at_once):
            try:
                accepted, _ = self._listener.accept()
            except OSError as error:  # nobody waits any more, another process was faster, or the caller has left
                if error.errno in NO_ROOM:
                    LOG.error("No connection can be accepted now: %s.", error.strerror)
                    self._loop.remove_reader(self._listener)
                    self._loop.call_later(PAUSE_SECONDS, self._resume)
                return
            self._opening += 1
            self._go_on(self._loop.connect_accepted_socket(self._make_protocol, accepted), accepted)

    def _go_on(self, opening: Coroutine[asyncio.Future[None], None, object], accepted: socket.socket) -> None:
        """What a task does, but now: a task begins in the next turn."""
        try:
            waits_for = opening.send(None)
        except StopIteration:
            self._opening -= 1
        except BaseException as error:
            self._opening -= 1
            accepted.close()
            if not isinstance(error, OSError):  # the caller has left
                raise
        else:
            waits_for.add_done_callback(lambda _: self._go_on(opening, accepted))
