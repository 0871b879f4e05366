"""Several nodes with one log, one set of clients, limits and budgets, in a crowd and under faults."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ...support.budget_policy import ANSWER_TOKENS, policy_for
from ...support.cutting_proxy import CuttingProxy
from ...support.fake_openai import FakeOpenAI
from ...support.nodes import KEY, Place, databases, make_nodes, nodes, running
from ...support.postgres_server import PostgresServer
from ...support.service import LaterService, Service
from ...support.valkey_server import ValkeyServer
from ...support.verified_nodes import verify_nodes
from ...support.waiting import until
from ..budgets import CAP, verify_books, verify_refusals
from ..crash import answered_again
from ..figures import Figures
from ..load import Load, Outcome, ask_all
from .limits import PATIENT

REFUSALS = {(503, "audit_unavailable"), (503, "limits_unavailable"), (0, None)}
"""What a caller of a node that is cut off or frozen may get: (0, None) is a broken connection."""


@contextmanager
def servers(
    folder: Path, postgres: PostgresServer | None
) -> Iterator[tuple[FakeOpenAI, PostgresServer, ValkeyServer, dict[str, str]]]:
    """A model's server, PostgreSQL (that one, or its own), Valkey, and the settings of nodes that share them."""
    own = nullcontext(postgres) if postgres is not None else PostgresServer(max_connections="300")
    with FakeOpenAI() as fake, ValkeyServer(folder / "valkey") as valkey, own as postgres:
        env = {"OPENAI_BASE_URL": fake.base_url, "LIMITS_URL": valkey.url, **PATIENT, **databases(postgres)}
        yield fake, postgres, valkey, env


def crowd(folder: Path, *, questions: int, count: int = 4, clients: int = 64, postgres: PostgresServer | None = None) -> Figures:
    """*questions* over *count* nodes: each acknowledged one has its record once, and all verifiers agree."""
    began = time.monotonic()
    with servers(folder, postgres) as (fake, _, _, env), nodes(folder, count, **env) as (several, token):
        asked = time.monotonic()
        outcomes = asyncio.run(_ask_everywhere(several, token, questions, clients))
        took = time.monotonic() - asked
        assert Counter(one.status for one in outcomes) == {200: questions}
        assert fake.calls() == questions
        records, verifiers = verify_nodes(several, outcomes, folder / "exported.jsonl")
    remarks = [f"{questions / took:,.0f} questions a second", f"verified: {verifiers}"]
    return Figures(questions, records, time.monotonic() - began, remarks=remarks)


def budget(folder: Path, *, clients: int, money_for: int, count: int = 4, postgres: PostgresServer | None = None) -> Figures:
    """*clients* ask at once over *count* nodes against money for *money_for* answers; then one asks until it is spent."""
    began = time.monotonic()
    with servers(folder, postgres) as (fake, _, _, env):
        env |= policy_for(folder / "policy", fake, money_for * ANSWER_TOKENS)
        with nodes(folder, count, **env) as (several, token):
            outcomes = asyncio.run(_ask_everywhere(several, token, clients, clients // count))
            in_crowd = fake.calls()
            verify_refusals(outcomes)
            for number in range(10 * money_for):
                if (answer := several[number % count].ask(token)).status_code != 200:
                    break
            assert answer.json()["code"] == "insufficient_quota", answer.text
            calls = fake.calls()
            assert 0 < calls <= money_for, f"{calls} generations with money for {money_for}"
            assert (money_for - calls) * ANSWER_TOKENS < CAP, f"refused with money for one more: {calls} of {money_for}"
            for node in several:
                verify_books(node, calls)
            records = len(outcomes)
    remarks = [f"{in_crowd} answered of {clients:,} at once, {calls} of at most {money_for} in the end"]
    return Figures(calls, records, time.monotonic() - began, remarks=remarks)


async def _ask_everywhere(several: Sequence[Service], token: str, questions: int, clients: int) -> list[Outcome]:
    each = [f"question {number}" for number in range(questions // len(several))]
    asked = await asyncio.gather(*(ask_all(node.port, token, clients, each) for node in several))
    return [one for outcomes in asked for one in outcomes]


# --- one of two nodes is cut off, or stands still ---------------------------------------------------


def cut_off(folder: Path, *, what: str, seconds: float, clients: int = 16, postgres: PostgresServer | None = None) -> Figures:
    """One of two nodes is cut off from *what* for *seconds*, by a network that drops everything: the other one goes on."""
    with ExitStack() as opened:
        _, postgres, valkey, env = opened.enter_context(servers(folder, postgres))
        real, names = (postgres.port, ("AUDIT_URL", "DATABASE_URL")) if what == "PostgreSQL" else (valkey.port, ("LIMITS_URL",))
        proxy = opened.enter_context(CuttingProxy(real))
        env |= {"LIMITS_TIMEOUT_SECONDS": "0.5"}
        several = make_nodes(folder, [Place()] * 2, **env)
        token_of = several[0].add_client()
        for name in names:
            several[1].env[name] = env[name].replace(f":{real}", f":{proxy.port}")
        opened.enter_context(running(several))
        token = several[0].token("alice", token_of)

        def break_it() -> None:
            proxy.is_silent = True

        def mend_it() -> None:
            proxy.is_silent = False

        return asyncio.run(one_of_two(folder, several, token, clients, seconds, break_it, mend_it))


def frozen(folder: Path, *, seconds: float, replaced: bool, clients: int = 16, postgres: PostgresServer | None = None) -> Figures:
    """All processes of one of two nodes stand still (SIGSTOP) for *seconds*, then go on.

    *replaced*: meanwhile another service of the same name is started, so that the old one is fenced.
    """
    with ExitStack() as opened:
        *_, env = opened.enter_context(servers(folder, postgres))
        several = make_nodes(folder, [Place()] * 2, **env)
        secret = several[0].add_client()
        opened.enter_context(running(several))
        token, victim = several[0].token("alice", secret), several[1]

        def break_it() -> None:
            _signal(victim, signal.SIGSTOP)
            if replaced:
                opened.enter_context(_replacement(folder, victim))

        def mend_it() -> None:
            _signal(victim, signal.SIGCONT)

        return asyncio.run(one_of_two(folder, several, token, clients, seconds, break_it, mend_it, is_fenced=replaced))


@contextmanager
def _replacement(folder: Path, victim: Service) -> Iterator[Service]:
    """A service of the same name, as an orchestrator starts it elsewhere."""
    own = folder / "replacement"
    (own / KEY).parent.mkdir(parents=True)
    shutil.copy(victim.folder / KEY, own / KEY)
    given: dict[str, Any] = {name: value for name, value in victim.env.items() if name.isupper()}
    with LaterService(own, **given) as other:
        yield other


def _signal(node: Service, number: signal.Signals) -> None:
    assert node.process is not None
    os.killpg(node.process.pid, number)


async def one_of_two(
    folder: Path,
    several: Sequence[Service],
    token: str,
    clients: int,
    seconds: float,
    break_it: Callable[[], None],
    mend_it: Callable[[], None],
    *,
    is_fenced: bool = False,
    is_noticed: bool = False,
) -> Figures:
    """The second of two nodes is broken for *seconds*, with questions running at both. *is_noticed*: and until it refuses one."""
    began = time.monotonic()
    async with AsyncExitStack() as opened:
        loads = [await opened.enter_async_context(Load(node.port, token, clients, host=node.host)) for node in several]
        for load in loads:
            await answered_again(load)
        await asyncio.to_thread(break_it)
        broken, before, at_other = time.monotonic(), len(loads[0].outcomes), len(loads[1].outcomes)
        await answered_again(loads[0])
        again = time.monotonic() - broken
        while time.monotonic() - broken < seconds:
            await answered_again(loads[0])
            await asyncio.sleep(0.1)
        if is_noticed:
            await until(
                lambda: any(one.status != 200 for one in loads[1].outcomes[at_other:]), "nobody noticed that it was cut off"
            )
        meanwhile = Counter(one.status for one in loads[0].outcomes[before:])
        await asyncio.to_thread(mend_it)
        mended = time.monotonic()
        if not is_fenced:
            await answered_again(loads[1])
        ready = time.monotonic() - mended
        await answered_again(loads[0])
    others = [one for one in loads[0].outcomes if one.status != 200]
    assert not others, f"the other node refused: {Counter((one.status, one.code) for one in others)}"
    refused = Counter((one.status, one.code) for one in loads[1].outcomes if one.status != 200)
    assert refused.keys() <= REFUSALS, dict(refused)
    acknowledged = [*loads[0].answers, *loads[1].answers]
    records, verifiers = await asyncio.to_thread(verify_nodes, several[:1], acknowledged, folder / "exported.jsonl")
    remarks = [
        f"the other one: next answer after {again:.2f} s, {meanwhile[200]:,} meanwhile, none refused",
        f"verified: {verifiers}",
    ]
    if is_fenced:
        old = await asyncio.to_thread(several[1].ask, token)
        assert (old.status_code, old.json()["code"]) == (503, "audit_unavailable"), old.text
        remarks.append("the old one is fenced")
    figures = Figures(len(acknowledged), records, time.monotonic() - began, broken=sum(refused.values()), remarks=remarks)
    figures.ready = [] if is_fenced else [ready]
    return figures
