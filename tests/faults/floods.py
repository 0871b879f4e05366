"""Floods of requests that fail, and a greedy principal: what the log and an honest caller notice of them."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection

from .hostile import Row, Target, many

CALLERS = 8
DAY_SECONDS = 86_400
STREAM = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()


def fail(target: Target, seconds: int, addresses: int) -> Iterator[str]:
    """A wrong token, as fast as it goes. More than one address: as a proxy tells them."""
    end, begun = time.monotonic() + seconds, time.monotonic()

    def send(caller: int) -> Counter[int]:
        statuses, number = Counter[int](), caller
        connection = HTTPConnection("127.0.0.1", target.service.port, timeout=30)
        while time.monotonic() < end:
            number += CALLERS
            one = number % addresses
            told = {"X-Forwarded-For": f"198.18.{one >> 8}.{one & 255}"} if addresses > 1 else {}
            connection.request("POST", "/ask", b"{}", {"Authorization": "Bearer x.y.z", **told})
            response = connection.getresponse()
            response.read()
            statuses[response.status] += 1
        connection.close()
        return statuses

    with ThreadPoolExecutor(CALLERS) as threads:
        last_minute = threads.submit(refusal_bytes, target, max(0.0, seconds - 60))
        statuses = sum(threads.map(send, range(CALLERS - 1)), Counter[int]())
        before = last_minute.result()
    assert set(statuses) <= {401, 429}, statuses
    assert target.service.ask(target.token).status_code == 200, "a good token of the same address"
    yield f"{statuses.total() / (time.monotonic() - begun):.0f}/s: {dict(statuses)}"
    if seconds > 60:
        a_day = (refusal_bytes(target) - before) * DAY_SECONDS / 60
        yield f"{a_day / 1_000_000:.0f} MB of records a day, by the last minute"


def refusal_bytes(target: Target, after_seconds: float = 0.0) -> int:
    """Of the records of refusals, single and summed up."""
    time.sleep(after_seconds)
    return sum(len(line) for line in target.service.log.read_bytes().splitlines() if b'"action":"request.refused' in line)


def stream_slowly(target: Target, streams: int) -> Iterator[str | None]:
    """One principal, other than the honest caller, whose streams do not end."""
    target.fake.set("stall:1")
    head = target.head("/v1/chat/completions", len(STREAM)).replace(target.token.encode(), target.greedy.encode())
    with many(target, streams) as opened:
        for one in opened:
            one.sendall(head + STREAM)
        time.sleep(2)
        statuses = Counter(status_of(one) for one in opened)
        yield f"{dict(statuses)} of {len(opened)} (0: waits)"
        time.sleep(3)
        yield None
    target.fake.set("ok")


def status_of(caller: socket.socket) -> int:
    """0 while there is no answer."""
    caller.setblocking(False)
    with suppress(BlockingIOError):
        return int(caller.recv(12)[9:12] or 0)
    return 0


ROWS = (
    Row("401s from one address", "good tokens pass", partial(fail, addresses=1), 20, 2),
    Row("401s from 5,000 addresses", "< 100 MB a day", partial(fail, addresses=5000), 150, 2, is_proxied=True),
    Row("slow streams of one principal", "p99 of another at most doubled", stream_slowly, 520, 40),
)
