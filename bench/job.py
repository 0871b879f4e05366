"""What the load generator is told and what it reports, and the requests that it sends."""

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
    """What to ask, of whom, and for how long (seconds)."""

    port: int
    path: str
    bearer: str
    chat: dict[str, object] | None
    """None: our own `{"query"}`. Else the members of an OpenAI chat request, to which the question is added."""
    receipt: bool
    """Whether an answer must carry one."""
    chunks: int
    """Content chunks that an answer must have; 0: no stream is asked for."""
    clients: int
    seconds: float
    warmup: float = 0.3
    timeout: float = 30
    """How long answers are waited for after the end."""
    enough: int = 8
    """Good answers for each client; a slow server is given up to 3 times *seconds* for them, or chance would rule."""


@dataclass(frozen=True)
class Outcome:
    """What came back. Latencies (milliseconds) are those of questions put within the measured time."""

    answers: int
    """All good answers, those of the warm-up and of the last moment too: what CPU time is divided by."""
    per_second: float
    """Good answers that came within the measured time, a second."""
    p50_ms: float | None
    p99_ms: float | None
    first_byte_p50_ms: float | None
    """Of the answer's head. This and the next three: of streams alone."""
    first_byte_p99_ms: float | None
    first_text_p50_ms: float | None
    """Of the first content chunk."""
    first_text_p99_ms: float | None
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
        wanted = {"stream": True} if job.chunks else {}
        body = orjson.dumps({**job.chat, "messages": [*before, {"role": "user", "content": text}], **wanted})
    head = (
        f"POST {job.path} HTTP/1.1\r\nhost: 127.0.0.1:{job.port}\r\nauthorization: Bearer {job.bearer}\r\n"
        f"content-type: application/json\r\naccept: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
