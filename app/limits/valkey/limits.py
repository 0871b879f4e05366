"""The limits as a server counts them for all nodes; while it is down, what LIMITS_DOWN says."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from slowapi import Limiter
from slowapi.util import get_remote_address

from ...errors import LimitsUnavailable, RateLimited
from ...settings import Settings
from ..limits import Limits
from ..networks import network_of
from ..quota import QUESTIONS, Quota, QuotaExceeded
from ..rate_limits import KEY_READS, KEYS, MIN_READS_PER_MINUTE, MIN_TOKENS_PER_MINUTE, READS, TOKENS, Buckets
from ..shared_window import MOST_UNPROVEN_HITS, UNPROVEN
from .server import LimitsDown, LimitsServer
from .storage import SCHEME, Counted, ServerStorage, State, Window

T = TypeVar("T")
Key = tuple[str, int] | None


class ServerLimits(Limits):
    """*buckets*: of this node alone. They grant its part of each limit while the server is down."""

    def __init__(self, buckets: Buckets, server: LimitsServer, settings: Settings) -> None:
        super().__init__(buckets)
        with warnings.catch_warnings(action="ignore"):  # as in Buckets
            limiter = Limiter(
                key_func=get_remote_address,
                strategy="moving-window",
                storage_uri=f"{SCHEME}://",
                storage_options={"server": server},  # type: ignore[dict-item]  # limits hands it to the storage as it is
                config_filename=os.devnull,
            )
        storage: object = limiter.limiter.storage
        assert isinstance(storage, ServerStorage)
        self._storage, self._server = storage, server
        self.counts_alone = settings.limits_down == "local_share"
        self._token = max(settings.rate_limit, MIN_TOKENS_PER_MINUTE)
        self._address, self._asserted = settings.address_rate_limit, settings.asserted_user_rate_limit

    @property
    def problem(self) -> str | None:
        return self._server.problem

    @property
    def outages(self) -> int:
        return self._server.outages

    async def look(self) -> None:
        with suppress(LimitsDown):
            await self._storage.get_moving_window("look", 1, 60)

    async def charge_question(self, user_id: str, per_minute: int, key: Key = None, asserted: str | None = None) -> Quota:
        windows = _windows(QUESTIONS, user_id, per_minute, KEYS, key)
        hidden = 0
        if asserted is not None and self._asserted is not None:
            windows.insert(0, self._of_asserted(user_id, asserted, self._asserted))
            hidden = 1
        here = super().charge_question
        return await self._decide(self._charge(windows, hidden), lambda: here(user_id, per_minute, key, asserted))

    async def charge_read(self, user_id: str, per_minute: int, key: Key = None) -> Quota:
        reads = None if key is None else (key[0], max(key[1], MIN_READS_PER_MINUTE))
        windows = _windows(READS, user_id, max(per_minute, MIN_READS_PER_MINUTE), KEY_READS, reads)
        here = super().charge_read
        return await self._decide(self._charge(windows), lambda: here(user_id, per_minute, key))

    async def charge_asserted(self, user_id: str, asserted: str, key: Key = None) -> None:
        if self._asserted is not None:
            here, window = super().charge_asserted, self._of_asserted(user_id, asserted, self._asserted)
            charge = self._charge_asserted(window, _windows(QUESTIONS, user_id, 2, KEYS, key and (key[0], 1)))
            await self._decide(charge, lambda: here(user_id, asserted, key))

    async def charge_token(self, client_id: str) -> Quota:
        here = super().charge_token
        window = Window(client_id, f"{TOKENS}/{client_id}", self._token)
        return await self._decide(self._charge([window]), lambda: here(client_id))

    async def test_address(self, address: str) -> None:
        here = super().test_address
        await self._decide(self._of_address(address, only_test=True), lambda: here(address))

    async def charge_address(self, address: str) -> None:
        here = super().charge_address
        await self._decide(self._of_address(address, only_test=False), lambda: here(address))

    async def _decide(self, there: Awaitable[T], here: Callable[[], Awaitable[T]]) -> T:
        try:
            return await there
        except LimitsDown as error:
            if not self.counts_alone:
                raise LimitsUnavailable(retry_after=1) from error
        return await here()

    async def _charge(self, windows: Sequence[Window], hidden: int = 0) -> Quota:
        """The tightest window after it, but the first *hidden* of them."""
        counted = await self._storage.hit(windows)
        if counted.full is not None:
            raise QuotaExceeded(_quota(windows[counted.full], counted.states[0]))
        quotas = [_quota(*one) for one in zip(windows, counted.states, strict=True)]
        return min(reversed(quotas[hidden:]), key=lambda quota: quota.remaining)

    async def _charge_asserted(self, window: Window, question: Sequence[Window]) -> None:
        try:
            await self._charge([window])
        except QuotaExceeded:
            await self._storage.give_back(question)
            raise

    async def _of_address(self, address: str, *, only_test: bool) -> None:
        window = Window(UNPROVEN, f"address/{network_of(address)}", self._address)
        bound = 0 if only_test else MOST_UNPROVEN_HITS
        counted: Counted = await self._storage.hit([window], bound=bound, only_test=only_test)
        if counted.full is not None:
            raise RateLimited(retry_after=_quota(window, counted.states[0]).reset_seconds)

    def _of_asserted(self, user_id: str, asserted: str, most: int) -> Window:
        return Window(user_id, f"asserted/{user_id}/{asserted}", most)


def _windows(name: str, user_id: str, most: int, key_name: str, key: Key) -> list[Window]:
    """That of a key that narrows its client's, and the client's."""
    own = Window(user_id, f"{name}/{user_id}", most)
    return [own] if key is None or key[1] >= most else [Window(user_id, f"{key_name}/{key[0]}", key[1]), own]


def _quota(window: Window, state: State) -> Quota:
    return Quota(window.most, max(0, window.most - state.hits), max(1, math.ceil(state.reset_seconds)))
