"""The order to the load generator, its report, and the requests that it sends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import orjson

QUESTIONS = (
    "What does a hash chain prove, and what does it not?",
    "Name three ways in which a queue can lose a message.",
    "Explain to a child why the sea is salt. Use short words, one picture and no more than five sentences.",
    "Übersetze ins Deutsche: the quick brown fox jumps over the lazy dog.",
    'Is this JSON valid: {"a": [1, 2, 3], "b": null}? Answer yes or no, then say why in one line.',
)


@dataclass(frozen=True)
class Job:
    """What to ask, which server, and for how many seconds."""

    port: int
    path: str
    bearer: str
    chat: dict[str, object] | None
    """None: our own `{"query"}`. Otherwise the members of an OpenAI chat request; the question is added."""
    receipt: bool
    """Whether an answer must carry a receipt."""
    chunks: int
    """Content chunks that an answer must have; 0: no stream is requested."""
    clients: int
    seconds: float
    warmup: float = 0.3
    timeout: float = 30
    """Seconds to wait for answers after the end."""
    enough: int = 8
    """Valid answers per client; a slow server gets up to 3 times *seconds* for them, for a stable figure."""


@dataclass(frozen=True)
class Outcome:
    """The result. Latencies (milliseconds) are those of questions sent within the measured time."""

    answers: int
    """All valid answers, including warm-up and late ones: the divisor of CPU time."""
    per_second: float
    """Valid answers per second within the measured time."""
    p50_ms: float | None
    p99_ms: float | None
    first_byte_p50_ms: float | None
    """Time to the first byte of the headers. This and the next three: streams only."""
    first_byte_p99_ms: float | None
    first_text_p50_ms: float | None
    """Time to the first content chunk."""
    first_text_p99_ms: float | None
    failures: dict[str, int]


def requests(job: Job) -> Iterator[bytes]:
    """An endless sequence of complete HTTP requests with 1,000 different texts, built in advance."""
    ready = [_request(job, f"{QUESTIONS[n % len(QUESTIONS)]} (no. {n})") for n in range(1000)]
    return cycle(ready)


def _request(job: Job, text: str) -> bytes:
    if job.chat is None:
        body = orjson.dumps({"query": text})
    else:
        before = job.chat["messages"]
        assert isinstance(before, list)
        wanted = {"stream": True} if job.chunks else {}
        body = orjson.dumps({**job.chat, "messages": [*before, {"role": "user", "content": text}], **wanted})
    head = (
        f"POST {job.path} HTTP/1.1\r\nhost: 127.0.0.1:{job.port}\r\nauthorization: Bearer {job.bearer}\r\n"
        f"content-type: application/json\r\naccept: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
