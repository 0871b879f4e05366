"""What `make cluster-demo` shows, one row after the other."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from app.audit.format.note import VerifierKey
from app.audit.format.receipt import verify_receipt

from ..faults.crash import answered_again
from ..faults.load import Load, Outcome
from ..support.fake_openai import FakeOpenAI
from ..support.nodes import Place, databases, make_nodes, running
from ..support.postgres_server import PostgresServer
from ..support.service import HTTP, Service
from ..support.valkey_server import ValkeyServer
from ..support.verified_nodes import signed_at, verify_nodes
from ..support.waiting import eventually
from .rows import Table

QUESTIONS, CLIENTS, RPM = 500, 32, 20
READER = "ai.audit.reader"


def tell(folder: Path, places: Sequence[Place], shared: str, table: Table) -> None:
    """*shared*: the address of the servers."""
    with ExitStack() as opened:
        story = Story(folder, places, shared, opened)
        rows = {
            "the servers": story.open_servers,
            "two nodes": story.start_nodes,
            "questions to both": story.ask_both,
            "one limit": story.limit_both,
            "one set of clients": story.change_clients,
            "a receipt from either": story.prove,
            "one log": story.verify,
            "a node killed in mid-load": story.kill_one,
            "still one log": story.verify,
            "Valkey stalled": story.stall_limits,
            "the node back": story.come_back,
            "and one log in the end": story.verify,
        }
        for name, work in rows.items():
            table.row(name, work)


class Story:
    """The nodes, and what was acknowledged to callers so far."""

    def __init__(self, folder: Path, places: Sequence[Place], shared: str, opened: ExitStack) -> None:
        self._folder, self._places, self._shared, self._opened = folder, places, shared, opened
        self.answered: list[Outcome] = []
        self._exports = 0

    # --- servers and nodes -----------------------------------------------------------------------

    def open_servers(self) -> str:
        opened = self._opened
        self.fake = opened.enter_context(FakeOpenAI(host=self._shared))
        self.valkey = opened.enter_context(ValkeyServer(self._folder / "valkey", password="of-the-demo", host=self._shared))
        self.postgres = opened.enter_context(PostgresServer(listen_addresses="*"))
        with (self.postgres.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 10.77.0.0/16 scram-sha-256\n")
        self.postgres.reload()
        opened.enter_context(self.postgres.standby())
        told = self.valkey.command("INFO", "server")
        limits = f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told['redis_version']}"
        postgres = self.postgres.setting("server_version")
        return f"PostgreSQL {postgres} with a synchronous standby, and {limits}, at {self._shared}"

    def start_nodes(self) -> str:
        password = self._folder / "valkey-password"
        password.write_text("of-the-demo")
        env = {
            **databases(self.postgres, host=self._shared, single=False),
            "OPENAI_BASE_URL": self.fake.base_url,
            "LIMITS_URL": self.valkey.url,
            "LIMITS_PASSWORD_FILE": str(password),
            "LIMITS_DOWN": "local_share",
            "LIMITS_NODES": "2",
        }
        began = time.monotonic()
        self.nodes = make_nodes(self._folder, self._places, **env)
        self._opened.enter_context(running(self.nodes))
        self.token = self.nodes[0].token("alice", self.nodes[0].add_client("alice"))
        where = "network namespaces of their own" if self._places[0].prefix else "loopback addresses"
        names = ", ".join(f"{node.host}:{node.port}" for node in self.nodes)
        return f"{names}, in {where}; ready after {time.monotonic() - began:.1f} s"

    # --- one service -----------------------------------------------------------------------------

    def ask_both(self) -> str:
        began, calls = time.monotonic(), self.fake.calls()
        outcomes = self._asked(self.token, [f"question {number}" for number in range(QUESTIONS)])
        took, statuses = time.monotonic() - began, Counter(one.status for one in outcomes)
        assert statuses == {200: 2 * QUESTIONS}, f"{statuses}"
        assert self.fake.calls() - calls == 2 * QUESTIONS
        self.answered += outcomes
        return f"{2 * QUESTIONS:,} of {2 * CLIENTS} callers, half at each: all answered, {2 * QUESTIONS / took:,.0f} a second"

    def limit_both(self) -> str:
        secret = self.nodes[0].cli("clients", "add", "bobby", "--role", "ai.playground.user", "--rpm", str(RPM))["client_secret"]
        outcomes = self._asked(self.nodes[1].token("bobby", secret), ["anything"] * (2 * RPM))
        statuses = Counter(one.status for one in outcomes)
        self.answered += [one for one in outcomes if one.status == 200]
        assert statuses == {200: RPM, 429: 3 * RPM}, f"{statuses}"
        return f"{4 * RPM} questions at both against {RPM} a minute: {RPM} answered, {3 * RPM} refused"

    def change_clients(self) -> str:
        one, other = self.nodes
        secret = one.add_client("carol")
        token = other.token("carol", secret)
        assert one.ask(token).status_code == other.ask(token).status_code == 200
        one.cli("clients", "disable", "carol")
        began = time.monotonic()
        eventually(lambda: other.ask(token).status_code == 401, seconds=10)
        took = time.monotonic() - began
        return f"a client added at one asks the other at once; disabled at one, refused at the other after {took:.2f} s"

    def verify(self) -> str:
        self._exports += 1
        records, verifiers = verify_nodes(self._alive(), self.answered, self._folder / f"exported-{self._exports}.jsonl")
        return f"{records:,} records; {len(self.answered):,} acknowledged answers stand in them once\nverified: {verifiers}"

    def prove(self) -> str:
        one, other = self.nodes
        secret = one.cli("clients", "add", "audrey", "--role", READER)["client_secret"]
        token, proven = one.token("audrey", secret), 0
        for asked, proves in ((one, other), (other, one)):
            receipt = asked.ask(self.token).json()["receipt"]
            eventually(lambda proves=proves, seq=receipt["seq"]: signed_at(proves) > seq)  # type: ignore[misc]
            key = VerifierKey.parse(HTTP.get(f"{asked.url}/audit/vkey").text.strip())
            headers = {"Authorization": f"Bearer {token}"}
            proof = HTTP.get(f"{proves.url}/audit/receipts/{receipt['seq']}", headers=headers)
            found = verify_receipt(proof.content, key)
            assert (found.seq, json.loads(found.line)["hash"]) == (receipt["seq"], receipt["hash"])
            proven += 1
        return f"{proven} answers: each node proves what the other one recorded, under one key"

    # --- faults ----------------------------------------------------------------------------------

    def kill_one(self) -> str:
        return asyncio.run(self._kill_one())

    async def _kill_one(self) -> str:
        one, other = self.nodes
        async with self._load(one) as stays, self._load(other) as dies:
            await answered_again(stays)
            await answered_again(dies)
            await asyncio.to_thread(other.kill)
            killed = time.monotonic()
            await answered_again(stays)
            again = time.monotonic() - killed
            for _ in range(20):
                await answered_again(stays)
        refused = Counter((one.status, one.code) for one in stays.outcomes if one.status != 200)
        assert not refused, f"the other node refused: {dict(refused)}"
        self.answered += [*stays.answers, *dies.answers]
        told = f"it had answered {len(dies.answers)}; the other one answered {len(stays.answers)}"
        return f"{told}, the next after {again:.2f} s, and refused none"

    def stall_limits(self) -> str:
        (node,) = self._alive()
        self.valkey.freeze()
        began = time.monotonic()
        statuses = Counter(node.ask(self.token).status_code for _ in range(50))
        took = time.monotonic() - began
        eventually(lambda: "alone" in HTTP.get(f"{node.url}/readyz").json()["limits"])
        self.valkey.thaw()
        eventually(lambda: HTTP.get(f"{node.url}/readyz").json()["limits"] == "counted")
        assert statuses == {200: 50}, f"{statuses}"
        return f"50 questions in {took:.2f} s meanwhile: the node granted its part, and /readyz said so until it was back"

    def come_back(self) -> str:
        began = time.monotonic()
        self.nodes[1].start()
        took = time.monotonic() - began
        outcomes = self._asked(self.token, ["once more"] * 50)
        assert Counter(one.status for one in outcomes) == {200: 100}
        self.answered += outcomes
        return f"the killed node is ready again after {took:.1f} s, and both answer"

    # --- helpers ---------------------------------------------------------------------------------

    def _asked(self, token: str, queries: list[str]) -> list[Outcome]:
        async def both() -> list[Outcome]:
            async with self._load(self.nodes[0], token, queries) as one, self._load(self.nodes[1], token, queries) as other:
                await asyncio.gather(one.finish(), other.finish())
            return [*one.outcomes, *other.outcomes]

        return asyncio.run(both())

    def _load(self, node: Service, token: str = "", queries: list[str] | None = None) -> Load:
        return Load(node.port, token or self.token, CLIENTS, queries, host=node.host)

    def _alive(self) -> list[Service]:
        return [node for node in self.nodes if node.process is not None]
