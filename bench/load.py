"""The load generator, its own process: N keep-alive connections, each asking again when it has its answer.

`python -m bench.load` reads one Job as JSON from stdin and prints one Outcome as JSON. Raw sockets and a C parser, so
that asking costs far less than answering. Every answer is checked; an invalid one counts as a failure.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import cast

import httptools
import orjson
import uvloop

from .answers import Answer, Stream, answer_to
from .job import Job, Outcome, requests

TOO_MANY_FAILURES = 1000


@dataclass
class Run:
    """What all connections share."""

    job: Job
    questions: Iterator[bytes]
    begin: float
    end: float = math.inf
    """Known after the first byte."""
    answers: int = 0
    answers_in_time: int = 0
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    first_texts: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def is_over(self) -> bool:
        if self.end == math.inf:
            now, job = perf_counter(), self.job
            patient = self.answers_in_time < job.enough * job.clients and now < self.begin + 3 * job.seconds
            if self.failures.total() >= TOO_MANY_FAILURES or (now >= self.begin + job.seconds and not patient):
                self.end = now
        return self.end < math.inf

    def count(self, asked: float, came: float, status: int, answer: Answer) -> None:
        """*came*: when the first byte arrived."""
        now = perf_counter()
        problem = f"status {status}" if status != 200 else answer.problem()
        if problem is not None:
            self.failures[problem] += 1
            return
        self.answers += 1
        self.answers_in_time += self.begin <= now < self.end
        if asked >= self.begin:
            self.latencies.append(now - asked)
            if isinstance(answer, Stream):
                self.first_bytes.append(came - asked)
                self.first_texts.append(answer.first_text - asked)


class Connection(asyncio.Protocol):
    """One client: asks, waits, asks again; *done* is set when it has disconnected."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.done = asyncio.get_running_loop().create_future()
        self.asked: float | None = None
        self.came: float | None = None
        self.now = 0.0  # when the current bytes arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass
        self.parser = httptools.HttpResponseParser(self)
        self._ask()

    def _ask(self) -> None:
        if self.run.is_over:
            self.transport.close()
            return
        self.answer = answer_to(self.run.job)
        self.came = None
        self.asked = perf_counter()
        self.transport.write(next(self.run.questions))

    def data_received(self, data: bytes) -> None:
        self.now = perf_counter()
        if self.came is None:
            self.came = self.now
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self.answer.feed(self.now, body)

    def on_message_complete(self) -> None:
        assert self.asked is not None
        assert self.came is not None
        self.run.count(self.asked, self.came, self.parser.get_status_code(), self.answer)
        self.asked = None
        if self.parser.should_keep_alive():
            self._ask()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.asked is not None:
            self.run.failures["connection lost"] += 1
        if not self.done.done():
            self.done.set_result(None)


async def client(run: Run, begin_after: float) -> None:
    """Ask until the time is over; reconnect if the connection is closed."""
    await asyncio.sleep(begin_after)
    while not run.is_over:
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(lambda: Connection(run), "127.0.0.1", run.job.port)
            await connection.done
        except OSError:
            run.failures["no connection"] += 1
            await asyncio.sleep(0.05)


async def measure(job: Job) -> Outcome:
    """Drive the load; a question without an answer at the timeout is a failure."""
    begin = perf_counter() + job.warmup
    run = Run(job, requests(job), begin)
    # Staggered: streams of equal length would otherwise all ask at the same moment, for ever.
    tasks = [asyncio.create_task(client(run, job.warmup * number / job.clients)) for number in range(job.clients)]
    _, late = await asyncio.wait(tasks, timeout=job.warmup + 3 * job.seconds + job.timeout)
    for task in late:
        task.cancel()
    if late:
        run.failures["no answer in time"] += len(late)
    elapsed = min(run.end, perf_counter()) - begin
    return Outcome(
        answers=run.answers,
        per_second=run.answers_in_time / elapsed if elapsed > 0 else 0.0,
        p50_ms=_quantile_ms(run.latencies, 0.50),
        p99_ms=_quantile_ms(run.latencies, 0.99),
        first_byte_p50_ms=_quantile_ms(run.first_bytes, 0.50),
        first_byte_p99_ms=_quantile_ms(run.first_bytes, 0.99),
        first_text_p50_ms=_quantile_ms(run.first_texts, 0.50),
        first_text_p99_ms=_quantile_ms(run.first_texts, 0.99),
        failures=dict(run.failures),
    )


def _quantile_ms(seconds: list[float], share: float) -> float | None:
    """Nearest rank; None if nothing was answered."""
    return sorted(seconds)[max(0, math.ceil(share * len(seconds)) - 1)] * 1000 if seconds else None


if __name__ == "__main__":
    outcome = uvloop.run(measure(Job(**orjson.loads(sys.stdin.buffer.read()))))
    sys.stdout.buffer.write(orjson.dumps(asdict(outcome)))
