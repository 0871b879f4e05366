"""A long time under load with a fault every now and then: no unexplained status, flat memory, books that add up."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from ..support.waiting import until
from .crash import all_signed, answered_again
from .evidence import Evidence
from .figures import Figures
from .footprint import Footprint
from .load import Load

GROWTH_MB, GROWTH_DESCRIPTORS = 48.0, 16
POLICY = """
# Version {version}
[servers.lab]
base_url = "{url}"
[models.small]
server = "lab"
max_output_tokens = 50
[breaker]
open_seconds = 1
[prices.small]
input = 0.15
output = 0.60
[[budgets]]
money = 1000000
per = "day"
[[budgets]]
principal = "alice"
tokens = 1000000000
per = "month"
"""
FAILED = frozenset({(502, "upstream_error"), (503, "upstream_unavailable"), (504, "upstream_timeout")})
LOCKED = frozenset({(503, "limits_unavailable"), (503, "audit_unavailable")})
STARVED = (503, "budgets_unavailable")
"""The store of the budgets did not answer within its 2 s: a worker that stands still may hold its lock."""
BROKEN = frozenset({(0, None)})
"""The connections of a process that is killed break."""


class Fake(FakeOpenAI):
    """It can be started again at its port."""

    def again(self) -> None:
        self._command += ["--port", str(self.port)]
        self.__enter__()


@dataclass
class Soak:
    service: Service
    fake: Fake
    token: str
    is_busy: bool
    version: int = 1

    def write_policy(self) -> None:
        (self.service.folder / "policy.toml").write_text(POLICY.format(url=self.fake.base_url, version=self.version))

    def actions(self, name: str) -> int:
        return self.service.log.read_bytes().count(b'"action":"%b"' % name.encode())


Inject = Callable[[Soak, float], Awaitable[None]]
"""Returns once the fault is over."""


def _mode(**mode: Any) -> Inject:
    async def inject(soak: Soak, seconds: float) -> None:
        soak.fake.set(**mode)
        await asyncio.sleep(seconds)
        soak.fake.set()

    return inject


async def _down(soak: Soak, seconds: float) -> None:
    """Nobody listens at the upstream's port."""
    soak.fake.__exit__()
    await asyncio.sleep(seconds)
    soak.fake.again()


async def _killed(soak: Soak, seconds: float) -> None:
    pids = soak.service.worker_pids()
    os.kill(random.choice(pids), signal.SIGKILL)
    await until(lambda: len(now := soak.service.worker_pids()) == len(pids) and now != pids)


async def _stopped(soak: Soak, seconds: float) -> None:
    before = soak.actions("worker.replaced")
    os.kill(random.choice(soak.service.worker_pids()), signal.SIGSTOP)
    await until(lambda: soak.actions("worker.replaced") > before)


async def _policy(soak: Soak, seconds: float) -> None:
    before = soak.actions("policy.changed")
    soak.version += 1
    soak.write_policy()
    assert soak.service.process is not None
    soak.service.process.send_signal(signal.SIGHUP)
    await until(lambda: soak.actions("policy.changed") > before)


async def _no_log(soak: Soak, seconds: float) -> None:
    log = soak.service.log
    away = log.with_suffix(".away")
    log.rename(away)
    await asyncio.sleep(seconds)
    away.rename(log)
    await asyncio.to_thread(soak.service.wait_ready)


async def _slow(soak: Soak, seconds: float) -> None:
    """Twenty callers that send half of a request, and twenty that do not read their answer."""
    async with AsyncExitStack() as open_ones:
        for number in range(40):
            _, writer = await asyncio.open_connection("127.0.0.1", soak.service.port)
            open_ones.callback(writer.close)
            whole = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
            writer.write(whole if number % 2 else b"POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        await asyncio.sleep(seconds)


@dataclass(frozen=True)
class Fault:
    """*allowed*: what callers may get besides answers, until it is over and one is answered again."""

    name: str
    inject: Inject
    allowed: frozenset[tuple[int, str | None]] = frozenset()


FAULTS = (
    Fault("upstream down", _down, FAILED),
    Fault("upstream resets", _mode(mode="close"), FAILED),
    Fault("upstream slow", _mode(delay=0.5)),
    Fault("upstream hangs", _mode(mode="hang"), FAILED),
    Fault("upstream sends garbage", _mode(mode="garbage"), FAILED),
    Fault("upstream 500", _mode(mode="status:500"), FAILED),
    Fault("upstream 429", _mode(mode="status:429", headers={"Retry-After": "1"}), FAILED),
    Fault("kill -9 of a worker", _killed, BROKEN | LOCKED),
    Fault("SIGSTOP of a worker", _stopped, BROKEN | LOCKED | {STARVED}),
    Fault("policy changed (SIGHUP)", _policy),
    Fault("log out of reach", _no_log, LOCKED),
    Fault("slow callers", _slow),
)


def soak(
    folder: Path, *, seconds: float, workers: int = 2, every: float = 30.0, clients: int = 8, is_busy: bool = False
) -> Figures:
    """Every fault at least once, then for as long as there is time; one begins each *every* seconds.

    *is_busy*: the machine may have no time for the store of the budgets, once for each client
    between two faults; and an answer may take longer than a question is given otherwise.
    """
    with Fake() as fake:
        folder.mkdir(parents=True)
        (folder / "policy.toml").write_text(POLICY.format(url=fake.base_url, version=1))
        env: dict[str, Any] = {"POLICY_FILE": "policy.toml", "LLM_MODEL": "small", "LLM_MAX_TOKENS": "50"}
        env["LLM_TIMEOUT_SECONDS"] = "20" if is_busy else "5"
        with Service(folder, workers=workers, **env) as service:
            token = service.token("alice", service.add_client())
            figures = asyncio.run(_soak(Soak(service, fake, token, is_busy), seconds, every, clients))
        report = service.verify()
        assert report["ok"], report
        books = service.cli("budget", "audit", status=None)
        assert books["ok"], books
        figures.remarks += [f"audit verify: ok, {report['open']['count']} open", f"budget audit: ok, {books['pots']} periods"]
        return figures


async def _soak(soak: Soak, seconds: float, every: float, clients: int) -> Figures:
    started, evidence, faults = time.monotonic(), Evidence(soak.service.log), Counter[str]()
    figures, statuses, checked = Figures(0, 0, 0.0), Counter[tuple[int, str | None]](), 0
    async with Load(soak.service.port, soak.token, clients) as asking:
        await _settled(asking)
        before = Footprint.largest(soak.service.worker_pids())
        while len(faults) < len(FAULTS) or time.monotonic() < started + seconds:
            fault, begun, at = FAULTS[faults.total() % len(FAULTS)], time.monotonic(), len(asking.outcomes)
            _check(asking, checked, at, "nothing", frozenset(), soak.is_busy)
            await fault.inject(soak, min(2.0, every / 3))
            over = time.monotonic()
            await _settled(asking)
            figures.ready.append(time.monotonic() - over)
            checked = len(asking.outcomes)
            _check(asking, at, checked, fault.name, fault.allowed, soak.is_busy)
            faults[fault.name] += 1
            await asyncio.sleep(max(0.0, begun + every - time.monotonic()))
        await _settled(asking)
        _check(asking, checked, len(asking.outcomes), "nothing", frozenset(), soak.is_busy)
        after = Footprint.largest(soak.service.worker_pids())
    statuses.update((one.status, one.code) for one in asking.outcomes)
    evidence.read(asking.outcomes)
    await all_signed(evidence)
    assert after.grown_since(before) < GROWTH_MB, f"{before}, then {after}"
    assert after.descriptors <= before.descriptors + GROWTH_DESCRIPTORS, f"{before}, then {after}"
    figures.answers, figures.records, figures.seconds = asking.answered, evidence.records, time.monotonic() - started
    figures.broken, figures.left_open = len(asking.outcomes) - asking.answered, evidence.left_open
    others = ", ".join(f"{number} x {status} {code or 'broken'}" for (status, code), number in statuses.items() if status != 200)
    figures.remarks = [f"{faults.total()} faults of {len(faults)} kinds", f"{others}", f"{before}, then {after}"]
    return figures


def _check(asking: Load, begin: int, end: int, what: str, allowed: frozenset[tuple[int, str | None]], is_busy: bool) -> None:
    found = Counter((one.status, one.code) for one in asking.outcomes[begin:end])
    starved = {STARVED} if is_busy and found[STARVED] <= asking.clients else set()
    assert found.keys() <= allowed | starved | {(200, None)}, f"while there was {what}: {dict(found)}"


async def _settled(asking: Load) -> None:
    """Return once all that was asked before has its outcome, and a good many are answered in a row."""
    before = frozenset(asking.asking)
    await until(lambda: before.isdisjoint(asking.asking))
    at = len(asking.outcomes)
    while len(asking.outcomes) < at + 32:
        await answered_again(asking)
        last = [place for place, one in enumerate(asking.outcomes[at:], at) if one.status != 200]
        at = last[-1] + 1 if last else at
