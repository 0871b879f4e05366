"""Many clients that ask at once, and the outcome of each call. Lean, so that the service gets the CPU time."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Self

RETRY_AFTER = re.compile(rb"\r\nretry-after: (\d+)\r\n")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one call. *status* 0: the connection broke before an answer."""

    query: str
    status: int
    code: str | None = None
    seq: int = -1
    hash: str = ""
    request_id: str = ""
    was_sent: bool = True
    """Whether there was a connection on which it was sent."""
    seconds: float = 0.0
    """From sending it to the end of its answer."""
    retry_after: int | None = None
    """The answer's header."""


class Load:
    """*clients* connections; each asks the next of *queries* when it has its answer, until none is left or `stop`.

    `async with Load(…) as load:` runs beside its body; `await load.finish()` waits for the last answer.
    """

    def __init__(
        self,
        port: int,
        token: str,
        clients: int,
        queries: Iterable[str] | None = None,
        *,
        connects_anew: int = 0,
        host: str = "127.0.0.1",
        rest: float = 0.0,
        pause: float = 0.05,
    ) -> None:
        """*connects_anew*: how many of the clients open a connection for each question.

        *rest*, *pause*: seconds that each waits after an answer, and after a refusal.
        """
        self._rest, self._pause = rest, pause
        self._host = host
        self._port, self._token, self._anew = port, token, connects_anew
        self.clients = clients
        self._queries: Iterator[str] = iter(queries if queries is not None else (f"question {n}" for n in count()))
        self._stopped = False
        self.outcomes: list[Outcome] = []
        self.asking: set[str] = set()
        """The queries that have no outcome yet."""
        self.answered = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._client(number < self._anew)) for number in range(self.clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def finish(self) -> None:
        await asyncio.gather(*self._tasks)

    @property
    def answers(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.status == 200]

    async def _client(self, connects_anew: bool) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for query in self._queries:
            self.asking.add(query)
            if connection is not None and (connects_anew or connection[0].at_eof()):  # pools of connections look, too
                connection[1].close()
                connection = None
            try:
                if connection is None:
                    connection = await asyncio.open_connection(self._host, self._port)
                async with asyncio.timeout(60):
                    outcome = await self._ask(*connection, query)
            except (OSError, EOFError, TimeoutError):
                outcome = Outcome(query, 0, was_sent=connection is not None)
            self.asking.discard(query)
            self.outcomes.append(outcome)
            self.answered += outcome.status == 200
            if outcome.status != 200:
                if outcome.status == 0 and connection is not None:
                    connection[1].close()
                    connection = None
                await asyncio.sleep(0.1 if outcome.status == 0 else self._pause)
            elif self._rest:
                await asyncio.sleep(self._rest)
            if self._stopped:
                break
        if connection is not None:
            connection[1].close()
            with suppress(OSError):
                await connection[1].wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, query: str) -> Outcome:
        body, sent = json.dumps({"query": query}).encode(), monotonic()
        head = f"POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        header = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(header.split(b"content-length:")[1].split(b"\r\n")[0])
        text = await reader.readexactly(length)
        if b"\r\nconnection: close\r\n" in header:
            reader.feed_eof()
        status = int(header[9:12])
        if not text.startswith(b"{"):  # a load balancer answers in its own words
            return Outcome(query, status)
        document, seconds = json.loads(text), monotonic() - sent
        if status != 200:
            told = RETRY_AFTER.search(header)
            wait = int(told[1]) if told else None
            code, request_id = document["code"], document["request_id"]
            return Outcome(query, status, code, request_id=request_id, seconds=seconds, retry_after=wait)
        receipt = document["receipt"]
        return Outcome(query, status, None, receipt["seq"], receipt["hash"], document["request_id"], seconds=seconds)


async def ask_all(port: int, token: str, clients: int, queries: Iterable[str]) -> list[Outcome]:
    """Every query once."""
    async with Load(port, token, clients, queries) as load:
        await load.finish()
    return load.outcomes
