"""What strangers do with connections to a live service, and what an honest caller notices of it."""

from __future__ import annotations

import json
import resource
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from .figures import Figures
from .footprint import Footprint
from .honest import honest_caller

QUIET_SECONDS = 3.0
HEAD = b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
MB = 1_000_000


@dataclass
class Target:
    service: Service
    fake: FakeOpenAI
    token: str
    greedy: str
    """Another client's token."""

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.service.port), timeout=30)

    def head(self, path: str, length: int) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {length}\r\n\r\n".encode()

    def status(self, request: bytes) -> int:
        """0: no answer."""
        with suppress(OSError, ValueError), self.connect() as caller:
            caller.sendall(request)
            return int(caller.recv(100)[9:12])
        return 0

    @property
    def memory(self) -> Footprint:
        return Footprint.largest(self.service.worker_pids())


Attack = Callable[[Target, int], Iterator[str | None]]
"""Yields what is worth telling besides the honest caller's waits; None: those end here. The number is how much of it."""


@dataclass(frozen=True)
class Row:
    name: str
    wanted: str
    attack: Attack
    long: int
    short: int
    descriptors: str | None = None
    """Soft and hard limit of the service."""
    path: str = "/ask"
    """What the honest caller asks."""
    is_proxied: bool = False
    """Whether the service believes what is said of addresses."""
    stops: bool = False
    """Whether the attack ends with a stop of the service."""


# --- the attacks ---------------------------------------------------------------------------------


def pipeline(target: Target, callers: int, seconds: float = 0.0) -> Iterator[str]:
    """250 KB of requests on each connection, closed unread, again and again."""
    request, end, sent = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", time.monotonic() + seconds, 0
    while True:
        opened = [target.connect() for _ in range(callers)]
        for one in opened:
            one.sendall(request * (250_000 // len(request)))
        for one in opened:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() is a reset
            one.close()
        sent += callers
        if time.monotonic() >= end:
            break
        time.sleep(0.05)
    yield f"{sent} connections"


def stay_idle(target: Target, connections: int) -> Iterator[str]:
    with many(target, connections) as opened:
        time.sleep(5)
        yield f"{len(opened)} connected"
        yield f"{sum(map(is_open, opened))} still open"


def ask_at_once(target: Target, callers: int) -> Iterator[str]:
    """All send a question before anybody reads."""
    question = b'{"query": "hi"}'
    statuses: Counter[bytes] = Counter()
    with many(target, callers) as opened:
        for one in opened:
            with suppress(OSError):
                one.sendall(target.head("/ask", len(question)) + question)
        for one in opened:
            one.settimeout(60)
            with suppress(OSError):
                statuses[one.recv(100)[9:12]] += 1
    answered, shed = statuses[b"200"], statuses[b"503"]
    assert answered, "nobody was answered"
    yield f"{answered} answered, {shed} shed with 503, {callers - answered - shed} neither"


def send_slowly(target: Target, heads: int) -> Iterator[str]:
    """*heads* heads of a byte a second, and five times as many connections that say nothing."""
    begun = time.monotonic()
    with many(target, heads) as slow, many(target, 5 * heads) as silent:
        opened = time.monotonic() - begun
        while (left := sum(map(is_open, slow)) + sum(map(is_open, silent))) and time.monotonic() - begun < 60:
            for one in slow:
                with suppress(OSError):
                    one.send(b"G")
            time.sleep(1)
        assert not left, f"{left} are still open"
    yield f"{6 * heads:,} connections, opened in {opened:.1f} s, all closed after {time.monotonic() - begun:.0f} s (wanted 10)"


def fall_silent(target: Target, bodies: int) -> Iterator[str]:
    """2 of 100 bytes, then nothing."""
    begun = time.monotonic()
    with many(target, bodies) as opened:
        for one in opened:
            one.sendall(HEAD + b"Content-Length: 100\r\n\r\nab")
        said = {one.recv(100)[9:12] for one in opened}
    assert said == {b"408"}, said
    yield f"408 after {time.monotonic() - begun:.1f} s (wanted 10)"


def stop_beside_silence(target: Target, bodies: int) -> Iterator[str | None]:
    """As before, and then a stop."""
    with many(target, bodies) as opened:
        for one in opened:
            one.sendall(HEAD + b"Content-Length: 100\r\n\r\nab")
        yield None
        yield f"stop beside them {stopped(target):.1f} s"


def leave_bodies_open(target: Target, bodies: int, path: str = "/v1/chat/completions") -> Iterator[str]:
    """8 MB each, but for the last byte."""
    before, most, body = target.memory, 0.0, b" " * (8 * MB - 1)
    with many(target, bodies) as opened:
        for one in opened:
            one.settimeout(2)
            with suppress(OSError):
                one.sendall(target.head(path, 8 * MB) + body)
            most = max(most, target.memory.grown_since(before))
    yield f"+{most:.0f} MB (wanted 64)"


def read_nothing(target: Target, callers: int) -> Iterator[str | None]:
    """Answers of 8 MB."""
    text = {"role": "assistant", "content": "x" * 8 * MB}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "small-1"}
    target.fake.set(body=json.dumps({**answer, "choices": [{"index": 0, "message": text, "finish_reason": "stop"}]}))
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
    before, most = target.memory, 0.0
    with many(target, callers) as opened:
        for one in opened:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(target.head("/v1/chat/completions", len(body)) + body)
        for _ in range(50):
            most = max(most, target.memory.grown_since(before))
            time.sleep(0.1)
        yield f"+{most:.0f} MB at most"
        yield None
        yield f"stop beside them {stopped(target):.1f} s"


def never_end(target: Target, seconds: int) -> Iterator[str]:
    """A chunk's extension, and trailers."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1"
    for name, begin in (("extension", head), ("trailers", head + b"\r\na\r\n0\r\n")):
        sent, end = 0, time.monotonic() + seconds
        with suppress(OSError), target.connect() as caller:
            caller.sendall(begin)
            while time.monotonic() < end:
                sent += caller.send(b";a: b" * 10_000)
        assert sent < 20 * MB, f"{sent / MB:.0f} MB of {name} were taken"
        yield f"{sent / MB:.1f} MB of {name} taken"


def name_no_host(target: Target, _: int) -> Iterator[str]:
    kinds = {"missing": b"", "twice": b"Host: a\r\nHost: a\r\n", "malformed": b"Host: a/b\r\n"}
    statuses = {name: target.status(b"GET /livez HTTP/1.1\r\n" + lines + b"\r\n") for name, lines in kinds.items()}
    assert set(statuses.values()) == {400}, statuses
    yield ", ".join(f"{name}: {status}" for name, status in statuses.items())


ROWS = (
    Row("4 x 250 KB pipelined, closed unread", "longest < 0.2 s", pipeline, 4, 4),
    Row("the same on 8 connections for 8 s", "memory flat", partial(pipeline, seconds=8.0), 8, 0),
    Row("idle connections, 1,024 descriptors", "answers go on", stay_idle, 1200, 0, "1024:1024"),
    Row("questions at once, 256 descriptors", "200 or 503", ask_at_once, 600, 300, "256:256"),
    Row("slow heads and idle connections", "closed in 10 s, p99 at most doubled", send_slowly, 2000, 40),
    Row("POST /token, 2 of 100 bytes", "cut in 10 s", fall_silent, 20, 3),
    Row("POST /token, 2 of 100 bytes, then a stop", "as without it", stop_beside_silence, 20, 3, stops=True),
    Row("bodies of 8 MB but for the last byte", "< 64 MB", leave_bodies_open, 200, 8),
    Row("the same without a token", "< 64 MB", partial(leave_bodies_open, path="/token"), 200, 8),
    Row("8 MB answers that nobody reads", "bounded, < 1 s", read_nothing, 100, 12, path="/v1/models", stops=True),
    Row("endless chunk extensions and trailers", "bounded", never_end, 4, 1),
    Row("Host missing, twice, malformed", "400", name_no_host, 1, 1),
)


def attack(folder: Path, row: Row, amount: int, workers: int = 1) -> Figures:
    """Run *row* against a service of its own, beside an honest caller."""
    begun = time.monotonic()
    with FakeOpenAI() as fake, target_in(folder, fake, row, workers) as target:
        before = target.memory
        figures = attack_at(target, row, amount, QUIET_SECONDS)
        if target.service.process is not None:
            figures.remarks += [f"{target.memory.grown_since(before):+.0f} MB after it", f"stop {stopped(target):.1f} s"]
        records = target.service.records()
        assert target.service.verify()["ok"]
    summed = sum(one["details"]["total"] for one in records if one["action"] == "request.refused_summary")
    remarks = [*figures.remarks, f"{summed} refusals summed up", f"wanted: {row.wanted}"]
    return Figures(figures.answers, len(records), time.monotonic() - begun, remarks=remarks)


@contextmanager
def target_in(folder: Path, fake: FakeOpenAI, row: Row, workers: int = 1) -> Iterator[Target]:
    prefix = ("prlimit", f"--nofile={row.descriptors}") if row.descriptors else ()
    env: Any = {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": "k", "TRUSTED_PROXIES": "127.0.0.1" * row.is_proxied}
    with Service(folder, workers=workers, prefix=prefix, **env) as service:
        tokens = [service.token(name, service.add_client(name)) for name in ("alice", "greedy")]
        yield Target(service, fake, *tokens)


def attack_at(target: Target, row: Row, amount: int, quiet_seconds: float) -> Figures:
    begun, port = time.monotonic(), target.service.port
    with honest_caller(port, target.token, row.path) as quiet:
        time.sleep(quiet_seconds)
    steps = row.attack(target, amount)
    with honest_caller(port, target.token, row.path) as waits:
        remarks = list(takewhile(lambda step: step is not None, steps))
        time.sleep(quiet_seconds)
    told = [one for one in (*remarks, *steps) if one is not None]
    return Figures(len(waits.asked), 0, time.monotonic() - begun, remarks=[*told, *waits.told(quiet)])


def stopped(target: Target) -> float:
    """Stop the service; the seconds that it took."""
    begun = time.monotonic()
    assert target.service.stop() == 0
    return time.monotonic() - begun


def raise_client_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def many(target: Target, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = []
        for _ in range(number):
            with suppress(OSError):
                opened.append(stack.enter_context(target.connect()))
        yield opened


def is_open(caller: socket.socket) -> bool:
    """Reads away what came."""
    with selectors.PollSelector() as selector:
        selector.register(caller, selectors.EVENT_READ)
        try:
            while selector.select(0):
                if not caller.recv(65536):
                    return False
        except OSError:
            return False
    return True
