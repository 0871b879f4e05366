"""Which request begins next: one at a time of unknown callers, and proven ones at once.

Without it a flood fills whole turns of the event loop, and a question waits for such a turn at
each of its steps.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

OTHERS_AT_ONCE = 1
"""Requests that begin in one turn of the event loop. A refusal takes about half a millisecond."""
KNOWN_SECONDS = 60
"""On new connections, a credential counts as proven for one or two times so long."""
CREDENTIALS = frozenset({b"authorization", b"x-api-key"})


class Beginning(Protocol):
    """A request whose head is complete."""

    scope: Any
    """As ASGI says."""

    @property
    def is_proven(self) -> bool:
        """Whether a credential of its caller was verified."""

    def start(self) -> asyncio.Task[None]:
        """Run the application. The task ends with it."""


class Turns:
    """Belongs to one event loop. It refuses nobody."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._known, self._known_before = set[int](), set[int]()
        self._clock, self._since = clock, clock()
        self._waiting = deque[Callable[[], None]]()
        self._free = OTHERS_AT_ONCE

    def begin(self, request: Beginning, before: Beginning | None) -> None:
        """At once if its caller was proven lately, else in its turn.

        *before*: the one that its connection carried last.
        """
        if before is not None and before.is_proven:
            request.start()
            return
        credential = _credential(request.scope["headers"])
        start = partial(self._start, request, credential)
        if credential in self._known or credential in self._known_before:
            start()
            return
        if self._free == OTHERS_AT_ONCE:
            asyncio.get_running_loop().call_soon(self._turn)
        if self._free:
            self._free -= 1
            start()
        else:
            self._waiting.append(start)

    def _turn(self) -> None:
        number = min(OTHERS_AT_ONCE, len(self._waiting))
        self._free = OTHERS_AT_ONCE - number
        if number:
            asyncio.get_running_loop().call_soon(self._turn)
        for _ in range(number):
            self._waiting.popleft()()

    def _start(self, request: Beginning, credential: int | None) -> None:
        task = request.start()
        if credential is not None:
            task.add_done_callback(lambda _: self._note(request, credential))

    def _note(self, request: Beginning, credential: int) -> None:
        if (now := self._clock()) > self._since + KNOWN_SECONDS:
            self._known, self._known_before, self._since = set(), self._known, now
        if request.is_proven:
            self._known.add(credential)


def _credential(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """A hash of what the caller proves who it is by."""
    return next((hash(value) for name, value in headers if name in CREDENTIALS), None)
