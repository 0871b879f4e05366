"""The server that counts for all nodes: each call is decided in time, whatever state it is in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from valkey.asyncio import ValkeyCluster
from valkey.exceptions import NoScriptError, ValkeyClusterException, ValkeyError

from .client import Client
from .deadline import AnsweredWithin, Answers
from .keys import Keys
from .scripts import WINDOWS, Script

LOG = logging.getLogger(__name__)
PROBE_SECONDS, PAUSE_SECONDS = 1.0, 0.1
AT_ONCE = 32
"""Calls of one process that wait for an answer; each takes a connection."""
FAULTS = (ValkeyError, ValkeyClusterException, OSError, TimeoutError)


class LimitsDown(Exception):
    """Nothing is counted there now. Says why."""


class LimitsServer:
    """Raises LimitsDown: at once while it is known to be down."""

    def __init__(self, connect: Callable[[], Client], keys: Keys, answer_seconds: float) -> None:
        """*answer_seconds*: it is down if it has answered nothing for so long."""
        self.keys = keys
        self.problem: str | None = "not connected yet"
        """Why nothing is counted there now."""
        self.outages = 0
        """How often it went down."""
        self._connect, self._client, self._turns = connect, connect(), asyncio.Semaphore(AT_ONCE)
        self._answer_seconds, self._answers = answer_seconds, Answers()
        self._recovery: asyncio.Task[None] | None = None

    @property
    def client(self) -> Client:
        """As it is now: a new one follows a failure."""
        return self._client

    @property
    def is_cluster(self) -> bool:
        return isinstance(self._client, ValkeyCluster)

    async def open(self) -> None:
        """Wait for the first attempt to connect; the next ones are in the background."""
        self._recovery = asyncio.create_task(self._recover())
        with suppress(TimeoutError):
            async with asyncio.timeout(PROBE_SECONDS):
                while self.problem == "not connected yet":  # noqa: ASYNC110 - once, at the start
                    await asyncio.sleep(0.005)

    async def call(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> list[int]:
        """In a cluster, all of *keys* are in one slot."""
        if self.problem is not None:
            raise LimitsDown(self.problem)
        try:
            async with AnsweredWithin(self._answer_seconds, self._answers), self._turns:
                return await self._run(script, keys, arguments)
        except Exception as error:  # whatever it is, the policy for an outage decides; `problem` tells of it
            self._fail(self._reason(error))
            raise LimitsDown(self.problem) from error

    async def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> list[int]:
        try:
            answer = await self._client.evalsha(script.sha, len(keys), *keys, *arguments)  # type: ignore[misc, arg-type]
        except NoScriptError:  # a new server, or its scripts were flushed
            answer = await self._client.eval(script.text, len(keys), *keys, *arguments)  # type: ignore[misc, arg-type]
        return answer  # type: ignore[no-any-return]

    def _fail(self, problem: str) -> None:
        if self.problem is None:
            self.outages += 1
            self.problem = problem
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        """Count a hit on each server first: one that is out of memory still answers a PING."""
        while True:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    for key in await self._probed():
                        await self._run(WINDOWS, (key,), ("hit", 0, 1 << 30, 1))
                self.problem = None
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and told
                self.problem = self._reason(error)
            try:
                await self._disconnect()
            except Exception as error:  # noqa: BLE001 - else nobody would try again; `_reason` logs a fault of ours
                self._reason(error)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _probed(self) -> list[str]:
        """A key on each server."""
        if not isinstance(self._client, ValkeyCluster):
            return [self.keys.of("probe", "0")]
        await self._client.initialize()
        found: dict[str, str] = {}
        for number in range(1000):
            key = self.keys.of(f"probe {number}", "0")
            node = self._client.get_node_from_key(key)
            found.setdefault(node.name if node is not None else "", key)
        return list(found.values())

    async def _disconnect(self) -> None:
        """The next connection asks again where the primary is, and for the password."""
        if isinstance(self._client, ValkeyCluster):  # once closed, it opens no more
            closed, self._client = self._client, self._connect()
            await closed.aclose()
        else:
            await self._client.connection_pool.disconnect()

    async def aclose(self) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        self.problem = "closed"
        with suppress(*FAULTS):
            await self._client.aclose()

    def _reason(self, error: BaseException) -> str:
        """What is no fault of a server or a network is one of a program: it is logged, once."""
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)[:200] or type(error).__name__
        if not isinstance(error, FAULTS) and reason != self.problem:
            LOG.error("Counting on the server of LIMITS_URL failed unexpectedly.", exc_info=error)
        return reason
