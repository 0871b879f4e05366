"""A storage for `limits` on a server: moving windows of a minute, over all nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from limits.aio.storage import MovingWindowSupport, Storage
from limits.storage import Storage as BlockingStorage

from .scripts import WINDOWS
from .server import LimitsDown, LimitsServer

SCHEME = "limits-server"
MICROSECONDS, MINUTE = 1_000_000, 60


class Window(NamedTuple):
    """*most* hits a minute are counted under *key* of *owner*."""

    owner: str
    key: str
    most: int


class State(NamedTuple):
    """Of a window after a call."""

    oldest: float
    """Seconds since the epoch, by the server's clock; now, if there is no hit."""
    hits: int
    reset_seconds: float
    """Until the oldest hit leaves it."""


class Counted(NamedTuple):
    full: int | None
    """Which of the windows had no room, so that nothing was counted; None: all had."""
    states: list[State]
    """Of that one, or of all."""


class ServerStorage(MovingWindowSupport, Storage):
    """Raises LimitsDown."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - limits declares it so
    base_exceptions = LimitsDown

    def __init__(self, uri: str, *, server: LimitsServer, **_: Any) -> None:
        super().__init__(uri)
        self._server = server

    async def hit(self, windows: Sequence[Window], *, amount: int = 1, bound: int = 0, only_test: bool = False) -> Counted:
        """Count *amount* in all of *windows*, or in none. They have one owner.

        *bound*: the most hits of that owner in this minute. *only_test*: whether there is room.
        """
        of, owner = self._server.keys.of, windows[0].owner
        keys = [of(owner, window.key) for window in windows]
        if bound:
            keys.append(of(owner, "all"))
        sizes = [number for window in windows for number in (window.most, amount)]
        answer = await self._server.call(WINDOWS, keys, ("test" if only_test else "hit", bound, *sizes))
        full, now, *rest = answer
        states = [
            State(oldest / MICROSECONDS, hits, (oldest - now) / MICROSECONDS + MINUTE)
            for oldest, hits in zip(rest[::2], rest[1::2], strict=True)
        ]
        return Counted(full - 1 if full else None, states)

    async def give_back(self, windows: Sequence[Window]) -> None:
        """Take the newest hit of each away."""
        keys = [self._server.keys.of(window.owner, window.key) for window in windows]
        await self._server.call(WINDOWS, keys, ("give_back", 0, *(0 for _ in keys for _ in "ab")))

    # What the strategies of `limits` ask for.

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        return (await self.hit((Window(key, key, limit),), amount=amount)).full is None

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        state = (await self.hit((Window(key, key, limit),), only_test=True)).states[0]
        return state.oldest, state.hits

    async def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"this storage keeps moving windows of {MINUTE} s only")

    incr = get = get_expiry = check = reset = clear = _refuse


BlockingStorage.register(ServerStorage)  # slowapi's Limiter opens storages of that class alone
