"""`python -m bench.allocators`: what each allocator keeps after large answers, and its CPU a question; interleaved, then medians.

Every allocator serves the same code at the same time; only one of them gets requests at a time.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import orjson
import typer

from app.kit.allocator import SETTINGS, allocator_settings, find_jemalloc

from .machine import describe_machine
from .peers import CHAT_PATH, Peer, Upstream, open_upstream
from .process import ROOT, ServerFailed
from .rounds import run_load
from .service import exchange, set_up

PLAIN: Mapping[str, str] = {}
TRIMMED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_ARENA_MAX": "2"}
LARGE_BYTES, CLIENTS = 6_000_000, 16
SETTLE_SECONDS = 3.0


@dataclass
class Kept:
    """One allocator: MB of its worker before and after large answers, and the CPU of small ones."""

    peer: Peer
    before: list[float]
    plain: list[float]
    streams: list[float]
    cpu_us: list[float]


def choices(library: str | None) -> dict[str, Mapping[str, str]]:
    """The environment of each. *library*: of jemalloc."""
    threshold = "MALLOC_MMAP_THRESHOLD_"
    found = {"glibc": PLAIN, "glibc, mmap from 64 KiB": {threshold: SETTINGS[threshold]}, "the same, trimmed": TRIMMED}
    if library:
        found |= {"jemalloc": {"LD_PRELOAD": library}, "jemalloc, as serve sets it": allocator_settings({}, library)}
    return found


def measure(
    rounds: Annotated[int, typer.Option(min=1, help="Each figure is their median.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, help="Of small questions, for one allocator in one round.")] = 2,
    jemalloc: Annotated[str | None, typer.Option(help="The path of libjemalloc.so.2, if it is not installed.")] = None,
) -> None:
    print(describe_machine(ROOT / "logs"))
    library = jemalloc or find_jemalloc()
    if not library:
        print("There is no libjemalloc.so.2 here (Debian: apt-get install libjemalloc2): it is left out.")
    with tempfile.TemporaryDirectory(prefix="bench-") as work, ExitStack() as stack:
        upstream = stack.enter_context(open_upstream(Path(work)))
        kept = {name: _open(stack, Path(work), upstream, name, env) for name, env in choices(library).items()}
        for one in kept.values():
            run_load(one.peer, upstream, one.peer.job(CLIENTS, 0.5))
            one.before.append(_worker_mb(one.peer))
        for number in range(rounds):
            for name, one in kept.items():
                print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
                _measure(one, upstream, seconds)
    print(f"{'':28}{'before':>9}{'plain':>9}{'streams':>9}{'CPU':>10}")
    for name, one in kept.items():
        mb = [one.before[0], *(statistics.median(values) for values in (one.plain, one.streams))]
        print(f"{name:28}" + "".join(f"{value:6.0f} MB" for value in mb) + f"{statistics.median(one.cpu_us):7.0f} us")


def _open(stack: ExitStack, work: Path, upstream: Upstream, name: str, env: Mapping[str, str]) -> Kept:
    service = set_up(work / f"service-{abs(hash(name))}", upstream.url)
    service = replace(service, env={**service.env, **env, "RATE_LIMIT": "10000000"})
    process, port, ready = stack.enter_context(service.served(("-m", "bench.as_given")))
    return Kept(Peer(name, process, port, "/ask", service.token(port), None, ready, receipt=True), [], [], [], [])


def _measure(one: Kept, upstream: Upstream, seconds: float) -> None:
    _, cpu = run_load(one.peer, upstream, one.peer.job(CLIENTS, seconds))
    one.cpu_us.append(1e6 * (cpu or 0.0))
    text = "word " * (LARGE_BYTES // 5)
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "model": "m"}
    for stream, values in ((False, one.plain), (True, one.streams)):
        wanted = {"script": _events(text)} if stream else {"body": orjson.dumps(answer).decode()}
        _mode(upstream, wanted)
        asyncio.run(_ask_at_once(one.peer, stream))
        time.sleep(SETTLE_SECONDS)
        values.append(_worker_mb(one.peer))
    _mode(upstream, {})


def _events(text: str) -> list[str]:
    """A stream of *text* in pieces of 65,000 characters."""
    pieces = [text[start : start + 65_000] for start in range(0, len(text), 65_000)]
    deltas = [{"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return [*(f"data: {orjson.dumps(one).decode()}\n\n" for one in [*deltas, end]), "data: [DONE]\n\n"]


def _mode(upstream: Upstream, wanted: Mapping[str, object]) -> None:
    status, _ = exchange(upstream.port, "POST", "/control/mode", orjson.dumps({"mode": "ok", **wanted}).decode())
    assert status == 200


async def _ask_at_once(peer: Peer, stream: bool) -> None:
    body = orjson.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": stream})
    head = f"POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {peer.bearer}\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        writer.write(head.encode() + body)
        size, last = 0, b""
        while piece := await reader.read(1 << 18):
            size, last = size + len(piece), piece
        writer.close()
        if size < LARGE_BYTES * 0.9:
            raise ServerFailed(f"The answer has {size} bytes: {last[-300:]!r}")
        return size

    await asyncio.gather(*(ask() for _ in range(CLIENTS)))


def _worker_mb(peer: Peer) -> float:
    return peer.process.largest_rss_bytes() / 1e6


if __name__ == "__main__":
    os.environ.pop("LD_PRELOAD", None)
    typer.run(measure)
