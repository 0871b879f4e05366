"""Whole services on one ledger under load, also while its primary dies and the standby takes over."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

from ..support.browser_verifier import Case, in_node
from ..support.cutting_proxy import CuttingProxy
from ..support.fake_openai import FakeOpenAI
from ..support.ledger import ROLE, new_ledger
from ..support.paths import ROOT
from ..support.postgres_server import PASSWORD, PostgresServer
from ..support.service import HTTP, LaterService, Service
from ..support.waiting import until
from .crash import upstream
from .figures import Figures
from .load import Load, Outcome


def serve(folder: Path, *, nodes: int = 4, clients: int = 64, questions: int = 20_000, failovers: int = 0) -> Figures:
    """Each acknowledged record stands once; chain, tree and receipts verify by three verifiers."""
    with ExitStack() as opened:
        fake, primary = opened.enter_context(FakeOpenAI()), opened.enter_context(PostgresServer())
        proxy = opened.enter_context(CuttingProxy(primary.port))
        url = f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{proxy.port}/{new_ledger(primary)}"
        given: dict[str, Any] = {"AUDIT_URL": url, "AUDIT_SINGLE_PRIMARY": "no" if failovers else "yes", **upstream(fake)}
        given["CONSOLE_ENABLED"] = "no"
        standby = opened.enter_context(primary.standby()) if failovers else None
        services = _services(folder, nodes, given)
        secret = services[0].add_client()
        for other in services[1:]:
            shutil.copy(services[0].folder / "logs/clients.sqlite3", other.folder / "logs/clients.sqlite3")
        for one in services:
            opened.enter_context(one)
        token, started, figures = services[0].token("alice", secret), time.monotonic(), Figures(0, 0, 0.0)

        async def fail_over(loads: list[Load]) -> None:
            nonlocal primary, standby
            for number in range(failovers):
                await _answered(loads, more=questions // (failovers + 1))
                assert standby is not None
                began = time.monotonic()
                primary.stop(signal.SIGQUIT)
                await asyncio.to_thread(standby.promote)
                primary, proxy.target = standby, standby.port
                if number + 1 < failovers:
                    standby = opened.enter_context(primary.standby())
                else:
                    primary.reload(synchronous_standby_names="*")
                    opened.enter_context(primary.standby())
                await _answered(loads, more=1)
                figures.ready.append(time.monotonic() - began)

        outcomes = asyncio.run(_load(services, token, clients, questions, fail_over))
        figures.seconds = time.monotonic() - started
        _check(services, outcomes, folder, figures)
    return figures


def _services(folder: Path, nodes: int, given: dict[str, Any]) -> list[Service]:
    first = Service(folder / "node-0", AUDIT_ORIGIN="example.com/log", NODE_NAME="node-0", **given)
    services = [first]
    for number in range(1, nodes):
        place = folder / f"node-{number}"
        (place / "logs").mkdir(parents=True)
        shutil.copy(first.folder / "logs/audit_log.key", place / "logs/audit_log.key")
        services.append(LaterService(place, AUDIT_ORIGIN="example.com/log", NODE_NAME=place.name, **given))
        services[-1].env["SECRET_KEY"] = first.env["SECRET_KEY"]
    return services


async def _load(services: list[Service], token: str, clients: int, questions: int, fault: Any) -> list[Outcome]:
    queries = iter([f"question {number}" for number in range(questions)])
    async with AsyncExitStack() as opened:
        loads = [await opened.enter_async_context(Load(one.port, token, clients, queries)) for one in services]
        await fault(loads)
        for load in loads:
            await load.finish()
    return [outcome for load in loads for outcome in load.outcomes]


async def _answered(loads: list[Load], more: int) -> None:
    wanted = sum(load.answered for load in loads) + more
    await until(lambda: sum(load.answered for load in loads) >= wanted, "no question is answered any more")


def _check(services: list[Service], outcomes: list[Outcome], folder: Path, figures: Figures) -> None:
    answers = [one for one in outcomes if one.status == 200]
    last, exported, vkey = max(one.seq for one in answers), folder / "exported.jsonl", folder / "vkey"

    def is_signed(one: Service) -> bool:
        return int(HTTP.get(f"{one.url}/audit/checkpoint").text.split("\n")[1]) > last

    asyncio.run(until(lambda: all(map(is_signed, services)), "the last record is not signed on every node"))
    services[-1].cli("audit", "export", str(exported))
    vkey.write_bytes(HTTP.get(f"{services[0].url}/audit/vkey").content)
    lines = exported.read_bytes().splitlines()
    told = {one.seq: one.hash for one in answers}
    assert len(told) == len(answers), "two answers name one record"
    assert [seq for seq, digest in told.items() if not lines[seq].endswith(b'"hash":"%b"}' % digest.encode())] == []
    asked = Counter(json.loads(line)["details"]["query"] for line in lines if b'"action":"ask.received"' in line)
    twice = {query for query, times in asked.items() if times > 1}
    assert twice == set(), f"{len(twice)} questions were recorded twice"
    _verify(services[0], exported, vkey, [f"{one.seq}:{one.hash}" for one in answers[:: max(1, len(answers) // 50)]])
    figures.answers, figures.records, figures.broken = len(answers), len(lines), len(outcomes) - len(answers)


def _verify(service: Service, exported: Path, vkey: Path, receipts: list[str]) -> None:
    """By the service, by the tool that stands alone, and by the browser's verifier."""
    checkpoint = exported.with_suffix(".tree") / "checkpoint"
    words = ["--vkey", str(vkey), "--checkpoint", str(checkpoint), *(word for one in receipts for word in ("--receipt", one))]
    assert service.cli("audit", "verify", "--log", str(exported), *words)["ok"]
    tool = subprocess.run(
        [sys.executable, str(ROOT / "tools/verify_log.py"), str(exported), *words], capture_output=True, check=True
    )
    assert json.loads(tool.stdout)["ok"]
    case = Case(exported.read_bytes(), vkey.read_text().strip(), [checkpoint.read_bytes()], short=receipts)
    (verdict,) = in_node([case])
    assert verdict["ok"], verdict
