"""All connections of one worker: how many there may be, and which of them has waited too long."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

from ..api.http_errors import TooManyConnections
from ..errors import AppError
from ..limits.bounds import Bounds
from .deadlines import Phase, Waiting
from .health_desk import HealthDesk
from .turns import Turns

SWEEP_SECONDS, STOP_SWEEP_SECONDS = 1.0, 0.1
SWEPT_AT_ONCE = 200
QUIET_SECONDS = 1.0
"""At a stop: a connection without a request in so long is closed. One may be on its way."""
LOOKED_AT = 256
"""How many connections are looked at to find one that has sent nothing and can be closed."""


class Connection(Protocol):
    """What is known of a connection here."""

    network: str
    """The address or network under which it is counted."""
    waiting: Waiting

    @property
    def unread_bytes(self) -> int:
        """Of answers that wait for the caller to read."""

    def look(self, now: float) -> None:
        """Called each second: end what has waited too long."""

    def give_up(self) -> None:
        """Close it at once: the caller reads nothing."""

    def drop(self, error: AppError | None = None) -> None:
        """Close it. Called only between two requests. *error*: what the caller is told."""

    def has_sent(self) -> bool:
        """Whether there is something of it to be read."""


class Connections:
    """Belongs to one event loop."""

    def __init__(self, bounds: Bounds, trusted: Iterable[str] = (), count: Callable[[str, str], None] | None = None) -> None:
        """*trusted*: networks of proxies, which the bound per address does not concern.

        *count* is told the code and the address of what is refused without becoming a request.
        """
        self.bounds = bounds
        self.count = count or (lambda code, address: None)
        self.health, self.turns = HealthDesk(), Turns()
        self.is_stopping = False
        self.kept_bytes = 0
        """Of unfinished heads, and of what waits behind requests."""
        self._all: set[Connection] = set()
        self._of: Counter[str] = Counter()
        self._guests: dict[Connection, None] = {}
        self._new: dict[Connection, None] = {}  # without a whole request yet, the oldest first
        self._idle: dict[Connection, None] = {}  # between two requests, the longest first
        self._unread: dict[Connection, None] = {}  # with more of an answer than the network takes
        self._trusted = [ipaddress.ip_network(one, strict=False) for one in trusted]
        self._is_trusted: dict[str, bool] = {}
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, connection: Connection, address: str) -> bool:
        """Take a new connection. False: there is no room, and only health is answered on it.

        To make room, one that has no request is closed.
        """
        network = connection.network
        self._all.add(connection)
        if self.is_stopping:
            self.end_when_quiet(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._sweep_seconds, self._sweep)
        room = len(self._all) - len(self._guests) <= self.bounds.connections or self._drop_one(None)
        if room and self._of[network] >= self.bounds.connections_per_address and not self._is_proxy(address):
            room = self._drop_one(network)
        if room:
            self._of[network] += 1
            self._new[connection] = None
            return True
        if len(self._guests) >= self.bounds.guests:
            self._drop(next(iter(self._guests)))
        self._guests[connection] = None
        return False

    def begin(self, connection: Connection) -> None:
        """The head of its request is complete."""
        self._new.pop(connection, None)
        self._idle.pop(connection, None)

    def rest(self, connection: Connection) -> None:
        """The answer is complete."""
        if connection not in self._guests:
            self._idle[connection] = None

    def wait_for_reader(self, connection: Connection) -> None:
        """The network takes no more of its answer now. If all such are too much, give one up."""
        self._unread[connection] = None
        while len(self._unread) > 1 and sum(one.unread_bytes for one in self._unread) > self.bounds.unread_bytes:
            least = min((one for one in self._unread if one is not connection), key=lambda one: one.waiting.last_read)
            del self._unread[least]
            least.give_up()

    def go_on(self, connection: Connection) -> None:
        """The network takes more again."""
        self._unread.pop(connection, None)

    def stop(self) -> None:
        """The service stops: from now on all connections are looked at often."""
        if not self.is_stopping:
            self.is_stopping = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = asyncio.get_running_loop().call_later(STOP_SWEEP_SECONDS, self._sweep)

    def end_when_quiet(self, connection: Connection) -> None:
        """The service stops: close it in a moment, unless a request comes, which is answered."""
        asyncio.get_running_loop().call_later(QUIET_SECONDS, self._end_quiet, connection)

    def _end_quiet(self, connection: Connection) -> None:
        if connection in self._all and connection.waiting.phase in (Phase.NEW, Phase.IDLE) and not connection.has_sent():
            connection.drop()

    def remove(self, connection: Connection) -> None:
        """It is closed."""
        self.go_on(connection)
        if connection not in self._all:
            return
        self._all.discard(connection)
        if connection in self._guests:
            del self._guests[connection]
            return
        self.begin(connection)
        self._of[connection.network] -= 1
        if not self._of[connection.network]:
            del self._of[connection.network]

    def _drop_one(self, network: str | None) -> bool:
        """Of those of *network*; None: of all."""
        for group in (self._new, self._idle):
            for one in islice(group, LOOKED_AT):
                if (network is None or one.network == network) and not one.has_sent():
                    self._drop(one)
                    return True
        return False

    def _drop(self, one: Connection) -> None:
        error = None if one in self._idle else TooManyConnections()
        if error:
            self.count(error.code, one.network)
        one.drop(error)
        self.remove(one)

    def _is_proxy(self, address: str) -> bool:
        if not self._trusted:
            return False
        if address not in self._is_trusted:
            try:
                parsed = ipaddress.ip_address(address)
            except ValueError:
                return False
            self._is_trusted[address] = any(parsed in network for network in self._trusted)
        return self._is_trusted[address]

    @property
    def _sweep_seconds(self) -> float:
        return STOP_SWEEP_SECONDS if self.is_stopping else SWEEP_SECONDS

    def _sweep(self, every: tuple[Connection, ...] = (), at: int = 0) -> None:
        """Look at some of them; at the next ones in another turn of the loop, as others wait."""
        loop = asyncio.get_running_loop()
        every = every or tuple(self._all)
        then = at + SWEPT_AT_ONCE
        if then < len(every):  # set first: whatever a look raises
            self._timer = loop.call_later(0, self._sweep, every, then)
        else:
            self._timer = loop.call_later(self._sweep_seconds, self._sweep) if every else None
        now = loop.time()
        for connection in every[at:then]:
            if connection in self._all:
                connection.look(now)
