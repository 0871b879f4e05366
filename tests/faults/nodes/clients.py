"""Two nodes while the database of clients and budgets fails in each way that a server or a network can."""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from app.security.api_keys.form import make_key

from ...support.budget_policy import policy_for
from ...support.cutting_proxy import HOW, CuttingProxy
from ...support.fake_openai import FakeOpenAI
from ...support.nodes import Place, databases, make_nodes, running
from ...support.postgres_server import PASSWORD, PostgresServer
from ...support.service import HTTP, Service
from ...support.waiting import eventually
from ..callers import HEALTH, Call, Seen, ask, calling, token_of
from ..crash import answered_again
from ..figures import Figures
from ..load import Load

CUTS = 200
UNAVAILABLE = "503 unavailable"
MAY_GET = {
    "a known token": {"200"},
    "a known key": {"200"},
    "an unknown key": {"401 invalid_token", UNAVAILABLE},
    "a budget": {"200", "503 budgets_unavailable"},
    "/token": {"200", "503 temporarily_unavailable"},
    **{name: {"200"} for name in HEALTH},
}
"""What each caller may get while the database is away."""


@dataclass
class Outage:
    """What may happen to *server*, and to the way there."""

    server: PostgresServer
    proxy: CuttingProxy
    role: str
    chance: random.Random = field(default_factory=lambda: random.Random(18))

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def swallow(self) -> None:
        self.proxy.is_silent = True

    def say_nothing(self) -> None:
        self.proxy.passes = 0

    def end_in_mid_answer(self) -> None:
        self.proxy.passes = 3

    def let_through(self) -> None:
        self.proxy.is_silent, self.proxy.passes = False, None

    def restart(self) -> None:
        self.server.stop()
        self.server.start()

    def cut(self) -> None:
        """CUTS connections, as they come."""
        for number in range(CUTS):
            eventually(lambda number=number: self.proxy.cut(self.chance, HOW[number % len(HOW)]))  # type: ignore[misc]
            time.sleep(self.chance.uniform(0, 0.05))

    def take_no_more(self) -> None:
        self._alter("CONNECTION LIMIT 0")

    def take_all(self) -> None:
        self._alter("CONNECTION LIMIT -1")

    def change_password(self) -> None:
        self._alter("PASSWORD 'another-one'")

    def change_it_back(self) -> None:
        self._alter(f"PASSWORD '{PASSWORD}'")

    def _alter(self, what: str) -> None:
        """From now on, also for who is connected."""
        self.server.query(f'ALTER ROLE "{self.role}" {what}')
        self.server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", self.role)

    def _signal(self, number: signal.Signals) -> None:
        self.server.signal_all(number)


Act = Callable[[Outage], None]


def _nothing(_: Outage) -> None:
    """It is back by itself."""


FAULTS: dict[str, tuple[Act, Act]] = {
    "stopped (SIGSTOP)": (Outage.stop, Outage.go_on),
    "behind a network that drops everything": (Outage.swallow, Outage.let_through),
    "takes connections and says nothing": (Outage.say_nothing, Outage.let_through),
    "ends in mid-answer": (Outage.end_in_mid_answer, Outage.let_through),
    "killed": (lambda outage: outage.server.crash(), lambda outage: outage.server.start()),
    "restarted": (Outage.restart, _nothing),
    f"cut {CUTS} times": (Outage.cut, _nothing),
    "takes no more connections": (Outage.take_no_more, Outage.take_all),
    "wants another password": (Outage.change_password, Outage.change_it_back),
}
FAILED_OVER = "read-only after a failover"
"""The standby that took over is promoted late."""
NAMES = (*FAULTS, FAILED_OVER)


@dataclass(frozen=True)
class Nodes:
    """Two nodes that run, and who asks them."""

    several: list[Service]
    outage: Outage
    token: str
    calls: dict[str, Call]


@contextmanager
def serving(folder: Path, postgres: PostgresServer | None = None, clients: PostgresServer | None = None) -> Iterator[Nodes]:
    """*postgres* has the log; *clients* all else, on the other side of a proxy. None: a server of its own."""
    with ExitStack() as opened:
        fake = opened.enter_context(FakeOpenAI())
        ledger = opened.enter_context(nullcontext(postgres) if postgres else PostgresServer())
        server = opened.enter_context(nullcontext(clients) if clients else PostgresServer())
        proxy = opened.enter_context(CuttingProxy(server.port))
        role, database = server.new_role(), server.new_database()
        server.query(f'ALTER DATABASE "{database}" OWNER TO "{role}"')
        env = databases(ledger) | policy_for(folder / "policy", fake, 10**9, principal="spender")
        env["ADDRESS_RATE_LIMIT"] = "1000000"
        env["DATABASE_URL"] = f"postgresql://{role}:{PASSWORD}@127.0.0.1:{proxy.port}/{database}?sslmode=disable"
        several = make_nodes(folder, [Place()] * 2, **env)
        added = {name: several[0].add_client(name) for name in ("alice", "spender")}
        known = several[0].cli("keys", "add", "alice")["key"]
        opened.enter_context(running(several))
        token, spender = (several[0].token(name, secret) for name, secret in added.items())
        for node in several:
            assert all(node.ask(one).status_code == 200 for one in (token, known, spender))
        calls = {"a known token": ask(token), "a known key": ask(known), "a budget": ask(spender)}
        calls |= {"an unknown key": ask(make_key(secrets.token_bytes).key), "/token": token_of("alice", added["alice"]), **HEALTH}
        yield Nodes(several, Outage(server, proxy, role), token, calls)


def fail(
    folder: Path, *, faults: Sequence[str], seconds: float, clients: int = 4, postgres: PostgresServer | None = None
) -> Figures:
    """Each of *faults* for *seconds* under load: who is known goes on, nobody gets a 500, and all is back by itself."""
    with serving(folder, postgres) as place:
        return fail_at(place, faults, seconds=seconds, clients=clients)


def fail_at(place: Nodes, faults: Sequence[str], *, seconds: float, clients: int) -> Figures:
    began, figures = time.monotonic(), Figures(0, 0, 0.0)
    with ExitStack() as opened:
        for fault in faults:
            asyncio.run(_fail(place, *_acts(place.outage, fault, opened), seconds, clients, figures))
    figures.seconds = time.monotonic() - began
    return figures


def _acts(outage: Outage, fault: str, opened: ExitStack) -> tuple[Callable[[], None], Callable[[], None]]:
    if fault == FAILED_OVER:
        standby = opened.enter_context(outage.server.standby(is_synchronous=False))

        def fail_over() -> None:
            outage.proxy.target = standby.port
            outage.server.crash()

        return fail_over, standby.promote
    break_it, mend_it = FAULTS[fault]
    return lambda: break_it(outage), lambda: mend_it(outage)


async def _fail(
    place: Nodes, break_it: Callable[[], None], mend_it: Callable[[], None], seconds: float, clients: int, figures: Figures
) -> None:
    async with AsyncExitStack() as opened:
        loads = [await opened.enter_async_context(Load(node.port, place.token, clients)) for node in place.several]
        for load in loads:
            await answered_again(load)
        with calling(place.several[0], place.calls) as seen:
            await asyncio.to_thread(break_it)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(mend_it)
            mended = time.monotonic()
            await asyncio.to_thread(_wait_until_back, place)
            figures.ready.append(time.monotonic() - mended)
    verify_answers(seen)
    refused = [(one.status, one.code) for load in loads for one in load.outcomes if one.status != 200]
    assert not refused, f"known tokens: {refused[:5]}"
    figures.answers += sum(len(load.outcomes) for load in loads)
    figures.broken += sum(one.refused.total() for one in seen.values())
    figures.remarks += [f"{name}: {one}" for name, one in seen.items()]


def verify_answers(seen: dict[str, Seen]) -> None:
    wrong = {name: dict(one.answers) for name, one in seen.items() if not one.answers.keys() <= MAY_GET[name]}
    assert not wrong, wrong


def _wait_until_back(place: Nodes) -> None:
    """Tokens and budgets on both nodes; revocations are read."""
    for node in place.several:
        for call in {"/token", "a budget"} & place.calls.keys():
            eventually(lambda node=node, call=call: _is_answered(node, place.calls[call]))  # type: ignore[misc]
        eventually(lambda node=node: HTTP.get(f"{node.url}/readyz").json()["revocations"] == "up to date")  # type: ignore[misc]


def _is_answered(node: Service, call: Call) -> bool:
    answer = HTTP.request(call["method"], node.url + call["path"], headers=call["headers"], content=call["body"])
    return answer.status_code == 200
