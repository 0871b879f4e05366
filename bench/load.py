"""The load generator, a process of its own: N keep-alive connections, each asking again as soon as it is answered.

`python -m bench.load` reads one Job as JSON from stdin and prints one Outcome as JSON. Raw sockets and a C parser, so
that asking costs far less than answering; yet every answer is looked at, and what is not an answer is counted as a failure.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle
from time import perf_counter

import httptools
import orjson
import uvloop

TOO_MANY_FAILURES = 1000
QUESTIONS = (
    "What does a hash chain prove, and what does it not?",
    "Name three ways in which a queue can lose a message.",
    "Explain to a child why the sea is salt. Use short words, one picture and no more than five sentences.",
    "Übersetze ins Deutsche: the quick brown fox jumps over the lazy dog.",
    'Is this JSON valid: {"a": [1, 2, 3], "b": null}? Answer yes or no, then say why in one line.',
)


@dataclass(frozen=True)
class Job:
    """What to ask, of whom, and for how long (seconds)."""

    port: int
    path: str
    bearer: str
    chat: dict[str, object] | None
    """None: our own `{"query"}`. Else the members of an OpenAI chat request, to which the question is added."""
    clients: int
    seconds: float
    warmup: float
    patience: float = 30
    """How long answers are waited for after the end."""


@dataclass(frozen=True)
class Outcome:
    """What came back. Latencies (milliseconds) are those of questions put within the measured time."""

    answers: int
    """All good answers, those of the warm-up and of the last moment too: what CPU time is divided by."""
    per_second: float
    """Good answers that came within the measured time, a second."""
    p50_ms: float
    p99_ms: float
    failures: dict[str, int]


def requests(job: Job) -> Iterator[bytes]:
    """Whole HTTP requests without end; 1,000 different texts, made beforehand."""
    ready = [_request(job, f"{QUESTIONS[n % len(QUESTIONS)]} (no. {n})") for n in range(1000)]
    return cycle(ready)


def _request(job: Job, text: str) -> bytes:
    if job.chat is None:
        body = orjson.dumps({"query": text})
    else:
        before = job.chat["messages"]
        assert isinstance(before, list)
        body = orjson.dumps({**job.chat, "messages": [*before, {"role": "user", "content": text}]})
    head = (
        f"POST {job.path} HTTP/1.1\r\nhost: 127.0.0.1:{job.port}\r\nauthorization: Bearer {job.bearer}\r\n"
        f"content-type: application/json\r\naccept: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Run:
    """What all connections share."""

    job: Job
    questions: Iterator[bytes]
    begin: float
    end: float
    answers: int = 0
    answers_in_time: int = 0
    latencies: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def is_over(self) -> bool:
        return perf_counter() >= self.end or self.failures.total() >= TOO_MANY_FAILURES

    def count(self, asked: float, status: int, body: bytes) -> None:
        now = perf_counter()
        problem = _problem(self.job, status, body)
        if problem is not None:
            self.failures[problem] += 1
            return
        self.answers += 1
        self.answers_in_time += self.begin <= now < self.end
        if self.begin <= asked < self.end:
            self.latencies.append(now - asked)


def _problem(job: Job, status: int, body: bytes) -> str | None:
    if status != 200:
        return f"status {status}"
    try:
        document = orjson.loads(body)
        answer = document["answer"] if job.chat is None else document["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return "200 without an answer"
    return None if isinstance(answer, str) and answer else "200 with an empty answer"


class Connection(asyncio.Protocol):
    """One client: asks, waits, asks again; *done* is set when it has hung up."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.done = asyncio.get_running_loop().create_future()
        self.asked: float | None = None
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)
        self._ask()

    def _ask(self) -> None:
        if self.run.is_over:
            self.transport.close()
            return
        self.body = b""
        self.asked = perf_counter()
        self.transport.write(next(self.run.questions))

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        assert self.asked is not None
        self.run.count(self.asked, self.parser.get_status_code(), self.body)
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


async def client(run: Run) -> None:
    """Ask until the time is over, over a new connection where the old one was closed."""
    while not run.is_over:
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(lambda: Connection(run), "127.0.0.1", run.job.port)
            await connection.done
        except OSError:
            run.failures["no connection"] += 1
            await asyncio.sleep(0.05)


async def measure(job: Job) -> Outcome:
    """Drive the load; what is unanswered when patience ends is a failure."""
    begin = perf_counter() + job.warmup
    run = Run(job, requests(job), begin, begin + job.seconds)
    tasks = [asyncio.create_task(client(run)) for _ in range(job.clients)]
    _, late = await asyncio.wait(tasks, timeout=job.warmup + job.seconds + job.patience)
    for task in late:
        task.cancel()
    if late:
        run.failures["no answer in time"] += len(late)
    ordered = sorted(run.latencies) or [math.nan]
    return Outcome(
        answers=run.answers,
        per_second=run.answers_in_time / job.seconds,
        p50_ms=_quantile(ordered, 0.50) * 1000,
        p99_ms=_quantile(ordered, 0.99) * 1000,
        failures=dict(run.failures),
    )


def _quantile(ordered: list[float], share: float) -> float:
    """Nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


if __name__ == "__main__":
    outcome = uvloop.run(measure(Job(**orjson.loads(sys.stdin.buffer.read()))))
    sys.stdout.buffer.write(orjson.dumps(asdict(outcome)))
